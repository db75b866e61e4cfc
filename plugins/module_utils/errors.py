# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exceptions that end a task with a message for the user."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from .redaction import redacted
from .text import message

_SEARCHED = 200_000


class FleetError(Exception):
    """Something the user can act on.

    ``str(error)`` is one message: what is wrong, and after it what to do. Some of it may be words of Incus, of nix or
    of a container: whatever they are, a terminal can be shown them. What to do is never on a line of theirs.

    ``output`` is what they said in full, by what they are, for the log of the run. It may have secrets in it.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__()
        self.problem = _shown(problem)
        self.advice = _shown(advice)
        self.output: dict[str, str] = {}

    def __str__(self) -> str:
        return f"{self.problem}{_between(self.problem)}{self.advice}".strip()

    def add(self, problem: str) -> None:
        """Append what else went wrong. The cause stays first, and its advice last."""
        self.problem = f"{self.problem}{_between(self.problem)}{_shown(problem)}"


def _shown(text: str) -> str:
    """Return a text without credentials, and with nothing that a terminal would act on."""
    # What is cut off by message() is not searched.
    return message(redacted(text[:_SEARCHED]))


def _between(problem: str) -> str:
    return "\n" if "\n" in problem else " "


@contextmanager
def cleaning_up(cause: FleetError, what: str) -> Iterator[None]:
    """Do what is left to do about an error. If that fails too, append it to the cause, which is never masked."""
    try:
        yield
    except FleetError as error:
        cause.add(f"{what} failed as well: {error.problem}")
    except OSError as error:
        cause.add(f"{what} failed as well: {error.strerror or error}.")


class ConflictError(FleetError):
    """Somebody else changed the object between the look and the write."""


class LateError(FleetError):
    """Something was not done in its time, and may still be going on."""


class RefusedError(FleetError):
    """Incus began what it was asked for, and it failed there: an operation that ended with an error."""


class UnhealthyError(FleetError):
    """A system runs, or was to run, and does not do what its container's ``health`` asks for.

    ``failed_before`` are the units that had failed before a switch to it.
    """

    def __init__(self, problem: str, advice: str, failed_before: Collection[str] = ()) -> None:
        super().__init__(problem, advice)
        self.failed_before = frozenset(failed_before)


class DegradedError(UnhealthyError):
    """A system is up, and ``units`` are failed there, which its container's ``health`` does not allow."""

    def __init__(self, problem: str, advice: str, units: Collection[str]) -> None:
        super().__init__(problem, advice)
        self.units = frozenset(units)

    def had_failed(self, before: Collection[str]) -> bool:
        """Return whether all of these units had failed before, so that no switch is to blame."""
        return bool(self.units) and self.units <= set(before)


class NoWorseError(FleetError):
    """Only units have failed after a switch that had failed before it. A rollback would not repair them."""


class NotTriedError(FleetError):
    """A system was not tried: it did not become the current one, and its container runs on with the one that it had.

    ``goes_on`` says that the switch to it has not ended, so that it may become the current one yet.
    """

    def __init__(self, problem: str, advice: str, *, goes_on: bool = False) -> None:
        super().__init__(problem, advice)
        self.goes_on = goes_on
