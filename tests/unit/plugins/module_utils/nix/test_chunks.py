# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chunks of systems that need so much memory each: what is run beside what, and how often."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.chunks import (
    NIXOS,
    RESERVE,
    Need,
    Sample,
    chunk_size,
    default_limit,
    evaluate_in_chunks,
    is_quick,
    need_from,
    worker_count,
)
from ansible_collections.inx.fleet.plugins.module_utils.nix.process import OutOfMemoryError
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System

MIB = 2**20
GIB = 2**30


class Evaluator:
    """Processes that need memory, with what all of them took at a time (simulated)."""

    def __init__(self, once: int, each: int, bad: Sequence[int] = (), killed_above: int | None = None) -> None:
        self._need = Need(once=once, each=each)
        self._bad = set(bad)
        self._killed_above = killed_above
        self._lock = threading.Lock()
        self._used = 0
        self.peak = 0
        self.chunks: list[int] = []

    def __call__(self, chunk: Sequence[int]) -> tuple[list[System], Sample]:
        needed = self._need.once + len(chunk) * self._need.each
        with self._lock:
            self._used += needed
            self.peak = max(self.peak, self._used)
            self.chunks.append(len(chunk))
            is_killed = self._killed_above is not None and self._used > self._killed_above
        threading.Event().wait(0.002)
        with self._lock:
            self._used -= needed
        if is_killed:
            raise OutOfMemoryError("killed", "evaluation_memory")
        if self._bad.intersection(chunk):
            raise FleetError("it does not evaluate", "Correct it.")
        return [System(path=str(number)) for number in chunk], Sample(systems=len(chunk), peak=needed, seconds=9.0)


def evaluated(evaluator: Evaluator, systems: int, limit: int, processors: int = 2) -> list[int]:
    """Evaluate, and return the numbers of those that did; all have an answer."""
    found = evaluate_in_chunks(range(systems), evaluator, limit=limit, processors=processors)
    assert set(found) == set(range(systems))
    good = [number for number, one in found.items() if isinstance(one, System)]
    assert all(found[number] == System(path=str(number)) for number in good)
    return sorted(good)


@pytest.mark.parametrize("processors", [1, 2, 8])
@pytest.mark.parametrize("limit", [1 * GIB, 4 * GIB, 16 * GIB])
def test_the_limit_holds(limit: int, processors: int) -> None:
    evaluator = Evaluator(390 * MIB, 450 * MIB)
    assert evaluated(evaluator, 100, limit, processors) == list(range(100))
    # One system at a time, if it needs more than there is.
    assert evaluator.peak <= max(limit, (390 + 450) * MIB)


def test_light_systems_take_few_processes_and_room_is_used() -> None:
    light = Evaluator(10 * MIB, MIB)
    evaluated(light, 100, 4 * GIB)
    # Two at best. A worker that finishes before the other begins takes a half of what is left.
    assert len(light.chunks) <= 8
    heavy = Evaluator(390 * MIB, 450 * MIB)
    evaluated(heavy, 100, 16 * GIB)
    assert heavy.peak > 8 * GIB


def test_a_bad_one_among_a_hundred_costs_a_bisection() -> None:
    evaluator = Evaluator(10 * MIB, MIB, bad=[77])
    assert evaluated(evaluator, 100, 4 * GIB) == [number for number in range(100) if number != 77]
    assert len(evaluator.chunks) <= 2 * 7 + 2


@pytest.mark.parametrize("bad", [range(3), range(0, 100, 2), range(100)])
def test_many_bad_ones(bad: range) -> None:
    evaluator = Evaluator(10 * MIB, MIB, bad=bad)
    assert evaluated(evaluator, 100, 4 * GIB) == sorted(set(range(100)) - set(bad))


def test_what_was_killed_for_memory_is_done_in_smaller_chunks() -> None:
    """The limit is more than there is: others took it meanwhile."""
    evaluator = Evaluator(100 * MIB, 100 * MIB, killed_above=800 * MIB)
    assert evaluated(evaluator, 50, 8 * GIB) == list(range(50))


def test_a_system_that_needs_more_than_there_is_has_the_error() -> None:
    found = evaluate_in_chunks([1, 2, 3], Evaluator(0, GIB, killed_above=MIB), limit=4 * GIB, processors=2)
    assert all(isinstance(one, OutOfMemoryError) for one in found.values())


def test_an_error_that_nobody_expects_keeps_nobody_waiting() -> None:
    def evaluate(chunk: Sequence[int]) -> tuple[list[System], Sample]:
        raise KeyError(chunk[0])

    with pytest.raises(KeyError):
        evaluate_in_chunks(range(10), evaluate, limit=GIB, processors=2)


def test_what_one_system_needs_is_learned() -> None:
    assert need_from([]) == NIXOS
    assert need_from([Sample(systems=2, peak=1290)]) == Need(once=390, each=495)
    assert need_from([Sample(systems=2, peak=200), Sample(systems=12, peak=700)]) == Need(once=100, each=55)
    # A larger chunk that took less: the worst of them.
    assert need_from([Sample(systems=2, peak=1290), Sample(systems=12, peak=1290)]) == Need(once=390, each=495)


def test_sizes() -> None:
    assert worker_count(4 * GIB, NIXOS, 8) == 4
    assert chunk_size(16 * GIB, 2, NIXOS) == 17
    assert chunk_size(MIB, 1, NIXOS) == 1
    assert is_quick([Sample(systems=100, peak=1, seconds=1.0)])
    assert not is_quick([])


def test_what_is_available() -> None:
    meminfo = "MemTotal:       24683520 kB\nMemFree:        22970368 kB\nMemAvailable:   23783424 kB\n"
    assert default_limit(meminfo) == 23783424 * 1024 - RESERVE
    assert default_limit("MemAvailable:   1024 kB\n") > 0
    assert default_limit("") > 0
