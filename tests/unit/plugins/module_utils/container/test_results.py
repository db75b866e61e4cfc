# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.fallback import chosen_generation
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.outcome import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.container.results import (
    container_result,
    differences,
    errors_by_name,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Plan, Step, new_step
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generations
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import FAILED

PATHS = {number: f"/nix/store/{number}" for number in (1, 2, 3, 4)}


def outcome(*steps: Step, packages: tuple[str, ...] = ()) -> Outcome:
    plan = Plan(container=Container(name="web"), steps=steps)
    return Outcome(plan=plan, steps=steps, observed=Observed(), closure_difference=packages)


@pytest.mark.parametrize(
    ("systems", "current", "bad", "lost", "previous"),
    [
        pytest.param({1: 1, 2: 2, 3: 3}, 3, (), (), 2, id="the one before"),
        pytest.param({1: 1, 2: 2, 3: 3}, 1, (), (), None, id="none before the first"),
        pytest.param({1: 1, 2: 2, 3: 3}, 2, (3,), (), 1, id="after a way back"),
        pytest.param({1: 1, 2: 2, 3: 3}, 3, (2,), (), 1, id="a bad one is passed over"),
        pytest.param({1: 1, 2: 2, 3: 3}, 3, (), (2,), 1, id="a lost one is passed over"),
        pytest.param({1: 1, 2: 2, 3: 2}, 3, (), (), 1, id="the same system is passed over"),
        pytest.param({1: 1, 2: 2}, 2, (1,), (), None, id="none is good"),
        pytest.param({}, None, (), (), None, id="nothing there"),
    ],
)
def test_the_previous_generation_is_what_a_rollback_chooses(
    systems: dict[int, int], current: int | None, bad: tuple[int, ...], lost: tuple[int, ...], previous: int | None
) -> None:
    found = Generations(
        paths={number: PATHS[system] for number, system in systems.items()},
        current=current,
        lost=frozenset(PATHS[system] for system in lost),
    )
    notes = {FAILED: " ".join(PATHS[system] for system in bad)}
    seen = Observed(generations=found, instance=Instance(name="web", notes=notes))
    assert container_result(replace(outcome(), observed=seen))["container"]["previous_generation"] == previous
    rollback = Container(name="web", generation="previous")
    if previous is None:
        with pytest.raises(FleetError, match="no good generation"):
            chosen_generation(rollback, seen)
    else:
        assert chosen_generation(rollback, seen) == previous


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


def test_units_are_shown_beside_packages() -> None:
    changed = replace(outcome(packages=("hello: 1 → 2",)), units={"restarted": ("a.service", "b.service")})
    assert differences(changed)["prepared"].splitlines() == [
        "packages of web:",
        "hello: 1 → 2",
        "",
        "units of web:",
        "restart: a.service, b.service",
    ]
    assert container_result(changed)["units"] == {"restarted": ["a.service", "b.service"]}


def test_why_units_are_not_known_is_shown() -> None:
    unknown = replace(outcome(), units_unknown="the container does not run")
    assert differences(unknown)["prepared"] == "units of web:\n(the container does not run)\n"
    assert container_result(unknown)["units_unknown"] == "the container does not run"
    assert "prepared" not in differences(outcome()) and container_result(outcome())["units_unknown"] is None


def test_nothing_is_after_a_removal() -> None:
    stop = new_step("stop", "web", "stop", {"status": "Running"}, {"status": "Stopped"})
    delete = new_step("delete", "web", "delete", {"instance": "present"}, {})
    gone = new_step("volume", "web", "delete", {"volumes": {"a/b": {}}}, {"volumes": {"a/b": None}})
    diff = differences(outcome(stop, delete, gone))
    assert diff["before"] == {"status": "Running", "instance": "present", "volumes": {"a/b": {}}}
    assert diff["after"] == {"volumes": {}}


def test_an_error_of_many_is_given_once() -> None:
    names = [f"web-{number}" for number in range(12)]
    failed = {name: FleetError(f"{name}: nix says:\nerror: no room", "Make room.") for name in names}
    told = errors_by_name({**failed, "db": FleetError("db has no system.", "Give one.")}, "13 of 20 failed:")
    assert told.splitlines() == [
        "13 of 20 failed:",
        f"  {', '.join(names[:10])} and 2 more: nix says:",
        "    error: no room",
        "    Make room.",
        "  db: db has no system. Give one.",
    ]
