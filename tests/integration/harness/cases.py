# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tries cases of a module on a lab host, one after the other, as standard input has them in JSON:

    {"module": "inx_container", "base": {}, "prelude": "", "cases": [{"scenario": "created", "expected": ["create"]}]}

Hundreds of cases make a target, and a task of Ansible costs more than what most of them do; so the modules run in
children of this one process (modules.py). The last line of the output is what the last case returned.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import modules
import rest

# What check mode and a refused run leave as it was: what the module looks after.
_INCUS = ("/1.0/instances?recursion=1&all-projects=true", "/1.0/profiles?recursion=1&all-projects=true")
_PROFILES = "find /nix/var/nix/profiles -printf '%p %y %l\\n'"
_ROOTS = "find /nix/var/nix/gcroots -printf '%p %y %l %T@\\n'"
# What is the same in the results of a prediction and of the run after it.
_PREDICTED = ("changed", "changes", "profile")
_IDS = "where NixOS notes the ids of its users"
_NEXT_START = "runs on with its old settings until its next start"
# For a run of the module, and for what is done by hand.
_PATIENCE = 300


@dataclass(frozen=True, kw_only=True)
class Case:
    """Set something up, predict, apply and re-apply a declaration, and verify the host.

    ``scenario`` says what is tried, where what is declared does not. ``base`` and ``declared`` are the module's
    parameters, the first for all cases if it is not given here; without ``runs`` there is no declaration. ``expected``
    are the actions that are right: of inx_container those of its steps, of inx_containers the same by the name of each
    that changes, of inx_gcroot "ACTION CONTAINER PATH", of inx_store_mount "change". With ``error_contains`` the
    declaration must be refused with this text before anything changes, in check mode too, unless ``predicted`` is
    False: only nix or Incus can tell. With ``run_error_contains`` the run must do what is expected and end with this
    text, which check mode cannot know; a second run is not made. ``names`` are texts that the steps' summaries must
    have, ``restarts`` is whether a restart is required, with a warning unless it is for a ``recorded`` system, and
    ``warning_contains`` is a text of a warning. ``units`` are those that a switch must have changed, for a set by the
    container's name, and check mode must name the same, or ``planned``. Where it cannot, it must say why, with
    ``unknown`` in it. ``setup`` and ``verify`` are shell commands; ``stdout`` is what the latter must print.
    """

    scenario: str = ""
    setup: str = ""
    runs: bool = True
    base: dict[str, Any] | None = None
    declared: dict[str, Any] = field(default_factory=dict)
    expected: list[str] | dict[str, list[str]] = field(default_factory=list)
    error_contains: str | None = None
    predicted: bool = True
    run_error_contains: str | None = None
    names: Sequence[str] = ()
    warning_contains: str = ""
    units: dict[str, Any] | None = None
    planned: dict[str, Any] | None = None
    unknown: str = ""
    restarts: bool | None = None
    recorded: bool = False
    verify: str = ""
    stdout: str | None = None


def main() -> int:
    """Try the cases; 1 at the first one that is not as it should be."""
    given = json.load(sys.stdin)
    results: dict[str, Any] = {}
    for entry in given["cases"]:
        case = Case(**entry)
        started = time.monotonic()
        results = {}
        try:
            problems = list(_problems(given["module"], case, given["base"], given["prelude"], results))
        except (TimeoutError, subprocess.TimeoutExpired, RuntimeError) as error:
            problems = [str(error)]
        for problem in problems:
            print(f"{_name(case)}: {problem}", file=sys.stderr)
        if problems:
            return 1
        print(f"{time.monotonic() - started:5.1f} s  {_name(case)}", flush=True)
    print(json.dumps(results))
    return 0


def _name(case: Case) -> str:
    return case.scenario or json.dumps(case.declared)


def _problems(module: str, case: Case, base: dict[str, Any], prelude: str, results: dict[str, Any]) -> Iterator[str]:
    """What is wrong, up to what keeps it from going on; ``results`` gets what the module returns."""
    if case.setup:
        done = _shell(prelude, case.setup)
        if done.returncode != 0:
            yield f"setup, code {done.returncode}: {done.stdout}{done.stderr}"
            return
    if case.runs:
        parameters = {**(base if case.base is None else case.base), **case.declared}
        judge = (
            _refused if case.error_contains is not None else _applied if case.run_error_contains is None else _failed
        )
        wrong = list(judge(module, case, parameters, results))
        if wrong:
            yield from wrong
            yield json.dumps(results, indent=1)
            return
    if case.verify:
        done = _shell(prelude, case.verify)
        if done.returncode != 0:
            yield f"verify, code {done.returncode}: {done.stdout}{done.stderr}"
        elif case.stdout is not None and done.stdout.rstrip("\n") != case.stdout.rstrip("\n"):
            yield f"verify, it printed {done.stdout!r} {done.stderr}"


