# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run has done until now, by its events, and the line that says so. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..text import shown
from .events import Ended, Event, Healthy, Planned, StepBegan, StepEnded

#: What a container is doing, by the step.
_WORDS: Mapping[str, str] = {
    "volume": "getting its volumes",
    "create": "being created",
    "update": "being updated",
    "record": "being recorded",
    "move": "moving",
    "unfreeze": "being unfrozen",
    "rebuild": "being rebuilt",
    "start": "starting",
    "restart": "restarting",
    "activate": "switching",
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

    def note(self, event: Event, now: float) -> None:
        """Follow an event, at a time in seconds."""
        self._changes += 1
        if isinstance(event, Planned):
            self._planned.update(event.names)
        elif isinstance(event, StepBegan):
            what = _WORDS.get(event.action, "") if event.name else event.summary
            if what:
                self._doing[event.name] = _Doing(what=what, since=now)
        elif isinstance(event, StepEnded):
            self._doing.pop(event.name, None)
        elif isinstance(event, Healthy):
            self._tell(f"{event.name} healthy after {event.seconds:.0f} s")
        elif isinstance(event, Ended):
            self._ended.add(event.name)
            if event.problem:
                self._failed += 1
                self._tell(f"{event.name} failed")

    def _tell(self, text: str) -> None:
        self._news = [*self._news, (self._changes, _short(text))][-_NEWS:]

    def as_data(self, now: float) -> dict[str, Any]:
        """Return what is shown: a line, the last news with their numbers, and the number of changes until now."""
        return {"line": ", ".join(self._parts(now)), "news": self._news, "changes": self._changes}

    def _parts(self, now: float) -> Iterator[str]:
        if self._planned:
            yield f"{len(self._ended & self._planned)} of {len(self._planned)} done"
        if self._failed:
            yield f"{self._failed} failed"
        doing = sorted(self._doing.items(), key=lambda entry: entry[1].since)
        for name, one in doing[:_NAMED]:
            yield _short(f"{name} {one.what}".strip()) + f" ({now - one.since:.0f} s)"
        if doing[_NAMED:]:
            yield f"{len(doing) - _NAMED} more at work"


def _short(text: str) -> str:
    """Return a text that fits into a line, without characters that a terminal would act on."""
    return shown(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ...")
