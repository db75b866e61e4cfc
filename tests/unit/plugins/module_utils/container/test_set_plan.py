# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import container_set
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import ContainerSet
from ansible_collections.inx.fleet.plugins.module_utils.container.set_plan import plan_set
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import StorePath
from ansible_collections.inx.fleet.tests.unit.documentation.documented import argument_spec
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import BUILT, NEW, after, empty_host


def member(name: str, set_name: str | None = "main") -> Container:
    return Container(name=name, source=StorePath(path=NEW), set_name=set_name)


def running(container: Container) -> Observed:
    host = empty_host()
    return after(plan_container(container, BUILT, host), host)


def purging(*containers: Container, limit: int = 9) -> ContainerSet:
    return ContainerSet(containers=containers, name="main", purge=True, purge_limit=limit)


def test_what_is_declared_no_more_goes_first_and_nothing_else_goes() -> None:
    seen = {
        "web": running(member("web")),
        "gone": running(member("gone")),
        "alone": running(member("alone", set_name=None)),
        "other": running(member("other", set_name="other")),
    }
    plans = plan_set(purging(member("web")), {"web": BUILT}, seen)
    assert [(plan.container.name, [step.action for step in plan.steps]) for plan in plans] == [
        ("gone", ["stop", "forget", "delete"]),
        ("web", []),
    ]


def test_what_ended_by_itself_and_is_declared_no_more_leaves_nothing() -> None:
    ended = replace(running(member("gone")), instance=None)
    seen = {"gone": replace(ended, is_left=True), "other": ended}
    plans = plan_set(purging(), {}, seen)
    assert [(plan.container.name, [step.action for step in plan.steps]) for plan in plans] == [("gone", ["forget"])]


def test_what_goes_is_stopped_as_the_defaults_say() -> None:
    defaults = {"force": True, "stop_timeout": "5", "delete_volumes": True, "config": {"a": "b"}}
    options = {name: option.get("default") for name, option in argument_spec("inx_containers").items()}
    params = {**options, "containers": [], "defaults": defaults, "purge": True}
    (plan,) = plan_set(container_set(params), {}, {"gone": running(member("gone"))})
    assert (plan.container.name, plan.container.force, plan.container.stop_timeout) == ("gone", True, 5)
    assert not plan.container.volatile.delete_volumes


def test_more_than_may_go_is_refused() -> None:
    seen = {name: running(member(name)) for name in ("a", "b")}
    with pytest.raises(FleetError, match="2 containers of the set 'main' are no longer declared"):
        plan_set(purging(limit=1), {}, seen)


def test_without_purge_nothing_goes() -> None:
    declared = replace(purging(), purge=False)
    assert plan_set(declared, {}, {"a": running(member("a"))}) == []


def test_a_container_that_cannot_be_planned_does_not_hold_up_the_others() -> None:
    broken = replace(member("broken"), profiles=("nobody-made-this",))
    declared = ContainerSet(containers=(broken, member("web")), name="main")
    plans = plan_set(declared, {"broken": BUILT, "web": BUILT}, {"broken": empty_host(), "web": empty_host()})
    assert [plan.error is None for plan in plans] == [False, True]


def test_a_system_that_does_not_evaluate_is_its_containers_error() -> None:
    error = FleetError("does not evaluate", "Fix it.")
    plans = plan_set(ContainerSet(containers=(member("web"),)), {"web": error}, {"web": empty_host()})
    assert (plans[0].error, plans[0].steps) == (error, ())
