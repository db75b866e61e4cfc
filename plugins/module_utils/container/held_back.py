# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers that wait for one whose plan has failed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import FleetError
from .steps import BUILDING, Plan


def with_held_back(plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans; those that come after one with an error keep the steps that only build, and get an error.

    What is known before a run is so predicted by check mode as well.
    """
    found = {plan.container.name: plan for plan in plans}
    failed = {name for name, plan in found.items() if plan.error is not None}
    waiting = [name for name, plan in found.items() if plan.error is None and plan.steps]
    while held := [name for name in waiting if failed & set(found[name].container.after)]:
        for name in held:
            plan = found[name]
            other = next(other for other in plan.container.after if other in failed)
            steps = tuple(step for step in plan.steps if step.action in BUILDING)
            found[name] = replace(plan, steps=steps, error=not_touched(name, other), restart_required=False)
        failed.update(held)
        waiting = [name for name in waiting if name not in failed]
    return list(found.values())


def not_touched(name: str, other: str) -> FleetError:
    """Return the error of a container that comes after ``other``."""
    return FleetError(f"{name} was not touched, because it comes after {other}, which failed.", f"Fix {other} first.")
