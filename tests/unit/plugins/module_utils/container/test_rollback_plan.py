# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans around generations: choosing one, going back, remembering what was bad, keeping some."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import (
    Activation,
    Container,
    Health,
    State,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.fallback import next_generation, old_generations
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Plan
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generation, Generations
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import StorePath, System
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import ACTIVATING, FAILED, HEALTHY
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import actions, after, empty_host


def path(number: int) -> str:
    return f"/nix/store/{number:032}-nixos-system-web-{number}"


WEB = Container(name="web", health=Health())


def host(*recorded: int, current: int, runs: int | None, **notes: str) -> Observed:
    """A container with a generation N of the system N for each number, and what is remembered of it."""
    empty = empty_host()
    seen = after(plan_container(replace(WEB, health=None), System(path=path(current), built=True), empty), empty)
    assert seen.instance is not None
    instance = replace(seen.instance, running_system=None if runs is None else path(runs), notes=notes)
    if runs is None:
        instance = replace(instance, status="Stopped")
    generations = Generations(paths={number: path(number) for number in recorded}, current=current)
    return replace(seen, instance=instance, generations=generations)


def update(seen: Observed, to: int, declared: Container = WEB) -> Plan:
    return plan_container(replace(declared, source=StorePath(path=path(to))), System(path=path(to), built=True), seen)


def test_an_update_can_go_back_to_what_runs() -> None:
    assert update(host(1, 2, current=2, runs=1), to=3).fallback == Generation(number=1, system=path(1))


def test_a_start_with_a_new_system_can_go_back_to_what_was_healthy() -> None:
    seen = host(1, 2, current=2, runs=None, **{HEALTHY: path(1)})
    assert update(seen, to=3).fallback == Generation(number=1, system=path(1))


def test_a_start_without_such_a_note_goes_back_to_what_was_recorded() -> None:
    assert update(host(1, 2, current=2, runs=None), to=3).fallback == Generation(number=2, system=path(2))


def test_what_was_being_activated_is_nothing_to_go_back_to() -> None:
    seen = host(1, 2, current=2, runs=2, **{ACTIVATING: path(2), HEALTHY: path(1)})
    assert update(seen, to=3).fallback == Generation(number=1, system=path(1))


def test_what_never_ended_its_activation_goes_back_to_the_one_before() -> None:
    seen = host(1, 2, current=2, runs=2, **{ACTIVATING: path(2)})
    assert update(seen, to=2).fallback == Generation(number=1, system=path(1))


def test_a_system_that_was_healthy_is_not_left_when_it_is_started_again() -> None:
    seen = host(1, 2, current=2, runs=None, **{HEALTHY: path(2)})
    assert update(seen, to=2).fallback is None


def test_what_failed_is_not_tried_again_and_that_is_an_error() -> None:
    plan = update(host(1, 2, current=1, runs=1, **{FAILED: path(2)}), to=2)
    assert plan.steps == ()
    assert "was found unhealthy by an earlier run" in str(plan.error)


def test_a_way_back_that_was_cut_off_is_finished() -> None:
    seen = host(1, 2, current=2, runs=2, **{FAILED: path(2), HEALTHY: path(1), ACTIVATING: path(2)})
    plan = update(seen, to=2)
    assert (actions(plan), plan.fallback) == (["rollback"], Generation(number=1, system=path(1)))
    then = update(after(plan, seen), to=2)
    assert (then.steps, then.error is None) == ((), False)


@pytest.mark.parametrize(
    ("state", "runs", "current", "expected"),
    [
        ("stopped", 1, 1, ["stop"]),
        ("stopped", None, 1, []),
        ("started", None, 1, ["start"]),
        ("restarted", None, 1, ["start"]),
        ("restarted", 1, 1, ["restart"]),
        ("present", None, 1, []),
        ("stopped", 2, 2, ["record", "stop"]),
        ("started", None, 2, ["record", "start"]),
        ("restarted", 2, 2, ["record", "restart"]),
        ("present", None, 2, ["record"]),
        ("present", 2, 2, ["rollback"]),
    ],
)
def test_beside_a_system_that_is_not_tried_again_its_state_is_as_declared(
    state: State, runs: int | None, current: int, expected: list[str]
) -> None:
    declared = replace(WEB, state=state)
    seen = host(1, 2, current=current, runs=runs, **{FAILED: path(2), HEALTHY: path(1)})
    plan = update(seen, to=2, declared=declared)
    assert (actions(plan), plan.error is None) == (expected, False)
    assert all(step.after.get("system", path(1)) == path(1) for step in plan.steps if step.action != "stop")
    again = update(after(plan, seen), to=2, declared=declared)
    assert actions(again) == (["restart"] if state == "restarted" else [])


