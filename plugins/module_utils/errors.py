# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception that ends a task with a message for the user."""

from __future__ import annotations

from .text import message


class FleetError(Exception):
    """Something the user can act on.

    ``str(error)`` is one message: what is wrong, and after it what to do. Some of it may be words of Incus, of nix or
    of a container: whatever they are, a terminal can be shown them. What to do is never on a line of theirs.
    """

    def __init__(self, problem: str, advice: str) -> None:
        problem, advice = message(problem), message(advice)
        super().__init__(f"{problem}{_between(problem)}{advice}".strip())
        self.problem = problem
        self.advice = advice


def _between(problem: str) -> str:
    return "\n" if "\n" in problem else " "


class ConflictError(FleetError):
    """Somebody else changed the object between the look and the write."""


class LateError(FleetError):
    """Something was not done in its time, and may still be going on."""


class RefusedError(FleetError):
    """Incus began what it was asked for, and it failed there: an operation that ended with an error."""


class UnhealthyError(FleetError):
    """A system runs, or was to run, and does not do what its container's ``health`` asks for."""
