# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans that take, restore and remove snapshots of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.snapshots import (
    chosen_set,
    sets_of,
    size_text,
    span_text,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Pool, Volume
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generation, Generations
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import (
    ACTIVATING,
    FAILED,
    HEALTHY,
    RAN,
    RAN_SINCE,
    RESTORED,
    RESTORING,
    TAKEN,
    TAKING,
)
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    actions,
    after,
    after_step,
    declared,
    empty_host,
    with_instance,
)

FIRST = "inx-1-20261130T100000Z"
SECOND = "inx-2-20261130T110000Z"
UNKNOWN = "inx-0-20261130T120000Z"
KEPT = {"path": "/var/lib/db", "size": None, "mode": "0755", "pool": None}
PLACE = ("default", "web_var-lib-db")


def path(number: int) -> str:
    return f"/nix/store/{number:032}-nixos-system-web-{number}"


def container(to: int = 2, **options: Any) -> Container:
    return declared(**{"system": path(to), "snapshots": {}, "persist": [KEPT], **options})


def host(
    *sets: str,
    runs: int | None = 1,
    recorded: int = 1,
    driver: str = "btrfs",
    declares: Container | None = None,
    notes: Mapping[str, str] | None = None,
) -> Observed:
    """A container with a volume and two generations, that runs one of them or none, and sets of snapshots."""
    empty = replace(empty_host(), pool_details={"default": Pool(driver=driver)})
    made = replace(declares or container(1), snapshots=None, restore_data=False, generation=None)
    seen = after(plan_container(made, System(path=path(1), built=True), empty), empty)
    assert seen.instance is not None
    volumes = {place: replace(one, created="2026-11-30T09:00:00.5Z") for place, one in seen.volumes.items()}
    volumes = {place: replace(one, snapshots=frozenset(sets)) for place, one in volumes.items()}
    status = "Stopped" if runs is None else "Running"
    running = None if runs is None else path(runs)
    instance = replace(seen.instance, status=status, running_system=running, notes=notes or {}, last_started="then")
    generations = Generations(paths={1: path(1), 2: path(2)}, current=recorded)
    return replace(seen, instance=instance, volumes=volumes, snapshots=frozenset(sets), generations=generations)


def plan(seen: Observed, to: int = 2, **options: Any) -> Plan:
    made = container(to, **options)
    wanted = None if made.generation is not None else System(path=path(to), built=True)
    return plan_container(made, wanted, seen)


def data_step(found: Plan, action: str) -> Step:
    return next(step for step in found.steps if step.action == action)


@pytest.mark.parametrize(
    ("options", "runs", "expected"),
    [
        ({}, 1, ["snapshot", "record", "activate"]),
        ({}, 2, ["record"]),
        ({"activation": "boot"}, 1, ["record"]),
        ({"activation": "test"}, 1, ["snapshot", "activate"]),
        ({"state": "restarted"}, 1, ["stop", "snapshot", "record", "start"]),
        ({"state": "restarted"}, 2, ["record", "restart"]),
        ({"state": "stopped"}, 1, ["record", "stop"]),
        ({}, None, ["snapshot", "record", "start"]),
        ({"state": "present"}, None, ["record"]),
        ({"snapshots": None}, 1, ["record", "activate"]),
        (
            {"volatile_root": "rebuild", "state": "restarted"},
            1,
            ["update", "stop", "snapshot", "record", "rebuild", "start"],
        ),
    ],
)
def test_a_snapshot_comes_before_another_system_is_recorded_and_runs(
    options: dict[str, Any], runs: int | None, expected: list[str]
) -> None:
    assert actions(plan(host(runs=runs), **options)) == expected


def test_its_name_is_that_of_the_generation_that_wrote_the_data() -> None:
    step = data_step(plan(host(runs=1)), "snapshot")
    assert step.after["snapshot"] == {
        "root": "default",
        "volumes": ["default/web_var-lib-db"],
        "generation": 1,
        "system": path(2),
    }
    assert "its root and the volume default/web_var-lib-db as inx-1-TIME" in step.summary


