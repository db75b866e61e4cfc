# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.progress.events import (
    Ended,
    Evaluated,
    Evaluating,
    Event,
    Healthy,
    NixWorks,
    Planned,
    StepBegan,
    StepEnded,
    Waits,
)
from ansible_collections.inx.fleet.plugins.module_utils.progress.state import State


def began(name: str, action: str, summary: str = "") -> StepBegan:
    return StepBegan(name=name, action=action, summary=summary)


def ended(name: str, action: str) -> StepEnded:
    return StepEnded(name=name, action=action, summary="", seconds=1.0)


def after(*events: Event, now: float = 0.0) -> dict[str, Any]:
    """Return what is shown after events, which all came at 0 s."""
    state = State()
    for event in events:
        state.note(event, 0.0)
    return state.as_data(now)


def test_nothing_is_shown_before_anything_is_known() -> None:
    assert after() == {"line": "", "news": [], "changes": 0}


def test_line_says_how_many_are_done_and_what_is_done_with_others() -> None:
    shown = after(
        Planned(names=("db", "mail", "web")),
        Ended(name="mail"),
        began("web", "activate"),
        began("db", "start"),
        now=4.2,
    )
    assert shown["line"] == "1 of 3 done, web switching (4 s), db starting (4 s)"


def test_step_that_has_ended_is_not_shown() -> None:
    assert after(Planned(names=("web",)), began("web", "stop"), ended("web", "stop"))["line"] == "0 of 1 done"


def test_failure_and_health_are_news() -> None:
    shown = after(
        Planned(names=("db", "web")), Healthy(name="db", seconds=4.4), Ended(name="web", problem="It is ill.")
    )
    assert [text for _number, text in shown["news"]] == ["db healthy after 4 s", "web failed"]
    assert shown["line"] == "1 of 2 done, 1 failed"


def test_step_of_a_host_is_shown_by_its_summary() -> None:
    line = after(Planned(steps=3), ended("", "settings"), began("", "start", "start incus.socket"), now=2)["line"]
    assert line == "1 of 3 steps done, start incus.socket (2 s)"


def test_wait_for_another_run_is_shown() -> None:
    assert after(Waits(name="web"), now=9)["line"] == "web waiting for another run (9 s)"
    assert after(Waits(name="web"), Waits(name="web", is_over=True))["line"] == ""


def test_few_of_many_are_named() -> None:
    line = after(*(began(f"web-{number}", "start") for number in range(40)))["line"]
    assert line.count("starting") == 4
    assert line.endswith("36 more at work")


def test_evaluation_is_shown_until_it_is_over() -> None:
    assert after(Evaluating(total=40), Evaluated(count=12))["line"] == "evaluated 12 of 40"
    assert after(Evaluating(total=40), Evaluated(count=50))["line"] == ""


def test_second_evaluation_begins_anew() -> None:
    assert after(Evaluating(total=4), Evaluated(count=4), Evaluating(total=3))["line"] == "evaluated 0 of 3"


def test_builds_and_copies_of_all_calls_are_added() -> None:
    line = after(
        NixWorks(call=1, built=1, to_build=4, building=("nginx-1.2",), copied=10 * 2**20, to_copy=700 * 2**20),
        NixWorks(call=1, built=2, to_build=4, building=("nginx-1.2",), copied=200 * 2**20, to_copy=700 * 2**20),
        NixWorks(call=2, built=1, to_build=5, building=("hello",), copied=10 * 2**20, to_copy=100 * 2**20),
    )["line"]
    assert line == "built 3 of 9 (nginx-1.2, hello), copied 210 of 800 MiB"


def test_what_is_built_and_copied_is_not_shown() -> None:
    assert after(NixWorks(call=1, built=4, to_build=4, copied=7, to_copy=7))["line"] == ""


def test_deleted_paths_are_shown() -> None:
    assert after(NixWorks(call=1, deleted=1200))["line"] == "deleted 1200 store paths"


def test_bytes_are_no_change_but_builds_are() -> None:
    first, more = NixWorks(call=1, to_copy=9), NixWorks(call=1, copied=5, to_copy=9)
    assert after(first, more)["changes"] == 0
    assert after(first, more, replace(more, to_build=1))["changes"] == 1


NAMES = st.text(max_size=300)
EVENTS = st.one_of(
    st.builds(Planned, names=st.lists(NAMES, max_size=3).map(tuple)),
    st.builds(StepBegan, name=NAMES, action=st.sampled_from(["start", "build", "other"]), summary=NAMES),
    st.builds(Ended, name=NAMES, problem=NAMES),
    st.builds(Healthy, name=NAMES, seconds=st.floats(0, 1e6)),
    st.builds(Evaluating, total=st.integers(0, 99)),
    st.builds(Evaluated, count=st.integers(0, 99)),
    st.builds(NixWorks, call=st.integers(0, 2), to_build=st.integers(0, 9), building=st.lists(NAMES).map(tuple)),
)


@given(st.lists(EVENTS, max_size=60))
def test_what_is_shown_is_short_and_harmless(events: list[Event]) -> None:
    shown = after(*events)
    texts = [shown["line"], *(text for _number, text in shown["news"])]
    assert all(text.isprintable() or "\t" in text for text in texts)
    assert not any("\n" in text or "\x1b" in text for text in texts)
    assert len(shown["news"]) <= 30
    assert shown["changes"] <= len(events)
