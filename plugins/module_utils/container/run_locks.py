# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks of containers: one run at a time works on a container, in order of arrival.

A lock is a flock on a file beside the profiles, and so is a place in the queue for it. The kernel frees either with the
process that has it, however that ends: a file that is left means nothing, and the next run removes it. What is written
in a lock is for those who wait.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from types import TracebackType

from ..errors import FleetError
from ..locks import locked_directory, try_lock
from ..nix.profiles import explained, make_profiles_dir
from ..paths import PROFILES_DIR
from ..progress.events import Events, Waits
from ..text import shown, utc
from ..waiting import poll

# Not a container's name, and Nix skips files that are not links.
_FILE = ".lock-"
# Nanoseconds since the host was booted, which no other clock change can turn back, and what is waited for.
_PLACE = re.compile(r"\.wait-(\d{20})-(.+)\Z")
_POLL = 0.1
_NOTE_LIMIT = 4096


class Locks:
    """The locks of one run, by the names that liblxc gives containers. All are given back at its end."""

    def __init__(self, what: str, timeout: int, events: Events | None = None) -> None:
        """``what`` tells others who holds them; ``timeout`` is how many seconds this run waits for others in all."""
        if timeout < 0:
            problem = f"lock_timeout is {timeout}, but it is a number of seconds from 0."
            raise FleetError(problem, "Raise it, or leave it out.")
        self._note = {"what": what, "pid": os.getpid(), "since": utc(time.time())}
        self._events = events or Events()
        self._timeout = timeout
        self._deadline: float | None = None
        self._held: dict[str, int] = {}
        self._places: dict[str, tuple[str, int]] = {}
        #: Why some could not be had.
        self.refused: dict[str, FleetError] = {}

    def __enter__(self) -> Locks:
        """Nothing is taken yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release all locks, and remove the files of killed runs: their containers may no longer be declared."""
        self._give_back(list(self._held))
        self._leave_queues(list(self._places))
        _remove_left()

    def __contains__(self, name: object) -> bool:
        """Return whether this run holds a container."""
        return name in self._held

    def take_free(self, names: Iterable[str]) -> None:
        """Take those that nobody holds or waits for, and that this user can: without a change, none will be needed."""
        with suppress(FleetError):
            awaited = {name for name, _place in _awaited()}
            for name in names:
                if name not in awaited:
                    self._take(name)

    def hold(self, names: Collection[str]) -> bool:
        """Hold these and no others, and wait for those that somebody has, or came for earlier.

        True when what was seen before may be outdated. Those that do not come in time are in ``refused``.
        """
        wanted = sorted(set(names) - self.refused.keys())
        if self._held.keys() >= set(wanted):
            self._give_back(self._held.keys() - set(wanted))
            return False
        # Who waits holds nothing that it had before its place in the queues: no two runs wait for each other.
        self._give_back(list(self._held))
        self._queue(wanted)
        for name in wanted:
            self._wait_for(name)
        return True

    def _queue(self, names: Iterable[str]) -> None:
        """Take a place behind all who wait for any of these, in one moment."""
        with explained(PROFILES_DIR):
            make_profiles_dir()
            with locked_directory(PROFILES_DIR):
                stamp = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                for name in names:
                    path = f"{PROFILES_DIR}/.wait-{stamp:020}-{name}"
                    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660)
                    # For others of the group that the directory belongs to.
                    os.fchmod(descriptor, 0o660)
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                    self._places[name] = path, descriptor

    def _leave_queues(self, names: Iterable[str]) -> None:
        for name in list(names):
            path, descriptor = self._places.pop(name)
            with suppress(FileNotFoundError):
                os.unlink(path)
            os.close(descriptor)

    def _wait_for(self, name: str) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + self._timeout
        self._events.tell(Waits(name=name))
        if not poll(lambda: self._is_next(name) and self._take(name), self._deadline, pause=_POLL):
            self.refused[name] = FleetError(
                f"{name} was left as it is: {_holder(name)} works on it, and has not ended in {self._timeout} s.",
                "Run again when that is done, or raise 'lock_timeout'.",
            )
        self._events.tell(Waits(name=name, is_over=True))
        self._leave_queues([name])

    def _is_next(self, name: str) -> bool:
        """Return whether nobody waits for it who came earlier."""
        own = os.path.basename(self._places[name][0])
        earlier = (place for other, place in _places() if other == name and place < own)
        return all(_is_left(f"{PROFILES_DIR}/{place}") for place in earlier)

    def _take(self, name: str) -> bool:
        path = _path(name)
        while True:
            with explained(PROFILES_DIR):
                make_profiles_dir()
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o660)
            if not try_lock(descriptor, fcntl.LOCK_EX):
                os.close(descriptor)
                return False
            if _is_at(path, descriptor):
                break
            # Whoever had it has removed the file meanwhile.
            os.close(descriptor)
        # For others of the group that the directory belongs to; not if the file is one of theirs.
        with suppress(PermissionError):
            os.fchmod(descriptor, 0o660)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(self._note).encode(), 0)
        self._held[name] = descriptor
        return True

    def _give_back(self, names: Iterable[str]) -> None:
        for name in list(names):
            with suppress(FileNotFoundError):
                os.unlink(_path(name))
            os.close(self._held.pop(name))


def _places() -> list[tuple[str, str]]:
    """Return what is waited for, with the file that is the place in that queue."""
    try:
        names = os.listdir(PROFILES_DIR)
    except FileNotFoundError:
        return []
    return [(found[2], place) for place in names if (found := _PLACE.match(place)) is not None]


def _awaited() -> list[tuple[str, str]]:
    """Return the places of runs that wait. Those of runs that were killed are removed."""
    return [(name, place) for name, place in _places() if not _is_left(f"{PROFILES_DIR}/{place}")]


def _is_left(path: str) -> bool:
    """Return whether a place in a queue is of a run that has ended, and remove it if so."""
    try:
        if not _is_free(path):
            return False
        # It is made under this lock: one that is free here is not a new one.
        with locked_directory(PROFILES_DIR):
            if not _is_free(path):
                return False
            os.unlink(path)
    except (FileNotFoundError, PermissionError):
        # Gone meanwhile; or of a user who keeps others away, and cannot keep them waiting.
        return True
    return True


def _is_free(path: str) -> bool:
    """Return whether nobody holds a file; OSError when it cannot be opened."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _remove_left() -> None:
    """Remove the files that nobody holds. Those of another user stay."""
    with suppress(OSError):
        for name in os.listdir(PROFILES_DIR):
            if name.startswith(_FILE):
                with suppress(OSError):
                    _remove_if_free(f"{PROFILES_DIR}/{name}")
        _awaited()


def _remove_if_free(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if try_lock(descriptor, fcntl.LOCK_EX) and _is_at(path, descriptor):
            os.unlink(path)
    finally:
        os.close(descriptor)


def _path(name: str) -> str:
    return f"{PROFILES_DIR}/{_FILE}{name}"


def _is_at(path: str, descriptor: int) -> bool:
    """Return whether an open file still has this name."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(name: str) -> str:
    """Return who holds a lock, as far as it says."""
    with suppress(OSError, ValueError, KeyError, TypeError), open(_path(name), "rb") as file:
        note = json.loads(file.read(_NOTE_LIMIT))
        return shown(f"{note['what']} (process {note['pid']}, since {note['since']})")
    return "another run"