def test_a_root_that_each_start_empties_is_not_in_it() -> None:
    made = container(volatile_root="rebuild")
    step = data_step(plan(host(declares=made), volatile_root="rebuild"), "snapshot")
    assert step.after["snapshot"]["root"] is None


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({RAN: path(2), RAN_SINCE: "then"}, ["start"]),
        ({RAN: path(1), RAN_SINCE: "then"}, ["snapshot", "start"]),
        ({RAN: path(2), RAN_SINCE: "before"}, ["snapshot", "start"]),
        ({RAN: path(2)}, ["snapshot", "start"]),
        ({}, ["snapshot", "start"]),
    ],
)
def test_a_stopped_container_needs_one_unless_the_same_system_ran_last(
    notes: dict[str, str], expected: list[str]
) -> None:
    assert actions(plan(host(runs=None, recorded=2, notes=notes))) == expected


def test_what_wrote_the_data_may_be_unknown() -> None:
    assert data_step(plan(host(runs=None)), "snapshot").after["snapshot"]["generation"] == 0


@pytest.mark.parametrize(
    ("runs", "notes", "expected"),
    [
        (1, {TAKEN: f"{FIRST} {path(2)}", RAN: path(2)}, ["record", "activate"]),
        (None, {TAKEN: f"{FIRST} {path(2)}", RAN: path(1), RAN_SINCE: "before"}, ["record", "start"]),
        # The good one has written on since.
        (1, {TAKEN: f"{FIRST} {path(2)}", RAN: path(1)}, ["snapshot", "record", "activate"]),
        (1, {TAKEN: f"{FIRST} {path(2)}"}, ["snapshot", "record", "activate"]),
        (None, {TAKEN: f"{FIRST} {path(2)}", RAN: path(1), RAN_SINCE: "then"}, ["snapshot", "record", "start"]),
        (1, {TAKEN: f"{FIRST} {path(3)}", RAN: path(2)}, ["snapshot", "record", "activate"]),
        (1, {TAKEN: f"{SECOND} {path(2)}", RAN: path(2)}, ["snapshot", "record", "activate"]),
    ],
)
def test_a_run_that_was_killed_has_taken_the_good_one_if_the_new_system_may_have_run(
    runs: int | None, notes: dict[str, str], expected: list[str]
) -> None:
    assert actions(plan(host(FIRST, runs=runs, notes=notes))) == expected


def test_a_newer_set_takes_the_place_of_one_that_a_killed_run_took_for_nothing() -> None:
    found = plan(host(FIRST, notes={TAKEN: f"{FIRST} {path(2)}"}), snapshots={"keep": 1})
    assert (actions(found), data_step(found, "snapshot").before) == (
        ["snapshot", "record", "activate"],
        {"superseded": FIRST},
    )
    of_another = plan(host(FIRST, runs=2, recorded=2, notes={TAKEN: f"{FIRST} {path(2)}"}), system=path(3))
    assert all("superseded" not in step.before for step in of_another.steps)


def test_what_a_start_brings_and_what_it_is_switched_to_have_one_each() -> None:
    found = plan(host(runs=None), activation="test")
    assert actions(found) == ["snapshot", "start", "snapshot", "activate"]
    assert [step.after["snapshot"]["generation"] for step in found.steps if step.action == "snapshot"] == [0, 1]


def test_a_run_that_was_killed_meanwhile_left_one_that_does_not_count() -> None:
    found = plan(host(FIRST, notes={TAKING: FIRST}))
    assert actions(found) == ["snapshot", "record", "activate"]
    assert data_step(found, "snapshot").before == {"unfinished": FIRST}
    settled = plan(host(FIRST, runs=2, recorded=2, notes={TAKING: FIRST}))
    assert (actions(settled), settled.steps[0].before) == (
        ["prune"],
        {"snapshots": {FIRST: ["default/web_var-lib-db"]}},
    )


@pytest.mark.parametrize("state", ["started", "present"])
def test_what_a_killed_run_left_frozen_is_unfrozen(state: str) -> None:
    seen = with_instance(host(runs=2, recorded=2, notes={TAKING: FIRST}), status="Frozen")
    assert actions(plan(seen, state=state)) == ["unfreeze", "prune"]
    # A snapshot that fails again does not leave it frozen.
    again = with_instance(host(notes={TAKING: FIRST}), status="Frozen")
    assert actions(plan(again, state=state)) == ["unfreeze", "snapshot", "record", "activate"]
    by_hand = with_instance(host(runs=2, recorded=2), status="Frozen")
    assert actions(plan(by_hand, state=state)) == (["unfreeze"] if state == "started" else [])


