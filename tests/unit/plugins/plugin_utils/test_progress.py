# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.connection import ConnectionBase
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.plugin_utils import progress
from ansible_collections.inx.fleet.plugins.plugin_utils.progress import (
    Lines,
    Pace,
    follow,
    followed,
    pace,
    second,
    writes_to_terminal,
)

QUICK = Pace(look=0.01, unchanged=5)
PATIENCE = 20


def says(line: str, changes: int, *news: tuple[int, str]) -> str:
    return json.dumps({"line": line, "news": news, "changes": changes, "pid": 1})


def test_line_is_printed_when_something_changes() -> None:
    lines = Lines(unchanged=5)
    assert lines.line(says("0 of 2 done", 1), 10) == "0 of 2 done"
    assert lines.line(says("0 of 2 done", 1), 12) is None
    assert lines.line(says("1 of 2 done", 2), 14) == "1 of 2 done"


def test_line_is_printed_after_a_while_without_a_change() -> None:
    lines = Lines(unchanged=5)
    assert lines.line(says("web starting (1 s)", 1), 10) == "web starting (1 s)"
    assert lines.line(says("web starting (5 s)", 1), 14.9) is None
    assert lines.line(says("web starting (6 s)", 1), 15) == "web starting (6 s)"


def test_news_are_printed_once() -> None:
    lines = Lines(unchanged=0)
    first, second_one = (1, "db healthy after 4 s"), (3, "web failed")
    assert lines.line(says("1 of 2 done", 2, first), 0) == "1 of 2 done; db healthy after 4 s"
    assert lines.line(says("2 of 2 done", 3, first, second_one), 1) == "2 of 2 done; web failed"
    assert lines.line(says("2 of 2 done", 3, first, second_one), 2) == "2 of 2 done"


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null", "{}", '{"line": "a", "changes": "b", "news": []}'])
def test_text_that_is_not_understood_is_ignored(text: str) -> None:
    assert Lines(unchanged=0).line(text, 0) is None


@given(st.text(), st.lists(st.tuples(st.integers(), st.text())), st.integers())
def test_line_is_harmless_and_short(line: str, news: list[tuple[int, str]], changes: int) -> None:
    printed = Lines(unchanged=0).line(says(line, changes, *news), 0) or ""
    assert all(char.isprintable() or char == "\t" for char in printed)
    assert len(printed) <= 410


def test_without_a_terminal_there_is_a_line_a_minute() -> None:
    assert pace(1, is_terminal=False).look == 60


def test_hosts_print_a_few_lines_a_second_together() -> None:
    few, many = pace(3, is_terminal=True), pace(50, is_terminal=True)
    assert few.look == 2
    assert 50 / many.look <= 5


def test_slow_look_is_made_less_often() -> None:
    assert pace(1, is_terminal=True).after(took=0.01) == 2
    assert pace(1, is_terminal=True).after(took=1.0) == 50


def follow_until(count: int, look: Callable[[], str]) -> list[str]:
    """Return the lines that are shown until there are so many, or until nobody looks any more."""
    printed: list[str] = []
    ended = threading.Event()

    def show(line: str) -> None:
        printed.append(line)
        if len(printed) == count:
            ended.set()

    thread = threading.Thread(target=follow, args=(look, show, ended, QUICK), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    return printed


def test_lines_are_shown_until_the_module_ends() -> None:
    answers = iter(["", says("0 of 2 done", 1), says("1 of 2 done", 2), says("2 of 2 done", 3)])
    assert follow_until(2, lambda: next(answers)) == ["0 of 2 done", "1 of 2 done"]


def test_host_that_is_away_is_looked_at_a_few_times() -> None:
    looks: list[None] = []

    def look() -> str:
        looks.append(None)
        raise OSError("No route to host")

    assert follow_until(1, look) == []
    assert len(looks) == 3


def test_short_run_is_not_looked_at() -> None:
    looks: list[str] = []

    def look() -> str:
        looks.append("look")
        return ""

    with followed(look, looks.append, Pace(look=PATIENCE, unchanged=0)):
        pass
    assert looks == []


def test_result_does_not_wait_for_a_look_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE", 0.1)
    looking, release = threading.Event(), threading.Event()

    def look() -> str:
        looking.set()
        release.wait(PATIENCE)
        return says("late", 1)

    shown: list[str] = []
    began = time.monotonic()
    with followed(look, shown.append, QUICK):
        assert looking.wait(PATIENCE)
    assert time.monotonic() - began < PATIENCE
    release.set()
    assert shown == []


class Connection(ConnectionBase):  # type: ignore[misc]
    """A connection with a become plugin that keeps what it waits for, as that of sudo does."""

    transport = "test"

    def __init__(self, host: Any = None) -> None:
        self._host = host
        self.become: Any = SimpleNamespace(prompt="")

    def _connect(self) -> None: ...

    def exec_command(self, cmd: str, in_data: Any = None, sudoable: bool = True) -> None: ...

    def put_file(self, in_path: str, out_path: str) -> None: ...

    def fetch_file(self, in_path: str, out_path: str) -> None: ...

    def close(self) -> None: ...


def test_second_connection_leaves_the_plugins_of_the_first_alone() -> None:
    connection = Connection(Connection())
    other = second(connection)
    other.become.prompt = other._host.become.prompt = "asked for"
    assert (connection.become.prompt, connection._host.become.prompt) == ("", "")


def test_second_connection_without_become() -> None:
    connection = Connection()
    connection.become = None
    assert second(connection).become is None


@pytest.mark.parametrize(
    ("place", "expected"), [("/dev/pts/3", True), ("/dev/tty1", True), ("pipe:[1]", False), ("/dev/null", False)]
)
def test_terminal_is_that_of_ansible_playbook(place: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.readlink", lambda _path: place)
    assert writes_to_terminal() is expected
