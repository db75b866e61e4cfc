# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say what is wrong with a run: what must hold whatever is declared, by what was seen before and after it.

Pure, but for the look into what containers have mounted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import seen
import sequences

Seen = Mapping[str, Any]
# A system that may be bad, as the small fixture names it.
_ILL = re.compile(r"/nix/store/[0-9a-z]+-nixos-system-\w+-ill-\d+")
#: Steps that end the init of a container, or begin another one.
_DISRUPTIVE = frozenset(("stop", "start", "restart", "rebuild", "rollback", "delete", "move", "create"))
_NOT_TRIED = ("was not touched, because it comes after", "was not interrupted: as many")


@dataclass(kw_only=True)
class Run:
    """One declaration: predicted, applied, and applied again; with what was seen before, and after each."""

    step: Mapping[str, Any]
    entries: Mapping[seen.Key, Mapping[str, Any]]
    predicted: Mapping[str, Any]
    applied: Mapping[str, Any]
    again: Mapping[str, Any]
    before: Seen
    after_check: Seen
    after: Seen
    after_again: Seen
    said: str = ""
    systems: Mapping[str, str] = field(default_factory=dict)

    @property
    def project(self) -> str:
        """The project that it is about."""
        return str(self.step["project"])


def problems(run: Run) -> Iterator[str]:
    """Yield what is wrong, a line each."""
    if sequences.HUSH in run.said:
        yield "a secret value is shown"
    if "Traceback" in run.said:
        yield f"it has a traceback: {run.said[-1500:]}"
    yield from _changed("check mode changed", run.before, run.after_check)
    predicted, applied, again = (_members(run, result) for result in (run.predicted, run.applied, run.again))
    if applied is None or predicted is None:
        yield from _refused(run)
    else:
        for key in sorted(predicted.keys() | applied.keys()):
            yield from _disagreement(key, predicted.get(key), applied.get(key))
        yield from _untouched(run, applied)
        for key, member in applied.items():
            yield from _goes_on(key, member, run.before, run.after, "the run")
            if not member["failed"]:
                yield from _as_declared(run, key, member)
        if again is not None:
            yield from _repeated(run, applied, again)
    yield from _lost(run.before, run.after, applied or {})
    yield from _lost(run.after, run.after_again, again or {})
    yield from _remembered(run.after_again)


def _members(run: Run, result: Mapping[str, Any]) -> dict[seen.Key, dict[str, Any]] | None:
    """Return the containers of a result; None if none was planned."""
    if "containers" in result:
        return {seen.key_of(run.project, one["name"]): one for one in result["containers"]}
    if "container" not in result:
        return None
    one = {**result["container"], "steps": result["steps"], "restart_required": result["restart_required"]}
    failed = bool(result.get("failed"))
    one.update(failed=failed, error=result.get("msg") if failed else None, changed=bool(one["steps"]))
    return {seen.key_of(run.project, one["name"]): one}


# What check mode says


def _refused(run: Run) -> Iterator[str]:
    """Yield what is wrong with a declaration that was refused as a whole."""
    if run.predicted.get("msg") != run.applied.get("msg"):
        yield f"check mode said {_short(run.predicted)}, and the run {_short(run.applied)}"
    if not run.applied.get("failed"):
        yield "it was neither planned nor refused"
    yield from _changed("a refused declaration changed", run.before, run.after)


def _disagreement(
    key: seen.Key, predicted: Mapping[str, Any] | None, applied: Mapping[str, Any] | None
) -> Iterator[str]:
    if predicted is None or applied is None:
        yield f"{key}: check mode said {_short(predicted)}, and the run {_short(applied)}"
        return
    steps, planned = applied["steps"], predicted["steps"]
    if predicted["failed"]:
        if not applied["failed"] or steps != planned:
            yield f"{key}: check mode said {_short(predicted)}, and the run {_short(applied)}"
    elif applied["failed"]:
        if not _is_excused(str(applied["error"])):
            yield f"{key}: check mode said {_actions(predicted)}, and the run failed: {applied['error']}"
    elif steps != planned:
        yield f"{key}: check mode said {json.dumps(planned)}, and the run did {json.dumps(steps)}"
    elif predicted["changed"] != applied["changed"]:
        yield f"{key}: check mode said changed={predicted['changed']}"