def test_the_oldest_sets_go_once_the_new_system_runs() -> None:
    old = [f"inx-1-2026113{number}T100000Z" for number in range(3)]
    found = plan(host(*old))
    assert actions(found) == ["snapshot", "record", "activate", "prune"]
    assert list(found.steps[-1].before["snapshots"]) == old[:1]
    assert actions(plan(host(*old, "by-hand", runs=2, recorded=2))) == []
    lower = plan(host(*old, runs=2, recorded=2), snapshots={"keep": 1})
    assert list(lower.steps[0].before["snapshots"]) == old[:2]


@pytest.mark.parametrize("killed_after", range(4))
def test_a_run_that_is_killed_after_any_step_is_finished(killed_after: int) -> None:
    old = [f"inx-1-2026113{number}T100000Z" for number in range(3)]
    seen = host(*old)
    made = container(2)
    for step in plan(seen).steps[:killed_after]:
        seen = after_step(made, step, seen)
    then = plan(seen)
    done = after(then, seen)
    # A set that nothing else came after does not push out an older one.
    assert {*old[1:]} < done.snapshots
    assert len(done.snapshots) == 3
    assert ("snapshot" in actions(then)) == (killed_after < 3)
    assert actions(plan(done)) == []


# Restoring


def test_a_generation_is_chosen_with_its_data() -> None:
    found = plan(host(FIRST, runs=2, recorded=2), system=None, generation="1", restore_data=True)
    assert actions(found) == ["stop", "restore", "record", "start"]
    assert found.steps[1].after["data"]["from"] == FIRST
    assert found.steps[1].after["data"]["generation"] == 2
    seen = after(found, host(FIRST, runs=2, recorded=2))
    assert actions(plan(seen, system=None, generation="1", restore_data=True)) == []


def test_what_was_restored_is_not_pruned_and_neither_is_what_it_replaced() -> None:
    options: dict[str, Any] = {"system": None, "generation": "1", "restore_data": True, "snapshots": {"keep": 1}}
    seen = host(FIRST, runs=2, recorded=2)
    done = after(plan(seen, **options), seen)
    assert len(done.snapshots) == 2
    assert actions(plan(done, **options)) == []
    killed = with_instance(host(FIRST, SECOND, runs=None), notes={RESTORING: f"{FIRST} {SECOND}"})
    assert actions(plan(killed, **options)) == ["restore", "start"]


def test_the_data_of_a_generation_that_runs_can_be_restored_as_well() -> None:
    options: dict[str, Any] = {"system": None, "generation": "1", "restore_data": True}
    assert actions(plan(host(FIRST), **options)) == ["stop", "restore", "start"]
    assert actions(plan(host(FIRST, notes={RESTORED: FIRST}), **options)) == []


def test_a_second_run_does_not_restore_what_the_first_has_replaced() -> None:
    options: dict[str, Any] = {"system": None, "generation": "1", "restore_data": True}
    seen = host(FIRST)
    done = after(plan(seen, **options), seen)
    assert len({name for name in done.snapshots if name.startswith("inx-1-")}) == 2
    assert actions(plan(done, **options)) == []


@pytest.mark.parametrize(
    ("healthy", "expected"), [(path(1), UNKNOWN), (None, UNKNOWN), (path(3), FIRST)], ids=["good", "unknown", "tested"]
)
def test_a_rollback_restores_no_older_data_than_that_of_before(healthy: str | None, expected: str) -> None:
    sets = sets_of((FIRST, UNKNOWN), {}, {}, {}, covers_root=True)
    notes = {TAKEN: f"{UNKNOWN} {path(2)}", **({} if healthy is None else {HEALTHY: healthy})}
    assert chosen_set(sets, notes, Generation(number=1, system=path(1)), path(2)) == expected


