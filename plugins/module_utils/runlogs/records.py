# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of a run's log: a line of JSON for each event, and what they say of the run. Pure.

A log begins with a record "run", and ends with a record "end" that sums it up. That of a run that was killed ends
before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ..names import lxc_name
from ..progress.events import Ended, Event, Healthy, PlannedSteps, StepBegan, StepEnded
from ..redaction import redacted, starred, ways_to_write
from ..text import plain, shown

Record: TypeAlias = dict[str, Any]

# Of what another program said, the end is kept: what went wrong is there.
_LONGEST = 1024 * 1024
_LONGEST_LINE = 10_000
#: What a record is known by, which is never secret.
_OWN = frozenset(("event", "time", "module", "project", "container", "action"))


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a log says of a run: of one container, of the host, or of something else that a module manages.

    ``time`` is that of its end, or of its last record if it has none (``is_finished``). ``did`` are its steps. One that
    was killed has ``failed``.
    """

    time: str
    module: str
    is_finished: bool = True
    failed: bool = False
    did: tuple[str, ...] = ()
    error: str | None = None
    log: str = ""


def record_of(event: Event) -> Record | None:
    """Return the record of an event, None if it is only about progress."""
    if isinstance(event, PlannedSteps):
        return {"event": "plan", "container": event.name, "steps": [dict(step) for step in event.steps]}
    if isinstance(event, StepBegan):
        return {"event": "began", "container": event.name, "action": event.action, "summary": event.summary}
    if isinstance(event, StepEnded):
        done = {"event": "ended", "container": event.name, "action": event.action, "seconds": round(event.seconds, 3)}
        return {**done, "error": event.problem or None}
    if isinstance(event, Healthy):
        return {"event": "healthy", "container": event.name, "seconds": round(event.seconds, 3)}
    if isinstance(event, Ended):
        return {"event": "done", "container": event.name, "error": event.problem or None}
    return None


def is_weighty(record: Mapping[str, Any]) -> bool:
    """Return whether a run with this record has a log: it changes something, or fails."""
    return bool(record.get("steps") or record.get("error")) or record["event"] in ("began", "ended")


def line(record: Mapping[str, Any], secrets: Collection[str]) -> str:
    """Return the line of a record. Nothing in it is secret, or would be acted on by a terminal."""
    ways = ways_to_write(frozenset(secrets))
    told = {key: value if key in _OWN else _harmless(value, ways) for key, value in record.items()}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n"


def _harmless(value: Any, ways: Sequence[str]) -> Any:
    if isinstance(value, str):
        # What is cut off first may end within a secret, and is cut off again. Escapes may stand within one.
        text = starred(value[-2 * _LONGEST :], ways)
        text = starred(redacted(plain(text)), ways)
        return "\n".join(map(_short, text[-_LONGEST:].split("\n")))
    if isinstance(value, Mapping):
        return {shown(str(key)): _harmless(entry, ways) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_harmless(entry, ways) for entry in value]
    if isinstance(value, (int, float)) or value is None:
        return value
    return _harmless(str(value), ways)


def _short(text: str) -> str:
    return shown(text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]} ...")


# The end of a run, from the result of its module


def end_of(result: Mapping[str, Any], message: str, *, failed: bool) -> Record:
    """Return the last record of a run, without its time."""
    containers = {one["name"]: _end_of_container(one) for one in _containers(result, message, failed=failed)}
    # Of a container the error is its own.
    did = [] if containers else _did(result)
    return {
        "event": "end",
        "changed": bool(result.get("changed")),
        "failed": failed,
        "error": message or None,
        "did": did,
        "containers": {name: one for name, one in containers.items() if one["did"] or one["error"] is not None},
    }


def _containers(result: Mapping[str, Any], message: str, *, failed: bool) -> list[Mapping[str, Any]]:
    if isinstance(result.get("container"), Mapping):
        error = message if failed else None
        return [{"name": result["container"]["name"], "steps": result.get("steps", ()), "error": error}]
    found = result.get("containers")
    return [one for one in found if "steps" in one] if isinstance(found, list) else []


def _end_of_container(result: Mapping[str, Any]) -> Record:
    prefix = f"{result['name']}: "
    return {
        "did": [str(step["summary"]).removeprefix(prefix) for step in result["steps"]],
        "error": result.get("error"),
    }


def _did(result: Mapping[str, Any]) -> list[str]:
    """Return what a module did that manages no containers."""
    did = [str(step["summary"]) for step in result.get("steps", ())]
    did += [f"build {path} for {name}" for name, path in (result.get("systems") or {}).items()]
    # inx_generations returns more than the path of what it has removed, inx_gcroots_command that alone.
    did += [f"remove {one if isinstance(one, str) else one['path']}" for one in result.get("removed", ())]
    for one in result.get("pruned", ()):
        numbers = ", ".join(map(str, one["generations"]))
        did.append(f"remove generations {numbers} of {one['project']}/{one['container']}")
    collected = result.get("collected", {})
    if collected.get("paths"):
        did.append(f"collect garbage: {collected['paths']} store paths deleted, {collected['freed']} freed")
    did += [f"{one['action']} {one['container']}:{one['path']}" for one in result.get("changes", ())]
    return did


# Reading


def records_from(text: str) -> list[Record]:
    """Return the records of a log, or of a part of one. A line that was not written to its end is left out."""
    found = []
    for one in text.splitlines():
        try:
            record = json.loads(one)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("event"), str):
            found.append(record)
    return found


def runs_of(records: Iterable[Mapping[str, Any]], log: str, *, is_running: bool = False) -> dict[str, Run]:
    """Return what a log says of each container, by the name that liblxc gives it, and of all else as "/MODULE".

    ``is_running`` says that a run which has not ended goes on.
    """
    found = list(records)
    last = found[-1] if found else {}
    if last.get("event") == "end":
        return _ended_runs(last, log)
    about = found[0] if found else {}
    run = Run(
        time=_text(last, "time"), module=_text(about, "module"), is_finished=False, failed=not is_running, log=log
    )
    begun: dict[str, list[str]] = {}
    for record in found:
        if record["event"] == "began":
            name = _text(record, "container")
            begun.setdefault(name, []).append(_text(record, "summary").removeprefix(f"{name}: "))
    return {_key(about, name): replace(run, did=tuple(did)) for name, did in begun.items()} or {_key(about, ""): run}


def _ended_runs(end: Mapping[str, Any], log: str) -> dict[str, Run]:
    containers = end.get("containers") or {"": end}
    return {
        _key(end, str(name)): Run(
            time=_text(end, "time"),
            module=_text(end, "module"),
            log=log,
            failed=bool(one.get("failed", one.get("error") is not None)),
            did=tuple(map(str, one.get("did") or ())),
            error=None if one.get("error") is None else str(one["error"]),
        )
        for name, one in containers.items()
    }


def _key(about: Mapping[str, Any], name: str) -> str:
    return lxc_name(_text(about, "project") or "default", name) if name else f"/{_text(about, 'module')}"


def _text(record: Mapping[str, Any], key: str) -> str:
    return str(record.get(key) or "")


def as_data(run: Run) -> dict[str, Any]:
    """Return a run as the modules return it. Of an error that is the first line: the log has the rest."""
    return {
        "time": run.time,
        "module": run.module,
        "finished": run.is_finished,
        "failed": run.failed,
        "did": list(run.did),
        "error": None if run.error is None else run.error.partition("\n")[0],
        "log": run.log,
    }