def _refused(module: str, case: Case, parameters: dict[str, Any], results: dict[str, Any]) -> Iterator[str]:
    before = _look(module)
    predicted = results["predicted"] = _run(module, parameters, check=True)
    if predicted.get("failed", False) != case.predicted or (
        case.predicted and str(case.error_contains) not in predicted["msg"]
    ):
        yield f"check mode refused it: {predicted.get('failed', False)}"
    refused = results["refused"] = _run(module, parameters)
    if not refused.get("failed"):
        yield "it was not refused"
    elif str(case.error_contains) not in refused["msg"]:
        yield f"it did not say {case.error_contains!r}"
    if "Traceback" in json.dumps(refused):
        yield "it has a traceback"
    # What Incus alone can judge is refused when the system is built already, which changes nothing but the store.
    if {step["action"] for step in _steps(refused)} - {"build"}:
        yield "it did something first"
    if _look(module) != before:
        yield "something is changed"


def _applied(module: str, case: Case, parameters: dict[str, Any], results: dict[str, Any]) -> Iterator[str]:
    before = _look(module)
    predicted = results["predicted"] = _run(module, parameters, check=True)
    if _look(module) != before:
        yield "check mode changed something"
    applied = results["applied"] = _run(module, parameters)
    if predicted.get("failed") or applied.get("failed"):
        yield "it failed"
        return
    expected = sorted(case.expected) if "changes" in applied else case.expected
    if _actions(applied) != expected or applied["changed"] != bool(expected):
        yield f"it did {_actions(applied)}, and {expected} is right"
    yield from _differences(predicted, applied)
    if applied["changed"]:
        again = results["again"] = _run(module, parameters)
        right = _repeated(case, parameters)
        if again.get("failed") or _actions(again) != right or again["changed"] != bool(right) or _units(again):
            yield "the second run was not right"
    yield from _wrong_words(case, applied)
    if case.units is not None:
        yield from _wrong_units(case, predicted, applied)


def _failed(module: str, case: Case, parameters: dict[str, Any], results: dict[str, Any]) -> Iterator[str]:
    before = _look(module)
    predicted = results["predicted"] = _run(module, parameters, check=True)
    if _look(module) != before:
        yield "check mode changed something"
    if predicted.get("failed"):
        yield "check mode failed"
    failed = results["failed"] = _run(module, parameters)
    if not failed.get("failed"):
        yield "it did not fail"
    elif str(case.run_error_contains) not in failed["msg"]:
        yield f"it did not say {case.run_error_contains!r}"
    if "Traceback" in json.dumps(failed):
        yield "it has a traceback"
    if _actions(failed) != case.expected:
        yield f"it did {_actions(failed)}, and {case.expected} is right"
    if case.restarts is not None and failed["restart_required"] != case.restarts:
        yield f"restart_required is {failed['restart_required']}"
    if case.unknown and case.unknown not in str(predicted["units_unknown"]):
        yield f"units were not predicted: {predicted['units_unknown']}"


def _differences(predicted: dict[str, Any], applied: dict[str, Any]) -> Iterator[str]:
    for key in _PREDICTED:
        if predicted.get(key) != applied.get(key):
            yield f"{key} was predicted as {predicted.get(key)}"
    if _steps(predicted) != _steps(applied) or _actions(predicted) != _actions(applied):
        yield f"the steps were predicted as {_steps(predicted)}"
    # The versions in a system are known when it is built.
    for key in ("before_header", "after_header", "before", "after"):
        if _shown(predicted, key) != _shown(applied, key):
            yield f"the diff's {key} was predicted as {_shown(predicted, key)}"
    if _members(applied) is not None and _shown(applied, "after_header") != list(_actions(applied)):
        yield f"the diff is of {_shown(applied, 'after_header')}"


def _shown(result: dict[str, Any], key: str) -> list[Any]:
    """One part of a diff, which is a single one or a list of them."""
    return [diff.get(key) for diff in (result["diff"] if isinstance(result["diff"], list) else [result["diff"]])]


