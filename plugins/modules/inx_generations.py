#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_generations
short_description: Remove old generations of NixOS containers
version_added: 0.2.0
description:
  - Removes old generations from the profiles of the containers on the host, so that a garbage collection can delete
    their systems. The playbook C(inx.fleet.collect_garbage) does both.
  - Never removes the generation that a container boots or runs, the system that was last healthy, or the generation
    to which an update in progress would roll back. Generations that are known to be bad are not counted in O(keep), and
    the one that a rollback would choose is kept, unless O(keep) is V(1).
  - If Incus does not report enough about a container, all of its generations are kept, with a warning.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
  - inx.fleet.attributes.actiongroup_inx
  - inx.fleet.incus
notes:
  - Runs on the host itself as root.
  - To keep a number of generations of one container in every run, use
    O(inx.fleet.inx_container#module:keep_generations).
seealso:
  - module: inx.fleet.inx_container
  - module: inx.fleet.inx_gcroot
options:
  all_projects:
    description:
      - Whether to remove generations of the containers of all projects. If so, O(project) is ignored.
    type: bool
    default: false
  keep:
    description:
      - Number of the newest generations to keep of each container.
    type: int
    default: 5
  older_than:
    description:
      - Minimum age of the generations to remove, such as V(30d). The units are V(s), V(m), V(h), V(d) and V(w).
    type: str
    default: 0d
  unused:
    description:
      - Whether to also remove profile directories that no instance uses, with all their generations. They belong to
        containers that were renamed, or deleted without this collection, and to ephemeral containers that have ended.
      - RV(inx.fleet.inx_container_info#module:unused_profiles) lists them.
    type: bool
    default: false
  collect_garbage:
    description:
      - Whether to collect garbage afterwards, as C(nix store gc) does. In check mode nothing is collected, because
        nix removes links even to list what it would delete.
      - Sync the GC roots of containers before, with M(inx.fleet.inx_gcroot).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Keep two generations of each container, and all of the last month
  inx.fleet.inx_generations:
    keep: 2
    older_than: 30d

- name: Keep the newest five generations, and delete everything that is not needed any more
  inx.fleet.inx_generations:
    all_projects: true
    collect_garbage: true
"""

RETURN = r"""
pruned:
  description: Containers whose generations were removed, or would be in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    container:
      description: Name of the container.
      type: str
      sample: web
    project:
      description: Project of the container.
      type: str
      sample: default
    generations:
      description: Numbers of the generations.
      type: list
      elements: int
      sample: [1, 2]
removed:
  description: Profile directories that were removed with O(unused), or would be in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Path of the directory.
      type: str
      sample: /nix/var/nix/profiles/inx-container/web
    container:
      description: Name of the container that it was for.
      type: str
      sample: web
    project:
      description: Project of that container.
      type: str
      sample: default
    system:
      description: Store path of its current system, V(null) if there was none.
      type: str
      sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
collected:
  description: What the garbage collection deleted.
  returned: with O(collect_garbage), unless in check mode
  type: dict
  contains:
    paths:
      description: Number of store paths.
      type: int
      sample: 12
    freed:
      description: Size of what was freed.
      type: str
      sample: 3.45 MiB
log:
  description:
    - Path of the run's log on the host, which only root can read. It has the plan, the steps and their times, and what
      other programs said in full when something failed.
  returned: if something was changed, or failed, on a host where the module runs as root
  type: str
  sample: /var/log/inx-fleet/20261130T101458.000001Z-inx_generations-4711.jsonl
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments.module import FleetModule
from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import (
    INCUS_OPTIONS,
    connect,
    find_nix,
    require_pylxd,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.pruning import Pruned, prune, rule_from
from ansible_collections.inx.fleet.plugins.module_utils.container.unused import Unused, remove_unused
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.names import lxc_name
from ansible_collections.inx.fleet.plugins.module_utils.nix.garbage import TIMEOUT, collect_garbage
from ansible_collections.inx.fleet.plugins.module_utils.nix.process import NixCommand
from ansible_collections.inx.fleet.plugins.module_utils.paths import PROFILES_DIR


def pruned_result(pruned: Sequence[Pruned]) -> list[dict[str, Any]]:
    """Return what goes as the module returns it."""
    return [
        {"container": one.container, "project": one.project, "generations": list(one.generations)} for one in pruned
    ]


def difference(pruned: Sequence[Pruned], removed: Sequence[Unused]) -> dict[str, str]:
    """Return the generations and the directories that go, a line for each."""
    lines = [
        f"{one.project}/{one.container}: generation {number}, {path}\n"
        for one in pruned
        for number, path in one.generations.items()
    ]
    lines += [f"{one.path}\n" for one in removed]
    return {"before": "".join(lines), "after": ""}


def main() -> None:
    module = FleetModule(
        argument_spec={
            **INCUS_OPTIONS,
            "all_projects": {"type": "bool", "default": False},
            "keep": {"type": "int", "default": 5},
            "older_than": {"type": "str", "default": "0d"},
            "unused": {"type": "bool", "default": False},
            "collect_garbage": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    require_pylxd(module)
    try:
        rule = rule_from(module.params["keep"], module.params["older_than"], time.time())
        project = None if module.params["all_projects"] else module.params["project"]
        incus = connect(module, all_projects=True)
        removed, kept = remove_unused(incus, project, check=module.check_mode) if module.params["unused"] else ([], [])
        pruned, warnings = prune(incus, project, rule, check=module.check_mode)
    except FleetError as error:
        module.fail_json(msg=str(error))
    for warning in (*kept, *warnings):
        module.warn(warning)
    gone = {one.path for one in removed}
    pruned = [one for one in pruned if f"{PROFILES_DIR}/{lxc_name(one.project, one.container)}" not in gone]
    result: dict[str, Any] = {
        "changed": bool(pruned or removed),
        "pruned": pruned_result(pruned),
        "removed": [asdict(one) for one in removed],
    }
    if module._diff:
        result["diff"] = difference(pruned, removed)
    if module.params["collect_garbage"] and not module.check_mode:
        _collect(module, result)
    module.exit_json(**result)


def _collect(module: FleetModule, result: dict[str, Any]) -> None:
    """Collect garbage, and add to the result what that deleted."""
    try:
        nix = NixCommand(command=find_nix(module), timeout=TIMEOUT, events=module.events)
        collected = collect_garbage(nix)
    except FleetError as error:
        module.fail_json(msg=str(error), **result)
    result["collected"] = asdict(collected)
    result["changed"] = result["changed"] or collected.paths > 0


if __name__ == "__main__":
    main()
