# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying out the steps of a plan, each of which can be repeated after a run that was killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .declared import Container
from .desired import VOLATILE_ROOT
from .errors import ConflictError, FleetError, LateError, RefusedError, UnhealthyError
from .generations import (
    add_generation,
    link_test,
    make_profile,
    read_generations,
    remove_generations,
    remove_profile,
    select_generation,
)
from .health import journal, system_of_start, verify
from .incus import Incus
from .nix import Nix
from .observed import Generation
from .plan import (
    ACTIVATING,
    EMPTIED,
    FAILED,
    HEALTHY,
    MOVING,
    RESTART,
    Action,
    Plan,
    Step,
    failed_systems,
    notes_of_health,
    rollback_step,
    takes_a_restart,
)
from .text import quoted, utc

#: How many systems that were found bad an instance keeps in mind.
_FAILED_KEPT = 8


@dataclass(frozen=True, kw_only=True)
class Host:
    """The two ends that do I/O on one host."""

    incus: Incus
    nix: Nix


class RolledBackError(FleetError):
    """A system was bad, and the one before it runs again and is healthy: ``step`` was done instead."""

    def __init__(self, problem: str, advice: str, step: Step) -> None:
        super().__init__(problem, advice)
        self.step = step


def apply_step(host: Host, plan: Plan, step: Step) -> list[str]:
    """Do one step and return warnings. Raises FleetError when it fails; earlier steps stay done."""
    return _APPLY[step.action](host, plan, step) or []


def _build(host: Host, plan: Plan, step: Step) -> None:
    """The systems of a set are built or copied together before any other step; what is left is to look at this one."""
    check_system(step.after["system"])


def check_system(path: str) -> None:
    """Raise FleetError when a built store path is not a NixOS system."""
    for part in ("init", "bin/switch-to-configuration"):
        if not os.path.lexists(f"{path}/{part}"):
            raise FleetError(
                f"{path} has no {part}, so it is not a NixOS system.",
                "Name the toplevel: config.system.build.toplevel.",
            )


def _volume(host: Host, plan: Plan, step: Step) -> None:
    for place, config in step.after["volumes"].items():
        pool, name = place.split("/", 1)
        if config is None:
            host.incus.delete_volume(pool, name)
        elif step.before["volumes"][place] is None:
            host.incus.create_volume(pool, name, config)
        else:
            host.incus.update_volume(pool, name, step.before["volumes"][place], config)


def _create(host: Host, plan: Plan, step: Step) -> None:
    directory = plan.container.profile_dir
    made = make_profile(directory)
    try:
        host.incus.create_instance(step.after)
    except LateError:
        raise
    except FleetError:
        if made:
            with suppress(OSError):
                os.rmdir(directory)
        _delete_new_volumes(host, plan)
        raise


def _delete_new_volumes(host: Host, plan: Plan) -> None:
    """Those that the plan made, when they are not to be used. Nothing was written to them yet."""
    volumes = [step.before["volumes"] for step in plan.steps if step.action == "volume"]
    for place in [place for found in volumes for place, there in found.items() if there is None]:
        with suppress(FleetError):
            host.incus.delete_volume(*place.split("/", 1))


def _update(host: Host, plan: Plan, step: Step) -> None:
    now = time.time()
    try:
        host.incus.update_instance(plan.container.name, lambda body: updated(body, step, now))
    except LateError:
        raise
    except FleetError:
        _delete_new_volumes(host, plan)
        done = plan.steps[: plan.steps.index(step)]
        if any(one.action == "stop" for one in done) and plan.container.state == "restarted":
            # It ran, and it is not to be away for a declaration that Incus does not take.
            with suppress(FleetError):
                host.incus.set_state(plan.container.name, "start")
        raise


def updated(body: dict[str, Any], step: Step, now: float) -> dict[str, Any]:
    """What an update writes: the step's change, and the note on a restart, which a prediction could not time."""
    result = patched(body, step.before, step.after)
    if takes_a_restart(step.after):
        result["config"][RESTART] = utc(now, "microseconds")
    return result


