# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.held_back import with_held_back
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Action, Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError


def plan(name: str, *actions: Action, after: tuple[str, ...] = (), error: bool = False) -> Plan:
    steps = tuple(Step(action=action, container=name, summary="") for action in actions)
    container = Container(name=name, after=after)
    return Plan(container=container, steps=steps, error=FleetError("It is bad.", "Fix it.") if error else None)


def told(*plans: Plan) -> dict[str, tuple[list[str], str]]:
    return {
        found.container.name: ([step.action for step in found.steps], "" if found.error is None else str(found.error))
        for found in with_held_back(plans)
    }


def test_those_after_one_that_fails_are_left_alone_and_those_after_them() -> None:
    web = plan("web", "build", "record", "activate", after=("db",))
    found = told(web, plan("db", error=True), plan("proxy", "update", after=("web",)), plan("other", "start"))
    assert found == {
        "web": (["build"], "web was not touched, because it comes after db, which failed. Fix db first."),
        "db": ([], "It is bad. Fix it."),
        "proxy": ([], "proxy was not touched, because it comes after web, which failed. Fix web first."),
        "other": (["start"], ""),
    }


def test_one_that_is_as_declared_stays_so() -> None:
    assert told(plan("web", after=("db",)), plan("db", error=True))["web"] == ([], "")


def test_a_way_back_is_finished_whatever_comes_before_it() -> None:
    found = told(plan("web", "rollback", after=("db",), error=True), plan("db", error=True))
    assert found["web"] == (["rollback"], "It is bad. Fix it.")
