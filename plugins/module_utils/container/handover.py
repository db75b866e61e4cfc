# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Do the heads of plans: what containers release and claim among each other, in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

from ..errors import FleetError, cleaning_up
from .steps import Plan, Step, Told

Do = Callable[[Plan, Step], Told]


@dataclass(kw_only=True)
class _Group:
    """Plans whose heads belong together."""

    plans: list[Plan]
    lock: Lock = field(default_factory=Lock)
    is_done: bool = False


class Handovers:
    """The heads of a run's plans. Each group is done once, by the first container that needs one of its steps."""

    def __init__(self, plans: Sequence[Plan], do: Do) -> None:
        """``do`` does one step of a plan."""
        self._do = do
        self._groups = {plan.container.name: group for group in _groups(plans) for plan in group.plans}
        self._released: set[str] = set()
        self.done: dict[str, list[Step]] = {}
        self.warnings: dict[str, list[str]] = {}
        self.errors: dict[str, FleetError] = {}

    def settle(self, plan: Plan) -> None:
        """Do the heads that a container's steps belong to, unless that was done or is being done."""
        for name in (plan.container.name, *_sources(plan.steps)):
            group = self._groups.get(name)
            if group is not None:
                with group.lock:
                    if not group.is_done:
                        group.is_done = True
                        self._settle(group.plans)

    def has_released(self, name: str) -> bool:
        """Return whether a container has released what others claim."""
        return name in self._released

    def _settle(self, plans: Sequence[Plan]) -> None:
        for plan in plans:
            if self._do_all(plan, plan.steps[: plan.released]):
                self._released.add(plan.container.name)
        if any(plan.container.name in self.errors for plan in plans):
            self._take_back(plans)
            return
        for plan in plans:
            self._do_all(plan, plan.steps[plan.released : plan.head])

    def _do_all(self, plan: Plan, steps: Sequence[Step]) -> bool:
        name = plan.container.name
        done, warnings = self.done.setdefault(name, []), self.warnings.setdefault(name, [])
        for step in steps:
            try:
                warnings += self._do(plan, step).warnings
            except FleetError as error:
                self.errors[name] = error
                return False
            done.append(step)
        return True

    def _take_back(self, plans: Sequence[Plan]) -> None:
        """Give devices back to those that released them for nothing."""
        failed = next(plan.container.name for plan in plans if plan.container.name in self.errors)
        for plan in plans:
            name, done = plan.container.name, self.done.get(plan.container.name, [])
            if name in self.errors or any(step.action != "update" for step in done):
                continue
            self.errors[name] = error = not_released(name, failed)
            self._released.discard(name)
            while done:
                step = done.pop()
                with cleaning_up(error, f"Undoing '{step.summary}'"):
                    self._do(plan, replace(step, before=step.after, after=step.before))


def not_released(name: str, other: str) -> FleetError:
    """Return the error of a container that claims what ``other`` has still."""
    return FleetError(f"{name} was not changed: it claims what {other} did not release.", f"Fix {other} first.")


def _sources(steps: Iterable[Step]) -> set[str]:
    return {name for step in steps for name in step.claims_from}


def _groups(plans: Sequence[Plan]) -> list[_Group]:
    """Return the plans with heads, in groups of those that claim from each other, directly or not."""
    found = {plan.container.name: {plan.container.name} for plan in plans}
    for plan in plans:
        for other in _sources(plan.steps) & found.keys():
            joined = found[plan.container.name] | found[other]
            found.update(dict.fromkeys(joined, joined))
    heads = {plan.container.name: plan for plan in plans if plan.head}
    groups = {id(names): names for names in found.values()}
    return [
        _Group(plans=members)
        for names in groups.values()
        if (members := [plan for name, plan in heads.items() if name in names])
    ]
