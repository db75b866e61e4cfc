# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from functools import partial
from threading import Barrier, Thread

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.schedule import Slots, run_jobs


def test_jobs_that_wait_for_no_other_go_on_at_the_same_time() -> None:
    together = Barrier(3, timeout=30)
    jobs = dict.fromkeys("abc", together.wait)
    assert sorted(run_jobs(jobs, dict.fromkeys("abc", ()), workers=3).values()) == [0, 1, 2]


def test_a_job_begins_when_those_before_it_have_ended() -> None:
    order: list[str] = []
    jobs = {name: partial(order.append, name) for name in "abcd"}
    run_jobs(jobs, {"a": ("b", "c"), "b": ("c",), "c": ("d",), "d": ()}, workers=4)
    assert order == ["d", "c", "b", "a"]


def test_names_that_are_no_jobs_hold_nothing_up() -> None:
    assert run_jobs({"a": lambda: 1}, {"a": ("b",)}, workers=1) == {"a": 1}


def test_an_error_in_a_job_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        run_jobs({"a": lambda: 1 // 0}, {"a": ()}, workers=1)


def test_without_a_limit_there_is_always_a_slot() -> None:
    slots = Slots(None)
    assert slots.take()
    slots.give_back(available=False)
    assert slots.take()


def test_one_waits_for_the_slot_of_another() -> None:
    slots = Slots(1)
    assert slots.take()
    got: list[bool] = []
    waiting = Thread(target=lambda: got.append(slots.take()))
    waiting.start()
    assert got == []
    slots.give_back(available=True)
    waiting.join(30)
    assert got == [True]


def test_no_slot_comes_back_from_those_that_did_not() -> None:
    slots = Slots(2)
    assert slots.take()
    assert slots.take()
    slots.give_back(available=False)
    slots.give_back(available=False)
    assert not slots.take()


def test_as_many_rollbacks_as_may_be_end_it() -> None:
    slots = Slots(1, rollback_limit=2)
    for _container in range(2):
        assert slots.take()
        slots.note_rollback()
        slots.give_back(available=True)
    assert slots.is_over
    assert not slots.take()


def test_one_that_waits_is_told_when_there_is_nothing_to_wait_for() -> None:
    slots = Slots(1, rollback_limit=1)
    assert slots.take()
    got: list[bool] = []
    waiting = Thread(target=lambda: got.append(slots.take()))
    waiting.start()
    slots.note_rollback()
    slots.give_back(available=True)
    waiting.join(30)
    assert got == [False]
