# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run has done until now, by its events, and the line that says so. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..text import shown
from .events import Ended, Evaluated, Evaluating, Event, Healthy, NixWorks, Planned, StepBegan, StepEnded, Waits

#: What a container is doing, by the step.
_WORDS: Mapping[str, str] = {
    "rehearse": "rehearsing",
    "volume": "getting its volumes",
    "create": "being created",
    "secrets": "getting its secrets",
    "update": "being updated",
    "record": "being recorded",
    "move": "moving",
    "unfreeze": "being unfrozen",
    "rebuild": "being rebuilt",
    "start": "starting",
    "restart": "restarting",
    "activate": "switching",
    "restart_units": "restarting units",
    "rollback": "rolling back",
    "prune": "being pruned",
    "stop": "stopping",
    "forget": "being forgotten",
    "delete": "being deleted",
}
# What a line names at most, and how many of the last news are kept.
_NAMED = 4
_NEWS = 30
_LONGEST = 200
_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class _Doing:
    """What goes on since a time."""

    what: str
    since: float


class State:
    """What a run has done until now."""

    def __init__(self) -> None:
        """Nothing is done yet."""
        self._planned: set[str] = set()
        self._ended: set[str] = set()
        self._failed = 0
        self._doing: dict[str, _Doing] = {}
        self._news: list[tuple[int, str]] = []
        self._changes = 0
        self._to_do = self._done = 0
        self._to_evaluate = self._evaluated = 0
        self._nix: dict[int, NixWorks] = {}

    def note(self, event: Event, now: float) -> None:
        """Follow an event, at a time in seconds."""
        self._changes += self._is_change(event)
        if isinstance(event, Evaluating | Evaluated | NixWorks):
            self._note_nix(event)
        elif isinstance(event, Planned):
            self._planned.update(event.names)
            self._to_do += event.steps
        elif isinstance(event, StepBegan):
            what = _WORDS.get(event.action, "") if event.name else event.summary
            if what:
                self._doing[event.name] = _Doing(what=what, since=now)
        elif isinstance(event, Waits) and not event.is_over:
            self._doing[event.name] = _Doing(what="waiting for another run", since=now)
        elif isinstance(event, Waits):
            self._doing.pop(event.name, None)
        elif isinstance(event, StepEnded):
            self._doing.pop(event.name, None)
            self._done += not event.name
        elif isinstance(event, Healthy):
            self._tell(f"{event.name} healthy after {event.seconds:.0f} s")
        elif isinstance(event, Ended):
            self._ended.add(event.name)
            if event.problem:
                self._failed += 1
                self._tell(f"{event.name} failed")

    def _is_change(self, event: Event) -> bool:
        """Return whether an event is worth a line of its own. Bytes of a copy are not."""
        if not isinstance(event, NixWorks):
            return True
        before = self._nix.get(event.call, NixWorks(call=event.call))
        steady: dict[str, Any] = {"copied": 0, "to_copy": 0, "deleted": 0}
        return replace(event, **steady) != replace(before, **steady)

    def _note_nix(self, event: Evaluating | Evaluated | NixWorks) -> None:
        if isinstance(event, NixWorks):
            self._nix[event.call] = event
        elif isinstance(event, Evaluated):
            self._evaluated = min(self._evaluated + event.count, self._to_evaluate)
        else:
            self._to_evaluate, self._evaluated = event.total, 0

    def _tell(self, text: str) -> None:
        self._news = [*self._news, (self._changes, _short(text))][-_NEWS:]

    def as_data(self, now: float) -> dict[str, Any]:
        """Return what is shown: a line, the last news with their numbers, and the number of changes until now."""
        return {"line": ", ".join(self._parts(now)), "news": self._news, "changes": self._changes}

    def _parts(self, now: float) -> Iterator[str]:
        yield from self._nix_parts()
        if self._planned:
            yield f"{len(self._ended & self._planned)} of {len(self._planned)} done"
        if self._to_do:
            yield f"{self._done} of {self._to_do} steps done"
        if self._failed:
            yield f"{self._failed} failed"
        doing = sorted(self._doing.items(), key=lambda entry: entry[1].since)
        for name, one in doing[:_NAMED]:
            yield _short(f"{name} {one.what}".strip()) + f" ({now - one.since:.0f} s)"
        if doing[_NAMED:]:
            yield f"{len(doing) - _NAMED} more at work"

    def _nix_parts(self) -> Iterator[str]:
        """Return what nix is doing; nothing of what it has done."""
        if self._evaluated < self._to_evaluate:
            yield f"evaluated {self._evaluated} of {self._to_evaluate}"
        calls = self._nix.values()
        built, to_build = sum(call.built for call in calls), sum(call.to_build for call in calls)
        copied, to_copy = sum(call.copied for call in calls), sum(call.to_copy for call in calls)
        if built < to_build:
            names = [name for call in calls for name in call.building]
            yield f"built {built} of {to_build}{_named(names)}"
        if copied < to_copy:
            yield f"copied {copied // _MIB} of {-(-to_copy // _MIB)} MiB"
        deleted = sum(call.deleted for call in calls)
        if deleted:
            yield f"deleted {deleted} store paths"


def _named(names: Sequence[str]) -> str:
    """Return the first names in brackets."""
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return f" ({_short(', '.join([*names[:_NAMED], *more]))})" if names else ""


def _short(text: str) -> str:
    """Return a text that fits into a line, without characters that a terminal would act on."""
    return shown(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ...")
