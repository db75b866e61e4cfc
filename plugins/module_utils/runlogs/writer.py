# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the log of a run: a file of root's below /var/log/inx-fleet, from the first change on.

A run that changes nothing and does not fail has none. Each record is one write to the end of the file, so that the log
of a run that is killed is there as far as it came. What cannot be written changes nothing else.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import stat
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from ..errors import FleetError
from ..locks import locked_directory, try_lock
from ..progress.events import Ended, Event, SecretsMet
from ..text import utc
from .records import Record, end_of, is_weighty, line, record_of

LOG_DIR = "/var/log/inx-fleet"
#: Time, module and process: names sort by time.
NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[a-z_]+-\d+\.jsonl\Z")
#: Of these, the newest are kept.
MOST_FILES = 500
MOST_BYTES = 64 * 2**20
# A run that says more than that ends its log without it.
_LONGEST = 16 * 2**20
_MODE = 0o700


class RunLog:
    """A listener that writes the log of a run."""

    def __init__(
        self, module: str, project: str, secrets: Callable[[], Collection[str]], directory: str | None = None
    ) -> None:
        """``secrets`` returns the values that are known to be secret when something is written."""
        began = time.time()
        self._about = {"module": module, "project": project}
        self._directory, self._known_secrets = directory or LOG_DIR, secrets
        self._began = time.monotonic()
        self._name = f"{_compact(began)}-{module}-{os.getpid()}.jsonl"
        self._held: list[Record] = [
            {
                "event": "run",
                "time": utc(began, "milliseconds"),
                **self._about,
                "host": platform.node(),
                "pid": os.getpid(),
            }
        ]
        self._secrets: set[str] = set()
        self._told: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self._file: int | None = None
        self._written = 0
        #: Why there is no log, or no whole one.
        self.problem: str | None = None

    @property
    def path(self) -> str | None:
        """Return the path of the log, None if there is none."""
        return f"{self._directory}/{self._name}" if self._written else None

    def __call__(self, event: Event) -> None:
        """Write what an event tells."""
        if isinstance(event, SecretsMet):
            with self._lock:
                self._secrets |= event.values
            return
        record = record_of(event)
        if record is not None:
            if isinstance(event, Ended):
                record["output"] = self._new_output(event)
            self._add({"time": utc(time.time(), "milliseconds"), **record})

    def _new_output(self, event: Ended) -> dict[str, str]:
        """Return the output of an event. That of a build which many containers share is written once."""
        with self._lock:
            firsts = {title: self._told.setdefault((title, text), event.name) for title, text in event.output.items()}
        return {
            title: text if firsts[title] == event.name else f"The same as that of {firsts[title]}."
            for title, text in event.output.items()
        }

    def end(self, result: Mapping[str, Any], message: str, *, failed: bool) -> str | None:
        """Write what a module ends with, and return the path of the log, None without one."""
        record = end_of(result, message, failed=failed)
        if record["changed"] or self._written:
            seconds = round(time.monotonic() - self._began, 3)
            about = {"time": utc(time.time(), "milliseconds"), **self._about, "seconds": seconds}
            self._add({**about, **record}, ends=True)
        with self._lock:
            if self._file is not None:
                with suppress(OSError):
                    os.fsync(self._file)
                os.close(self._file)
                self._file = None
        return self.path

    def _add(self, record: Record, *, ends: bool = False) -> None:
        with self._lock:
            self._held.append(record)
            if self.problem is not None or not (self._written or ends or is_weighty(record)):
                return
            try:
                if self._file is None:
                    self._file = _create(self._directory, self._name)
                for held in self._held:
                    self._write(held, ends=ends)
            except (OSError, FleetError) as error:
                said = error.strerror if isinstance(error, OSError) else error
                self.problem = f"The log of this run in {self._directory} could not be written: {said}."
            self._held = []

    def _write(self, record: Record, *, ends: bool) -> None:
        text = line(record, {*self._known_secrets(), *self._secrets}).encode()
        if self._file is None or (self._written + len(text) > _LONGEST and not ends):
            return
        while text:
            written = os.write(self._file, text)
            text, self._written = text[written:], self._written + written


def _compact(seconds: float) -> str:
    """Return a time as names of logs begin with it."""
    return utc(seconds, "microseconds").replace("-", "").replace(":", "")


def _create(directory: str, name: str) -> int:
    """Create a log that nobody else can read, and hold it until this process ends. Remove the oldest ones."""
    os.makedirs(directory, mode=_MODE, exist_ok=True)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise FleetError(f"{directory} is not a directory of this user", "")
    if stat.S_IMODE(found.st_mode) & ~_MODE:
        os.chmod(directory, _MODE)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with locked_directory(directory):
        _remove_oldest(directory)
        file = os.open(f"{directory}/{name}", flags, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _remove_oldest(directory: str) -> None:
    """Make room for one more log. Those of runs that go on stay."""
    names = sorted((name for name in os.listdir(directory) if NAME.match(name)), reverse=True)
    size = 0
    for number, name in enumerate(names, 2):
        path = f"{directory}/{name}"
        size += os.lstat(path).st_size
        if (number > MOST_FILES or size > MOST_BYTES) and not is_held(path):
            os.unlink(path)


def is_held(path: str) -> bool:
    """Return whether the run of a log goes on."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return not try_lock(file, fcntl.LOCK_SH)
    finally:
        os.close(file)
