# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans of the members of a cluster for one container, which is at A and is to go to B."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, State
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import ContainerSet
from ansible_collections.inx.fleet.plugins.module_utils.container.set_plan import plan_set
from ansible_collections.inx.fleet.plugins.module_utils.container.volatile import Persist, Volatile
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Volume
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generations
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import StorePath, System
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import FAILED, MOVING
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    NEW,
    OLD,
    actions,
    after,
    empty_host,
    with_instance,
)

WEB = Container(name="web", source=StorePath(path=NEW), target="B", set_name="main")
NOWHERE = Generations(directory=False)


def at_a(**changes: object) -> Observed:
    """What A sees when the container was made there."""
    host = replace(empty_host(), member="A")
    host = after(plan_container(replace(WEB, target="A"), System(path=OLD, built=True), host), host)
    return with_instance(host, **{"location": "A", **changes})


def from_b(generations: Generations = NOWHERE, **changes: object) -> Observed:
    """The same, seen from B."""
    return replace(at_a(running_system=None, **changes), member="B", generations=generations)


@pytest.mark.parametrize(
    ("status", "state", "expected"),
    [
        ("Running", "started", ["build", "record", "move", "start"]),
        ("Running", "present", ["build", "record", "move", "start"]),
        ("Running", "stopped", ["build", "record", "move"]),
        ("Stopped", "started", ["build", "record", "move", "start"]),
        ("Stopped", "present", ["build", "record", "move"]),
    ],
)
def test_its_system_is_there_before_it_comes(status: str, state: State, expected: list[str]) -> None:
    assert actions(plan_container(replace(WEB, state=state), System(path=NEW), from_b(status=status))) == expected


def test_what_was_recorded_by_a_run_that_was_killed_is_not_recorded_again() -> None:
    seen = from_b(Generations(paths={1: NEW}, current=1))
    assert actions(plan_container(WEB, BUILT, seen)) == ["move", "start"]


def test_what_ran_before_a_move_that_was_cut_off_is_started_again() -> None:
    config = {**dict(at_a().instance.config), MOVING: "true"}  # type: ignore[union-attr]
    declared = replace(WEB, state="present")
    assert actions(plan_container(declared, BUILT, from_b(status="Stopped", config=config)))[-2:] == ["move", "start"]
    arrived = from_b(Generations(paths={1: NEW}, current=1), status="Stopped", config=config, location="B")
    assert actions(plan_container(declared, BUILT, arrived)) == ["start"]


def test_settings_change_when_it_has_arrived() -> None:
    declared = replace(WEB, config={"limits.memory": "1GiB"})
    assert actions(plan_container(declared, BUILT, from_b())) == ["record", "move", "update", "start"]


@pytest.mark.parametrize("wanted", [None, System(path=NEW, built=True, generation=1)])
def test_a_move_needs_a_declared_system(wanted: System | None) -> None:
    declared = replace(WEB, source=None, generation=None if wanted is None else 1)
    with pytest.raises(FleetError, match="its system must be declared"):
        plan_container(declared, wanted, from_b(Generations(paths={1: NEW}, current=1)))


def test_an_ephemeral_one_would_not_survive_it() -> None:
    with pytest.raises(FleetError, match="ephemeral"):
        plan_container(WEB, BUILT, from_b(ephemeral=True))


VOLUME = {"data": {"type": "disk", "pool": "default", "source": "web_data/part", "path": "/data"}}
PLACE = ("default", "web_data")


def with_volume(observed: Observed, **looks: Any) -> Observed:
    assert observed.instance is not None
    devices = {**observed.instance.devices, **VOLUME}
    return replace(observed, instance=replace(observed.instance, devices=devices), **looks)


@pytest.mark.parametrize("here", [{}, {PLACE: Volume(location="B")}])
def test_it_is_not_taken_away_from_its_volumes(here: dict[tuple[str, str], Volume]) -> None:
    seen = with_volume(from_b(), volumes=here, far_volumes={PLACE: frozenset("A")})
    with pytest.raises(FleetError, match="volume default/web_data is at A") as refused:
        plan_container(WEB, BUILT, seen)
    assert "default/web_data default/web_data --target A --destination-target B" in refused.value.advice


def test_it_is_not_started_without_its_volumes() -> None:
    arrived = with_volume(from_b(location="B", status="Stopped"), far_volumes={PLACE: frozenset("A")})
    with pytest.raises(FleetError, match="volume default/web_data is at A"):
        plan_container(WEB, BUILT, arrived)


@pytest.mark.parametrize("location", ["A", "B"])
def test_volumes_that_all_members_have_or_that_came_first_are_no_hindrance(location: str) -> None:
    seen = with_volume(from_b(location=location, status="Stopped"), volumes={PLACE: Volume()})
    assert actions(plan_container(WEB, BUILT, seen))[-1] == "start"


def test_a_volume_of_an_earlier_life_elsewhere_is_not_replaced_by_an_empty_one() -> None:
    declared = replace(WEB, volatile=Volatile(persist=(Persist(path="/var/lib/db"),)))
    seen = replace(from_b(), instance=None, far_volumes={("default", "web_var-lib-db"): frozenset("A")})
    with pytest.raises(FleetError, match="volume default/web_var-lib-db is at A"):
        plan_container(declared, BUILT, seen)


def test_what_persists_from_now_on_has_its_volume_before_it_comes() -> None:
    declared = replace(WEB, volatile=Volatile(persist=(Persist(path="/var/lib/db"),)))
    assert actions(plan_container(declared, BUILT, from_b())) == ["volume", "record", "move", "update", "start"]


def test_a_system_that_was_bad_is_not_moved_to_and_nothing_is_rolled_back_from_here() -> None:
    plan = plan_container(WEB, BUILT, from_b(Generations(paths={1: OLD, 2: NEW}, current=2), notes={FAILED: NEW}))
    assert (plan.steps, plan.error is not None) == ((), True)


def test_the_member_that_it_leaves_does_nothing_until_it_runs_elsewhere() -> None:
    assert plan_container(WEB, None, at_a()).steps == ()
    assert plan_container(WEB, None, replace(at_a(), instance=None)).steps == ()
    assert plan_container(WEB, None, at_a(location="B", status="Stopped")).steps == ()
    assert actions(plan_container(WEB, None, at_a(location="B"))) == ["forget"]


def test_members_that_never_had_it_do_nothing() -> None:
    assert plan_container(WEB, None, replace(from_b(), member="C")).steps == ()


def test_each_member_purges_its_own() -> None:
    declared = ContainerSet(containers=(), name="main", purge=True, purge_limit=5)
    assert [actions(plan) for plan in plan_set(declared, {}, {"web": at_a()})] == [["stop", "forget", "delete"]]
    assert plan_set(declared, {}, {"web": from_b()}) == []
