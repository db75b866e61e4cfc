# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the health of a system, and roll back if it is not healthy."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from ..errors import (
    DegradedError,
    FleetError,
    LateError,
    NotTriedError,
    NoWorseError,
    RefusedError,
    UnhealthyError,
    cleaning_up,
)
from ..incus.host_mounts import check_root, host_mount_points
from ..names import lxc_name
from ..nix.profiles import Generation, read_generations, select_generation
from ..progress.events import Healthy
from ..stored_keys import ACTIVATING, EMPTIED, FAILED, HEALTHY, RESTORING, WAITING
from ..text import incus_command
from .data import Restored, begin_restoration, data_now, finish_restoration, note_run, note_start, set_for
from .declaration import Container
from .ends import Host
from .fallback import failed_in, newest_with, notes_of_health, rollback_step
from .health import journal, quoted_journal, verify
from .rebuilds import has_volatile_root
from .secret_apply import Owners
from .secret_inside import make_links
from .snapshots import NO_GENERATION
from .steps import Plan, Step
from .switching import switch

_T = TypeVar("_T")

#: How many systems that were found bad an instance keeps in mind.
_FAILED_KEPT = 8
#: Seconds after which a container is asked again to stop.
_ASKED_AGAIN = 5


@dataclass(frozen=True, kw_only=True)
class Returned:
    """The end of a way back: the units that are failed as they were before, and the data that was restored.

    ``without`` tells why it was not.
    """

    units: Collection[str] = ()
    data: Restored | None = None
    without: str = ""


class RolledBackError(FleetError):
    """A system was bad, and the one before it runs again and is healthy: ``step`` was done instead."""

    def __init__(self, problem: str, advice: str, step: Step, data: Restored | None = None) -> None:
        super().__init__(problem, advice)
        self.step = step
        self.data = data


def reboot(host: Host, container: Container, *, force: bool) -> None:
    instance = host.incus.instance(container.name)
    if instance is not None and instance.is_running:
        if instance.ephemeral:
            # Incus deletes it when it stops, unless the stop is a part of its own restart.
            _end(host, container, instance.status, "restart", force=force)
            return
        stop_instance(host, container, instance.status, force=force)
    start_instance(host, container, emptied=instance is not None and _starts_emptied(host, container))


def _starts_emptied(host: Host, container: Container) -> bool:
    """Empty the root of a stopped container if each start does, and return whether it is empty."""
    return has_volatile_root(host.incus.instance(container.name)) and _is_emptied(host, container)


def _is_emptied(host: Host, container: Container) -> bool:
    """Empty the root if Incus does so: on its way back a container is not left stopped because of its snapshots."""
    try:
        empty_root(host, container)
    except LateError:
        raise
    except FleetError:
        return False
    return True


def empty_root(host: Host, container: Container) -> None:
    check_root_now(host, container)
    host.incus.rebuild_instance(container.name)
    link_secrets(host, container)


def link_secrets(host: Host, container: Container) -> None:
    """Make the links to the secrets of a container in a root that is new or was emptied."""
    lxc = lxc_name(container.project, container.name)
    if lxc in host.secrets.kept():
        make_links(host.incus, container.name, host.secrets.look(lxc).notes.links, {})


def check_root_now(host: Host, container: Container) -> None:
    """Raise FleetError if something was mounted in the root since the plan was made."""
    points = host_mount_points(host.incus.server.pid)
    check_root(container.name, lxc_name(container.project, container.name), points)


def start_instance(host: Host, container: Container, *, emptied: bool) -> bool:
    """Start it, and note which start its root was emptied for: after any other one it is not empty.

    False when somebody else has started it meanwhile, as Incus does when it comes up.
    """
    name, ours = container.name, True
    try:
        host.incus.set_state(name, "start")
    except RefusedError as error:
        runs = False
        with cleaning_up(error, "A look at what became of it"):
            runs = is_running(host, name)
        if not runs:
            raise
        ours = False
    found = host.incus.instance(name) if emptied else None
    if found is not None:
        host.notes.change(container, {EMPTIED: found.last_started})
    return ours


def stop_instance(host: Host, container: Container, status: str, *, force: bool) -> None:
    _end(host, container, status, "stop", force=force)


def _end(host: Host, container: Container, status: str, action: str, *, force: bool) -> None:
    """Stop what runs or is frozen, or have Incus restart it: cleanly, or with ``force`` when that takes too long."""
    name = container.name
    if status == "Frozen":
        # A frozen init hears of no shutdown.
        host.incus.set_state(name, "unfreeze")
    error = _ask_to_end(host, container, action)
    if error is None:
        return
    if not force:
        raise FleetError(
            f"{name} did not stop within {container.stop_timeout} s, and runs on. {error.problem}",
            "Raise 'stop_timeout', or declare 'force: true' to have it killed then.",
        ) from error
    host.incus.set_state(name, action, container.stop_timeout, force=True)