def _is_excused(error: str) -> bool:
    """Return whether a run may fail so when check mode could not know it: a system is bad, or another one's is."""
    return bool(_ILL.search(error)) or any(text in error for text in _NOT_TRIED)


# What a run leaves


def _untouched(run: Run, applied: Mapping[seen.Key, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what has changed of containers without a step, declared or not."""
    touched = {key for key, member in applied.items() if member["steps"] or _was_tried(member)}
    for key in sorted(run.before["containers"].keys() | run.after["containers"].keys()):
        if key not in touched:
            yield from _differs(f"{key} has no step, and", run.before["containers"], run.after["containers"], key)
    for name in sorted(run.before["generations"].keys() | run.after["generations"].keys()):
        if name not in {seen.lxc_name(key) for key in touched}:
            yield from _differs("without a step", run.before["generations"], run.after["generations"], name)


def _was_tried(member: Mapping[str, Any]) -> bool:
    """Return whether a container without steps has failed in one."""
    return bool(member["failed"]) and bool(_ILL.search(str(member["error"])))


def _goes_on(key: seen.Key, member: Mapping[str, Any], before: Seen, after: Seen, who: str) -> Iterator[str]:
    """Yield that a container which ran has lost its init although no step said so."""
    old, new = before["containers"].get(key), after["containers"].get(key)
    said = {step["action"] for step in member["steps"]} & _DISRUPTIVE
    if old is None or not old["pid"] or said or _was_tried(member):
        return
    if new is None or new["pid"] != old["pid"]:
        yield f"{key}: its init has ended in {who}, and the steps are {_actions(member)}"


def _repeated(
    run: Run, applied: Mapping[seen.Key, Mapping[str, Any]], again: Mapping[seen.Key, Mapping[str, Any]]
) -> Iterator[str]:
    """Yield what a second run does that it should not."""
    for key, member in again.items():
        first = applied.get(key)
        entry = run.entries.get(key, {})
        if entry.get("state") == "restarted" or entry.get("generation") == "previous":
            continue
        if first is None or (first["failed"] and _is_excused(str(first["error"]))):
            continue
        if member["failed"] and not first["failed"] and not _is_excused(str(member["error"])):
            yield f"{key}: the second run failed: {member['error']}"
        if member["steps"] and not first["failed"]:
            yield f"{key}: the second run changed it: {json.dumps(member['steps'])}"
        if not member["steps"] and not _was_tried(member):
            yield from _differs(
                f"{key} has no step in the second run, and", run.after["containers"], run.after_again["containers"], key
            )
        yield from _goes_on(key, member, run.after, run.after_again, "the second run")


def _lost(before: Seen, after: Seen, members: Mapping[seen.Key, Mapping[str, Any]]) -> Iterator[str]:
    """Yield data and roots that are gone although no step deletes or empties what they were in."""
    for key, old in before["containers"].items():
        new = after["containers"].get(key)
        steps = members.get(key, {}).get("steps", ())
        actions = {step["action"] for step in steps}
        volatile = "rebuild" in (old["config"].get("user.inx.volatile_root"), _noted(steps))
        emptied = actions & {"rollback", "restart"} or _was_tried(members.get(key, {"failed": False}))
        may_go = bool(actions & {"rebuild", "delete"}) or (volatile and bool(emptied)) or _is_restored(steps)
        if new is None and "delete" not in actions:
            yield f"{key} is gone, and the steps are {sorted(actions)}"
        elif old["token"] is not None and not may_go and (new is None or new["token"] != old["token"]):
            yield f"{key}: what was in its root is lost, and the steps are {sorted(actions)}"
        if new is not None and not may_go:
            prefix = f"/{seen.lxc_name(key)}/"
            gone = {line for line in before["roots"] if line.startswith(prefix)} - set(after["roots"])
            yield from (f"{key}: the GC root {line} was dropped" for line in sorted(gone))
    deleted = {
        f"{key.split('/')[0]}/{place.split('/')[1]}"
        for key, member in members.items()
        for step in member.get("steps", ())
        if step["action"] == "volume"
        for place, there in step["after"]["volumes"].items()
        if there is None
    }
    restored = tuple(
        f"{seen.lxc_name(key)}_" for key, member in members.items() if _is_restored(member.get("steps", ()))
    )
    for place, token in before["volumes"].items():
        if place.split("/")[1].startswith(restored):
            continue
        if place not in deleted and (place not in after["volumes"] or after["volumes"][place] != token):
            yield f"the volume {place} had {token!r}, and has {after['volumes'].get(place)!r}"


def _is_restored(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether data goes back to a snapshot. What it is then, the target inx_container_data looks at."""
    return any("data" in step["after"] for step in steps)


def _noted(steps: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the volatile root that an update declares."""
    for step in steps:
        if step["action"] == "update":
            return (step["after"].get("config") or {}).get("user.inx.volatile_root")
    return None


def _remembered(after: Seen) -> Iterator[str]:
    """Yield systems that are remembered as bad, and are not."""
    for key in after["containers"]:
        for path in after["notes"].get(seen.lxc_name(key), {}).get("failed", "").split():
            if not _ILL.fullmatch(path):
                yield f"{key}: {path} is remembered as bad, and it is healthy"


# What is declared


def _as_declared(run: Run, key: seen.Key, member: Mapping[str, Any]) -> Iterator[str]:
    entry, found, before = run.entries.get(key), run.after["containers"].get(key), run.before["containers"].get(key)
    if entry is None or entry.get("state") == "absent":
        if found is not None:
            yield f"{key} is still there"
        if seen.lxc_name(key) in run.after["generations"]:
            yield f"{key}: its profile is still there"
        return
    if found is None:
        yield f"{key} is not there"
        return
    stays = before["status"] if before is not None else "Stopped"
    right = {"stopped": "Stopped", "present": stays}.get(entry.get("state", "started"), "Running")
    if found["status"] != right:
        yield f"{key} is {found['status']}, and not {right}"
    yield from _wrong_settings(key, entry, found)
    yield from _wrong_system(run, key, entry, found)
    if found["status"] == "Running" and not member["restart_required"]:
        yield from _wrong_mounts(run, key, entry, found)


def _wrong_settings(key: seen.Key, entry: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for name, value in {**entry.get("config", {}), **entry.get("secret_config", {})}.items():
        there = found["config"].get(name)
        text = str(value).lower() if isinstance(value, bool) else value if value is None else str(value)
        if name == "raw.lxc":
            lines = {line.replace(" ", "") for line in (there or "").splitlines()}
            if not {line.replace(" ", "") for line in (text or "").splitlines()} <= lines:
                yield f"{key}: raw.lxc is {there!r}"
        elif there != text and not (text in (None, "false") and there in (None, "false")):
            yield f"{key}: {name} is {there!r}, and not {text!r}"
    if "autostart" in entry and found["config"].get("boot.autostart") != str(entry["autostart"]).lower():
        yield f"{key}: boot.autostart is {found['config'].get('boot.autostart')!r}"
    for name, keys in entry.get("devices", {}).items():
        # As it comes of the profiles and the instance; one of the type none is none.
        there = found["expanded_devices"].get(name)
        there = None if there == {"type": "none"} else there
        wanted = {one: str(value).lower() if isinstance(value, bool) else value for one, value in (keys or {}).items()}
        if (there is None) != (keys is None) or not wanted.items() <= (there or {}).items():
            yield f"{key}: the device {name} is {there}, and not {keys}"
    for option in ("description", "ephemeral"):
        if option in entry and found[option] != entry[option]:
            yield f"{key}: {option} is {found[option]!r}, and not {entry[option]!r}"
    store = entry.get("store_profile", "inx-container")
    if "profiles" in entry and found["profiles"] != [*entry["profiles"], store]:
        yield f"{key}: its profiles are {found['profiles']}, and not {entry['profiles']} and {store}"


def _wrong_system(run: Run, key: seen.Key, entry: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    wanted = run.systems.get(key)
    if wanted is None:
        return
    boots = run.after["generations"].get(seen.lxc_name(key), {})
    booted = boots.get(boots.get("system", ""))
    if entry.get("activation") != "test" and booted != wanted:
        yield f"{key} boots {booted}, and not {wanted}"
    if entry.get("activation", "switch") != "boot" and found["status"] == "Running" and found["runs"] != wanted:
        yield f"{key} runs {found['runs']}, and not {wanted}"


def _wrong_mounts(run: Run, key: seen.Key, entry: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is declared to be mounted, and is not what is seen at its path."""
    mounted = found["mounts"]
    for disk in entry.get("persist") or ():
        device = next((one for one in found["devices"].values() if one.get("path") == disk["path"]), None)
        if device is None:
            yield f"{key}: no device is at {disk['path']}"
        elif mounted.get(disk["path"]) != seen.inode(seen.volume_path(run.project, device)):
            yield f"{key}: {disk['path']} is not its volume"
    for bind in entry.get("bind_mounts") or ():
        if mounted.get(bind["path"]) != seen.inode(bind["source"]):
            yield f"{key}: {bind['path']} is not {bind['source']}"
    for tmpfs in entry.get("tmpfs") or ():
        if mounted.get(tmpfs["path"]) is None:
            yield f"{key}: no tmpfs is at {tmpfs['path']}"
    for name, keys in entry.get("devices", {}).items():
        if keys is not None and keys.get("type") == "disk" and mounted.get(keys["path"]) != seen.inode(keys["source"]):
            yield f"{key}: {keys['path']} is not {keys['source']} of the device {name}"


# There and back


def not_the_same(first: Run, last: Run) -> Iterator[str]:
    """Yield how containers differ after the same declaration, with another one of the same keys between."""
    for key, entry in first.entries.items():
        old, new = first.after_again["containers"].get(key), last.after_again["containers"].get(key)
        if old is None or new is None:
            continue
        sides = [seen.settled(old), seen.settled(new)]
        for side in sides:
            if entry.get("state") == "present":
                side.pop("status")
            if entry.get("state") == "present" or entry.get("activation", "switch") != "switch":
                side.pop("runs")
        yield from (
            f"{key}: {part} was {sides[0][part]}, and is {sides[1][part]} after another declaration and this one again"
            for part in sides[0]
            if sides[0][part] != sides[1].get(part)
        )


# Differences


def _changed(what: str, before: Seen, after: Seen) -> Iterator[str]:
    for part, old in before.items():
        if isinstance(old, Mapping):
            for key in sorted(old.keys() | after[part].keys()):
                yield from _differs(what, old, after[part], key)
        elif old != after[part]:
            yield f"{what} {part}: {sorted(set(old) ^ set(after[part]))}"


def _differs(what: str, before: Mapping[str, Any], after: Mapping[str, Any], key: str) -> Iterator[str]:
    old, new = before.get(key), after.get(key)
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        parts = [part for part in {**old, **new} if old.get(part) != new.get(part)]
        yield f"{what} {key}: " + "; ".join(f"{part} was {old.get(part)!r}, is {new.get(part)!r}" for part in parts)
    else:
        yield f"{what} {key}: it was {_short(old)}, is {_short(new)}"


def _actions(member: Mapping[str, Any]) -> list[str]:
    return [step["action"] for step in member["steps"]]


def _short(result: Any) -> str:
    if isinstance(result, Mapping) and "steps" in result:
        return f"{_actions(result)} {result.get('error') or result.get('msg') or ''}"
    if isinstance(result, Mapping) and "msg" in result:
        return str(result["msg"])
    return json.dumps(result)[:300]
