# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.waiting import poll


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses that were made; time passes during them only, from 0."""
    made: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: sum(made))
    monkeypatch.setattr(time, "sleep", made.append)
    return made


def test_the_first_true_answer_is_returned(pauses: list[float]) -> None:
    answers = iter(["", "", "up", "later"])
    assert poll(lambda: next(answers), 100, pause=1) == "up"
    assert pauses == [1, 1]


def test_the_last_answer_is_returned_at_the_deadline(pauses: list[float]) -> None:
    assert poll(lambda: 0, 3, pause=1) == 0
    assert pauses == [1, 1, 1]


def test_the_answer_that_is_wanted_need_not_be_a_true_one(pauses: list[float]) -> None:
    answers = iter([2, 1, 0])
    assert poll(lambda: next(answers), 100, until=lambda code: code == 0, pause=1) == 0
    assert poll(lambda: 11, sum(pauses), until=lambda code: code == 0) == 11
    assert pauses == [1, 1]


def test_there_is_one_look_after_the_deadline(pauses: list[float]) -> None:
    assert poll(lambda: "up", -1) == "up"
    assert not pauses


def test_pauses_grow_to_the_longest(pauses: list[float]) -> None:
    poll(lambda: False, 10, pause=1, longest=2)
    assert pauses[:4] == [1, 1.5, 2, 2]