def test_beside_a_system_that_is_not_tried_again_its_settings_are_as_declared() -> None:
    declared = replace(WEB, description="mine")
    assert actions(update(host(1, 2, current=1, runs=1, **{FAILED: path(2)}), to=2, declared=declared)) == ["update"]


@pytest.mark.parametrize(("state", "runs", "expected"), [("started", None, []), ("stopped", 2, ["stop"])])
def test_where_all_systems_are_bad_nothing_is_started(state: State, runs: int | None, expected: list[str]) -> None:
    seen = host(2, current=2, runs=runs, **{FAILED: path(2)})
    plan = update(seen, to=2, declared=replace(WEB, state=state))
    assert (actions(plan), plan.error is None) == (expected, False)


def test_what_failed_is_tried_again_when_that_is_declared() -> None:
    seen = host(1, 2, current=1, runs=1, **{FAILED: path(2)})
    plan = update(seen, to=2, declared=replace(WEB, health=Health(retry_failed=True)))
    assert (actions(plan), plan.error) == (["record", "activate"], None)


def test_another_system_is_not_held_up_by_what_failed() -> None:
    plan = update(host(1, 2, current=1, runs=1, **{FAILED: path(2)}), to=3)
    assert (actions(plan), plan.error) == (["record", "activate"], None)


def test_previous_is_the_newest_older_one_that_did_not_fail() -> None:
    seen = host(1, 2, 3, current=3, runs=3, **{FAILED: path(2)})
    plan = plan_container(replace(WEB, generation="previous"), None, seen)
    assert plan.steps[0].after == {"generation": 1, "system": path(1)}


@pytest.mark.parametrize(("choice", "problem"), [("previous", "no good generation before"), (9, "no generation 9")])
def test_a_generation_that_is_not_there_is_refused(choice: object, problem: str) -> None:
    with pytest.raises(FleetError, match=problem):
        plan_container(replace(WEB, generation=choice), None, host(1, current=1, runs=1))  # type: ignore[arg-type]


def test_choosing_a_generation_makes_no_new_one() -> None:
    plan = plan_container(replace(WEB, generation=1), None, host(1, 2, current=2, runs=2))
    assert actions(plan) == ["record", "activate"]
    assert plan.steps[0].after == {"generation": 1, "system": path(1)}


@pytest.mark.parametrize(
    ("recorded", "system", "number"), [({}, 1, 1), ({1: 1, 2: 2}, 3, 3), ({1: 1, 2: 2}, 2, 2), ({1: 1, 2: 2}, 1, 3)]
)
def test_numbers_are_those_that_nix_would_give(recorded: dict[int, int], system: int, number: int) -> None:
    found = Generations(paths={key: path(value) for key, value in recorded.items()})
    assert next_generation(found, path(system)) == number


def test_old_generations_go_and_what_was_in_use_goes_with_them() -> None:
    seen = host(1, 2, 3, 4, 5, current=5, runs=2, **{HEALTHY: path(1)})
    plan = update(seen, to=6, declared=replace(WEB, keep_generations=2))
    assert plan.steps[-1].before == {"generations": {str(number): path(number) for number in (1, 2, 3, 4)}}


def test_old_generations_that_stay_in_use_stay() -> None:
    seen = host(1, 2, 3, 4, 5, current=5, runs=2, **{HEALTHY: path(1)})
    plan = update(seen, to=6, declared=replace(WEB, keep_generations=2, activation="boot"))
    assert plan.steps[-1].before == {"generations": {"3": path(3), "4": path(4)}}


