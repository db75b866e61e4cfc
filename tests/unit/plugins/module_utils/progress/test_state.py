# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.progress.events import (
    Ended,
    Event,
    Healthy,
    Planned,
    StepBegan,
    StepEnded,
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
    assert after(began("", "start", "start incus.socket"), now=2)["line"] == "start incus.socket (2 s)"


def test_few_of_many_are_named() -> None:
    line = after(*(began(f"web-{number}", "start") for number in range(40)))["line"]
    assert line.count("starting") == 4
    assert line.endswith("36 more at work")


NAMES = st.text(max_size=300)
EVENTS = st.one_of(
    st.builds(Planned, names=st.lists(NAMES, max_size=3).map(tuple)),
    st.builds(StepBegan, name=NAMES, action=st.sampled_from(["start", "build", "other"]), summary=NAMES),
    st.builds(Ended, name=NAMES, problem=NAMES),
    st.builds(Healthy, name=NAMES, seconds=st.floats(0, 1e6)),
)


@given(st.lists(EVENTS, max_size=60))
def test_what_is_shown_is_short_and_harmless(events: list[Event]) -> None:
    shown = after(*events)
    texts = [shown["line"], *(text for _number, text in shown["news"])]
    assert all(text.isprintable() or "\t" in text for text in texts)
    assert not any("\n" in text or "\x1b" in text for text in texts)
    assert len(shown["news"]) <= 30
    assert shown["changes"] == len(events)
