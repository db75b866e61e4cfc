#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_containers
short_description: Manage a set of NixOS containers under Incus in one task
version_added: 0.1.0
description:
  - Manages all containers of a set, as M(inx.fleet.inx_container) manages one. It queries Incus once, evaluates and
    builds all systems together, and works on the containers in parallel.
  - A container that fails does not stop the others. The task fails at the end, with one line for each failure.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
  - inx.fleet.attributes.actiongroup_inx
  - inx.fleet.incus
  - inx.fleet.nix
  - inx.fleet.container.set
  - inx.fleet.container.shared_secrets
  - inx.fleet.container.lock
attributes:
  check_mode:
    support: partial
    details:
      - Check mode evaluates the declared systems. Nix then copies sources and derivations into the store, and builds
        what the evaluation itself imports. It builds nothing else without O(build_in_check_mode), and changes
        neither containers nor profiles.
      - Errors of a build are not predicted without O(build_in_check_mode), and errors that only Incus finds never are.
  idempotent:
    support: partial
    details:
      - O(containers[].state=restarted) restarts a container on every run.
  diff_mode:
    details:
      - Shows one difference for each container that changes, as M(inx.fleet.inx_container) does.
notes:
  - Runs on the host itself as root, or as a member of C(incus-admin) who may write the profile directory.
  - The set of a container is stored in its configuration, as C(user.inx.set). Only containers with it are purged.
  - In a cluster, each member has a run of its own. O(containers[].after), O(parallel) and O(max_unavailable) apply to
    the containers of that member, and O(purge) removes containers of that member only.
seealso:
  - module: inx.fleet.inx_container
  - module: inx.fleet.inx_container_info
  - module: inx.fleet.inx_store_mount
