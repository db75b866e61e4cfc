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
  - Builds a NixOS system, records it as a generation of the container's Nix profile on the host, creates an
    empty Incus instance that boots from that profile, and starts it or switches it to the new system.
  - The container shares the host's Nix store through an Incus profile, see M(inx.fleet.inx_store_mount), and has no
    copy of the system.
  - Only declared settings are compared and changed. Keys below C(volatile.) are ignored, and settings of other tools
    are kept.
  - A container that the tool inx-container made is adopted as it is.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
  - inx.fleet.attributes.actiongroup_inx
  - inx.fleet.incus
  - inx.fleet.nix
  - inx.fleet.container
  - inx.fleet.container.lock
attributes:
  check_mode:
    support: partial
    details:
      - Check mode evaluates the declared system. Nix then copies sources and derivations into the store, and builds
        what the evaluation itself imports. It builds nothing else without O(build_in_check_mode), and changes
        neither the container nor its profile.
      - Errors of a build are not predicted without O(build_in_check_mode). Errors that only Incus finds are not
        predicted, such as an unknown key in O(config).
  idempotent:
    support: partial
    details:
      - O(state=restarted) restarts a container on every run.
  diff_mode:
    details:
      - Shows the configuration, the devices and the system. If the old and the new system are both in the store,
        changes of packages are listed as in C(nix store diff-closures).
      - Lists the units that a switch changes. In check mode, the new system's C(switch-to-configuration dry-activate)
        names them, if the system is in the store and the container runs.
options:
  address_family:
    description:
      - Family of the addresses that come first in RV(container.addresses).
    type: str
    choices: [ipv4, ipv6]
    default: ipv4
notes:
  - Runs on the host itself as root, or as a member of C(incus-admin) who may write the profile directory.
  - The container's profile is C(/nix/var/nix/profiles/inx-container/NAME/system), with C(PROJECT_NAME) outside the
    project V(default). It protects the system from garbage collection.
seealso:
  - module: inx.fleet.inx_store_mount
  - name: Incus instance options
    description: Keys for O(config).
    link: https://linuxcontainers.org/incus/docs/main/reference/instance_options/
"""

EXAMPLES = r"""
- name: Create a container that runs nixosConfigurations.web of the flake
  inx.fleet.inx_container:
    name: web
    flake: /etc/nixos

- name: Use another attribute, and set a limit, an address, a port and a bind mount
  inx.fleet.inx_container:
    name: shop-1
    flake: github:example/systems#shop
    autostart: true
    config:
      limits.memory: 2GiB
    devices:
      eth0: {ipv4.address: 10.55.0.20}
    publish: ["8080:80/tcp"]
    bind_mounts:
      - {source: /srv/shop, path: /var/lib/shop, readonly: false}

- name: Set a secret environment variable that is never shown
  inx.fleet.inx_container:
    name: shop-1
    flake: github:example/systems#shop
    secret_config:
      environment.DB_PASSWORD: "{{ vault_db_password }}"

- name: Give a service a secret file, and restart the service when it changes
  inx.fleet.inx_container:
    name: shop-1
    flake: github:example/systems#shop
    secrets:
      - name: db-password
        content: "{{ vault_db_password }}"
        owner: shop
        units: [shop.service]

- name: Use a Nix expression instead of a flake
  inx.fleet.inx_container:
    name: db
    file: /etc/nixos/containers.nix
    attribute: db.config.system.build.toplevel

- name: Require that the system answers, and roll back otherwise
  inx.fleet.inx_container:
    name: web
    flake: /etc/nixos
    health:
      command: [/run/current-system/sw/bin/curl, --fail, --silent, "http://127.0.0.1/"]
      timeout: 60
    keep_generations: 5

- name: Roll back to the previous generation
  inx.fleet.inx_container:
    name: web
    generation: previous

- name: Boot the new system at the next start
  inx.fleet.inx_container:
    name: web
    flake: /etc/nixos
    activation: boot

- name: Empty the root disk at every start, except for some paths
  inx.fleet.inx_container:
    name: db
    flake: /etc/nixos
    volatile_root: rebuild
    persist:
      # NixOS stores the ids of users here. Without it, files in volumes may get another owner.
      - path: /var/lib/nixos
      - path: /var/lib/postgresql
        size: 20GiB
      - path: /root
        mode: "0700"

