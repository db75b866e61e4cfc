# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.text import plain, tail


def test_colours_and_titles_go() -> None:
    assert plain("\x1b[31;1merror:\x1b[0m a\x1b]0;title\x07b") == "error: ab"


def test_the_tail_is_the_last_lines() -> None:
    assert tail("1\n2\n3\n", lines=2) == "2\n3"


@given(st.text())
def test_no_character_of_a_tail_is_acted_on_by_a_terminal(text: str) -> None:
    assert all(char.isprintable() or char in "\n\t" for char in tail(text))