def patched(body: dict[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The writable part of an instance with the step's change in it.

    Raises ConflictError when what is to be changed is not as the plan found it.
    """
    result = dict(body)
    for part, new in after.items():
        old = before[part]
        if part in ("config", "devices"):
            result[part] = _patched_entries(part, dict(body[part]), old, new)
        elif body[part] != old:
            raise ConflictError(f"{part} was changed by somebody else meanwhile.", "Run again.")
        else:
            result[part] = new
    return result


def _patched_entries(part: str, entries: dict[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    for key, value in new.items():
        if entries.get(key) != old[key]:
            raise ConflictError(f"{part} {key} was changed by somebody else meanwhile.", "Run again.")
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value
    return entries


def _record(host: Host, plan: Plan, step: Step) -> None:
    directory, number, system = plan.container.profile_dir, step.after["generation"], step.after["system"]
    make_profile(directory)
    if plan.container.generation is None:
        add_generation(directory, number, system)
    else:
        select_generation(directory, number)


def _prune(host: Host, plan: Plan, step: Step) -> None:
    remove_generations(plan.container.profile_dir, [int(number) for number in step.before["generations"]])


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
            _stop_instance(host, container, instance.status, force=container.force)
        host.incus.fetch_instance(name, container.move_timeout)
    except LateError:
        raise
    except FleetError as error:
        if not resumes:
            raise
        if not _runs(host, name):
            host.incus.set_state(name, "start")
        host.incus.note(name, {MOVING: ""})
        raise FleetError(f"{error.problem} It runs on at {location}.", error.advice) from error


def _unfreeze(host: Host, plan: Plan, step: Step) -> None:
    host.incus.set_state(plan.container.name, "unfreeze")


def _start(host: Host, plan: Plan, step: Step) -> list[str]:
    if "activating" in step.before and plan.container.health is None:
        host.incus.note(plan.container.name, {ACTIVATING: ""})
    system = step.after["system"]

    before = {done.action for done in plan.steps}
    emptied = plan.container.volatile.root == "rebuild" or "rebuild" in before

    def boot() -> list[str]:
        if not _start_instance(host, plan.container.name, emptied=emptied):
            _catch_up(host, plan.container, system)
        if "moving" in step.before or "move" in before:
            host.incus.note(plan.container.name, {MOVING: ""})
        return verify(host.incus, plan.container, system)

    return _proven(host, plan, system, boot)


def _restart(host: Host, plan: Plan, step: Step) -> list[str]:
    system = step.after["system"]

    def boot() -> list[str]:
        _boot_anew(host, plan.container, force=plan.container.force)
        return verify(host.incus, plan.container, system)

    return _proven(host, plan, system, boot)


def _boot_anew(host: Host, container: Container, *, force: bool) -> None:
    instance = host.incus.instance(container.name)
    if instance is not None and instance.is_running:
        if instance.ephemeral:
            # Incus deletes it when it stops, unless the stop is a part of its own restart.
            host.incus.set_state(container.name, "restart", container.stop_timeout, force=force)
            return
        _stop_instance(host, container, instance.status, force=force)
    emptied = instance is not None and instance.config.get(VOLATILE_ROOT) == "rebuild"
    if emptied:
        host.incus.rebuild_instance(container.name)
    _start_instance(host, container.name, emptied=emptied)


def _rebuild(host: Host, plan: Plan, step: Step) -> None:
    host.incus.rebuild_instance(plan.container.name)


def _start_instance(host: Host, name: str, *, emptied: bool) -> bool:
    """Start it, and note which start its root was emptied for: after any other one it is not empty.

    False when somebody else has started it meanwhile, as Incus does when it comes up.
    """
    ours = True
    try:
        host.incus.set_state(name, "start")
    except RefusedError:
        if not _runs(host, name):
            raise
        ours = False
    found = host.incus.instance(name) if emptied else None
    if found is not None:
        host.incus.note(name, {EMPTIED: found.last_started})
    return ours


def _catch_up(host: Host, container: Container, system: str) -> None:
    """Switch to ``system`` if somebody else's start came before it was recorded."""
    if system_of_start(host.incus, container) != system:
        _switch(host, container, system, "switch")


def _stop(host: Host, plan: Plan, step: Step) -> None:
    _stop_instance(host, plan.container, step.before["status"], force=plan.container.force)


def _stop_instance(host: Host, container: Container, status: str, *, force: bool) -> None:
    if status == "Frozen":
        host.incus.set_state(container.name, "unfreeze")
    try:
        host.incus.set_state(container.name, "stop", container.stop_timeout)
    except FleetError as error:
        if not _runs(host, container.name):
            return
        if not force:
            raise FleetError(
                f"{container.name} did not stop within {container.stop_timeout} s, and runs on. {error.problem}",
                "Raise 'stop_timeout', or declare 'force: true' to have it killed then.",
            ) from error
        host.incus.set_state(container.name, "stop", container.stop_timeout, force=True)


def _runs(host: Host, name: str) -> bool:
    found = host.incus.instance(name)
    return found is not None and found.is_running


def _activate(host: Host, plan: Plan, step: Step) -> list[str]:
    container, system, action = plan.container, step.after["running_system"], step.after["activation"]
    _await_commands(host, container)
    host.incus.note(container.name, {ACTIVATING: system})
    if action == "test":
        link_test(container.profile_dir, system)

    def switch() -> list[str]:
        _switch(host, container, system, action)
        return verify(host.incus, container, system)

    warnings = _proven(host, plan, system, switch)
    if container.health is None:
        host.incus.note(container.name, {ACTIVATING: ""})
    return warnings


def _switch(host: Host, container: Container, system: str, action: str) -> None:
    """Run switch-to-configuration; UnhealthyError when it fails, or is not done in time.

    When Incus does not run it, the system has not been tried.
    """
    name = container.name
    try:
        command = [f"{system}/bin/switch-to-configuration", action]
        done = host.incus.execute(name, command, container.wait.timeout, output_of_success=False)
    except LateError as error:
        raise UnhealthyError(f"'{action}' to {system}: {error.problem}", error.advice) from error
    except RefusedError as error:
        raise FleetError(error.problem, error.advice) from error
    if done.code != 0:
        now = running_system(host, name)
        raise UnhealthyError(
            f"{name}: '{action}' to {system} failed with code {done.code}; it runs {now or 'an unknown system'} now. "
            f"It said:\n{quoted(done.stdout + done.stderr)}",
            f"See 'incus exec {name} -- journalctl --boot', mend the system, and run again.",
        )


def _await_commands(host: Host, container: Container) -> None:
    """Give a switch that an earlier run has begun the time to end: NixOS makes no two at a time.

    Incus does not tell what a command is; one without a terminal, in a container with our marker, is ours.
    """
    if not host.incus.runs_commands(container.name):
        return
    instance = host.incus.instance(container.name)
    if instance is not None and ACTIVATING in instance.config:
        with suppress(LateError):
            host.incus.await_commands(container.name, container.wait.timeout)


def _rollback(host: Host, plan: Plan, step: Step) -> list[str]:
    _await_commands(host, plan.container)
    _return_to(host, plan.container, Generation(number=step.after["generation"], system=step.after["system"]))
    return []


def _delete(host: Host, plan: Plan, step: Step) -> None:
    if host.incus.instance(plan.container.name) is not None:
        host.incus.delete_instance(plan.container.name)


def _forget(host: Host, plan: Plan, step: Step) -> None:
    member = host.incus.server.member
    if plan.container.target != member:
        instance = host.incus.instance(plan.container.name)
        if instance is None or instance.location == member:
            raise ConflictError(f"{plan.container.name} is not elsewhere any more.", "Run again.")
    remove_profile(plan.container.profile_dir)


_APPLY: Mapping[Action, Callable[[Host, Plan, Step], list[str] | None]] = {
    "build": _build,
    "copy": _build,
    "volume": _volume,
    "create": _create,
    "update": _update,
    "record": _record,
    "move": _move,
    "unfreeze": _unfreeze,
    "rebuild": _rebuild,
    "start": _start,
    "restart": _restart,
    "activate": _activate,
    "rollback": _rollback,
    "prune": _prune,
    "stop": _stop,
    "forget": _forget,
    "delete": _delete,
}


def running_system(host: Host, name: str) -> str | None:
    """The system that runs in a container now; None when it does not run, or does not say."""
    instance = host.incus.instance(name)
    if instance is None or not instance.is_running:
        return None
    return host.incus.running_system(instance)


# Noticing a bad system, and going back


def _proven(host: Host, plan: Plan, system: str, bring_up: Callable[[], list[str]]) -> list[str]:
    """Bring ``system`` up and note that it is healthy.

    If it is not, go back and raise the FleetError that tells of both.
    """
    container = plan.container
    if container.health is None:
        return bring_up()
    # A run that is killed now leaves word that it has not been seen to be healthy.
    host.incus.note(container.name, {ACTIVATING: system}, unless={HEALTHY: system})
    try:
        warnings = bring_up()
    except (UnhealthyError, RefusedError) as error:
        raise _gone_back(host, plan, system, error) from error
    _note_good(host, container, system)
    return warnings


def _note_good(host: Host, container: Container, system: str) -> None:
    """What the next run is to know, in one request, and none if it knows it already."""
    instance = host.incus.instance(container.name)
    if instance is None:
        return
    wanted = notes_of_health(instance, system)
    new = {key: value for key, value in wanted.items() if instance.config.get(key, "") != value}
    if new:
        host.incus.note(container.name, new)


def _gone_back(host: Host, plan: Plan, bad: str, why: FleetError) -> FleetError:
    """Go back from ``bad`` if that is declared and possible; the error that tells all of it."""
    container, name = plan.container, plan.container.name
    said = journal(host.incus, name, bad)
    problem = "\n".join([f"{name}: {bad} is not healthy: {why.problem.removeprefix(f'{name}: ')}", *said])
    if plan.fallback is None or container.health is None or not container.health.rollback:
        host.incus.note(name, {ACTIVATING: bad})
        reason = _why_it_stays(host, container, bad)
        return FleetError(f"{problem}\n{reason}, so {name} was left as it is.", why.advice)
    number, good = plan.fallback.number, plan.fallback.system
    known: list[str] = []
    try:
        step = rollback_step(name, read_generations(container.profile_dir), bad, plan.fallback)
        known = [path for path in failed_systems(host.incus.instance(name)) if path != bad]
        # Remembered before anything else: a run that is killed now is finished by the next one.
        host.incus.note(name, {FAILED: " ".join([*known, bad][-_FAILED_KEPT:])})
        _return_to(host, container, plan.fallback)
    except FleetError as error:
        now = None
        with suppress(FleetError):
            now = running_system(host, name)
        text = f"{problem}\nGoing back to generation {number}, {good}, failed as well: {error} "
        if isinstance(why, RefusedError) and isinstance(error, RefusedError):
            # What starts with no system is not the system's fault.
            with suppress(FleetError):
                host.incus.note(name, {FAILED: " ".join(known)})
                text += f"{bad} is not remembered as bad. "
        return FleetError(
            f"{text}{name} runs {now or 'nothing'} now.", f"See 'incus info --show-log {name}', and run again."
        )
    return RolledBackError(
        f"{problem}\n{name} went back to generation {number}, {good}, and is healthy with it. "
        f"{bad} is remembered as bad.",
        "Declare another system, or 'health: {retry_failed: true}' to try this one again.",
        step,
    )


def _why_it_stays(host: Host, container: Container, bad: str) -> str:
    if container.health is None or not container.health.rollback:
        return "'rollback' is false"
    instance = host.incus.instance(container.name)
    if instance is not None and instance.config.get(HEALTHY) == bad:
        return "This system was healthy before"
    return "There is no generation to go back to"


def _return_to(host: Host, container: Container, fallback: Generation) -> None:
    """Make a generation current, and run its system; by a new boot if it cannot be switched to."""
    name, good = container.name, fallback.system
    select_generation(container.profile_dir, fallback.number)
    try:
        # A system that is half up is no place to switch from.
        if running_system(host, name) is None:
            raise UnhealthyError(f"{name} does not say what it runs.", f"See 'incus exec {name} -- ls -l /run'.")
        _switch(host, container, good, "switch")
    except UnhealthyError:
        # If it has never been left it goes on, unless a switch that hangs may leave it yet.
        stays = running_system(host, name) == good and not host.incus.runs_commands(name)
        if not stays or not _is_healthy(host, container, good):
            _boot_anew(host, container, force=True)
    verify(host.incus, container, good)
    _note_good(host, container, good)


def _is_healthy(host: Host, container: Container, system: str) -> bool:
    try:
        verify(host.incus, container, system)
    except UnhealthyError:
        return False
    return True
