# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run switch-to-configuration in a container, and interpret its result.

What it ends with is not a verdict on the system (nixpkgs: switch-to-configuration.pl, switch-to-configuration-ng).
Whether the system became the current one says whether it was tried, and health says whether it is good.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, TypeVar

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
from ..incus.client import Execution, Incus
from ..nix.bootable import can_switch, cannot_switch
from ..text import incus_command, quoted
from ..waiting import poll
from .declaration import Container
from .health import asks_systemd, failed_units, is_stalled, running_instance, verify
from .steps import Told
from .units import Units, changed_units

_Error = TypeVar("_Error", bound=FleetError)

_PROGRAM = "switch-to-configuration"
_LOCK_POLL = 1.0
#: A pre-switch check refused, or the command was not understood; the newer one ends so for any error of its own, too.
_REFUSED = 1
#: Some unit is failed, whoever is to blame.
_UNITS_FAILED = 4
#: Another switch holds the lock. The newer switch-to-configuration does not wait for it.
_LOCKED = 11
#: The interface of init is another one, so nothing but a boot brings the system.
_INIT_CHANGED = 100
_NOTHING_DONE = (_REFUSED, _LOCKED, _INIT_CHANGED)

#: "judge" leaves it to health, "ill" is a system that is the current one, and not well.
Meaning: TypeAlias = Literal["done", "judge", "ill", "untried"]


def meaning(code: int, *, was: str | None, now: str | None, system: str) -> Meaning:
    """Return what a code of switch-to-configuration says when ``was`` was current before it, and ``now`` is after."""
    if code == 0:
        return "done"
    if now != system or (was == system and code in _NOTHING_DONE):
        return "untried"
    return "judge" if code == _UNITS_FAILED else "ill"


@dataclass(frozen=True, kw_only=True)
class Switched:
    """A switch that has made its system current; ``complaint`` is what it ended with, if that was not success."""

    complaint: str = ""
    units: Units = field(default_factory=dict)
    #: The units that had failed before it.
    before: tuple[str, ...] = field(default_factory=tuple)
    output: str = ""

    def explaining(self, error: _Error) -> _Error:
        """Return an error with what the switch said."""
        if self.output:
            error.output[_PROGRAM] = self.output
        return error


def switch_and_verify(
    incus: Incus, container: Container, system: str, action: str, settle: Callable[[], None] | None = None
) -> Told:
    """Switch to ``system``, and return what there is to tell once it is up and does what ``health`` asks for.

    ``settle`` is called between the two.
    Raises NotTriedError when it did not become the current one, UnhealthyError when it did and is not well, and
    NoWorseError when that is for what had failed before.
    """
    switched = switch(incus, container, system, action, container.wait.timeout)
    if settle is not None:
        settle()
    return Told(warnings=tuple(_verified(incus, container, system, action, switched)), units=switched.units)


def _verified(incus: Incus, container: Container, system: str, action: str, switched: Switched) -> list[str]:
    if not switched.complaint:
        return verify(incus, container, system)
    health = container.health
    if health is not None and not (health.degraded or health.command_only or asks_systemd(system)):
        # Nobody else can be asked for its units.
        raise switched.explaining(UnhealthyError(switched.complaint, f"See '{_journal(container)}'."))
    try:
        warnings = verify(incus, container, system)
    except UnhealthyError as error:
        problem = f"{switched.complaint}\n{error.problem}"
        if isinstance(error, DegradedError) and error.had_failed(switched.before):
            no_worse = NoWorseError(
                f"{problem} They had failed before, so {container.name} keeps the new system.",
                "Fix them and run again, or declare 'degraded: true' in 'health' to let them be.",
            )
            raise switched.explaining(no_worse) from error
        worse = UnhealthyError(problem, error.advice, switched.before)
        worse.output.update(error.output)
        raise switched.explaining(worse) from error
    if health is not None:
        return warnings
    units = failed_units(incus, container.name, system)
    rest = [text for text in warnings if " is degraded: " not in text]
    return [_units_warning(container.name, system, action, units, switched.before), *rest]