def _ask_to_end(host: Host, container: Container, action: str) -> FleetError | None:
    """Ask a container to stop until it does, and return why it runs on after ``stop_timeout``.

    An init that has just started ignores the signal. One that has heard it ignores the next ones.
    """
    deadline = time.monotonic() + container.stop_timeout
    while True:
        # Incus starts again only what stops within one request.
        left = max(1, math.ceil(deadline - time.monotonic()))
        patience = min(_ASKED_AGAIN, left) if action == "stop" else left
        asked = time.monotonic()
        try:
            host.incus.set_state(container.name, action, patience)
        except FleetError as error:
            runs = True
            with cleaning_up(error, "A look at what became of it"):
                runs = is_running(host, container.name)
            if not runs and action != "stop":
                raise
            was_refused = time.monotonic() - asked < patience
            if not runs or was_refused or time.monotonic() >= deadline:
                return error if runs else None
        else:
            return None


def is_running(host: Host, name: str) -> bool:
    found = host.incus.instance(name)
    return found is not None and found.is_running


def running_system(host: Host, name: str) -> str | None:
    """Return the system that runs in a container now, None when it does not run or does not say."""
    instance = host.incus.instance(name)
    if instance is None or not instance.is_running:
        return None
    return host.incus.running_system(instance)


def proven(host: Host, plan: Plan, system: str, bring_up: Callable[[], _T]) -> _T:
    """Bring ``system`` up and note that it is healthy. Return what there is to tell.

    If it is not, go back and raise the FleetError that tells of both.
    """
    container = plan.container
    if container.health is None:
        return _awaited(host, plan, bring_up)
    # A run that is killed now leaves word that it has not been seen to be healthy.
    host.notes.change(container, {ACTIVATING: system}, unless={HEALTHY: system})
    began = time.monotonic()
    try:
        told = bring_up()
    except (UnhealthyError, RefusedError) as error:
        gone_back = _gone_back(host, plan, system, error)
        gone_back.output.update(error.output)
        raise gone_back from error
    except NoWorseError as error:
        with cleaning_up(error, "Noting that it is not on trial"):
            host.notes.change(container, {ACTIVATING: ""})
        raise
    _note_good(host, container, system)
    host.events.tell(Healthy(name=container.name, seconds=time.monotonic() - began))
    return told


def _awaited(host: Host, plan: Plan, bring_up: Callable[[], _T]) -> _T:
    """Bring a system up, and leave word if what is waited for does not come: the next run waits for it again."""
    container = plan.container
    if container.wait.addresses:
        # Also of a run that is killed now.
        host.notes.change(container, {WAITING: "true"})
    try:
        told = bring_up()
    except UnhealthyError as error:
        with cleaning_up(error, "Noting that it is to be waited for"):
            host.notes.change(container, {WAITING: "true"})
        raise
    if container.wait.addresses or plan.awaits:
        host.notes.change(container, {WAITING: ""})
    return told


def _note_good(host: Host, container: Container, system: str) -> None:
    """Record that a system is healthy."""
    host.notes.change(container, notes_of_health(host.notes.of(container), system))


def _gone_back(host: Host, plan: Plan, bad: str, why: FleetError) -> FleetError:
    """Go back from ``bad`` if that is declared and possible; the error that tells all of it."""
    container, name = plan.container, plan.container.name
    said = journal(host.incus, name, bad)
    why.output["journal"] = "\n".join(f"{title}\n{text}" for title, text in said)
    complaint = f"{name}: {bad} is not healthy: {why.problem.removeprefix(f'{name}: ')}"
    problem = "\n".join([complaint, *quoted_journal(said)])
    fallback = _way_back(host, plan, bad)
    if isinstance(fallback, str):
        left = FleetError(f"{problem}\n{fallback}, so {name} was left as it is.", why.advice)
        with cleaning_up(left, "Noting that it is on trial"):
            host.notes.change(container, {ACTIVATING: bad})
        return left
    number, good = fallback.number, fallback.system
    known: list[str] = []
    try:
        found = read_generations(container.profile_dir)
        restored = None
        if _restores(container):
            restored = set_for(data_now(host.incus, host.notes, container), found.made, fallback, bad)
        step = rollback_step(name, found, bad, fallback, restored)
        # Remembered before anything else: a run that is killed now is finished by the next one.
        known = note_bad(host, container, bad)
        failed_before = why.failed_before if isinstance(why, UnhealthyError) else frozenset()
        returned = return_to(
            host, container, fallback, failed_before, restored=restored, generation=newest_with(found, bad)
        )
    except FleetError as error:
        now = None
        with suppress(FleetError):
            now = running_system(host, name)
        text = f"{problem}\nGoing back to generation {number}, {good}, failed as well: {error} "
        if isinstance(why, RefusedError) and isinstance(error, RefusedError):
            # What starts with no system is not the system's fault.
            with suppress(FleetError):
                host.notes.change(container, {FAILED: " ".join(known)})
                text += f"{bad} is not remembered as bad. "
        return FleetError(
            f"{text}{name} runs {now or 'nothing'} now.",
            f"See '{incus_command(container.project, 'info', '--show-log', name)}', and run again.",
        )
    units, data = returned.units, returned.data
    if returned.without:
        step = rollback_step(name, found, bad, fallback)
    state = f"where {', '.join(sorted(units))} had failed before" if units else "and is healthy with it"
    return RolledBackError(
        f"{problem}\n{name} went back to generation {number}, {good}, {state}. {bad} is remembered as bad."
        f"{_told_of_data(container, returned, number)}",
        "Declare another system, or 'health: {retry_failed: true}' to try this one again.",
        step,
        data,
    )


