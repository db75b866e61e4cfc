# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log of nix in JSON: what nix has done until now, and the text that it prints without JSON. Pure.

Numbers are those of Nix (src/libutil/include/nix/util/logging.hh).
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

#: The option for the log that is read here.
JSON_LOG = ("--log-format", "internal-json")
_PREFIX = "@nix "
# What nix prints by default: up to lvlInfo.
_INFO = 3
# ActivityType: actCopyPath, actBuilds, actBuild.
_COPY, _BUILDS, _BUILD = 100, 104, 105
# ResultType: resBuildLogLine, resProgress, resSetExpected.
_LINE, _PROGRESS, _EXPECTED = 101, 105, 106
_NAME = re.compile(r"/nix/store/[0-9a-z]{32}-(.+?)(?:\.drv)?\Z")
# Without JSON, the error of a build has the end of its log. Nix up to 2.30, and later.
_FAILED = re.compile(r"(?:builder for|Cannot build) '(?:\x1b\[[0-9;]*m)?(/nix/store/[^'\x1b]+\.drv)")
_LINES = 25
# Of a garbage collection (Nix: src/libstore/gc.cc).
_DELETING = re.compile(r"deleting '(?:\x1b\[[0-9;]*m)?/")


@dataclass(frozen=True, kw_only=True)
class Work:
    """What nix has done, and will have done: builds, with the names of those that go on, and bytes of copies.

    ``deleted`` is the number of paths that a garbage collection has deleted.
    """

    built: int = 0
    to_build: int = 0
    building: tuple[str, ...] = ()
    copied: int = 0
    to_copy: int = 0
    deleted: int = 0


@dataclass(kw_only=True)
class _Activity:
    """What nix does, with what it has said about it."""

    kind: int
    path: str = ""
    done: int = 0
    expected: int = 0
    failed: int = 0
    #: What it expects of other kinds.
    of_others: dict[int, int] = field(default_factory=dict)


class BuildLog:
    """Follows the log of one call of nix."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._activities: dict[int, _Activity] = {}
        self._text: list[str] = []
        self._logs: dict[str, deque[str]] = {}
        self._deleted = 0

    @property
    def text(self) -> str:
        """What nix prints without JSON."""
        return "\n".join(self._text)

    def feed(self, line: str) -> None:
        """Follow a line. What is not JSON is of a program that nix calls, such as ssh."""
        if not line.startswith(_PREFIX):
            self._text.append(line)
        else:
            try:
                self._follow(json.loads(line.removeprefix(_PREFIX)))
            except (ValueError, TypeError, KeyError, AttributeError, IndexError):
                self._text.append(line)

    def _follow(self, said: dict[str, Any]) -> None:
        action = said["action"]
        if action == "msg":
            self._deleted += _DELETING.match(str(said["msg"])) is not None
            self._print(said, self._with_log(str(said["msg"])))
        elif action == "start":
            fields = said.get("fields") or [""]
            self._activities[said["id"]] = _Activity(kind=said["type"], path=str(fields[0]))
            if said.get("text"):
                self._print(said, f"{said['text']}...")
        elif action == "stop":
            one = self._activities.get(said["id"])
            if one is not None and one.kind not in (_COPY, _BUILDS) and not one.of_others:
                del self._activities[said["id"]]
        elif action == "result" and said["id"] in self._activities:
            self._note(self._activities[said["id"]], said["type"], said["fields"])

    def _note(self, activity: _Activity, kind: int, fields: Sequence[Any]) -> None:
        if kind == _LINE:
            self._logs.setdefault(activity.path, deque(maxlen=_LINES)).append(str(fields[0]))
        elif kind == _PROGRESS:
            activity.done, activity.expected, _running, activity.failed = map(int, fields[:4])
        elif kind == _EXPECTED:
            activity.of_others[int(fields[0])] = int(fields[1])

    def _with_log(self, text: str) -> str:
        """Return an error with the end of the log of the build that failed, as nix has it without JSON."""
        found = _FAILED.search(text)
        lines = self._logs.get(found[1]) if found is not None else None
        if found is None or not lines:
            return text
        rows = [f"last {len(lines)} log lines:", *(f"> {line}" for line in lines), "For full logs, run:"]
        return "\n       ".join([f"{text};", *rows, f"  nix log {found[1]}"])

    def _print(self, said: dict[str, Any], text: str) -> None:
        if said["level"] <= _INFO:
            self._text.append(text)

    def work(self) -> Work:
        """Return what nix has done until now."""
        activities = list(self._activities.values())
        builds, copies = _of(_BUILDS, activities), _of(_COPY, activities)
        announced = sum(one.of_others.get(_COPY, 0) for one in activities)
        copied = sum(one.done for one in copies)
        return Work(
            built=sum(one.done for one in builds),
            to_build=sum(one.expected + one.failed for one in builds),
            building=tuple(_name(one.path) for one in _of(_BUILD, activities)),
            copied=copied,
            to_copy=max(copied, announced, sum(one.expected for one in copies)),
            deleted=self._deleted,
        )


def _of(kind: int, activities: Iterable[_Activity]) -> list[_Activity]:
    return [one for one in activities if one.kind == kind]


def _name(path: str) -> str:
    """Return the name of a derivation, without its store path."""
    found = _NAME.match(path)
    return found[1] if found else path
