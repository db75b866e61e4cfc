# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.plugin_utils.difference import difference


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"size": "1GiB"}, {"size": "2GiB"}, ["-size: 1GiB", "+size: 2GiB"]),
        ({}, {"size": "1GiB"}, ["+size: 1GiB"]),
        ({"config": {"a": "1", "b": None}}, {"config": {"a": "1", "b": "x"}}, [" config:", "   a: 1", "+  b: x"]),
        ({"file": "a\nb\nc\nd\n"}, {"file": "a\nb\nc\ne\n"}, [" file: |", "   …", "   b", "   c", "-  d", "+  e"]),
        ({"b": "1", "c": "1"}, {"c": "2", "b": "2"}, ["-b: 1", "+b: 2", "-c: 1", "+c: 2"]),
        ({"list": ["a"]}, {"list": ["a", {"b": True}]}, [" list:", "   - a", "+  -", "+    b: yes"]),
        ({"config": {"a": None}}, {"config": {"a": "1"}}, [" config:", "+  a: 1"]),
        ({"list": ["a"]}, {"list": []}, ["-list:", "-  - a", "+list: []"]),
        ({"same": 1}, {"same": 1}, []),
    ],
)
def test_what_differs_is_shown_line_by_line(before: Any, after: Any, lines: list[str]) -> None:
    assert [f"{line.sign}{line.text}" for line in difference(before, after)] == lines


def test_between_two_places_is_a_gap() -> None:
    before = {str(number): "old" for number in range(10, 30)}
    texts = [f"{line.sign}{line.text}" for line in difference(before, {**before, "10": "new", "29": "new"})]
    assert texts[:4] == ["-10: old", "+10: new", " 11: old", " 12: old"]
    assert texts[4:] == [" …", " 27: old", " 28: old", "-29: old", "+29: new"]


def test_the_order_of_keys_is_no_difference() -> None:
    assert difference({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"d": 2, "c": 1}, "a": 1}) == []


def test_a_long_side_is_cut_and_says_so() -> None:
    lines = difference({}, {"file": "x\n" * 2000})
    assert lines[-1].text == "… and 1501 more lines"
    assert len(lines) == 501


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


SIDES = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


@given(SIDES, SIDES)
def test_any_two_sides_can_be_compared(before: Any, after: Any) -> None:
    assert difference(before, before) == []
    lines = difference(before, after)
    for line in lines:
        assert line.sign in "+- "
        assert "\n" not in line.text
