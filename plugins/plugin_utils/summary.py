# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines that sum up a run: what changed or failed on each host. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.container.units import VERBS
from ansible_collections.inx.fleet.plugins.module_utils.text import shown

#: Variables in which the roles and playbooks keep the results of their modules.
HOST, CONTAINERS, GENERATIONS = "inx_host_run", "__inx_run", "__inx_pruned"
# How many units of a kind a line names.
_MOST_UNITS = 5
_COMMIT = re.compile(r"(?P<short>[0-9a-f]{7})[0-9a-f]{33}(?P<dirty>(-dirty)?)")
# They are part of what another step of the same run says.
_IMPLIED = frozenset(("build", "copy", "activate", "forget"))
# First words of what steps say, as they are said of what is done.
_PAST = {
    "add": "added",
    "build": "built",
    "change": "changed",
    "close": "closed",
    "copy": "copied",
    "create": "created",
    "delete": "deleted",
    "empty": "emptied",
    "enable": "enabled",
    "finish": "finished",
    "give": "gave",
    "go": "went",
    "install": "installed",
    "make": "made",
    "move": "moved",
    "reload": "reloaded",
    "remove": "removed",
    "restart": "restarted",
    "start": "started",
    "stop": "stopped",
    "switch": "switched",
    "unfreeze": "unfroze",
    "update": "updated",
    "write": "wrote",
}


def summary(
    results: Mapping[str, Mapping[str, Any]], *, lost: Collection[str], check: bool, name_hosts: bool
) -> list[str]:
    """Return a line for each host and container that changed or failed, in check mode for each that would change.

    ``results`` are the variables of each host. ``lost`` are the hosts that failed or were unreachable.
    """
    return [
        line
        for host, variables in results.items()
        for line in _of_host(host, variables, is_lost=host in lost, check=check, name_hosts=name_hosts)
    ]


def _of_host(host: str, variables: Mapping[str, Any], *, is_lost: bool, check: bool, name_hosts: bool) -> Iterator[str]:
    containers = result_of(variables, CONTAINERS).get("containers", ())
    done = [str(step["summary"]) for step in result_of(variables, HOST).get("steps", ())]
    done += _collected(variables)
    # A container that failed has a line of its own, which says more.
    is_failed = is_lost and not any(one["failed"] for one in containers)
    if done or is_failed:
        yield _line(host, done, is_failed=is_failed, check=check)
    for one in containers:
        done = list(changes_of(one))
        if done or one["failed"]:
            name = f"{one['name']} on {host}" if name_hosts else one["name"]
            yield _line(name, done, is_failed=one["failed"], check=check, is_removed=is_removal(one["steps"]))


def result_of(variables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a module's result; nothing of a task that was skipped, or not come to."""
    found = variables.get(name)
    return found if isinstance(found, Mapping) else {}


def is_removal(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether steps remove a container."""
    return any(step["action"] == "delete" for step in steps)


def _line(name: str, done: Sequence[str], *, is_failed: bool, check: bool, is_removed: bool = False) -> str:
    text = ", ".join(done if check else map(_past, done))
    if is_failed:
        begin, text = f"{name} failed", f" after: {text}" if text else ", see the error above"
    else:
        would, was = (" would be removed", " removed") if is_removed else (" would change", "")
        begin, text = f"{name}{would if check else was}", f": {text}"
    return shown(" ".join(f"{begin}{text}".split()))


def _past(text: str) -> str:
    first, space, rest = text.partition(" ")
    return f"{_PAST.get(first, first)}{space}{rest}"


def changes_of(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the steps for a container do, as they are planned."""
    steps = result["steps"]
    for step in [step for step in steps if step["action"] not in _IMPLIED] or steps:
        before, after = (step[side].get("generation") for side in ("before", "after"))
        if step["action"] == "record":
            generation = f"generation {after}" if before is None else f"generation {before} → {after}"
            yield f"{generation}{_revisions(step)}"
        elif step["action"] == "rollback":
            yield f"go back to generation {after}{_revisions(step)}"
        # Those that were restarted are named below.
        elif step["action"] != "restart_units" or not result.get("units"):
            yield str(step["summary"]).removeprefix(f"{result['name']}: ")
    for done, units in result.get("units", {}).items():
        more = f" and {len(units) - _MOST_UNITS} more units" if len(units) > _MOST_UNITS else ""
        if done != "not_restarted":
            yield f"{VERBS[done]} {', '.join(units[:_MOST_UNITS])}{more}"


def _revisions(step: Mapping[str, Any]) -> str:
    """Return which revisions of the configuration a step leads from and to, as far as they are known."""
    before, after = (_short(step[side].get("revision")) for side in ("before", "after"))
    if before in (None, after) or after is None:
        return "" if after is None else f" (revision {after})"
    return f" (revision {before} → {after})"


def _short(revision: str | None) -> str | None:
    """Return a revision as git shortens it."""
    found = None if revision is None else _COMMIT.fullmatch(revision)
    return revision if found is None else f"{found['short']}{found['dirty']}"


def _collected(variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a collection of garbage did on a host."""
    result = result_of(variables, GENERATIONS)
    for removed in result.get("removed", ()):
        yield f"remove {removed['path']}"
    for pruned in result.get("pruned", ()):
        numbers = ", ".join(map(str, pruned["generations"]))
        yield f"remove generations {numbers} of {pruned['project']}/{pruned['container']}"
    collected = result.get("collected", {})
    if collected.get("paths"):
        yield f"{collected['paths']} store paths deleted, {collected['freed']} freed"
