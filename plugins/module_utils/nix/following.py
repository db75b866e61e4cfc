# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follow the log of nix while it is written."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import IO

from ..progress.events import Events, NixWorks
from .build_log import BuildLog, Work

# Seconds between two looks, and bytes that are read at once.
_PAUSE = 0.5
_SIZE = 2**20
_calls = itertools.count()


@contextmanager
def followed(log: IO[bytes], events: Events) -> Iterator[BuildLog]:
    """Tell what nix does, by the log that it writes, until the block ends. All of the log is read then."""
    reader = _Reader(log.fileno(), events)
    thread = threading.Thread(target=reader.follow, name="nix log", daemon=True)
    thread.start()
    try:
        yield reader.log
    finally:
        reader.ended.set()
        thread.join()


class _Reader:
    """Reads what is new in a file. Its position belongs to nix, which writes there."""

    def __init__(self, descriptor: int, events: Events) -> None:
        self.log = BuildLog()
        self.ended = threading.Event()
        self._descriptor = descriptor
        self._events = events
        self._call = next(_calls)
        self._offset = 0
        self._rest = b""
        self._told = Work()

    def follow(self) -> None:
        """Read until the end, and once more after it."""
        while not self.ended.wait(_PAUSE):
            self._read()
        self._read()
        if self._rest:
            self.log.feed(self._rest.decode(errors="replace"))
        # What failed will not be done any more.
        done = self._told
        self._tell(replace(done, to_build=done.built, building=(), to_copy=done.copied))

    def _read(self) -> None:
        while new := os.pread(self._descriptor, _SIZE, self._offset):
            self._offset += len(new)
            *lines, self._rest = (self._rest + new).split(b"\n")
            for line in lines:
                self.log.feed(line.decode(errors="replace"))
        self._tell(self.log.work())

    def _tell(self, work: Work) -> None:
        if work != self._told:
            self._told = work
            self._events.tell(NixWorks(call=self._call, **asdict(work)))
