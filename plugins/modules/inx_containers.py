#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_containers
short_description: Manage a declared set of NixOS containers under Incus in one step
version_added: 0.1.0
description:
  - Brings all containers of a set to what is declared, as M(inx.fleet.inx_container) does with one. All are looked at
    in one request, all systems are evaluated and built together, and then the containers are worked on side
    by side.
  - A container that fails does not hold the others up. The task fails at the end, with a table of what went wrong
    where.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
  - inx.fleet.attributes.actiongroup_inx
  - inx.fleet.incus
  - inx.fleet.container.set
  - inx.fleet.container.lock
attributes:
  check_mode:
    support: partial
    details:
      - Check mode evaluates the declared systems, which lets nix copy sources and derivations into the store, and build
        what the evaluation itself imports. It builds nothing else, and touches neither containers nor profiles.
      - What only a build can tell, or Incus when it is asked to do it, is not predicted.
  idempotent:
    support: partial
    details:
      - O(containers[].state=restarted) restarts a container on every run.
  diff_mode:
    details:
      - One difference for each container that changes, as M(inx.fleet.inx_container) shows it.
notes:
  - Runs on the host itself as root, or as a member of C(incus-admin) who may write the profile directory.
  - A container notes the set that it belongs to in its configuration, as C(user.inx.set). Nothing else is ever purged.
  - In a cluster, O(containers[].after), O(parallel) and O(max_unavailable) hold among the containers of one member,
    since each member has a run of its own. O(purge) removes containers of the member that the run is on.
seealso:
  - module: inx.fleet.inx_container
  - module: inx.fleet.inx_container_info
  - module: inx.fleet.inx_store_mount
options:
  containers:
    description:
      - The containers of the set. An entry has the options of M(inx.fleet.inx_container), with the same defaults, and
        O(containers[].after) and O(containers[].tags).
    type: list
    elements: dict
    required: true
  defaults:
    description:
      - Options that all containers share, any of them but O(containers[].name). What a container says itself overrides
        them per choice, so that its O(containers[].generation) takes the place of a default C(flake). Dictionaries are
        combined key by key, lists are replaced, and a null takes a default away. See the table in
        C(roles/containers/README.md).
    type: dict
    default: {}
  secret_config:
    description:
      - What holds for all containers besides their own O(containers[].secret_config). O(defaults) cannot have it, since
        Ansible would show it there.
    type: dict
    default: {}
  set:
    description:
      - Name of the set, for hosts with more than one.
    type: str
    default: main
  only:
    description:
      - Names of the containers to work on, or patterns such as V(web-*). The others are left as they are, whatever is
        declared for them, and what is to come after one of them does not wait.
      - A name or pattern that no declared container has is an error. An empty list selects nothing. If neither this nor
        O(only_tags) is given, all containers are selected.
    type: list
    elements: str
  purge:
    description:
      - Whether to remove containers of the set that are no longer declared, with their root disks and profiles. The
        profile of one that ended by itself, as an ephemeral one does, is removed as well, unless Incus may hide
        instances of other projects from this user.
    type: bool
    default: false
  purge_limit:
    description:
      - How many containers may be purged in one run. If there are more, the task fails before anything is changed.
    type: int
    default: 3
  parallel:
    description:
      - How many containers are worked on at the same time. If this is not given, twice the number of CPUs, and at
        least 4.
    type: int
  max_unavailable:
    description:
      - How many running containers may be switched, restarted or stopped at the same time, as a number, or as a
        percentage of the set such as V(25%).
      - A container that does not become healthy again keeps its place, unless it went back to a good system. When all
        places are taken in this way, the remaining containers are left as they are.
      - Nothing is changed of a container before its turn, not even the system that it would boot.
      - By default O(parallel) is the only limit.
    type: str
  rollback_limit:
    description:
      - How many containers may go back from their update before the remaining ones are left as they are.
      - Those that are worked on at that moment are brought to their end, which O(max_unavailable) limits.
    type: int
    default: 3
  build_failures:
    description:
      - Containers whose systems could not be built on another host, with the reason, as
        RV(inx.fleet.inx_system#module:build_failures) has them. They are left as they are, and so are those
        that come after them. The task fails at its end.
    type: dict
    default: {}
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
- name: Three containers, the database first
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

- name: These containers and no others of the set
  inx.fleet.inx_containers:
    set: shop
    containers:
      - name: shop-1
        flake: github:example/systems#shop
    purge: true
"""

RETURN = r"""
containers:
  description: Each container of the set after the run, or as it is now in check mode. Purged ones come first.
  returned: always, but for an error before any container was planned, such as a declaration that is refused
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: web-1
    changed:
      description: Whether anything was done to it, or would be.
      type: bool
    failed:
      description: Whether it is not as declared.
      type: bool
    error:
      description: Why it failed, V(null) if it did not.
      type: str
    status:
      description: The instance's status as Incus has it, or V(Absent).
      type: str
      sample: Running
    location:
      description: The cluster member that it is at, V(null) without a cluster.
      type: str
      sample: metal1
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
      description: What was done, with a failure until then, as M(inx.fleet.inx_container) returns it.
      type: list
      elements: dict
    packages:
      description: >-
        What changes between the old and the new system, a line per package, in the words of nix. Empty without diff
        mode, and for a container that failed.
      type: list
      elements: str
      sample: ["hello: 2.10 → 2.12"]
    locked_inputs:
      description: Inputs of its flake that the lock file holds where they are.
      type: list
      elements: str
      sample: [nixpkgs]
    restart_required:
      description:
        - Whether it runs without a setting that takes effect only at its next start, its own or a profile's and
          whoever changed it, or with another system than the one that is recorded for that. A warning names the
          settings.
      type: bool
"""

from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments import (
    INCUS_OPTIONS,
    LOCK_OPTIONS,
    NIX_OPTIONS,
    SET_OPTIONS,
    FleetModule,
    container_set,
    open_host,
    require_pylxd,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.converge import converge
from ansible_collections.inx.fleet.plugins.module_utils.container.outcome import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.container.results import (
    differences,
    failure_table,
    member_result,
    secrets_met,
)
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError


def main() -> None:
    options: dict[str, Any] = {
        **INCUS_OPTIONS,
        **NIX_OPTIONS,
        **SET_OPTIONS,
        **LOCK_OPTIONS,
        "secret_config": {"type": "dict", "default": {}, "no_log": True},
        "set": {"type": "str", "default": "main"},
        "purge": {"type": "bool", "default": False},
        "purge_limit": {"type": "int", "default": 3},
        "parallel": {"type": "int"},
        "max_unavailable": {"type": "str"},
        "rollback_limit": {"type": "int", "default": 3},
        "build_failures": {"type": "dict", "default": {}},
    }
    module = FleetModule(argument_spec=options, supports_check_mode=True)
    require_pylxd(module)
    try:
        declared = container_set(module.params)
        outcomes = converge(
            open_host(module),
            declared,
            check=module.check_mode,
            diff=module._diff,
            lock_timeout=module.params["lock_timeout"],
        )
    except FleetError as error:
        module.fail_json(msg=str(error))
    _end_with(module, outcomes)


def _end_with(module: FleetModule, outcomes: list[Outcome]) -> None:
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
        module.fail_json(msg=failure_table(outcomes), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
