# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file that shows the progress of a run while it works. Root can read it on the host.

It is not there in a run that takes less than a second. What cannot be written is not shown, and changes nothing else.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from ..text import utc
from .events import Event
from .state import State

PROGRESS_DIR = "/run/inx-fleet/progress"
#: The environment variable with the name that a run is given by the one that shows its progress.
RUN_VARIABLE = "INX_FLEET_PROGRESS"
_RUN = re.compile(r"[0-9a-f]{1,64}\Z")
# The run's process, and the name that it was given. A file that is not written yet begins with a dot.
_FILE = re.compile(r"\.?(\d+)(?:\.[0-9a-f]+)?\Z")
# Seconds of a run until the first write, between two of them, and the longest time between two while nothing changes.
_FIRST = 1.0
_LEAST = 0.5
_MOST = 5.0
# A file that was not written for so long is of a process that is gone, whoever has its number now.
_STALE = 60.0
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class ProgressFile:
    """A listener that keeps a file up to date in a thread of its own, until it is closed."""

    def __init__(self, what: str, directory: str = PROGRESS_DIR, first: float = _FIRST) -> None:
        """``what`` is the name of the run. What it does is written from now on, after ``first`` seconds."""
        run = os.environ.get(RUN_VARIABLE, "")
        name = f"{os.getpid()}.{run}" if _RUN.match(run) else f"{os.getpid()}"
        self._about = {"what": what, "pid": os.getpid(), "since": utc(time.time())}
        self._path, self._unfinished, self._directory = f"{directory}/{name}", f"{directory}/.{name}", directory
        self._begins = time.monotonic() + first
        self._state = State()
        self._lock = threading.Lock()
        self._changed, self._closed = threading.Event(), threading.Event()
        self._is_started = False
        self._handlers: dict[int, Any] = {}

    def __call__(self, event: Event) -> None:
        """Follow an event of the run."""
        with self._lock:
            self._state.note(event, time.monotonic())
            starts = not self._is_started and not self._closed.is_set()
            self._is_started = True
        self._changed.set()
        if starts:
            self._close_on_signals()
            threading.Thread(target=self._write_changes, daemon=True).start()

    def close(self) -> None:
        """Remove the file, and those of runs that were killed."""
        with self._lock:
            self._closed.set()
            self._changed.set()
            _remove(self._path, self._unfinished)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        remove_left(self._directory)

    def _write_changes(self) -> None:
        self._closed.wait(max(0.0, self._begins - time.monotonic()))
        with suppress(OSError):
            while not self._closed.is_set():
                self._changed.clear()
                self._write()
                self._closed.wait(_LEAST)
                self._changed.wait(_MOST - _LEAST)

    def _write(self) -> None:
        """Replace the file in one step: who reads it sees all of it."""
        with self._lock:
            if self._closed.is_set():
                return
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            text = json.dumps({**self._about, **self._state.as_data(time.monotonic())})
            descriptor = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"{text}\n")
            os.replace(self._unfinished, self._path)

    def _close_on_signals(self) -> None:
        """Remove the file when the process is told to end, and end as before."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._handlers[number] = signal.signal(number, self._end)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        # The lock may be held by what was interrupted.
        self._closed.set()
        _remove(self._path, self._unfinished)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def remove_left(directory: str = PROGRESS_DIR) -> None:
    """Remove the files of runs that were killed."""
    with suppress(OSError):
        for name in os.listdir(directory):
            found = _FILE.match(name)
            if found is not None and _is_left(f"{directory}/{name}", int(found[1])):
                _remove(f"{directory}/{name}")


def _is_left(path: str, process: int) -> bool:
    if not os.path.exists(f"/proc/{process}"):
        return True
    with suppress(FileNotFoundError):
        return time.time() - os.stat(path).st_mtime > _STALE
    return False


def _remove(*paths: str) -> None:
    for path in paths:
        with suppress(OSError):
            os.unlink(path)
