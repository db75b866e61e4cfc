# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.inx.fleet.plugins.module_utils.waiting import poll
from ansible_collections.inx.fleet.tests.unit.plugins.running import Clock


def test_the_first_true_answer_is_returned(clock: Clock) -> None:
    answers = iter(["", "", "up", "later"])
    assert poll(lambda: next(answers), 200, pause=1) == "up"
    assert clock.pauses == [1, 1]


def test_the_last_answer_is_returned_at_the_deadline(clock: Clock) -> None:
    assert poll(lambda: 0, 103, pause=1) == 0
    assert clock.pauses == [1, 1, 1]


def test_the_answer_that_is_wanted_need_not_be_a_true_one(clock: Clock) -> None:
    answers = iter([2, 1, 0])
    assert poll(lambda: next(answers), 200, until=lambda code: code == 0, pause=1) == 0
    assert poll(lambda: 11, clock.now(), until=lambda code: code == 0) == 11
    assert clock.pauses == [1, 1]


def test_there_is_one_look_after_the_deadline(clock: Clock) -> None:
    assert poll(lambda: "up", 99) == "up"
    assert not clock.pauses


def test_pauses_grow_to_the_longest(clock: Clock) -> None:
    poll(lambda: False, 110, pause=1, longest=2)
    assert clock.pauses[:4] == [1, 1.5, 2, 2]
