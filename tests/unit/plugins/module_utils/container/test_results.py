# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.outcome import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.container.results import container_result, differences
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Action, Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generations

PATHS = {number: f"/nix/store/{number}" for number in (1, 2, 3, 4)}


def outcome(*steps: Step, packages: tuple[str, ...] = ()) -> Outcome:
    plan = Plan(container=Container(name="web"), steps=steps)
    return Outcome(plan=plan, steps=steps, observed=Observed(), closure_difference=packages)


def moved(action: Action, before: int | None, after: int) -> Step:
    return Step(action=action, container="web", summary="", before={"generation": before}, after={"generation": after})


@pytest.mark.parametrize(
    ("steps", "paths", "current", "previous"),
    [
        pytest.param([moved("record", 2, 3)], (1, 2, 3), 3, 2, id="a new one"),
        pytest.param([moved("record", 3, 1)], (1, 2, 3), 1, 3, id="one that was chosen"),
        pytest.param([moved("record", 2, 3)], (1, 2), 2, 1, id="check mode"),
        pytest.param([moved("record", 1, 2)], (1,), 1, None, id="check mode with the first one there"),
        pytest.param([moved("record", None, 1)], (), None, None, id="check mode with none there"),
        pytest.param([moved("record", None, 1)], (1,), 1, None, id="the first one"),
        pytest.param([moved("record", 2, 3), moved("rollback", 3, 2)], (1, 2, 3), 2, 1, id="there and back"),
        pytest.param([moved("record", 3, 4), moved("rollback", 4, 2)], (1, 2, 3, 4), 2, 3, id="further back"),
        pytest.param([moved("rollback", 3, 2)], (1, 2, 3), 2, 3, id="back from one of an earlier run"),
        pytest.param([moved("rollback", 3, 2)], (1, 2, 3), 3, 2, id="check mode of that"),
        pytest.param([], (1, 3), 3, 1, id="nothing done"),
        pytest.param([], (), None, None, id="nothing there"),
    ],
)
def test_the_generation_before(
    steps: list[Step], paths: tuple[int, ...], current: int | None, previous: int | None
) -> None:
    found = Generations(paths={number: PATHS[number] for number in paths}, current=current)
    done = replace(outcome(*steps), observed=Observed(generations=found))
    container = container_result(done)["container"]
    assert (container["generation"], container["previous_generation"]) == (current, previous)


def test_the_diff_has_the_first_before_and_the_last_after() -> None:
    stop = Step(action="stop", container="web", summary="", before={"status": "Frozen"}, after={"status": "Stopped"})
    start = Step(action="start", container="web", summary="", before={"status": "Stopped"}, after={"status": "Running"})
    diff = differences(outcome(stop, start))
    assert (diff["before"], diff["after"]) == ({"status": "Frozen"}, {"status": "Running"})


def test_a_key_that_comes_is_only_on_the_side_after() -> None:
    step = Step(
        action="update", container="web", summary="", before={"config": {"a": None}}, after={"config": {"a": "1"}}
    )
    diff = differences(outcome(step))
    assert (diff["before"], diff["after"]) == ({"config": {}}, {"config": {"a": "1"}})


def test_packages_are_shown_as_nix_has_them() -> None:
    assert "hello: 1 → 2" in differences(outcome(packages=("hello: 1 → 2",)))["prepared"]