- name: Mount a tmpfs on selected paths
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
  description: The container after the run. In check mode, the container as it is.
  returned: always, unless validation fails
  type: dict
  contains:
    name:
      description: Name of the container.
      type: str
      sample: web
    status:
      description: Status of the instance in Incus, or V(Absent).
      type: str
      sample: Running
    location:
      description: Name of the cluster member that has the container, V(null) without a cluster.
      type: str
      sample: metal1
    addresses:
      description:
        - Global addresses of the instance's NICs by interface, those of O(address_family) first.
        - Interfaces that exist only inside the container, such as C(docker0), are left out.
      type: dict
      sample: {"eth0": ["10.166.11.20", "fd42:1c8e::20"]}
    address:
      description: The first of these addresses, of O(address_family) if there is one. V(null) without addresses.
      type: str
      sample: 10.166.11.20
    system:
      description: Store path of the system in the profile, which the next start boots.
      type: str
      sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
    revision:
      description:
        - Configuration revision of that system, C(system.configurationRevision). If it has none, the revision of the
          flake that it was built from, with C(-dirty) if its tree had changes. V(null) if neither is known.
      type: str
      sample: 9d0c7a1f5b3e2c4d6a8b0e1f2a3b4c5d6e7f8091
    running_system:
      description: Store path of the running system, V(null) if the container does not run on this host.
      type: str
      sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
    running_revision:
      description: Configuration revision of the running system, V(null) if it is not known.
      type: str
      sample: 9d0c7a1f5b3e2c4d6a8b0e1f2a3b4c5d6e7f8091
    generation:
      description: Number of the profile's current generation.
      type: int
      sample: 4
    previous_generation:
      description: >-
        Number of the generation that V(previous) selects now: the newest one before the current one that has another
        system and is not known to be bad. V(null) if there is none.
      type: int
      sample: 3
steps:
  description: Steps that were taken, in order, or that would be taken in check mode. On failure, the steps until then.
  returned: always, unless validation fails
  type: list
  elements: dict
  contains:
    action:
      description: >-
        One of V(build), V(copy), V(rehearse), V(volume), V(secrets), V(create), V(update), V(record), V(move),
        V(snapshot), V(restore), V(unfreeze), V(rebuild), V(start), V(restart), V(activate), V(restart_units),
        V(rollback), V(prune), V(stop), V(forget), V(delete).
      type: str
      sample: activate
    summary:
      description: Description of the step.
      type: str
    before:
      description: Keys that the step changes, with their values before it.
      type: dict
    after:
      description: The same keys, with their values after it.
      type: dict
units:
  description:
    - Units that a switch has changed, as switch-to-configuration names them. The keys are V(restarted), V(reloaded),
      V(started), V(stopped), and V(not_restarted) for units that have changed and run on as they are.
    - Units that were restarted or reloaded because their O(secrets) changed are among them.
    - Units that failed are left out. Empty if the container booted the system or the switch failed.
    - In check mode with diff mode, units that the switch would change. Empty in check mode without it.
  returned: always, unless validation fails
  type: dict
  sample: {restarted: [nginx.service]}
snapshots:
  description:
    - Snapshots of the data that were taken or restored. Empty in check mode, where RV(steps) say what would be.
  returned: always, unless validation fails
  type: list
  elements: dict
  contains:
    name:
      description: Name of the snapshot.
      type: str
      sample: inx-4-20261130T101502Z
    restored:
      description: Whether the data was restored from it. Otherwise it was taken.
      type: bool
    frozen_seconds:
      description: Seconds for which the container was frozen, V(null) if it did not run.
      type: float
      sample: 0.142
    drivers:
      description: Driver of each storage pool that was snapshotted. Only of those that were taken.
      type: dict
      sample: {fast: btrfs}
    copied_bytes:
      description: Bytes that the driver C(dir) copied, rounded up to MiB. 0 with other drivers.
      type: int
      sample: 0
    kept_as:
      description: Name of the snapshot with the data that was replaced. Only of those that were restored.
      type: str
      sample: inx-5-20261130T111502Z
    lost_seconds:
      description: Seconds between the snapshot and the moment at which its data was restored.
      type: int
      sample: 3600
