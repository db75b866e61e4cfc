# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events of a run, for whoever listens: what shows its progress, and what writes its log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, kw_only=True)
class Planned:
    """These containers have work to do, or so many more steps are to be done on the host."""

    names: tuple[str, ...] = ()
    steps: int = 0


@dataclass(frozen=True, kw_only=True)
class PlannedSteps:
    """The steps of the plan for a container, "" for the host, as the module returns them."""

    name: str
    steps: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class SecretsMet:
    """These values are secret: whoever keeps what is told later hides them."""

    values: frozenset[str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class StepBegan:
    """A step of a plan begins. ``name`` is the container, "" for the host itself."""

    name: str
    action: str
    summary: str


@dataclass(frozen=True, kw_only=True)
class StepEnded:
    """A step has ended, with the ``problem`` if it failed."""

    name: str
    action: str
    summary: str
    seconds: float
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Nothing more is done with a container. ``problem`` says what is wrong with it.

    ``output`` is what other programs said about that in full, by what they are. It may have secrets in it.
    """

    name: str
    problem: str = ""
    output: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Waits:
    """A container waits for another run, or does no longer."""

    name: str
    is_over: bool = False


@dataclass(frozen=True, kw_only=True)
class Healthy:
    """The system of a container was brought up in so many ``seconds``, and is healthy."""

    name: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Evaluating:
    """So many systems are to be evaluated."""

    total: int


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """So many more systems are evaluated, or were before."""

    count: int


@dataclass(frozen=True, kw_only=True)
class NixWorks:
    """What a call of nix has done until now, and will have done: builds by number and name, copies in bytes.

    ``deleted`` is the number of paths that a garbage collection has deleted.
    """

    call: int
    built: int = 0
    to_build: int = 0
    building: tuple[str, ...] = ()
    copied: int = 0
    to_copy: int = 0
    deleted: int = 0


Event: TypeAlias = (
    Planned
    | PlannedSteps
    | SecretsMet
    | StepBegan
    | StepEnded
    | Ended
    | Waits
    | Healthy
    | Evaluating
    | Evaluated
    | NixWorks
)
#: It is called in the thread in which something happens, by several at once.
Listener: TypeAlias = Callable[[Event], None]


class Events:
    """Where a run tells what it does. Without listeners nobody hears of it."""

    def __init__(self, *listeners: Listener) -> None:
        """Each listener hears of all events."""
        self._listeners = listeners

    def tell(self, event: Event) -> None:
        """Tell all listeners of an event."""
        for listener in self._listeners:
            listener(event)

    @contextmanager
    def step(self, name: str, action: str, summary: str) -> Iterator[None]:
        """Tell that a step begins, and how it ends."""
        self.tell(StepBegan(name=name, action=action, summary=summary))
        began, problem = time.monotonic(), ""
        try:
            yield
        except BaseException as error:
            problem = str(error) or type(error).__name__
            raise
        finally:
            seconds = time.monotonic() - began
            self.tell(StepEnded(name=name, action=action, summary=summary, seconds=seconds, problem=problem))