@given(
    recorded=st.sets(st.integers(1, 6), min_size=1),
    chosen=st.data(),
    to=st.integers(1, 7),
    kept=st.integers(2, 4),
    health=st.sampled_from([None, Health()]),
    state=st.sampled_from(["started", "stopped", "present", "restarted"]),
    activation=st.sampled_from(["switch", "boot", "test"]),
    is_there=st.booleans(),
)
def test_what_is_pruned_is_pruned_in_one_run(
    *,
    recorded: set[int],
    chosen: st.DataObject,
    to: int,
    kept: int,
    health: Health | None,
    state: State,
    activation: Activation,
    is_there: bool,
) -> None:
    one_of = st.sampled_from(sorted(recorded))
    notes = {HEALTHY: path(chosen.draw(one_of))} if chosen.draw(st.booleans()) else {}
    runs = chosen.draw(st.none() | one_of)
    seen = host(*recorded, current=chosen.draw(one_of), runs=runs, **notes)
    if not is_there:
        seen = replace(seen, instance=None)
    declared = replace(WEB, keep_generations=kept, health=health, state=state, activation=activation)
    again = update(after(update(seen, to, declared), seen), to, declared)
    assert "prune" not in actions(again)


def test_a_good_generation_behind_a_bad_one_stays() -> None:
    """The one that a rollback would choose, though two newer ones are there."""
    seen = host(1, 2, 3, current=3, runs=3, **{HEALTHY: path(3), FAILED: path(2)})
    declared = replace(WEB, keep_generations=2)
    assert "prune" not in actions(update(seen, to=3, declared=declared))
    more = host(1, 2, 3, 4, 5, 6, current=6, runs=6, **{HEALTHY: path(6), FAILED: f"{path(3)} {path(4)}"})
    plan = update(more, to=6, declared=declared)
    assert plan.steps[-1].before == {"generations": {str(number): path(number) for number in (1, 2, 3, 4)}}


@given(
    recorded=st.sets(st.integers(1, 7), min_size=1),
    bad=st.sets(st.integers(1, 7)),
    current=st.integers(1, 7),
    kept=st.integers(2, 4),
)
def test_what_a_rollback_would_choose_is_never_pruned(
    recorded: set[int], bad: set[int], current: int, kept: int
) -> None:
    recorded |= {current}
    failed = " ".join(path(number) for number in sorted(bad - {current}))
    seen = host(*recorded, current=current, runs=current, **{HEALTHY: path(current), FAILED: failed})
    assert seen.instance is not None
    old = old_generations(path(current), seen.instance, seen.generations, kept)
    assert current not in old
    assert max([number for number in recorded if number < current and number not in bad], default=0) not in old


def test_nothing_is_pruned_while_nobody_knows_what_runs() -> None:
    seen = host(1, 2, 3, 4, current=4, runs=4)
    assert seen.instance is not None
    starting = replace(seen.instance, running_system=None)
    assert old_generations(path(4), starting, seen.generations, 2) == {}


def test_nothing_is_pruned_when_few_are_there() -> None:
    plan = update(host(1, 2, current=2, runs=2), to=2, declared=replace(WEB, keep_generations=2))
    assert plan.steps == ()


@pytest.mark.parametrize(("marker", "expected"), [({ACTIVATING: path(3)}, ["rollback"]), ({}, [])])
def test_a_way_back_that_was_cut_off_before_its_proof_is_finished(marker: dict[str, str], expected: list[str]) -> None:
    seen = host(1, 2, 3, current=2, runs=2, **{HEALTHY: path(2), FAILED: path(3), **marker})
    plan = update(seen, to=3)
    assert actions(plan) == expected
    assert plan.error is not None


def test_a_boot_ends_the_trial_of_what_was_switched_to() -> None:
    declared = replace(WEB, health=None, state="restarted")
    plan = update(host(1, 2, current=2, runs=2, **{ACTIVATING: path(2)}), to=2, declared=declared)
    assert actions(plan) == ["restart"]
    assert plan.steps[0].before["activating"] == path(2)


