#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_container
short_description: Manage one NixOS container under Incus on the host's Nix store
version_added: 0.1.0
description:
  - Builds a NixOS system, records it as a generation of the container's own Nix profile on the host, creates an
    empty Incus instance that boots from that profile, and starts it or switches it to the new system.
  - The container shares the host's Nix store through an Incus profile, see M(inx.fleet.inx_store_mount), and has no
    copy of the system.
  - Only what is declared is compared and changed. Keys under C(volatile.) never count, and what other tools set on
    the instance stays.
  - A container that the tool inx-container made is taken over as it is.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
  - inx.fleet.attributes.actiongroup_inx
  - inx.fleet.incus
  - inx.fleet.container
  - inx.fleet.container.lock
attributes:
  check_mode:
    support: partial
    details:
      - Check mode evaluates the declared system, which lets nix copy sources and derivations into the store, and build
        what the evaluation itself imports. It builds nothing else, and touches neither the container nor its profile.
      - What only a build can tell, or Incus when it is asked to do it, is not predicted. That a system does not build,
        or that a key of O(config) does not exist, only the run can tell.
  idempotent:
    support: partial
    details:
      - O(state=restarted) restarts a container on every run.
  diff_mode:
    details:
      - Shows the configuration, the devices and the system. When the old and the new system are both in the store,
        the packages that come and go are listed as C(nix store diff-closures) has them.
notes:
  - Runs on the host itself as root, or as a member of C(incus-admin) who may write the profile directory.
  - The container's profile is C(/nix/var/nix/profiles/inx-container/NAME/system), and C(PROJECT_NAME) outside the
    project V(default). It is what keeps the system from being garbage-collected.
seealso:
  - module: inx.fleet.inx_store_mount
  - name: Incus instance options
    description: The keys that O(config) takes.
    link: https://linuxcontainers.org/incus/docs/main/reference/instance_options/
options:
  build_timeout:
    description:
      - Seconds that each call of nix may take.
    type: int
    default: 3600
  evaluation_memory:
    description:
      - Memory that all processes of nix may take together while systems are evaluated, such as V(4GiB). As many systems
        are evaluated at a time as it suffices for, and one at the least.
      - If this is not given, the memory that the host has available then, less 1 GiB.
      - A NixOS system takes about 850 MiB, and 450 MiB for each further one in the same process.
    type: str
"""

EXAMPLES = r"""
- name: A container whose system is nixosConfigurations.web of the flake
  inx.fleet.inx_container:
    name: web
    flake: /etc/nixos

- name: Another attribute, a limit, a published port and a bind mount
  inx.fleet.inx_container:
    name: shop-1
    flake: github:example/systems#shop
    autostart: true
    config:
      limits.memory: 2GiB
    devices:
      http:
        type: proxy
        listen: tcp:0.0.0.0:8080
        connect: tcp:127.0.0.1:80
      data:
        type: disk
        source: /srv/shop
        path: /var/lib/shop
        shift: true

- name: A password in the environment of its first process, which nobody is shown
  inx.fleet.inx_container:
    name: shop-1
    flake: github:example/systems#shop
    secret_config:
      environment.DB_PASSWORD: "{{ vault_db_password }}"

- name: Without flakes
  inx.fleet.inx_container:
    name: db
    file: /etc/nixos/containers.nix
    attribute: db.config.system.build.toplevel

- name: A system that must answer, or else the one before it runs again
  inx.fleet.inx_container:
    name: web
    flake: /etc/nixos
    health:
      command: [/run/current-system/sw/bin/curl, --fail, --silent, "http://127.0.0.1/"]
      timeout: 60
    keep_generations: 5

- name: Back to the generation before
  inx.fleet.inx_container:
    name: web
    generation: previous

- name: Record the new system, and boot it whenever the container starts next
  inx.fleet.inx_container:
    name: web
    flake: /etc/nixos
    activation: boot

- name: A root that is emptied at every start, and what is kept
  inx.fleet.inx_container:
    name: db
    flake: /etc/nixos
    volatile_root: rebuild
    persist:
      # Where NixOS keeps which id each user has. Without it, files in volumes change their owners.
      - path: /var/lib/nixos
      - path: /var/lib/postgresql
        size: 20GiB
      - path: /root
        mode: "0700"