def _wrong_words(case: Case, applied: dict[str, Any]) -> Iterator[str]:
    summaries = " ".join(step["summary"] for step in _steps(applied))
    yield from (f"no step names {name!r}" for name in case.names if name not in summaries)
    # That a restart is due is said until there was one, whatever the case is about.
    warnings = [text for text in applied["warnings"] if case.restarts is not None or _NEXT_START not in text]
    # No system of the fixtures has users of its own.
    warnings = [text for text in warnings if _IDS in case.warning_contains or _IDS not in text]
    wanted = [
        text for text in (case.warning_contains, _NEXT_START if case.restarts and not case.recorded else "") if text
    ]
    unwanted = [text for text in warnings if not any(part in text for part in wanted)]
    if unwanted or any(part not in " ".join(warnings) for part in wanted):
        yield f"it warned: {warnings}"
    if case.restarts is not None and applied["restart_required"] != case.restarts:
        yield f"restart_required is {applied['restart_required']}"


def _wrong_units(case: Case, predicted: dict[str, Any], applied: dict[str, Any]) -> Iterator[str]:
    if _units(applied) != case.units:
        yield f"units are {_units(applied)}"
    planned = case.planned if case.planned is not None else {} if case.unknown else case.units
    if _units(predicted) != planned:
        yield f"units were predicted as {_units(predicted)}"
    reasons = [one["units_unknown"] for one in _members(predicted) or [predicted] if one["units_unknown"]]
    if bool(reasons) != bool(case.unknown) or any(case.unknown not in why for why in reasons):
        yield f"units were not predicted: {reasons}"
    for result in (predicted, applied):
        said = "".join(str(text) for text in _shown(result, "prepared"))
        names = {name for one in _members(result) or [result] for names in one["units"].values() for name in names}
        yield from (f"the diff does not name {name}" for name in names if name not in said)


def _steps(result: dict[str, Any]) -> list[dict[str, Any]]:
    """All steps of a container or of a set."""
    return [step for one in (result, *(_members(result) or ())) for step in one.get("steps", ())]


def _units(result: dict[str, Any]) -> dict[str, Any]:
    """The units that a switch changed, for a set by the container's name."""
    if (members := _members(result)) is not None:
        return {one["name"]: one["units"] for one in members if one["units"]}
    found: dict[str, Any] = result.get("units", {})
    return found


def _members(result: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The containers of a set; None for other modules: inx_gcroot returns a number there."""
    found = result.get("containers")
    return found if isinstance(found, list) else None


def _actions(result: dict[str, Any]) -> list[str] | dict[str, list[str]]:
    """What a run did, in the words of a case."""
    if (members := _members(result)) is not None:
        changed = [one for one in members if one["changed"]]
        return {one["name"]: [step["action"] for step in one["steps"]] for one in changed}
    if "steps" in result:
        return [step["action"] for step in result["steps"]]
    if "changes" in result:
        return sorted(f"{change['action']} {change['container']} {change['path']}" for change in result["changes"])
    return ["change"] if result.get("changed") else []


def _repeated(case: Case, parameters: dict[str, Any]) -> list[str] | dict[str, list[str]]:
    """What a second run is to do: nothing, but what is asked for each time."""
    if parameters.get("state") != "restarted":
        return type(case.expected)()
    return ["stop", "rebuild", "start"] if "rebuild" in case.expected else ["restart"]


def _run(module: str, parameters: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
    asked = {**parameters, "_ansible_check_mode": check, "_ansible_diff": True}
    ended = modules.run(module, asked, patience=_PATIENCE)
    if not ended.result:
        return {"failed": True, "msg": ended.said}
    # Ansible makes texts of what its newer versions return here.
    warnings = ended.result.get("warnings", [])
    return ended.result | {"warnings": [one if isinstance(one, str) else one["event"]["msg"] for one in warnings]}


def _look(module: str) -> list[str]:
    done = _shell("", _ROOTS if module == "inx_gcroot" else _PROFILES)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    held = [] if module == "inx_gcroot" else [rest.query(path) for path in _INCUS]
    # Incus notes things of its own at any time, and takes its time to notice that a container has ended.
    noted = [line for line in json.dumps(held, indent=1).splitlines() if not re.search('"(volatile|status)', line)]
    return sorted([*noted, *done.stdout.splitlines()])


def _shell(prelude: str, commands: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-euc", f"{prelude}\n{commands}"]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_PATIENCE,
    )


if __name__ == "__main__":
    sys.exit(main())
