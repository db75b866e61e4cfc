# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.progress.events import Event, Events, StepBegan, StepEnded


def test_step_is_told_with_its_end() -> None:
    heard: list[Event] = []
    with Events(heard.append).step("web", "start", "web: start it"):
        assert heard == [StepBegan(name="web", action="start", summary="web: start it")]
    ended = heard[1]
    assert isinstance(ended, StepEnded)
    assert (ended.name, ended.action, ended.problem) == ("web", "start", "")


def test_failed_step_is_told_with_its_problem() -> None:
    heard: list[Event] = []
    with pytest.raises(FleetError), Events(heard.append).step("web", "start", "web: start it"):
        raise FleetError("It does not start.", "")
    ended = heard[1]
    assert isinstance(ended, StepEnded)
    assert ended.problem == "It does not start."


def test_all_listeners_hear_of_an_event() -> None:
    first: list[Event] = []
    second: list[Event] = []
    event = StepBegan(name="web", action="stop", summary="")
    Events(first.append, second.append).tell(event)
    assert first == second == [event]