- name: Memory over some paths
  inx.fleet.inx_container:
    name: ci
    flake: /etc/nixos
    volatile_root: tmpfs
    tmpfs:
      - path: /tmp
        mode: "1777"
        size: 2GiB

- name: Remove the container, its root disk and its profile
  inx.fleet.inx_container:
    name: web
    state: absent
"""

RETURN = r"""
container:
  description: The container after the run, or as it is now in check mode.
  returned: always, but for an error before it was planned, such as a declaration that is refused
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: web
    status:
      description: The instance's status as Incus has it, or V(Absent).
      type: str
      sample: Running
    location:
      description: The cluster member that it is at, V(null) without a cluster.
      type: str
      sample: metal1
    addresses:
      description: Global addresses by interface.
      type: dict
      sample: {"eth0": ["10.166.11.20"]}
    system:
      description: Store path that the profile leads to, and that the next start boots.
      type: str
      sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
    running_system:
      description: Store path of the system that runs, V(null) if it does not run on this host.
      type: str
      sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
    generation:
      description: Number of the profile's current generation.
      type: int
      sample: 4
    previous_generation:
      description: >-
        Number of the generation that this run replaced, or else of the one before the current one; V(null) if there is
        none. In check mode, and after the way back to the one that it was, none was replaced.
      type: int
      sample: 3
steps:
  description: What was done in its order, on failure until then, or what would be done in check mode.
  returned: always, but for an error before it was planned, such as a declaration that is refused
  type: list
  elements: dict
  contains:
    action:
      description: >-
        One of V(build), V(copy), V(volume), V(create), V(update), V(record), V(move), V(unfreeze), V(rebuild),
        V(start), V(restart), V(activate), V(rollback), V(prune), V(stop), V(forget), V(delete).
      type: str
      sample: activate
    summary:
      description: The step in words.
      type: str
    before:
      description: The keys that the step changes, as they were.
      type: dict
    after:
      description: The same keys, as they are then.
      type: dict
packages:
  description: >-
    What changes between the old and the new system, a line per package, in the words of nix. Empty without diff mode,
    and on failure.
  returned: always, but for an error before it was planned, such as a declaration that is refused
  type: list
  elements: str
  sample: ["hello: 2.10 → 2.12"]
locked_inputs:
  description:
    - Inputs of its flake that the lock file holds where they are. C(nix flake update), where the flake is kept, brings
      newer ones.
  returned: always, but for an error before it was planned, such as a declaration that is refused
  type: list
  elements: str
  sample: [nixpkgs]
restart_required:
  description:
    - Whether it runs without a setting that takes effect only at its next start, its own or a profile's and
      whoever changed it, or with another system than the one that is recorded for that. A warning names the
      settings.
  returned: always, but for an error before it was planned, such as a declaration that is refused
  type: bool
"""

from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments import (
    CONTAINER_OPTIONS,
    CONTAINER_RULES,
    INCUS_OPTIONS,
    LOCK_OPTIONS,
    NIX_OPTIONS,
    FleetModule,
    open_host,
    require_pylxd,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.converge import converge
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import ContainerSet, container_from
from ansible_collections.inx.fleet.plugins.module_utils.container.outcome import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.container.results import (
    container_result,
    differences,
    secrets_met,
)
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError


def main() -> None:
    options: dict[str, Any] = {**INCUS_OPTIONS, **NIX_OPTIONS, **LOCK_OPTIONS, **CONTAINER_OPTIONS}
    module = FleetModule(argument_spec=options, **CONTAINER_RULES, supports_check_mode=True)
    require_pylxd(module)
    try:
        container = container_from(module.params)
        declared = ContainerSet(containers=(container,), project=container.project)
        outcomes = converge(
            open_host(module),
            declared,
            check=module.check_mode,
            diff=module._diff,
            lock_timeout=module.params["lock_timeout"],
        )
    except FleetError as error:
        module.fail_json(msg=str(error))
    _end_with(module, outcomes[0])


def _end_with(module: FleetModule, outcome: Outcome) -> None:
    module.hide(secrets_met([outcome]))
    for warning in outcome.warnings:
        module.warn(warning)
    result = container_result(outcome)
    if module._diff:
        result["diff"] = differences(outcome)
    if outcome.error is not None:
        module.fail_json(msg=str(outcome.error), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
