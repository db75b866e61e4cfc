# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for a container after a start or a switch, and check its health.

What a container says is not trusted: it is cut, and made fit for a message.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from ..errors import DegradedError, FleetError, LateError, NotTriedError, UnhealthyError
from ..incus.addresses import VERSIONS, is_of
from ..incus.client import Execution, Incus
from ..incus.models import Instance
from ..text import incus_command, quoted, tail
from ..waiting import LONGEST_PAUSE, poll
from .declaration import Container, Health, Wait

# A short look into a container, in seconds: it is made again until the time for all of it is over.
_LOOK_TIMEOUT = 20
# A unit that fails may be on its way to its next try.
_DEGRADED_GRACE = 1.0
#: systemctl is-system-running: the boot is over; "degraded" has failed units.
_BOOTED = ("running", "degraded")
#: What a system says of itself that has been up, or that a person has taken down.
_ENDING = ("maintenance", "stopping")
# A boot is left this long to end before a switch, though one is possible before.
_STARTING_GRACE = 10.0
# What a switch waits for when it has not moved for so long is a unit that takes its time.
_STALLED = 5.0
# How long Incus may take from the stop of a container to its note that it is to run, when it is shut down.
_SHUTDOWN_GRACE = 5.0
_FAILED_UNITS_SHOWN = 3
_FAMILIES = {"addresses": "address", "ipv4": "IPv4 address", "ipv6": "IPv6 address"}
_JOURNAL_LINES = 10
# In the log of the run.
_JOURNAL_LINES_KEPT = 200
#: At each boot of an unprivileged container systemd-udev-trigger.service writes an error for every device of the host.
_NOISE = re.compile(r"\budevadm\)?\[\d+\]: ")
_ERRORS_LOOKED_AT = 1000


def wait_until_up(incus: Incus, container: Container, system: str) -> list[str]:
    """Wait for what ``wait`` asks for, and return warnings; FleetError when it does not come in time."""
    name, wait = container.name, container.wait
    warnings: list[str] = []
    if "system" in wait.conditions:
        state = _poll(incus, name, wait.timeout, "its system is not up", lambda: _booted(incus, name, system))
        if state == "degraded":
            warnings.append(f"{name} is degraded: {_units_text(failed_units(incus, name, system))}")
    _wait_for_addresses(incus, container)
    return warnings


def system_of_start(incus: Incus, container: Container) -> str:
    """Return the system that runs in a starting container, once it is known. Raises UnhealthyError if it never is."""
    name = container.name

    def look() -> str:
        return incus.running_system(running_instance(incus, name)) or ""

    return _poll(incus, name, container.wait.timeout, "it does not say what it runs", look)


def verify(incus: Incus, container: Container, system: str) -> list[str]:
    """Wait until ``system`` is up and does what ``health`` asks for, and return warnings.

    Raises UnhealthyError that says what it does not.
    Without ``health`` it is the same as wait_until_up.
    """
    health, name = container.health, container.name
    if health is None:
        return wait_until_up(incus, container, system)
    deadline = time.monotonic() + health.timeout
    look = _is_current if health.command_only else _settled
    state = _poll(incus, name, health.timeout, "its system is not up", lambda: look(incus, name, system))
    if state == "degraded" and not health.degraded:
        units = failed_units(incus, name, system)
        raise DegradedError(
            f"units failed: {_units_text(units)}.",
            f"See '{_journal_command(incus, name)}', or declare 'degraded: true' in 'health' to let it be.",
            units,
        )
    _run_command(incus, name, health, deadline)
    _wait_for_addresses(incus, container)
    return []


def _wait_for_addresses(incus: Incus, container: Container) -> None:
    name, wait = container.name, container.wait
    if wait.addresses:
        _poll(incus, name, wait.timeout, _no_address(wait), lambda: _has_addresses(incus, name, wait))


def _no_address(wait: Wait) -> str:
    """Return what is wrong with a container that does not get the addresses that are waited for."""
    kinds = [_FAMILIES[condition] for condition in wait.addresses]
    return f"it has no {' and no '.join(kinds)}"


def _run_command(incus: Incus, name: str, health: Health, deadline: float) -> None:
    if not health.command:
        return
    done = poll(
        lambda: _execute(incus, name, health, deadline),
        deadline,
        until=lambda done: done.code == 0,
        longest=LONGEST_PAUSE,
    )
    if done.code != 0:
        output = done.stdout + done.stderr
        said = quoted(output, _JOURNAL_LINES)
        error = UnhealthyError(
            f"{shlex.join(health.command)!r} still ended with code {done.code} after {health.timeout} s."
            + (f" It said:\n{said}" if said else ""),
            f"See '{_journal_command(incus, name)}', or fix the command or its timeout in 'health'.",
        )
        error.output["health command"] = output
        raise error