def test_a_generation_without_a_snapshot_is_refused() -> None:
    with pytest.raises(FleetError, match=r"no snapshot of the data of generation 1\. It has inx-2-20261130T110000Z"):
        plan(host(SECOND, runs=2, recorded=2), system=None, generation="1", restore_data=True)


@pytest.mark.parametrize(
    ("state", "runs", "expected"),
    [
        ("started", None, ["restore", "start"]),
        ("started", 1, ["stop", "restore", "start"]),
        ("present", None, ["restore", "start"]),
        ("stopped", None, ["restore"]),
        ("stopped", 1, ["stop", "restore"]),
        ("restarted", 1, ["stop", "restore", "start"]),
    ],
)
def test_what_a_killed_run_has_begun_to_restore_is_finished_first(
    state: str, runs: int | None, expected: list[str]
) -> None:
    seen = host(FIRST, runs=runs, notes={RESTORING: f"{FIRST} {SECOND} kept"})
    assert actions(plan(seen, to=1, state=state)) == expected


@pytest.mark.parametrize("kept", ["kept", ""])
def test_a_set_that_was_deleted_while_it_was_restored_stops_no_run(kept: str) -> None:
    begun = {RESTORING: f"{FIRST} {SECOND} {kept}".strip()}
    seen = host(SECOND, runs=None, notes=begun)
    found = plan(seen, to=1)
    if kept:
        # What was replaced is put back: some of the data may be that of the other set.
        assert actions(found) == ["restore", "snapshot", "start"]
        assert found.steps[0].after["data"]["from"] == SECOND
        assert f"from {FIRST}, which is not complete any more" in found.steps[0].summary
        # What it replaces may be data of two times: no rollback chooses it.
        assert found.steps[0].after["data"]["generation"] == 0
    else:
        assert actions(found) == ["snapshot", "start", "prune"]
    assert actions(plan(after(found, seen), to=1)) == []
    gone = host(runs=None, notes=begun)
    assert any("may be of two times" in warning for warning in plan(gone, to=1).warnings) == bool(kept)
    assert actions(plan(gone, to=1)) == ["snapshot", "start", "prune"]
    assert actions(plan(after(plan(gone, to=1), gone), to=1)) == []


def test_what_runs_that_went_back_have_left_goes_before_the_next_snapshot() -> None:
    old = [f"inx-{number}-20261130T0{number}0000Z" for number in (1, 2, 3, 4)]
    seen = host(*old, runs=2, recorded=2, notes={HEALTHY: path(1), ACTIVATING: path(2)})
    found = plan(seen, to=3, snapshots={"keep": 2})
    # The first one is what a rollback of this run goes back to.
    assert actions(found) == ["prune", "snapshot", "record", "activate", "prune"]
    assert [list(step.before["snapshots"]) for step in found.steps if step.action == "prune"] == [
        [old[1]],
        [old[0], old[2]],
    ]
    restarted = plan(seen, to=3, snapshots={"keep": 2}, state="restarted")
    assert actions(restarted)[:3] == ["prune", "stop", "snapshot"]
    usual = plan(host(*old[:2], runs=1), snapshots={"keep": 2})
    assert actions(usual) == ["snapshot", "record", "activate", "prune"]


def test_a_rollback_restores_only_when_that_is_declared() -> None:
    notes = {FAILED: path(2), HEALTHY: path(1), ACTIVATING: path(2)}
    seen = host(FIRST, SECOND, runs=2, recorded=2, notes=notes)
    restores = {"restore": True}
    with_data = plan(seen, health={"degraded": True}, snapshots=restores)
    assert (actions(with_data), with_data.steps[0].after.get("data")) == (["rollback"], FIRST)
    done = plan(with_instance(seen, notes={**notes, RESTORED: FIRST}), health={"degraded": True}, snapshots=restores)
    assert done.steps[0].after.get("data") is None
    without = plan(seen, health={"degraded": True})
    assert (actions(without), without.steps[0].after.get("data")) == (["rollback"], None)


# What is refused


