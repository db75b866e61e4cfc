# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.inx.fleet.plugins.module_utils.converge import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.declared import Container
from ansible_collections.inx.fleet.plugins.module_utils.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.plan import Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.result import differences


def outcome(*steps: Step, packages: tuple[str, ...] = ()) -> Outcome:
    plan = Plan(container=Container(name="web"), steps=steps)
    return Outcome(plan=plan, steps=steps, observed=Observed(), closure_difference=packages)


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
