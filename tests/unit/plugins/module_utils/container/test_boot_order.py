# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.boot_order import PRIORITY, with_boot_order
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import container_set_from
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import BOOT_PRIORITY
from ansible_collections.inx.fleet.plugins.module_utils.values import Value
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    NEW,
    SET,
    WEB,
    after,
    empty_host,
    running_host,
    with_instance,
)


def one(name: str, *after: str, config: Mapping[str, Value] | None = None) -> Container:
    return Container(name=name, after=after, config=config or {})


def priorities(*containers: Container) -> dict[str, int | None]:
    return {container.name: container.boot_priority for container in with_boot_order(containers)}


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        pytest.param([one("a"), one("b")], {"a": None, "b": None}, id="no order"),
        pytest.param([one("web", "db"), one("db"), one("x")], {"web": 0, "db": 1, "x": None}, id="one after another"),
        pytest.param([one("a", "b"), one("b", "c"), one("c")], {"a": 0, "b": 1, "c": 2}, id="a chain"),
        pytest.param(
            [one("a", "c", "d"), one("b", "c"), one("c", "d"), one("d")], {"a": 0, "b": 0, "c": 1, "d": 2}, id="a web"
        ),
        pytest.param(
            [one("web", "db", config={PRIORITY: "10"}), one("db")], {"web": 10, "db": 11}, id="before a declared one"
        ),
        pytest.param(
            [one("web", "db"), one("db", config={PRIORITY: 5})], {"web": 0, "db": 5}, id="a declared one stays"
        ),
        pytest.param(
            [one("web", "db", config={PRIORITY: None}), one("db")], {"web": 0, "db": 1}, id="declared as absent"
        ),
        pytest.param([one("web", "db", config={PRIORITY: "much"}), one("db")], {"web": 0, "db": 1}, id="not a number"),
    ],
)
def test_priorities_follow_the_order(containers: list[Container], expected: dict[str, int | None]) -> None:
    assert priorities(*containers) == expected


@given(st.lists(st.sets(st.integers(0, 5)), min_size=6, max_size=6))
def test_what_comes_after_another_has_a_lower_one(edges: list[set[int]]) -> None:
    containers = [
        one(f"c{number}", *(f"c{other}" for other in others if other < number)) for number, others in enumerate(edges)
    ]
    found = priorities(*containers)
    for container in containers:
        for other in container.after:
            assert (found[other] or 0) > (found[container.name] or 0)


def test_a_part_of_a_set_keeps_the_order_of_all() -> None:
    chosen = container_set_from({**SET, "only": ["db"]}, [one("web", "db"), one("db")]).containers
    assert [(container.name, container.boot_priority) for container in chosen] == [("db", 1)]


def test_the_order_is_written_and_a_second_run_changes_nothing() -> None:
    ordered = replace(WEB, boot_priority=2, set_name="main")
    seen = running_host(ordered)
    assert seen.instance is not None
    assert (seen.instance.config[PRIORITY], seen.instance.config[BOOT_PRIORITY]) == ("2", "2")
    assert plan_container(ordered, BUILT, seen).steps == ()


def test_a_change_of_the_order_requires_no_restart() -> None:
    plan = plan_container(replace(WEB, boot_priority=2), BUILT, running_host(WEB))
    (step,) = plan.steps
    assert step.after == {"config": {PRIORITY: "2", BOOT_PRIORITY: "2"}}
    assert not plan.restart_required


def test_a_priority_that_was_derived_goes_with_the_order() -> None:
    seen = running_host(replace(WEB, boot_priority=2, set_name="main"))
    (step,) = plan_container(replace(WEB, set_name="main"), BUILT, seen).steps
    assert step.after == {"config": {PRIORITY: None, BOOT_PRIORITY: None}}
    # The module for one container knows nothing of an order.
    assert plan_container(replace(WEB, source=None), None, seen).steps == ()


def test_a_priority_that_was_set_by_hand_stays_without_an_order() -> None:
    seen = running_host(replace(WEB, set_name="main"))
    assert seen.instance is not None
    by_hand = with_instance(seen, config={**seen.instance.config, PRIORITY: "7"})
    assert plan_container(replace(WEB, set_name="main"), BUILT, by_hand).steps == ()


def test_a_declared_one_takes_the_place_of_a_derived_one() -> None:
    own = replace(WEB, boot_priority=2, set_name="main", config={PRIORITY: 7})
    host = empty_host()
    fresh = after(plan_container(own, BUILT, host), host)
    assert fresh.instance is not None
    assert fresh.instance.config[PRIORITY] == "7"
    assert BOOT_PRIORITY not in fresh.instance.config
    (step,) = plan_container(own, BUILT, running_host(replace(own, config={}), NEW)).steps
    assert step.after == {"config": {PRIORITY: "7", BOOT_PRIORITY: None}}
