# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Outcomes that the modules for containers are given in their tests."""

from __future__ import annotations

from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.outcome import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Plan, Step
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, OLD, empty_host

SECRET = "an old secret"  # noqa: S105 - it is one, and not of anything


def unchanged(name: str, **other: Any) -> Outcome:
    """Return the outcome of a container that nothing was done to."""
    return Outcome(plan=Plan(container=Container(name=name)), steps=(), observed=empty_host(), **other)


def updated(name: str, **other: Any) -> Outcome:
    """Return the outcome of a container that got another system and another password."""
    step = Step(
        action="update",
        container=name,
        summary=f"{name}: update",
        before={"config": {"user.password": SECRET}, "system": OLD},
        after={"config": {"user.password": "a new secret"}, "system": NEW},
    )
    container = Container(name=name, secrets=frozenset(("user.password",)))
    return Outcome(plan=Plan(container=container, steps=(step,)), steps=(step,), observed=empty_host(), **other)