@pytest.mark.parametrize(
    ("driver", "options", "said"),
    [
        ("dir", {}, "each snapshot copies all of the data. Use a pool with btrfs"),
        ("dir", {"snapshots": {"full_copy": True, "restore": True}}, ""),
        ("zfs", {}, ""),
        ("zfs", {"snapshots": {"restore": True}}, "could not be kept"),
        ("ceph", {}, "the driver ceph, with which no snapshots"),
        ("lvm", {"snapshots": {"restore": True}}, ""),
    ],
)
def test_storage_that_is_not_fit_is_refused_before_anything_changes(
    driver: str, options: dict[str, Any], said: str
) -> None:
    seen = host(driver=driver)
    if said:
        with pytest.raises(FleetError, match=said):
            plan(seen, **options)
    else:
        assert "snapshot" in actions(plan(seen, **options))


def test_a_pool_of_lvm_without_a_thin_pool_is_refused() -> None:
    seen = replace(host(), pool_details={"default": Pool(driver="lvm", config={"lvm.use_thinpool": "false"})})
    with pytest.raises(FleetError, match="without a thin pool"):
        plan(seen)


def test_a_new_container_is_refused_as_well() -> None:
    empty = replace(empty_host(), pool_details={"default": Pool(driver="dir")})
    with pytest.raises(FleetError, match="full_copy"):
        plan_container(container(1), System(path=path(1), built=True), empty)


def test_nothing_to_take_a_snapshot_of_is_refused() -> None:
    with pytest.raises(FleetError, match="nothing to take snapshots of"):
        plan(host(declares=container(1, persist=[])), volatile_root="rebuild", persist=[])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"snapshots": {"keep": 0}}, "keep is 0"),
        ({"ephemeral": True}, "an ephemeral container"),
        ({"restore_data": True}, "without a generation"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(FleetError, match=said):
        container(**options)


# Sets


def test_a_set_is_complete_if_all_that_was_there_has_it() -> None:
    old = Volume(created="2026-11-30T09:00:00.5Z", snapshots=frozenset((FIRST, SECOND)))
    new = Volume(created="2026-11-30T10:30:00.5Z", snapshots=frozenset((SECOND,)))
    required = {("p", "old"): old, ("p", "new"): new}
    found = sets_of({FIRST, SECOND, "mine"}, required, {}, {}, covers_root=True)
    assert [(one.name, one.is_complete) for one in found] == [(FIRST, True), (SECOND, True)]
    lost = {**required, ("p", "new"): replace(new, snapshots=frozenset())}
    assert [one.is_complete for one in sets_of({FIRST, SECOND}, lost, {}, {}, covers_root=True)] == [True, False]
    assert [one.is_complete for one in sets_of({FIRST}, required, {}, {}, covers_root=True)] == [True, False]
    assert [one.is_complete for one in sets_of((), required, {}, {}, covers_root=False)] == [True, True]


def test_a_set_that_is_older_than_its_generation_is_of_an_earlier_container() -> None:
    taken = datetime(2026, 11, 30, 10, tzinfo=timezone.utc).timestamp()
    assert [one.generation for one in sets_of({FIRST}, {}, {}, {1: taken + 0.7}, covers_root=True)] == [1]
    assert [one.generation for one in sets_of({FIRST}, {}, {}, {1: taken + 1}, covers_root=True)] == [0]
    seen = host(FIRST, runs=2, recorded=2)
    later = replace(seen, generations=replace(seen.generations, made={1: taken + 60, 2: taken + 90}))
    with pytest.raises(FleetError, match=r"no snapshot of the data of generation 1\."):
        plan(later, system=None, generation="1", restore_data=True)
    notes = {FAILED: path(2), HEALTHY: path(1), ACTIVATING: path(2)}
    back = plan(with_instance(later, notes=notes), health={"degraded": True}, snapshots={"restore": True})
    assert (actions(back), back.steps[0].after.get("data")) == (["rollback"], None)


def test_sizes_and_spans_are_for_readers() -> None:
    assert [size_text(size) for size in (0, 1023, 1536, 300 * 2**20, 5 * 2**40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "300 MiB",
        "5.0 TiB",
    ]
    assert [span_text(span) for span in (0, 119, 120, 7200, 172_800)] == ["0 s", "119 s", "2 min", "2 h", "2 d"]
