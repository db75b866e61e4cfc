#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_gcroot
short_description: Protect what containers build from the host's garbage collection
version_added: 0.1.0
description:
  - A build in a container leaves a link in C(/nix/var/nix/gcroots/auto) to a path that exists only in the container.
    The next garbage collection on the host treats the link as stale, removes it, and deletes the build.
  - This module looks such paths up inside the containers and creates a GC root on the host for each store path, as
    C(/nix/var/nix/gcroots/inx-fleet/CONTAINER/PATH).
  - The systems that a container has booted and runs get GC roots too.
  - The role P(inx.fleet.host#role) installs the same code as C(inx-gcroots) with systemd units, which run it within a
    second of a build and before C(nix-gc.service).
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
  - inx.fleet.attributes.actiongroup_inx
  - inx.fleet.incus
notes:
  - Runs on the host itself as root.
  - Outside the project V(default), a container is named C(PROJECT_NAME) in results and in paths.
seealso:
  - module: inx.fleet.inx_container
options:
  state:
    description:
      - V(synced) updates the GC roots from the links in all containers, or in O(containers). A root is dropped if its
        link is gone from a running container, or if its container is deleted. A stopped or renamed container keeps its
        roots.
      - A container that Incus does not list is only treated as deleted if Incus reports that this very container does
        not exist. With a certificate that is restricted to some projects, the roots of all others are kept, with a
        warning.
      - V(present) creates a GC root for the link O(path) of one container.
      - V(absent) removes the GC root of the link O(path) of one container. If the link is still in C(gcroots/auto), the
        next sync creates the root again.
    type: str
    choices: [synced, present, absent]
    default: synced
  containers:
    description:
      - Names of the containers in O(project). By default, all containers of all projects.
    type: list
    elements: str
  path:
    description:
      - Absolute path of a link in the container that O(containers) names.
    type: str
  scan:
    description:
      - Directories to search in each running container for links to store paths, up to six levels deep and 50000
        entries. This finds result links and profiles whose link in C(gcroots/auto) a garbage collection has already
        removed.
    type: list
    elements: str
    default: []
  max_roots:
    description:
      - Maximum number of GC roots of a container. Further links get none, with a warning.
    type: int
    default: 10000
  grace_period:
    description:
      - Seconds after a container's start in which a missing link drops no GC root, because file systems may not be
        mounted yet.
    type: int
    default: 60
  timeout:
    description:
      - Seconds to wait for the sync. Links that were not looked up are left for the next sync, with a warning.
    type: int
    default: 120
  container_timeout:
    description:
      - Seconds to wait for the look-ups in one container. A container that does not answer keeps its GC roots, with a
        warning.
    type: int
    default: 10
  stopped_timeout:
    description:
      - Seconds to wait for the look-ups in all stopped containers, which go through Incus.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Update the GC roots of all containers
  inx.fleet.inx_gcroot:

- name: Find links that a past garbage collection has removed
  inx.fleet.inx_gcroot:
    scan: [/root, /home]

- name: Create a GC root for one build
  inx.fleet.inx_gcroot:
    state: present
    containers: [dev]
    path: /root/project/result
"""

RETURN = r"""
changes:
  description: GC roots that were added, moved or dropped, or would be in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    action:
      description: One of V(add), V(move), V(drop).
      type: str
      sample: add
    container:
      description: Name of the container.
      type: str
      sample: dev
    path:
      description: Path of the link inside the container.
      type: str
      sample: /root/project/result
    before:
      description: Store path before, V(null) without a root.
      type: str
    after:
      description: Store path after, V(null) without a root.
      type: str
      sample: /nix/store/3pzlws8d96cd596i29yy8wnncc6q7xlh-hello-2.12
    reason:
      description: Reason of the change.
      type: str
      sample: a link into the store
links:
  description: Number of links in C(gcroots/auto) that were looked up.
  returned: success
  type: int
  sample: 12
containers:
  description: Number of running containers that they were looked up in.
  returned: success
  type: int
  sample: 3
complete:
  description:
    - Whether every link of every container was looked up and has its GC root. The warnings say what is missing. A
      garbage collection after an incomplete sync can delete what a container still uses.
  returned: success
  type: bool
  sample: true
log:
  description:
    - Path of the run's log on the host, which only root can read. It has the plan, the steps and their times, and what
      other programs said in full when something failed.
  returned: if something was changed, or failed, on a host where the module runs as root
  type: str
  sample: /var/log/inx-fleet/20261130T101458.000001Z-inx_gcroot-4711.jsonl
"""

from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments.module import FleetModule
from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import INCUS_OPTIONS, connect, require_pylxd
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.plan import Change
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.store import is_plain
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.sync import (
    Limits,
    Report,
    Scope,
    forget_root,
    root_one,
    sync,
)
from ansible_collections.inx.fleet.plugins.module_utils.names import container_name, lxc_name
from ansible_collections.inx.fleet.plugins.module_utils.text import incus_command, shown


def check_parameters(params: dict[str, Any]) -> None:
    """Raise FleetError for what can be refused without a look at the host."""
    for name in params["containers"] or ():
        container_name(name)
    for path in [*params["scan"], *([params["path"]] if params["path"] is not None else [])]:
        if not is_plain(path):
            raise FleetError(
                f"{path!r} is not an absolute path below / without '.', '..' and '//', and of no more than 100 parts.",
                "Write it in full.",
            )
    if params["state"] == "synced" and params["path"] is not None:
        raise FleetError("'path' goes with the states 'present' and 'absent'.", "Remove it, or name the state.")
    if params["state"] != "synced" and len(params["containers"] or ()) != 1:
        raise FleetError("'path' is that of a link in one container.", "Name it in 'containers', alone.")
    for option in ("max_roots", "timeout", "container_timeout", "stopped_timeout"):
        if params[option] < 1:
            raise FleetError(f"{option} is {params[option]}, but it is a number from 1.", "Raise it, or leave it out.")


def run(module: FleetModule) -> Report:
    """Do what the parameters say."""
    params = module.params
    check_parameters(params)
    limits = Limits(
        timeout=params["timeout"],
        container_timeout=params["container_timeout"],
        stopped_timeout=params["stopped_timeout"],
        grace_period=params["grace_period"],
        max_roots=params["max_roots"],
    )
    incus = connect(module)
    fleet = incus.fleet()
    names = [lxc_name(params["project"], name) for name in params["containers"] or ()]
    unknown = sorted(set(names) - fleet.names)
    if unknown and params["state"] != "absent":
        raise FleetError(
            f"Unknown containers: {', '.join(unknown)}.", f"See '{incus_command(None, 'list', '--all-projects')}'."
        )
    if params["state"] == "present":
        return root_one(fleet, limits, names[0], params["path"], check=module.check_mode)
    if params["state"] == "absent":
        return forget_root(limits, names[0], params["path"], check=module.check_mode)
    only = names if params["containers"] is not None else None
    return sync(incus.fleet, limits, Scope(only=only, scan=params["scan"]), check=module.check_mode)


def change_result(change: Change) -> dict[str, Any]:
    """Return a change as the module returns it."""
    return {
        "action": change.action,
        "container": change.container,
        "path": shown(change.path),
        "before": change.before,
        "after": change.after,
        "reason": change.reason,
    }


def difference(report: Report) -> dict[str, Any]:
    """Return the changed roots as the two sides of a diff, a line for each."""
    sides: dict[str, Any] = {}
    for side in ("before", "after"):
        lines = [
            f"{change.container}:{shown(change.path)} -> {getattr(change, side)}\n"
            for change in report.changes
            if getattr(change, side) is not None
        ]
        sides[side] = "".join(sorted(lines))
    return sides


def main() -> None:
    module = FleetModule(
        argument_spec={
            **INCUS_OPTIONS,
            "state": {"type": "str", "choices": ["synced", "present", "absent"], "default": "synced"},
            "containers": {"type": "list", "elements": "str"},
            "path": {"type": "str"},
            "scan": {"type": "list", "elements": "str", "default": []},
            "max_roots": {"type": "int", "default": 10_000},
            "grace_period": {"type": "int", "default": 60},
            "timeout": {"type": "int", "default": 120},
            "container_timeout": {"type": "int", "default": 10},
            "stopped_timeout": {"type": "int", "default": 60},
        },
        required_if=[("state", "present", ["containers", "path"]), ("state", "absent", ["containers", "path"])],
        supports_check_mode=True,
    )
    require_pylxd(module)
    try:
        report = run(module)
    except FleetError as error:
        module.fail_json(msg=str(error))
    for line in (*report.removed, *report.limits, *report.problems):
        module.warn(line)
    result: dict[str, Any] = {
        "changed": bool(report.changes or report.removed),
        "changes": [change_result(change) for change in report.changes],
        "links": report.links,
        "containers": report.containers,
        "complete": report.is_complete,
    }
    if module._diff:
        result["diff"] = difference(report)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
