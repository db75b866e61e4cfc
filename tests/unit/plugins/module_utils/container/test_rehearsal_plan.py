# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans with a rehearsal: when there is one, where it is, and what is removed of an earlier one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import (
    Activation,
    Container,
    Health,
    State,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import ContainerSet
from ansible_collections.inx.fleet.plugins.module_utils.container.set_plan import plan_set
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import DISRUPTIVE, PROVING, Plan
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Pool
from ansible_collections.inx.fleet.plugins.module_utils.nix.rehearsals import Rehearsal
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import StorePath, System
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import FAILED, HEALTHY
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    NEW,
    OLD,
    actions,
    after,
    declared,
    empty_host,
    running_host,
    with_instance,
)

WEB = declared(system=NEW, health={"timeout": 30}, rehearse=True)
LEFT = Rehearsal(container="web", project="default", twin="web-rehearsal-0")


def host(**notes: str) -> Observed:
    """The container with its old system, in a pool that copies at no cost."""
    seen = with_instance(running_host(WEB, OLD), notes=notes)
    return replace(seen, pool_details={"default": Pool(driver="btrfs")})


def plan(container: Container = WEB, seen: Observed | None = None, *, built: bool = True, **system: Any) -> Plan:
    return plan_container(container, System(path=NEW, built=built, **system), host() if seen is None else seen)


def test_another_system_is_rehearsed_when_it_is_built_and_before_anything_is_touched() -> None:
    container = replace(WEB, config={"user.a": "1"})
    assert actions(plan(container, built=False)) == ["build", "rehearse", "update", "record", "activate"]
    assert "with copies of its data" in plan().steps[0].summary


def test_a_rehearsal_neither_interrupts_nor_proves() -> None:
    assert "rehearse" not in DISRUPTIVE | PROVING


@pytest.mark.parametrize(
    ("state", "activation", "expected"),
    [
        ("restarted", "switch", ["rehearse", "record", "restart"]),
        ("started", "boot", ["rehearse", "record"]),
        ("started", "test", ["rehearse", "activate"]),
        ("stopped", "switch", ["rehearse", "record", "stop"]),
        ("absent", "switch", ["stop", "forget", "delete"]),
    ],
)
def test_what_gives_it_the_system_is_rehearsed(state: State, activation: Activation, expected: list[str]) -> None:
    assert actions(plan(replace(WEB, state=state, activation=activation))) == expected


def test_a_restart_into_what_waits_for_it_is_rehearsed() -> None:
    booted = after(plan(replace(WEB, activation="boot")), host())
    assert actions(plan(replace(WEB, activation="boot"), booted)) == []
    restarted = replace(WEB, source=None, state="restarted")
    assert actions(plan_container(restarted, None, booted)) == ["rehearse", "restart"]


def test_a_stopped_container_is_rehearsed_with_another_system_than_it_boots() -> None:
    stopped = with_instance(host(), status="Stopped", running_system=None)
    assert actions(plan(seen=stopped)) == ["rehearse", "record", "start"]
    assert actions(plan_container(WEB, System(path=OLD, built=True), stopped)) == ["start"]


def test_nothing_is_rehearsed_that_the_container_knows() -> None:
    assert actions(plan(seen=host(**{HEALTHY: NEW}))) == ["record", "activate"]
    assert actions(plan(seen=running_host(WEB, NEW))) == []
    assert actions(plan(replace(WEB, state="restarted"), seen=running_host(WEB, NEW))) == ["restart"]


def test_a_new_container_and_a_way_back_are_not_rehearsed() -> None:
    assert actions(plan(seen=empty_host())) == ["create", "record", "start"]
    newer = replace(after(plan(), host()), pool_details={})
    assert actions(plan_container(replace(WEB, source=None, generation=1), None, newer)) == ["record", "activate"]


def test_a_system_that_failed_its_rehearsal_is_refused_until_it_is_retried() -> None:
    seen = host(**{FAILED: NEW})
    assert plan(seen=seen).error is not None
    assert actions(plan(seen=seen)) == []
    assert actions(plan(replace(WEB, health=Health(retry_failed=True)), seen))[0] == "rehearse"


def test_the_rest_of_the_plan_is_the_same_without_a_rehearsal() -> None:
    container = replace(WEB, config={"user.a": "1"}, keep_generations=2)
    with_it, without = plan(container), plan(replace(container, rehearse=False))
    assert [step for step in with_it.steps if step.action != "rehearse"] == list(without.steps)
    assert after(with_it, host()) == after(without, host())


@pytest.mark.parametrize("rehearse", [False, True])
def test_what_an_earlier_rehearsal_left_is_removed_first(*, rehearse: bool) -> None:
    found = plan(replace(WEB, rehearse=rehearse), replace(host(), rehearsal=LEFT))
    assert actions(found)[0] == "rehearse"
    assert found.steps[0].before == {"rehearsal": LEFT.twin}
    assert actions(found).count("rehearse") == 1 + rehearse
    assert after(found, replace(host(), rehearsal=LEFT)).rehearsal is None


def test_it_is_removed_when_nothing_else_is_to_do_and_with_the_container() -> None:
    assert actions(plan(seen=replace(running_host(WEB, NEW), rehearsal=LEFT))) == ["rehearse"]
    assert actions(plan(replace(WEB, state="absent"), replace(host(), rehearsal=LEFT)))[0] == "rehearse"
    assert actions(plan(replace(WEB, state="absent"), replace(empty_host(), rehearsal=LEFT))) == ["rehearse"]


def test_a_rehearsal_needs_health() -> None:
    with pytest.raises(FleetError, match="web: 'rehearse' requires 'health'"):
        declared(system=NEW, rehearse=True)


def test_a_rehearsal_is_refused_in_a_cluster_and_without_access_to_pools() -> None:
    with pytest.raises(FleetError, match="not possible in a cluster"):
        plan(replace(WEB, target="m1"), replace(empty_host(), member="m1"))
    with pytest.raises(FleetError, match="needs access to the storage pools"):
        plan(seen=replace(empty_host(), pools=None))


def test_a_twin_cannot_be_declared() -> None:
    twin = with_instance(running_host(WEB, OLD), config={"user.inx.rehearsal": "db"})
    with pytest.raises(FleetError, match="is not a container on the shared store"):
        plan(seen=twin)


def test_the_containers_of_a_set_are_rehearsed_each() -> None:
    other = replace(WEB, name="db", source=StorePath(path=NEW))
    seen = replace(with_instance(host(), name="db"), generations=host().generations)
    system = System(path=NEW, built=True)
    plans = plan_set(ContainerSet(containers=(WEB, other)), {"web": system, "db": system}, {"web": host(), "db": seen})
    assert [actions(one)[0] for one in plans] == ["rehearse", "rehearse"]
    assert len({one.twin.rehearsal.twin for one in plans if one.twin is not None}) == 2
