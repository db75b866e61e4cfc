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
        ({"file": "a\nb\nc\nd\n"}, {"file": "a\nb\nc\ne\n"}, ["   b", "   c", "-  d", "+  e"]),
        ({"list": ["a"]}, {"list": ["a", {"b": True}]}, [" list:", "   - a", "+  -", "+    b: yes"]),
        ({"list": ["a"]}, {"list": []}, ["-list:", "-  - a", "+list: []"]),
        ({"same": 1}, {"same": 1}, []),
    ],
)
def test_what_differs_is_shown_line_by_line(before: Any, after: Any, lines: list[str]) -> None:
    assert [f"{line.sign}{line.text}" for line in difference(before, after)] == lines


def test_between_two_places_is_a_gap() -> None:
    before = {str(number): number for number in range(20)}
    texts = [f"{line.sign}{line.text}" for line in difference(before, {**before, "0": "a", "19": "b"})]
    assert texts == ["-0: 0", "+0: a", " 1: 1", " 2: 2", " …", " 17: 17", " 18: 18", "-19: 19", "+19: b"]


def test_a_long_side_is_cut_and_says_so() -> None:
    lines = difference({}, {"file": "x\n" * 2000})
    assert lines[-1].text == "… and 1501 more lines"
    assert len(lines) == 501


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_any_two_values_can_be_compared(before: Any, after: Any) -> None:
    assert difference(before, before) == []
    for line in difference(before, after):
        assert line.sign in "+- "
        assert "\n" not in line.text