def switch(incus: Incus, container: Container, system: str, action: str, patience: float) -> Switched:
    """Run switch-to-configuration; a lock that another switch holds is waited for, ``patience`` seconds at most.

    Raises NotTriedError when the system did not become the current one, UnhealthyError when it did, and the switch
    failed or was not done in time.
    """
    name = container.name
    if not can_switch(system):
        raise cannot_switch(name, system)
    was = _current(incus, name)
    # Of one that ran before, as after a run that was killed, nobody knows what had failed before it.
    before = failed_units(incus, name, was) if was is not None and was != system else []
    try:
        done = _run(incus, container, system, action, patience)
    except LateError as error:
        return _judged_late(incus, container, system, action, error)
    except RefusedError as error:
        raise FleetError(error.problem, error.advice) from error
    units = changed_units(done.stderr)
    if done.code == 0:
        return Switched(units=units)
    problem = f"{name}: {action!r} to {system} failed with code {done.code}"
    failure = UnhealthyError(f"{problem}.", f"See '{_journal(container)}', and run again.")
    now = system if was != system else None
    with cleaning_up(failure, "A look at what it runs"):
        now = _current(incus, name)
    output = done.stdout + done.stderr
    switched = Switched(units=units, output=output)
    said = f"It said:\n{quoted(output)}"
    verdict = meaning(done.code, was=was, now=now, system=system)
    if verdict == "untried":
        untried = f"{problem}, and the system was not tried: it runs {now or 'an unknown system'} now. {said}"
        raise switched.explaining(NotTriedError(untried, advice_on_untried(done.code, container)))
    if verdict == "ill":
        failure.add(f"It runs {now} now. {said}")
        # That Incus is shut down, or away, is not of the system's making.
        with suppress(UnhealthyError):
            running_instance(incus, name)
        raise switched.explaining(failure)
    return replace(switched, complaint=f"{problem}.{_failed_before(before)} {said}", before=tuple(before))


def _journal(container: Container) -> str:
    return incus_command(container.project, "exec", container.name, "--", "journalctl", "--boot")


def advice_on_untried(code: int, container: Container) -> str:
    """Return what to do about a switch that ended with a code before it did anything."""
    if code == _LOCKED:
        return "Another switch holds its lock. Run again when that has ended, or raise 'wait_timeout'."
    if code in (_REFUSED, _INIT_CHANGED):
        return "It needs a restart: run with 'state: restarted', or declare 'activation: boot' and restart it later."
    return f"See '{_journal(container)}', fix the cause, and run again, or with 'state: restarted'."


def _failed_before(units: Sequence[str]) -> str:
    return f" Before it, these had failed: {', '.join(units)}." if units else ""


def _units_warning(name: str, system: str, action: str, units: Sequence[str], before: Sequence[str]) -> str:
    new = [unit for unit in units if unit not in before]
    old = [unit for unit in units if unit in before]
    parts = [f"units failed: {', '.join(new)}"] if new else []
    parts += [f"failed before it as well: {', '.join(old)}"] if old else []
    told = "; ".join(parts) or "units failed, and are well now"
    return f"{name}: {action!r} to {system} ended with code {_UNITS_FAILED}, and the system runs: {told}."


def _run(incus: Incus, container: Container, system: str, action: str, patience: float) -> Execution:
    """Run it, again while another switch holds the lock."""
    command = [f"{system}/bin/switch-to-configuration", action]
    deadline = time.monotonic() + patience
    is_enough = _command_can_judge(incus, container, system)

    def switch() -> Execution:
        left = max(1, round(deadline - time.monotonic()))
        return incus.execute(container.name, command, left, output_of_success=("stderr",), is_enough=is_enough)

    return poll(switch, deadline, until=lambda done: done.code != _LOCKED, pause=_LOCK_POLL)


def _command_can_judge(incus: Incus, container: Container, system: str) -> Callable[[], bool] | None:
    """Return what tells that a switch need not be waited for any more; None when it is always waited for.

    With health's command_only a unit that takes long to start does not hold it up: what it has yet to do is that.
    """
    if container.health is None or not container.health.command_only:
        return None
    return is_stalled(incus, container.name, system)


def _judged_late(incus: Incus, container: Container, system: str, action: str, late: LateError) -> Switched:
    """Tell what a switch that goes on has done until now."""
    name = container.name
    now = system
    with cleaning_up(late, "A look at what it runs"):
        now = _current(incus, name) or ""
    problem = f"{name}: {action!r} to {system}: {late.problem}"
    if now != system:
        raise NotTriedError(
            f"{problem} It runs {now or 'an unknown system'} now, and the switch may go on: another one that holds the "
            "lock is waited for, or a check takes long.",
            f"See '{incus_command(container.project, 'exec', name, '--', 'ps')}', and run again when it has ended, or "
            "raise 'wait_timeout'.",
            goes_on=True,
        ) from late
    if container.health is not None and container.health.command_only:
        return Switched()
    raise UnhealthyError(problem, late.advice) from late


def _current(incus: Incus, name: str) -> str | None:
    current = incus.current_system(name)
    if current is not None:
        return current
    instance = incus.instance(name)
    return None if instance is None or not instance.is_running else incus.running_system(instance)