def _execute(incus: Incus, name: str, health: Health, deadline: float) -> Execution:
    left = max(1, round(deadline - time.monotonic()))
    try:
        return incus.execute(name, health.command, left, output_of_success=())
    except FleetError as error:
        # A program that is not there, or one that hangs, is of the container's making. That Incus is away is not.
        try:
            running_instance(incus, name)
        except UnhealthyError:
            raise
        except FleetError as failure:
            error.add(failure.problem)
            raise error from failure
        return Execution(code=-1, stdout="", stderr=error.problem)


def _poll(incus: Incus, name: str, timeout: int, problem: str, look: Callable[[], str]) -> str:
    answer = poll(look, time.monotonic() + timeout, longest=LONGEST_PAUSE)
    if not answer:
        raise UnhealthyError(
            f"{name}: {problem} after {timeout} s.",
            f"It was left running. See '{_journal_command(incus, name)}', or raise the timeout.",
        )
    return answer


def running_instance(incus: Incus, name: str) -> Instance:
    """Return an instance that runs. Raises UnhealthyError if it has stopped, FleetError if Incus has stopped it."""
    instance = incus.instance(name)
    if instance is None or not instance.is_running:
        if instance is not None and poll(lambda: _is_shut_down(incus, name), time.monotonic() + _SHUTDOWN_GRACE):
            raise FleetError(f"Incus was shut down, and {name} with it.", "Run again when Incus is up.")
        raise UnhealthyError(
            f"{name} stopped by itself after its start.",
            f"See '{incus_command(incus.project, 'info', '--show-log', name)}'.",
        )
    return instance


def _is_shut_down(incus: Incus, name: str) -> bool:
    """Return whether Incus has stopped an instance only to start it again when it comes up itself.

    Right after it has stopped it, it notes that it is to run (Incus: cmd/incusd/instances.go, instancesShutdown). The
    same is noted of one whose stop is not done, so there are two looks: the second one waits for the end of that.
    """
    found = [incus.instance(name) for _look in range(2)]
    return all(
        one is not None and not one.is_running and one.config.get("volatile.last_state.power") == "RUNNING"
        for one in found
    )


def _booted(incus: Incus, name: str, system: str) -> str:
    """ "running" or "degraded" when ``system`` is up, "" while it is not.

    A system without systemd is up when it has made itself the current one.
    """
    if not _is_current(incus, name, system):
        return ""
    state = _state(incus, name, system)
    return state if state in _BOOTED else ""


def _is_current(incus: Incus, name: str, system: str) -> str:
    """Return "running" when a container runs ``system``, and "" otherwise."""
    if incus.current_system(name) == system:
        return "running"
    return "running" if incus.running_system(running_instance(incus, name)) == system else ""


def asks_systemd(system: str) -> bool:
    """Tell whether a system has a systemd that can be asked for its units."""
    return os.path.exists(_systemctl(system))


def _systemctl(system: str) -> str:
    return f"{system}/sw/bin/systemctl"


def _state(incus: Incus, name: str, system: str) -> str:
    """Return what systemd says of itself, through the program of ``system``; "running" when that has no systemd."""
    if not asks_systemd(system):
        return "running"
    # It fails before the bus is up, and its exit code says less than its word.
    return _say(incus, name, [_systemctl(system), "is-system-running"]).strip()


def await_boot(incus: Incus, container: Container, system: str) -> None:
    """Wait until a container is far enough in its boot for a switch to ``system``.

    Raises NotTriedError when it is not within ``wait_timeout``: what fails while the container boots would be blamed on
    the new system.
    """
    name, timeout = container.name, container.wait.timeout
    started, state = time.monotonic(), ""

    def is_far_enough() -> bool:
        nonlocal state
        state = _state(incus, name, system)
        if state in (*_BOOTED, *_ENDING):
            return True
        # A unit may take minutes to start. With its basic targets reached systemd takes what a switch asks for.
        was_left_time = time.monotonic() >= started + _STARTING_GRACE
        return state == "starting" and was_left_time and _has_basics(incus, name, system)

    if not poll(is_far_enough, started + timeout, longest=LONGEST_PAUSE):
        raise NotTriedError(
            f"{name} still boots after {timeout} s, as systemd says: {state or 'nothing'}. "
            f"It was not switched to {system}.",
            f"See '{_journal_command(incus, name)}', raise 'wait_timeout', or run with 'state: restarted'.",
        )