options:
  containers:
    description:
      - Containers of the set. An entry has the options of M(inx.fleet.inx_container), with the same defaults, and
        O(containers[].after) and O(containers[].tags).
    type: list
    elements: dict
    required: true
  defaults:
    description:
      - Options that all containers share, except O(containers[].name). An entry overrides them, and default options
        about the same choice, so that its O(containers[].generation) overrides a default C(flake). Dictionaries are
        merged key by key, lists are replaced, and V(null) removes a default. See the table in
        C(roles/containers/README.md).
    type: dict
    default: {}
  secret_config:
    description:
      - Default of O(containers[].secret_config) for all containers. O(defaults) cannot have it, because Ansible would
        show it there.
    type: dict
    default: {}
  secrets:
    description:
      - Secrets of all containers, as O(containers[].secrets), with the same keys. A container's own secrets are merged
        with them by name, and an empty list or V(null) removes them. O(defaults) cannot have them, because Ansible
        would show them there.
    type: list
    elements: dict
  set:
    description:
      - Name of the set, for hosts with more than one.
    type: str
    default: main
  only:
    description:
      - Names of the containers to work on, or patterns such as V(web-*). The others are left as they are, and
        O(containers[].after) ignores them.
      - A name or pattern that matches no declared container is an error. An empty list selects nothing. If neither this
        nor O(only_tags) is given, all containers are selected.
    type: list
    elements: str
  purge:
    description:
      - Whether to remove containers of the set that are no longer declared, with their root disks and profiles. The
        profiles of ephemeral containers that have ended are removed as well, unless Incus may hide instances of other
        projects from this user.
    type: bool
    default: false
  purge_limit:
    description:
      - Maximum number of containers to purge in one run. If there are more, the task fails before anything changes.
    type: int
    default: 3
  parallel:
    description:
      - Number of containers to work on at the same time. By default twice the number of CPUs, and at least 4.
    type: int
  max_unavailable:
    description:
      - Maximum number of running containers to switch, restart or stop at the same time, as a number, or as a
        percentage of the set such as V(25%).
      - A container that was rolled back to a good system frees its slot. One that is not healthy keeps its slot. If no
        slot is left, the remaining containers are left as they are.
      - Nothing of a container changes before its turn, not even the system that it boots next.
      - By default O(parallel) is the only limit.
    type: str
  rollback_limit:
    description:
      - Maximum number of rollbacks in an update. A failed rehearsal counts as one. After that the remaining containers
        are left as they are.
      - Containers that are being worked on at that moment are finished. O(max_unavailable) limits their number.
    type: int
    default: 3
  build_failures:
    description:
      - Containers whose systems could not be built on another host, with the reasons, as returned in
        RV(inx.fleet.inx_system#module:build_failures). They are left as they are, and so are containers that come
        after them. The task fails at the end.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Run three containers, the database first
  inx.fleet.inx_containers:
    defaults:
      flake: /etc/nixos
      autostart: true
      health:
        timeout: 90
    containers:
      - name: db
      - name: web-1
        flake: /etc/nixos#web
        after: [db]
      - name: web-2
        flake: /etc/nixos#web
        after: [db]
    max_unavailable: "1"

- name: Remove all other containers of the set
  inx.fleet.inx_containers:
    set: shop
    containers:
      - name: shop-1
        flake: github:example/systems#shop
    purge: true
"""

RETURN = r"""
containers:
  description: The containers of the set after the run, in check mode as they are. Purged containers come first.
  returned: always, unless validation fails
  type: list
  elements: dict
  contains:
    name:
      description: Name of the container.
      type: str
      sample: web-1
    changed:
      description: Whether the container was changed, or would be.
      type: bool
    failed:
      description: Whether the container failed.
      type: bool
    error:
      description: The error, V(null) if there is none.
      type: str
    status:
      description: Status of the instance in Incus, or V(Absent).
      type: str
      sample: Running
    location:
      description: Name of the cluster member that has the container, V(null) without a cluster.
      type: str
      sample: metal1
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
      description: Steps that were taken, as M(inx.fleet.inx_container) returns them. On failure, the steps until then.
      type: list
      elements: dict
    units:
      description:
        - Units that a switch has changed, or would change in check mode with diff mode, as M(inx.fleet.inx_container)
          returns them.
      type: dict
      sample: {restarted: [nginx.service]}
    snapshots:
      description:
        - Snapshots of the data that were taken or restored. Empty in check mode, where RV(containers[].steps) say what
          would be.
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
        - Why check mode with diff mode does not know which units would change. V(null) otherwise.
      type: str
      sample: the container boots the system, which starts all units
    packages:
      description: >-
        Changes of packages between the old and the new system, one line for each, in the format of nix. Empty without
        diff mode, and for a container that failed.
      type: list
      elements: str
      sample: ["hello: 2.10 → 2.12"]
    locked_inputs:
      description: Inputs of the flake that its lock file pins.
      type: list
      elements: str
      sample: [nixpkgs]
    restart_required:
      description:
        - Whether settings of the container or its profiles, or a recorded system, wait for the next start. A warning
          names them.
      type: bool
    last_run:
      description:
        - Last run before this one that changed the container, or failed to, as its log on the host says. V(null) if
          there is no log of it, or only root may read it. Runs that change nothing leave no log.
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
  sample: /var/log/inx-fleet/20261130T101458.000001Z-inx_containers-4711.jsonl
"""

from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import (
    INCUS_OPTIONS,
    LOCK_OPTIONS,
    NIX_OPTIONS,
    SET_OPTIONS,
    SHARED_SECRETS,
    SetModule,
    container_set,
    open_host,
    require_pylxd,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.converge import converge
from ansible_collections.inx.fleet.plugins.module_utils.container.last_runs import with_last_runs
from ansible_collections.inx.fleet.plugins.module_utils.container.outcome import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.container.results import (
    differences,
    failures,
    member_result,
    secrets_met,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.revisions import with_revisions
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError


def main() -> None:
    options: dict[str, Any] = {
        **INCUS_OPTIONS,
        **NIX_OPTIONS,
        **SET_OPTIONS,
        **LOCK_OPTIONS,
        **SHARED_SECRETS,
        "set": {"type": "str", "default": "main"},
        "purge": {"type": "bool", "default": False},
        "purge_limit": {"type": "int", "default": 3},
        "parallel": {"type": "int"},
        "max_unavailable": {"type": "str"},
        "rollback_limit": {"type": "int", "default": 3},
        "build_failures": {"type": "dict", "default": {}},
    }
    module = SetModule(argument_spec=options, supports_check_mode=True)
    require_pylxd(module)
    try:
        declared = container_set(module.params)
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
    _end_with(module, outcomes)


def _end_with(module: SetModule, outcomes: list[Outcome]) -> None:
    module.hide(secrets_met(outcomes))
    result: dict[str, Any] = {
        "changed": any(outcome.changed for outcome in outcomes),
        "containers": [member_result(outcome) for outcome in outcomes],
    }
    # A problem that many share is reported once.
    for warning in dict.fromkeys(warning for outcome in outcomes for warning in outcome.warnings):
        module.warn(warning)
    if module._diff:
        result["diff"] = [differences(outcome) for outcome in outcomes if outcome.changed]
    if any(outcome.error is not None for outcome in outcomes):
        module.fail_json(msg=failures(outcomes), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
