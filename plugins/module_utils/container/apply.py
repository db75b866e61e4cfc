# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apply the steps of a plan. Each step can be repeated after a run that was killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ..errors import ConflictError, FleetError, LateError, NotTriedError, cleaning_up
from ..incus.hints import naming_config
from ..incus.host_mounts import check_volumes, host_mount_points
from ..nix.bootable import can_switch, cannot_switch, check_boots_here, expected_secrets, machine_warnings
from ..nix.profiles import (
    Generation,
    add_generation,
    link_test,
    make_profile,
    read_generations,
    remove_generations,
    remove_profile,
    select_generation,
    unlink_test,
)
from ..nix.set_marks import mark_set
from ..stored_keys import ACTIVATING, HEALTHY, MOVING, RAN, RAN_SINCE, RESTART, RESTORING, STORED_NOTES, TAKEN
from ..text import utc
from .data import forget_taken, note_run, note_start, note_switch
from .data_apply import remove_sets, restore_data, take_snapshot
from .declaration import Container
from .ends import Host
from .fallback import newest_with
from .health import await_boot, system_of_start, verify
from .kind import PROFILES_DEVICE
from .rehearsal import is_rehearsal
from .rehearse import rehearse, remove_rehearsal
from .revisions import noted_revision
from .rollback import (
    check_root_now,
    empty_root,
    is_running,
    link_secrets,
    proven,
    reboot,
    return_to,
    start_instance,
    stop_instance,
)
from .secret_apply import Owners, apply_secrets, forget_due, restart_due
from .secrets import missing_secrets
from .steps import PROVING, Action, Plan, Step, Told
from .switching import switch_and_verify

# Steps that end with a container that does not run, and those that may follow them before its start.
_ENDING = ("stop", "move")
_BETWEEN = ("update", "secrets", "snapshot", "restore", "record", "rebuild")


def apply_step(host: Host, plan: Plan, step: Step) -> Told:
    """Do one step and return what it has to tell. Raise FleetError if it fails; earlier steps stay done."""
    try:
        with host.events.step(plan.container.name, step.action, step.summary):
            told = _APPLY[step.action](host, plan, step)
        if step.action in PROVING:
            forget_taken(host.notes, plan.container)
        return told if isinstance(told, Told) else Told(warnings=tuple(told or ()))
    except LateError:
        raise
    except FleetError as error:
        _resume(host, plan, step, error)
        if not (isinstance(error, NotTriedError) and error.goes_on):
            with cleaning_up(error, "Noting that its snapshot was not needed"):
                forget_taken(host.notes, plan.container)
        raise


def _resume(host: Host, plan: Plan, step: Step, cause: FleetError) -> None:
    """Start what ran before the plan, if a step fails that comes between its stop, or its move, and its start."""
    place = plan.steps.index(step)
    ended = [one for one in plan.steps[:place] if one.action in _ENDING]
    starts = any(one.action == "start" for one in plan.steps[place:])
    if step.action not in _BETWEEN or not ended or not starts or ended[0].before.get("status") == "Stopped":
        return
    if step.action == "restore" and RESTORING in host.notes.of(plan.container):
        # Some of its data may be replaced.
        return
    with cleaning_up(cause, "Starting it again"):
        host.incus.set_state(plan.container.name, "start")
        if ended[0].action == "move":
            host.incus.note(plan.container.name, {MOVING: ""})


def _build(host: Host, plan: Plan, step: Step) -> list[str]:
    """Check a built system, and return warnings about it.

    The systems of a set are built or copied together, before any other step.
    """
    path = step.after["system"]
    check_boots_here(path)
    if any(one.action == "activate" for one in plan.steps) and not can_switch(path):
        # Before it is recorded, which a later boot would bring.
        raise cannot_switch(plan.container.name, path)
    missing = missing_secrets(plan.container.name, expected_secrets(path), plan.container.secret_files)
    if missing is not None:
        raise missing
    return list(machine_warnings(plan.container.name, path))


def _rehearse(host: Host, plan: Plan, step: Step) -> None:
    if plan.twin is not None and is_rehearsal(step):
        rehearse(host, plan, plan.twin, step)
    else:
        remove_rehearsal(host, plan.container)