@pytest.mark.parametrize(
    ("activation", "runs", "required"),
    [("boot", 1, True), ("boot", 2, False), ("switch", 1, False), ("test", 1, False), ("boot", None, False)],
)
def test_a_recorded_system_that_does_not_run_yet_takes_a_restart(
    activation: Activation, runs: int | None, *, required: bool
) -> None:
    declared = replace(WEB, activation=activation, state="present")
    plan = update(host(1, 2, current=2, runs=runs), to=2, declared=declared)
    assert plan.restart_required == required


def test_a_system_that_cannot_be_switched_to_is_refused_before_it_is_recorded() -> None:
    system = System(path=path(2), built=True, switches=False)
    seen = host(1, current=1, runs=1)
    with pytest.raises(FleetError, match="has no bin/switch-to-configuration"):
        plan_container(WEB, system, seen)
    assert actions(plan_container(replace(WEB, activation="boot"), system, seen)) == ["record"]
    assert actions(plan_container(replace(WEB, state="restarted"), system, seen)) == ["record", "restart"]


def test_a_recorded_system_that_is_lost_is_built_again() -> None:
    seen = host(1, current=1, runs=None)
    seen = replace(seen, generations=replace(seen.generations, lost=frozenset((path(1),))))
    plan = plan_container(replace(WEB, source=StorePath(path=path(1))), System(path=path(1)), seen)
    assert actions(plan) == ["build", "start"]


@pytest.mark.parametrize("choice", [None, 1])
def test_a_system_that_is_lost_and_not_declared_is_not_started(choice: int | None) -> None:
    seen = host(1, 2, current=1, runs=None)
    seen = replace(seen, generations=replace(seen.generations, lost=frozenset((path(1),))))
    with pytest.raises(FleetError, match="not in the store any more"):
        plan_container(replace(WEB, generation=choice), None, seen)
    assert plan_container(replace(WEB, state="stopped"), None, seen).steps == ()


def test_a_system_that_is_lost_does_not_count_among_those_to_keep() -> None:
    seen = host(1, 2, 3, current=3, runs=3)
    seen = replace(seen, generations=replace(seen.generations, lost=frozenset((path(2),))))
    assert "1" not in str([step.before for step in update(seen, to=3, declared=replace(WEB, keep_generations=2)).steps])


def test_nothing_goes_back_to_a_system_that_is_lost() -> None:
    seen = host(1, 2, 3, current=3, runs=3, **{HEALTHY: path(2)})
    seen = replace(seen, generations=replace(seen.generations, lost=frozenset((path(2), path(3)))))
    previous = plan_container(replace(WEB, generation="previous"), None, seen)
    assert previous.steps[0].after == {"generation": 1, "system": path(1)}
    assert update(seen, to=4).fallback is None


TRIED = replace(WEB, activation="test", health=None)


def test_a_system_that_is_tried_is_kept_for_as_long_as_it_runs() -> None:
    seen = host(1, current=1, runs=1)
    tried = after(update(seen, to=2, declared=TRIED), seen)
    assert (tried.generations.tried, tried.generations.system) == (path(2), path(1))
    assert update(tried, to=2, declared=TRIED).steps == ()


@pytest.mark.parametrize(
    ("state", "to", "expected"),
    [
        ("started", 3, ["record", "activate", "prune"]),
        ("started", 2, ["record"]),
        ("stopped", 1, ["stop", "prune"]),
        ("restarted", 1, ["restart", "prune"]),
    ],
)
def test_a_system_that_was_tried_is_not_kept_after_it(state: State, to: int, expected: list[str]) -> None:
    seen = host(1, current=1, runs=1)
    tried = after(update(seen, to=2, declared=TRIED), seen)
    plan = update(tried, to=to, declared=replace(WEB, state=state, health=None))
    assert actions(plan) == expected
    assert "prune" not in actions(update(after(plan, tried), to=to, declared=replace(WEB, state=state, health=None)))


def test_a_tried_system_is_kept_where_nobody_knows_what_runs() -> None:
    seen = host(1, current=1, runs=1)
    tried = after(update(seen, to=2, declared=TRIED), seen)
    assert tried.instance is not None
    unknown = replace(tried, instance=replace(tried.instance, running_system=None))
    assert "prune" not in actions(plan_container(replace(WEB, health=None, state="present"), None, unknown))
