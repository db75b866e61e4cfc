# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluate many systems within a memory limit: in chunks, in parallel where memory allows.

What one system needs is learned from the chunks that are done. A chunk that fails is halved until the bad systems are
alone, and one that was killed for memory is done again in smaller ones.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import FleetError
from .process import OutOfMemoryError
from .sources import System

Entry = TypeVar("Entry", bound=Hashable)

_MIB = 2**20
#: What is left to everything else on the host.
RESERVE = 1024 * _MIB
_LEAST = 256 * _MIB
# Systems differ.
_MARGIN = 1.1
# As many are done first, to learn from.
_PILOT = 2
# Seconds for a system; below, another process costs more than it brings.
_QUICK = 0.1


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a nix process needs in bytes: ``once``, and for ``each`` system."""

    once: int
    each: int


#: Of NixOS systems with a few services, before anything is measured (nixpkgs 24.05).
NIXOS = Need(once=390 * _MIB, each=450 * _MIB)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a chunk took: its number of systems, its peak of memory in bytes, and seconds."""

    systems: int
    peak: int
    seconds: float = 0.0


def default_limit(meminfo: str) -> int:
    """Return the memory that is available, by /proc/meminfo, less the reserve."""
    for line in meminfo.splitlines():
        name, _colon, value = line.partition(":")
        if name == "MemAvailable":
            return max(_LEAST, int(value.split()[0]) * 1024 - RESERVE)
    return _LEAST


def need_from(samples: Sequence[Sample]) -> Need:
    """Return what is needed by what chunks took: a line through two sizes, or with one in the proportion of NixOS."""
    if not samples:
        return NIXOS
    small = min(samples, key=lambda sample: (sample.systems, -sample.peak))
    large = max(samples, key=lambda sample: (sample.systems, sample.peak))
    if large.systems > small.systems and large.peak > small.peak:
        each = (large.peak - small.peak) / (large.systems - small.systems)
        once = max(0.0, small.peak - small.systems * each)
    else:
        once, each = max((_proportional(sample) for sample in samples), key=sum)
    return Need(once=int(once), each=max(1, int(each * _MARGIN)))


def _proportional(sample: Sample) -> tuple[float, float]:
    once = sample.peak * NIXOS.once / (NIXOS.once + sample.systems * NIXOS.each)
    return once, (sample.peak - once) / sample.systems


def is_quick(samples: Sequence[Sample]) -> bool:
    """Return whether systems are evaluated faster than processes are started."""
    return bool(samples) and all(sample.seconds / sample.systems < _QUICK for sample in samples)


def worker_count(limit: int, need: Need, processors: int) -> int:
    """Return how many processes there is memory for, each with one system at least."""
    return max(1, min(processors, limit // (need.once + need.each)))


def chunk_size(limit: int, workers: int, need: Need) -> int:
    """Return how many systems one of the processes can take."""
    return max(1, (limit // workers - need.once) // need.each)


def evaluate_in_chunks(
    entries: Sequence[Entry],
    evaluate: Callable[[Sequence[Entry]], tuple[Sequence[System], Sample]],
    *,
    limit: int,
    processors: int,
) -> dict[Entry, System | FleetError]:
    """Return the system of each entry, or why it has none.

    ``evaluate`` is given a chunk, and raises FleetError when one of it does not evaluate.
    """
    work = _Work(list(dict.fromkeys(entries)), evaluate, limit, processors)
    with ThreadPoolExecutor(max_workers=processors) as pool:
        for done in [pool.submit(work.run) for _worker in range(processors)]:
            done.result()
    return work.found


class _Work(Generic[Entry]):
    """What the workers share; all of it is changed under ``_changed`` alone."""

    def __init__(
        self,
        entries: Sequence[Entry],
        evaluate: Callable[[Sequence[Entry]], tuple[Sequence[System], Sample]],
        limit: int,
        processors: int,
    ) -> None:
        self.found: dict[Entry, System | FleetError] = {}
        self._evaluate = evaluate
        self._limit = limit
        self._processors = processors
        self._waiting = deque(entries)
        self._halves: deque[list[Entry]] = deque()
        self._samples: list[Sample] = []
        #: The sizes of the chunks that are being evaluated.
        self._running: list[int] = []
        self._largest = len(entries)
        self._changed = threading.Condition()

    def run(self) -> None:
        """Do chunks until there are none."""
        while (chunk := self._next()) is not None:
            # Until there is an answer: an error that is not expected must not keep the others waiting.
            answer: tuple[Sequence[System], Sample] | FleetError = FleetError("nix was interrupted.", "Run again.")
            try:
                answer = self._evaluate(chunk)
            except FleetError as error:
                answer = error
            finally:
                self._note(chunk, answer)

    def _next(self) -> list[Entry] | None:
        """Return the next chunk; None when nothing is left, and nothing can come back from those that run."""
        with self._changed:
            while True:
                chunk = self._take()
                if chunk:
                    self._running.append(len(chunk))
                    return chunk
                if not self._running:
                    return None
                self._changed.wait()

    def _take(self) -> list[Entry]:
        """Return what another worker can do beside those that run; [] without room for it."""
        need, quick = need_from(self._samples), is_quick(self._samples)
        workers = 1 if quick or not self._samples else worker_count(self._limit, need, self._processors)
        idle = workers - len(self._running)
        free = self._limit - sum(need.once + size * need.each for size in self._running)
        if idle <= 0 or (self._running and free < need.once + need.each):
            return []
        room = max(1, min(chunk_size(self._limit, workers, need), (free - need.once) // need.each))
        if self._halves:
            return self._half(room)
        if not self._samples:
            room = min(room, _PILOT)
        elif not quick:
            # So that all have something to do until the end.
            room = min(room, -(-len(self._waiting) // idle))
        room = min(room, self._largest, len(self._waiting))
        return [self._waiting.popleft() for _entry in range(room)]

    def _half(self, room: int) -> list[Entry]:
        """Return a half of a chunk that failed, or what there is room for of it."""
        half = self._halves.popleft()
        if half[room:]:
            self._halves.append(half[room:])
        return half[:room]

    def _note(self, chunk: list[Entry], answer: tuple[Sequence[System], Sample] | FleetError) -> None:
        with self._changed:
            self._running.remove(len(chunk))
            if not isinstance(answer, FleetError):
                systems, sample = answer
                self.found.update(zip(chunk, systems, strict=True))
                self._samples.append(sample)
            elif isinstance(answer, OutOfMemoryError) and (len(chunk) > 1 or self._running or self._processors > 1):
                # Again, in smaller chunks, and with nothing beside it.
                self._largest = max(1, min(self._largest, len(chunk) // 2))
                self._processors = 1
                self._waiting.extendleft(reversed(chunk))
            elif len(chunk) > 1:
                half = len(chunk) // 2
                self._halves.extend((chunk[:half], chunk[half:]))
            else:
                self.found[chunk[0]] = answer
            self._changed.notify_all()
