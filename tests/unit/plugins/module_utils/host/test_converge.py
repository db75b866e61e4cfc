# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.host import converge
from ansible_collections.inx.fleet.plugins.module_utils.host.declaration import HostDeclaration
from ansible_collections.inx.fleet.plugins.module_utils.host.steps import PackageList, Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.progress.events import Event, Events, PlannedSteps, StepEnded

SOURCE = Step(action="source", summary="add the backports", after={"file": "new"})
PACKAGES = Step(action="packages", summary="install incus-base")
START = Step(action="start", summary="start incus.socket")


def told(monkeypatch: pytest.MonkeyPatch, plan: Plan, failing: Step | None = None) -> list[Event]:
    """Return what is told while a plan is done, of which one step may fail."""

    def apply_step(_declared: HostDeclaration, step: Step) -> None:
        if step is failing:
            raise FleetError("It cannot be.", "")

    events: list[Event] = []
    monkeypatch.setattr(converge, "apply_step", apply_step)
    converge._applied(None, plan, Events(events.append))  # type: ignore[arg-type]
    return events


def test_a_log_gets_the_steps_that_come_before_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(steps=(SOURCE, PACKAGES, START), packages=PackageList(install=("incus-base",)))
    (planned,) = (one for one in told(monkeypatch, plan) if isinstance(one, PlannedSteps))
    assert planned.name == ""
    assert [step["action"] for step in planned.steps] == ["source"]
    assert planned.steps[0]["after"] == {"file": "new"}
    waiting = Plan(steps=(PACKAGES, START), packages=PackageList(install=("incus-base",)))
    assert not [one for one in told(monkeypatch, waiting) if isinstance(one, PlannedSteps)]


def test_a_log_gets_why_a_step_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = [one for one in told(monkeypatch, Plan(steps=(SOURCE, START)), START) if isinstance(one, StepEnded)]
    assert [(one.action, one.problem) for one in ended] == [("source", ""), ("start", "It cannot be.")]