def _volume(host: Host, plan: Plan, step: Step) -> None:
    for place, config in step.after["volumes"].items():
        pool, name = place.split("/", 1)
        if config is None:
            points = host_mount_points(host.incus.server.pid)
            check_volumes(plan.container.name, plan.container.project, [place], points)
            host.incus.delete_volume(pool, name)
        elif step.before["volumes"][place] is None:
            host.incus.create_volume(pool, name, config)
        else:
            host.incus.update_volume(pool, name, step.before["volumes"][place], config)


def _create(host: Host, plan: Plan, step: Step) -> None:
    directory = plan.container.profile_dir
    made = make_profile(directory)
    mark_set(directory, plan.container.set_name)
    try:
        with naming_config(step.after.get("config")):
            host.incus.create_instance(step.after)
    except LateError:
        raise
    except FleetError as error:
        _remove_new(host, plan, error, has_new_directory=made)
        raise


def _remove_new(host: Host, plan: Plan, cause: FleetError, *, has_new_directory: bool) -> None:
    """Remove the profile directory and the volumes that the plan made, of which nothing was used yet."""
    if has_new_directory:
        directory = plan.container.profile_dir
        with cleaning_up(cause, f"Removing {directory}"):
            os.rmdir(directory)
    volumes = [step.before["volumes"] for step in plan.steps if step.action == "volume"]
    for place in [place for found in volumes for place, there in found.items() if there is None]:
        with cleaning_up(cause, f"Deleting the new volume {place}"):
            host.incus.delete_volume(*place.split("/", 1))


def _update(host: Host, plan: Plan, step: Step) -> None:
    """Write a change. What an instance that was made by hand is given as its profile is there before."""
    container, directory = plan.container, plan.container.profile_dir
    made = PROFILES_DEVICE in step.after.get("devices", {}) and make_profile(directory)
    try:
        # Remembered before it is so: what has not changed after all is not taken for changed by the next run.
        if step.notes:
            host.notes.change(container, {RESTART: utc(time.time(), "microseconds"), **step.notes})
        elif STORED_NOTES.keys() & step.after.get("config", {}).keys():
            host.notes.change(container, {})
        with naming_config(step.after.get("config")):
            host.incus.update_instance(container.name, lambda body: patched(body, step.before, step.after))
    except LateError:
        raise
    except FleetError as error:
        _remove_new(host, plan, error, has_new_directory=made)
        raise


