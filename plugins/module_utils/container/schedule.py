# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schedule of a set: which containers are worked on in parallel, and which wait."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Condition
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_jobs(
    jobs: Mapping[str, Callable[[], Result]],
    after: Mapping[str, Collection[str]],
    workers: int,
    beside: Mapping[str, Callable[[], None]] | None = None,
) -> dict[str, Result]:
    """Run jobs side by side, each when those that it comes ``after`` have ended, and return what they return.

    Those ``beside`` them wait for none, and take no worker of theirs. Names in ``after`` that are not jobs are ignored.
    The order must have no circle.
    """
    others = beside or {}
    waiting, results, ended = dict(jobs), dict[str, Result](), set[str]()
    running: dict[Future[Result], str] = {}
    with ThreadPoolExecutor(max_workers=workers) as pool, ThreadPoolExecutor(max_workers=len(others) or 1) as more:
        running_beside: dict[Future[None], str] = {more.submit(job): name for name, job in others.items()}
        while waiting or running or running_beside:
            needed = (jobs.keys() | others.keys()) - ended
            for name in [name for name in waiting if needed.isdisjoint(after.get(name, ()))]:
                running[pool.submit(waiting.pop(name))] = name
            going_on: list[Future[Any]] = [*running, *running_beside]
            for done in wait(going_on, return_when=FIRST_COMPLETED).done:
                result = done.result()
                if done in running_beside:
                    ended.add(running_beside.pop(done))
                else:
                    name = running.pop(done)
                    results[name] = result
                    ended.add(name)
    return results


class Slots:
    """How many containers may be away from their work at the same time.

    One that did not come back keeps its slot, so that a bad update ends with the first ones that it hits. Those that
    went back free theirs, and some of them end it as well.
    """

    def __init__(self, total: int | None, rollback_limit: int | None = None) -> None:
        """``total`` is the number of slots, ``rollback_limit`` that of rollbacks; None means unlimited."""
        self._free = total
        self._taken = 0
        self._rollbacks_left = rollback_limit
        self._condition = Condition()

    @property
    def is_over(self) -> bool:
        """Tell whether as many containers went back as may."""
        return self._rollbacks_left == 0

    def take(self) -> bool:
        """Wait for a slot and take it; False when none will ever be given."""
        with self._condition:
            self._condition.wait_for(lambda: self.is_over or self._free is None or self._free > 0 or self._taken == 0)
            if self.is_over:
                return False
            if self._free is not None:
                if self._free == 0:
                    return False
                self._free -= 1
            self._taken += 1
            return True

    def note_rollback(self) -> None:
        """Count a container that went back from its update."""
        with self._condition:
            if self._rollbacks_left:
                self._rollbacks_left -= 1
            self._condition.notify_all()

    def give_back(self, *, available: bool) -> None:
        """Return a slot: it is free for another container if this one is ``available`` again."""
        with self._condition:
            self._taken -= 1
            if available and self._free is not None:
                self._free += 1
            self._condition.notify_all()
