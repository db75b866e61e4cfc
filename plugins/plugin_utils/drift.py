# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report of what differs from what is declared, from results in check mode. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ansible_collections.inx.fleet.plugins.module_utils.text import shown
from ansible_collections.inx.fleet.plugins.plugin_utils.summary import (
    CONTAINERS,
    HOST,
    changes_of,
    is_removal,
    result_of,
)

#: Variables in which the playbook drift keeps whether a host was reached, and its error.
REACHED, ERROR = "__inx_reached", "__inx_error"
#: Where it keeps what inx_container_info returns, if a report was asked for.
SEEN = "__inx_seen"
_SHOWN = (
    "status",
    "system",
    "revision",
    "running_system",
    "running_revision",
    "generation",
    "units",
    "units_unknown",
    "last_run",
)
_SHOWN_IF_SEEN = (
    "address",
    "tags",
    "health",
    "restart_required_since",
    "disk",
    "roots",
    "generations",
    "problems",
    "runs",
)
# Keys of steps that lead to another system.
_SYSTEMS = ("system", "running_system")


def report(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the report on hosts, by their variables."""
    hosts = [_host(name, variables) for name, variables in results.items()]
    problems = [problem for host in hosts for problem in _problems(host)]
    return {"clean": not problems, "problems": problems, "hosts": hosts}


def _host(name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    steps = [_change(str(step["summary"]), [step]) for step in result_of(variables, HOST).get("steps", ())]
    looked = result_of(variables, SEEN)
    seen = {one["name"]: one for one in looked.get("containers", ())}
    containers = [
        _container(one, seen.get(one["name"], {})) for one in result_of(variables, CONTAINERS).get("containers", ())
    ]
    # A container that failed has an error of its own.
    is_said = any(one["error"] for one in containers)
    error = None if is_said else variables.get(ERROR)
    is_unreachable = bool(result_of(variables, REACHED).get("unreachable"))
    found = {
        "name": name,
        "changes": steps,
        "error": None if error is None else str(error),
        "last_run": result_of(variables, HOST).get("last_run"),
        "containers": containers,
        **{key: looked[key] for key in ("storage",) if key in looked},
        **({"unseen": str(looked["msg"])} if "msg" in looked and "containers" not in looked else {}),
    }
    return {**found, "state": "unreachable" if is_unreachable else _state(found)}


def _container(result: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    summaries = ", ".join(changes_of(result))
    found = {
        "name": str(result["name"]),
        "changes": [_change(summaries, result["steps"])] if result["steps"] else [],
        "error": str(result["error"]) if result["failed"] else None,
        "restart_required": bool(result.get("restart_required")),
        **{key: result.get(key) for key in _SHOWN},
        "declared_system": _declared_system(result),
        "packages": list(result.get("packages", ())),
        **{key: seen[key] for key in _SHOWN_IF_SEEN if key in seen},
    }
    return {**found, "state": _state(found)}


def _declared_system(result: Mapping[str, Any]) -> str | None:
    """Return the system that the steps lead to, without steps to another one that which there is."""
    if result["failed"]:
        return None
    gone = any(step["action"] == "delete" for step in result["steps"])
    led_to = [step["after"][key] for step in result["steps"] for key in _SYSTEMS if step["after"].get(key)]
    return None if gone else next(reversed(led_to), result.get("system"))


def _change(summary: str, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "summary": summary,
        "steps": [{key: step.get(key) for key in ("action", "summary", "before", "after")} for step in steps],
    }


def _state(found: Mapping[str, Any]) -> str:
    if found["error"] is not None:
        return "failed"
    return "drifted" if found["changes"] or found.get("restart_required") else "clean"


def _problems(host: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each thing that is not as declared."""
    for name, found in cases(host):
        yield from (shown(f"{name} {line}") for line in lines(found))


def cases(host: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a host and its containers, each with its name for users."""
    yield str(host["name"]), host
    yield from ((f"{one['name']} on {host['name']}", one) for one in host["containers"])


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not as declared of a host or container."""
    if found["state"] == "unreachable":
        yield "was not reached"
    if found["error"] is not None:
        yield f"failed: {' '.join(found['error'].split())}"
    if found["changes"]:
        goes = any(is_removal(change["steps"]) for change in found["changes"])
        would = "would be removed" if goes else "would change"
        summaries = ", ".join(change["summary"] for change in found["changes"])
        yield f"{would}: {summaries}{_since(found['last_run'])}"
    if found.get("restart_required"):
        yield "waits for a restart"


def _since(run: Mapping[str, Any] | None) -> str:
    """Return what is known of the time since which something is not as declared: of its last run."""
    if run is None:
        return ""
    if not run["failed"]:
        return f" (last changed by a run at {run['time']})" if run["finished"] else " (a run is changing it)"
    ended = "failed" if run["finished"] else "was interrupted"
    return f" (the last run {ended} at {run['time']}, see {run['log']} on the host)"


def junit(found: Mapping[str, Any]) -> str:
    """Return a report as JUnit XML, with a suite for each host, and a case for it and each of its containers."""
    suites = ElementTree.Element("testsuites")
    for host in found["hosts"]:
        suite = ElementTree.SubElement(suites, "testsuite", name=shown(host["name"]))
        kinds = [_add_case(suite, host, name, one) for name, one in cases(host)]
        suite.set("tests", str(len(kinds)))
        for kind in ("failure", "error"):
            suite.set(f"{kind}s", str(kinds.count(kind)))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ElementTree.Element, host: Mapping[str, Any], name: str, found: Mapping[str, Any]) -> str | None:
    """Add a case to a suite, and return what kind of problem it has."""
    case = ElementTree.SubElement(suite, "testcase", classname=shown(host["name"]), name=shown(name))
    said = list(lines(found))
    if not said:
        return None
    kind = "failure" if found["state"] == "drifted" else "error"
    problem = ElementTree.SubElement(case, kind, message=shown("; ".join(said)))
    problem.text = shown(json.dumps(found["changes"], sort_keys=True))
    return kind