def _has_basics(incus: Incus, name: str, system: str) -> bool:
    return _say(incus, name, [_systemctl(system), "is-active", "basic.target"]).strip() == "active"


def is_stalled(incus: Incus, name: str, system: str) -> Callable[[], bool]:
    """Return a function that tells, when it is asked again and again, whether a switch to ``system`` moves no more.

    It does not when the system is the current one, and the jobs of systemd have been the same for some seconds.
    """
    last: list[tuple[str, float]] = []

    def look() -> bool:
        jobs = ""
        if asks_systemd(system) and _is_current(incus, name, system):
            jobs = _say(incus, name, [_systemctl(system), "list-jobs", "--plain", "--no-legend", "--no-pager"]).strip()
        if not last or last[0][0] != jobs:
            last[:] = [(jobs, time.monotonic())]
        return jobs != "" and time.monotonic() - last[0][1] >= _STALLED

    return look


def _say(incus: Incus, name: str, command: Sequence[str]) -> str:
    """Return the output of a program in a container, "" when it hangs."""
    with suppress(LateError):
        return incus.execute(name, command, _LOOK_TIMEOUT).stdout
    return ""


def _settled(incus: Incus, name: str, system: str) -> str:
    state = _booted(incus, name, system)
    if state == "degraded":
        time.sleep(_DEGRADED_GRACE)
        state = _booted(incus, name, system)
    return state


def _has_addresses(incus: Incus, name: str, wait: Wait) -> str:
    """Return an interface when a container has all the addresses that are waited for, "" otherwise."""
    found = running_instance(incus, name).addresses
    every = [address for addresses in found.values() for address in addresses]
    missing = [
        condition
        for condition in wait.addresses
        if not any(condition not in VERSIONS or is_of(address, condition) for address in every)
    ]
    return "" if missing else next(iter(found), "")


# What to tell


def _journal_command(incus: Incus, name: str) -> str:
    return incus_command(incus.project, "exec", name, "--", "/run/current-system/sw/bin/journalctl", "-b")


def failed_units(incus: Incus, name: str, system: str) -> list[str]:
    """Return the names of the failed units; none when nobody can be asked."""
    if not asks_systemd(system):
        return []
    command = [_systemctl(system), "list-units", "--failed", "--plain", "--no-legend", "--no-pager"]
    lines = tail(_say(incus, name, command)).splitlines()
    return [line.split()[0] for line in lines if line.split()]


def _units_text(units: Sequence[str]) -> str:
    return ", ".join(units) or "(none is listed)"


def journal(incus: Incus, name: str, system: str) -> list[tuple[str, str]]:
    """Return the last journal lines of each failed unit, or the last errors of this boot, each with a title."""
    with suppress(FleetError):
        if os.path.exists(f"{system}/sw/bin/journalctl"):
            return list(_journal_parts(incus, name, system))
    return []


def quoted_journal(parts: Sequence[tuple[str, str]]) -> list[str]:
    """Return the lines of a journal for a message, the last ones."""
    return [line for title, text in parts for line in (title, quoted(text, _JOURNAL_LINES))]


def _journal_parts(incus: Incus, name: str, system: str) -> Iterator[tuple[str, str]]:
    journalctl = [f"{system}/sw/bin/journalctl", "--boot", "--no-pager", f"--lines={_JOURNAL_LINES_KEPT}"]
    units = [unit for unit in failed_units(incus, name, system) if not unit.startswith("-")]
    for unit in units[:_FAILED_UNITS_SHOWN]:
        yield f"The journal of {unit}:", _say(incus, name, [*journalctl, f"--unit={unit}"])
    if not units:
        yield "The last errors in the journal:", _last_errors(incus, name, system)


def _last_errors(incus: Incus, name: str, system: str) -> str:
    """Return the last errors of this boot, without those that tell nothing."""
    command = [f"{system}/sw/bin/journalctl", "--boot", "--no-pager", "--priority=err", "--reverse"]
    # The newest come first: of a long answer only the beginning is read.
    newest_first = _say(incus, name, [*command, f"--lines={_ERRORS_LOOKED_AT}"]).splitlines()
    telling = [line for line in newest_first if not _NOISE.search(line)]
    return "\n".join(reversed(telling[:_JOURNAL_LINES_KEPT]))