units_unknown:
  description:
    - Why check mode with diff mode does not know which units would change, such as a system that is not in the store
      yet, a container that boots, or a switch that would be refused. V(null) otherwise.
  returned: always, unless validation fails
  type: str
  sample: the container boots the system, which starts all units
packages:
  description: >-
    Changes of packages between the old and the new system, one line for each, in the format of nix. Empty without diff
    mode, and on failure.
  returned: always, unless validation fails
  type: list
  elements: str
  sample: ["hello: 2.10 → 2.12"]
locked_inputs:
  description:
    - Inputs of the flake that its lock file pins. To update them, run C(nix flake update) where the flake is kept.
  returned: always, unless validation fails
  type: list
  elements: str
  sample: [nixpkgs]
restart_required:
  description:
    - Whether settings of the container or its profiles, a recorded system, or a mounted directory or file that was
      replaced on the host wait for the next start. A warning names them. What O(bind_mounts) and O(devices) declare is
      mounted anew without a restart, if nothing else is mounted below it.
  returned: always, unless validation fails
  type: bool
last_run:
  description:
    - Last run before this one that changed the container, or failed to, as its log on the host says. V(null) if
      there is no log of it, or only root may read it. Runs that change nothing leave no log.
  returned: always, unless validation fails
  type: dict
  contains:
    time:
      description: Time of its end, in UTC.
      type: str
      sample: "2026-11-30T10:15:00.123Z"
    module:
      description: Name of the module.
      type: str
      sample: inx_containers
    finished:
      description: Whether it ended by itself. If not, it was killed, or it goes on.
      type: bool
    failed:
      description: Whether it failed, or was killed.
      type: bool
    did:
      description: Steps that were taken. If it was killed, the last one may not be done.
      type: list
      elements: str
      sample: ["update config limits.memory"]
    error:
      description: First line of its error, V(null) if there is none.
      type: str
    log:
      description: Path of its log on the host.
      type: str
      sample: /var/log/inx-fleet/20261130T101458.000001Z-inx_containers-4711.jsonl
log:
  description:
    - Path of the run's log on the host, which only root can read. It has the plan, the steps and their times, and what
      other programs said in full when something failed.
  returned: if something was changed, or failed, on a host where the module runs as root
  type: str
  sample: /var/log/inx-fleet/20261130T101458.000001Z-inx_container-4711.jsonl
"""

from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments.module import FleetModule
from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import (
    ADDRESS_OPTIONS,
    CONTAINER_OPTIONS,
    CONTAINER_RULES,
    INCUS_OPTIONS,
    LOCK_OPTIONS,
    NIX_OPTIONS,
    open_host,
    require_pylxd,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.converge import converge
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import container_from
from ansible_collections.inx.fleet.plugins.module_utils.container.last_runs import with_last_runs
from ansible_collections.inx.fleet.plugins.module_utils.container.outcome import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.container.results import (
    container_result,
    differences,
    secrets_met,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.revisions import with_revisions
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import ContainerSet
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError


def main() -> None:
    options: dict[str, Any] = {
        **INCUS_OPTIONS,
        **NIX_OPTIONS,
        **LOCK_OPTIONS,
        **CONTAINER_OPTIONS,
        **ADDRESS_OPTIONS,
    }
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
            build=module.params["build_in_check_mode"],
            lock_timeout=module.params["lock_timeout"],
        )
        outcomes = with_last_runs(with_revisions(outcomes), module.run_log)
    except FleetError as error:
        module.fail_json(msg=str(error))
    _end_with(module, outcomes[0])


def _end_with(module: FleetModule, outcome: Outcome) -> None:
    module.hide(secrets_met([outcome]))
    for warning in outcome.warnings:
        module.warn(warning)
    result = container_result(outcome, module.params["address_family"])
    if module._diff:
        result["diff"] = differences(outcome)
    if outcome.error is not None:
        module.fail_json(msg=str(outcome.error), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
