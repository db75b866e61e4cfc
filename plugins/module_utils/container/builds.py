# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds of a run, as jobs that containers wait for. A build that hangs delays no container that does not need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..errors import FleetError
from ..nix.command import Nix, Wanted
from ..nix.sources import System
from .steps import BUILDING, Plan


class Builds:
    """What is not in the store and is to be built or copied: together, where nix is called the same way."""

    def __init__(self, nix: Nix, plans: Sequence[Plan]) -> None:
        """Nothing is built yet."""
        self._nix = nix
        self._failed: dict[System, FleetError] = {}
        wanted = {
            plan.container.name: (plan.system, plan.container.nix)
            for plan in plans
            if plan.system is not None and any(step.action in BUILDING for step in plan.steps)
        }
        # No container has a name with a blank.
        groups = {f"build {number}": group for number, group in enumerate(nix.build_groups(list(wanted.values())))}
        job_of = {entry: job for job, group in groups.items() for entry in group}
        self._job_of = {name: job_of[entry] for name, entry in wanted.items()}
        #: What is to be run, by the name of the job.
        self.jobs: dict[str, Callable[[], None]] = {job: partial(self._build, group) for job, group in groups.items()}

    def _build(self, group: Sequence[Wanted]) -> None:
        self._failed.update(self._nix.build(group))

    def before(self, name: str) -> list[str]:
        """Return the jobs that a container waits for."""
        return [self._job_of[name]] if name in self._job_of else []

    def error_of(self, plan: Plan) -> FleetError | None:
        """Return why the system of a plan could not be built, when its build is over."""
        if plan.system is None or plan.container.name not in self._job_of:
            return None
        return self._failed.get(plan.system)