def patched(body: dict[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the writable part of an instance with the step's change applied.

    Raises ConflictError when what is to be changed is not as the plan found it.
    """
    result = dict(body)
    for part, new in after.items():
        old = before[part]
        if part in ("config", "devices"):
            result[part] = _patched_entries(part, dict(body[part]), old, new)
        elif body[part] != old:
            raise ConflictError(f"{part} was changed by something else in the meantime.", "Run again.")
        else:
            result[part] = new
    return result


def _patched_entries(part: str, entries: dict[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    for key, value in new.items():
        if entries.get(key) != old[key]:
            raise ConflictError(f"{part} {key} was changed by something else in the meantime.", "Run again.")
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value
    return entries


def _record(host: Host, plan: Plan, step: Step) -> None:
    directory, number, system = plan.container.profile_dir, step.after["generation"], step.after["system"]
    make_profile(directory)
    mark_set(directory, plan.container.set_name)
    later = plan.steps[plan.steps.index(step) + 1 :]
    if plan.container.health is not None and any(one.action in PROVING for one in later):
        # If this run is killed now, a reboot of the host boots a system that has not been seen to be healthy.
        host.notes.change(plan.container, {ACTIVATING: system}, unless={HEALTHY: system})
    if plan.system is not None and plan.system.revision is not None:
        paths = {system, *read_generations(directory).paths.values()}
        noted = noted_revision(host.notes.of(plan.container), system, plan.system.revision, paths)
        host.notes.change(plan.container, noted)
    if plan.container.generation is None:
        add_generation(directory, number, system)
    else:
        select_generation(directory, number)


def _prune(host: Host, plan: Plan, step: Step) -> None:
    if "snapshots" in step.before:
        remove_sets(host, plan.container, step.before["snapshots"])
    if "restoring" in step.before:
        host.notes.change(plan.container, {RESTORING: ""})
    remove_generations(plan.container.profile_dir, [int(number) for number in step.before.get("generations", ())])
    if "tried" in step.before:
        unlink_test(plan.container.profile_dir)


def _move(host: Host, plan: Plan, step: Step) -> None:
    """Stop it, and fetch it; if it cannot be fetched, it runs on where it was."""
    container, name, location = plan.container, plan.container.name, step.before["location"]
    instance = host.incus.instance(name)
    if instance is None or instance.location != location:
        raise ConflictError(f"{name} is not at {location} any more.", "Run again.")
    resumes = instance.is_running and container.state != "stopped"
    if resumes:
        # A run that is killed now leaves word that it is to be started.
        host.incus.note(name, {MOVING: "true"})
    try:
        if instance.is_running:
            stop_instance(host, container, instance.status, force=container.force)
        host.incus.fetch_instance(name, container.move_timeout)
        # What came along with it.
        host.notes.change(container, {})
    except LateError:
        raise
    except FleetError as error:
        if not resumes:
            raise
        with cleaning_up(error, f"Starting it again at {location}"):
            if not is_running(host, name):
                host.incus.set_state(name, "start")
            host.incus.note(name, {MOVING: ""})
            error.add(f"It runs on at {location}.")
        raise


def _unfreeze(host: Host, plan: Plan, step: Step) -> None:
    host.incus.set_state(plan.container.name, "unfreeze")


def _start(host: Host, plan: Plan, step: Step) -> list[str]:
    if "activating" in step.before and plan.container.health is None:
        host.notes.change(plan.container, {ACTIVATING: ""})
    system = step.after["system"]

    before = {done.action for done in plan.steps}
    is_new = "create" in before and plan.container.volatile.root == "rebuild"
    emptied = is_new or "rebuild" in before

    def boot() -> list[str]:
        # Again: a run that was killed may have left a new root without them.
        link_secrets(host, plan.container)
        note_run(host.notes, plan.container, system)
        if not start_instance(host, plan.container, emptied=emptied):
            _catch_up(host, plan.container, system)
        note_start(host.incus, host.notes, plan.container, system)
        if "moving" in step.before or "move" in before:
            host.incus.note(plan.container.name, {MOVING: ""})
        Owners(host, plan.container, system).after_start()
        forget_due(host, plan.container)
        return verify(host.incus, plan.container, system)

    return proven(host, plan, system, boot)


def _restart(host: Host, plan: Plan, step: Step) -> list[str]:
    system = step.after["system"]

    def boot() -> list[str]:
        note_run(host.notes, plan.container, system)
        reboot(host, plan.container, force=plan.container.force)
        note_start(host.incus, host.notes, plan.container, system)
        if "activating" in step.before and plan.container.health is None:
            host.notes.change(plan.container, {ACTIVATING: ""})
        Owners(host, plan.container, system).after_start()
        forget_due(host, plan.container)
        return verify(host.incus, plan.container, system)

    return proven(host, plan, system, boot)


def _rebuild(host: Host, plan: Plan, step: Step) -> None:
    empty_root(host, plan.container)


def _catch_up(host: Host, container: Container, system: str) -> None:
    """Switch to ``system`` if somebody else's start came before it was recorded."""
    if system_of_start(host.incus, container) != system:
        switch_and_verify(host.incus, container, system, "switch")


def _stop(host: Host, plan: Plan, step: Step) -> None:
    if plan.container.state == "absent":
        # The stop of an ephemeral one deletes it.
        check_root_now(host, plan.container)
    stop_instance(host, plan.container, step.before["status"], force=plan.container.force)


def _activate(host: Host, plan: Plan, step: Step) -> Told:
    container, system, action = plan.container, step.after["running_system"], step.after["activation"]
    name = container.name
    if not can_switch(system):
        raise cannot_switch(name, system)
    _await_commands(host, container)
    await_boot(host.incus, container, system)
    ran = {key: host.notes.of(container).get(key, "") for key in (RAN, RAN_SINCE)}
    host.notes.change(container, {ACTIVATING: system})
    note_switch(host.incus, host.notes, container, system)
    if action == "test":
        link_test(container.profile_dir, system)

    def bring_up() -> Told:
        with Owners(host, container, system).meanwhile() as settle:
            return switch_and_verify(host.incus, container, system, action, settle)

    try:
        told = proven(host, plan, system, bring_up)
    except NotTriedError as error:
        # One that goes on may make it the current one yet, and the next run is to know that it is not proven then.
        if not error.goes_on:
            with cleaning_up(error, "Noting that it was not tried"):
                host.notes.change(container, {ACTIVATING: step.before.get("activating", ""), **ran})
        raise
    if container.health is None:
        host.notes.change(container, {ACTIVATING: "", TAKEN: ""})
    return told


def _await_commands(host: Host, container: Container) -> None:
    """Give a switch that an earlier run has begun the time to end: NixOS makes no two at a time.

    Incus does not tell what a command is; one without a terminal, in a container with our marker, is ours.
    """
    if ACTIVATING in host.notes.of(container) and host.incus.runs_commands(container.name):
        with suppress(LateError):
            host.incus.await_commands(container.name, container.wait.timeout)


def _secrets(host: Host, plan: Plan, step: Step) -> None:
    system = None if plan.system is None else plan.system.path
    apply_secrets(host, plan.container, removed=_is_removal(plan), system=system)


def _is_removal(plan: Plan) -> bool:
    """Return whether a container goes, or has gone to another member."""
    return plan.container.state == "absent" or any(step.action == "forget" for step in plan.steps)


def _restart_units(host: Host, plan: Plan, step: Step) -> Told:
    container, instance = plan.container, host.incus.instance(plan.container.name)
    system = None if instance is None else host.incus.running_system(instance)
    if system is None:
        raise FleetError(f"{container.name} does not run, or does not say what.", "Run again.")
    told = restart_due(host, container, system)
    if container.health is None or not told.units:
        return told
    return Told(warnings=(*told.warnings, *verify(host.incus, container, system)), units=told.units)


def _rollback(host: Host, plan: Plan, step: Step) -> Told:
    _await_commands(host, plan.container)
    fallback = Generation(number=step.after["generation"], system=step.after["system"])
    bad = newest_with(read_generations(plan.container.profile_dir), step.before["running_system"])
    done = return_to(host, plan.container, fallback, restored=step.after.get("data"), generation=bad)
    name = plan.container.name
    if done.data is not None:
        return Told(warnings=(f"{name}: {done.data.words}",), snapshots=(done.data.told,))
    return Told(warnings=(f"{name}: its data was not restored: {done.without}",) if done.without else ())


def _delete(host: Host, plan: Plan, step: Step) -> None:
    if host.incus.instance(plan.container.name) is not None:
        check_root_now(host, plan.container)
        host.incus.delete_instance(plan.container.name)


def _forget(host: Host, plan: Plan, step: Step) -> None:
    member = host.incus.server.member
    if plan.container.target != member:
        instance = host.incus.instance(plan.container.name)
        if instance is None or instance.location == member:
            raise ConflictError(f"{plan.container.name} is no longer on another member.", "Run again.")
    elif not any(one.action == "delete" for one in plan.steps) and host.incus.instance(plan.container.name) is not None:
        raise ConflictError(f"{plan.container.name} was created by something else in the meantime.", "Run again.")
    else:
        check_root_now(host, plan.container)
    host.notes.forget(plan.container)
    remove_profile(plan.container.profile_dir)


_APPLY: Mapping[Action, Callable[[Host, Plan, Step], Told | list[str] | None]] = {
    "build": _build,
    "copy": _build,
    "rehearse": _rehearse,
    "volume": _volume,
    "secrets": _secrets,
    "create": _create,
    "update": _update,
    "record": _record,
    "move": _move,
    "snapshot": take_snapshot,
    "restore": restore_data,
    "unfreeze": _unfreeze,
    "rebuild": _rebuild,
    "start": _start,
    "restart": _restart,
    "activate": _activate,
    "restart_units": _restart_units,
    "rollback": _rollback,
    "prune": _prune,
    "stop": _stop,
    "forget": _forget,
    "delete": _delete,
}