def _restores(container: Container) -> bool:
    return container.snapshots is not None and container.snapshots.restore


def _told_of_data(container: Container, returned: Returned, number: int) -> str:
    """Return what to say of the data of a container that went back."""
    if returned.data is not None:
        return f" {returned.data.words}"
    if returned.without:
        return f" Its data was not restored: {returned.without}"
    if not _restores(container):
        return ""
    return f" Its data was not restored: there is no snapshot of the data of generation {number}."


def note_bad(host: Host, container: Container, system: str) -> list[str]:
    """Remember that a system is bad. Return the others that are remembered as such."""
    known = [path for path in failed_in(host.notes.of(container)) if path != system]
    host.notes.change(container, {FAILED: " ".join([*known, system][-_FAILED_KEPT:])})
    return known


def _way_back(host: Host, plan: Plan, bad: str) -> Generation | str:
    """Return the generation to go back to from ``bad``, or the reason why the container stays as it is.

    The plan's way back leads away from the system that it declares. What a start boots before that may be another
    one, the proven one even.
    """
    container, fallback = plan.container, plan.fallback
    if container.health is None or not container.health.rollback:
        return "'rollback' is false"
    healthy = None
    with suppress(FleetError):
        healthy = host.notes.of(container).get(HEALTHY)
    if healthy == bad:
        return "This system was healthy before"
    if fallback is None or fallback.system == bad:
        return "There is nothing to roll back to: no earlier generation is good"
    return fallback


def return_to(
    host: Host,
    container: Container,
    fallback: Generation,
    failed_before: Collection[str] = (),
    *,
    restored: str | None = None,
    generation: int = NO_GENERATION,
) -> Returned:
    """Make a generation current, and run its system; by a new boot if it cannot be switched to.

    With ``restored``, the name of a snapshot, its data is restored between the two; ``generation`` wrote what that
    replaces. Return the units that are failed there as they were before, which does not make it a healthy one.
    """
    select_generation(container.profile_dir, fallback.number)
    owners = Owners(host, container, fallback.system, is_way_back=True)
    data, without = None, ""
    if restored is not None:
        try:
            data = _restore(host, container, fallback.system, restored, generation)
        except LateError:
            raise
        except FleetError as error:
            if RESTORING in host.notes.of(container):
                raise
            # Nothing was replaced, as when there is no room to keep it: it does not stay stopped for that.
            without = str(error)
        link_secrets(host, container)
        note_run(host.notes, container, fallback.system)
        start_instance(host, container, emptied=_starts_emptied(host, container))
        owners.after_start()
    elif not _switches_back(host, container, owners, fallback.system, failed_before):
        reboot(host, container, force=True)
        owners.after_start()
    note_start(host.incus, host.notes, container, fallback.system)
    try:
        verify(host.incus, container, fallback.system)
    except DegradedError as error:
        if not error.had_failed(failed_before):
            raise
        host.notes.change(container, {ACTIVATING: ""})
        return Returned(units=error.units, data=data, without=without)
    _note_good(host, container, fallback.system)
    return Returned(data=data, without=without)


def _restore(host: Host, container: Container, system: str, snapshot: str, generation: int) -> Restored:
    """Stop a container, and restore its data."""
    data = data_now(host.incus, host.notes, container)
    begin_restoration(data, snapshot, generation)
    instance = host.incus.instance(container.name)
    if instance is not None and instance.is_running:
        stop_instance(host, container, instance.status, force=True)
    return finish_restoration(data, system)


def _switches_back(host: Host, container: Container, owners: Owners, good: str, failed_before: Collection[str]) -> bool:
    """Switch to ``good`` and return whether it is as healthy as before. A half-started system cannot switch."""
    name = container.name
    if running_system(host, name) is None:
        return False
    # A switch that goes on holds the lock, and may take minutes.
    patience = 1 if host.incus.runs_commands(name) else container.wait.timeout
    with owners.meanwhile() as settle:
        try:
            switch(host.incus, container, good, "switch", patience)
        except (UnhealthyError, NotTriedError):
            # If it has never been left it goes on, unless a switch that hangs may leave it yet.
            if running_system(host, name) != good or host.incus.runs_commands(name):
                return False
        settle()
    return _is_healthy(host, container, good, failed_before)


def _is_healthy(host: Host, container: Container, system: str, failed_before: Collection[str]) -> bool:
    try:
        verify(host.incus, container, system)
    except UnhealthyError as error:
        return isinstance(error, DegradedError) and error.had_failed(failed_before)
    return True
