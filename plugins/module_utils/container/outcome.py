# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Outcome of a run for each container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import FleetError, NotTriedError
from ..runlogs.records import Run
from .observed import Observed
from .steps import Plan, Step
from .units import Units


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one container; ``steps`` are those that were done, or that check mode would do."""

    plan: Plan
    steps: tuple[Step, ...]
    observed: Observed
    closure_difference: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    #: What a switch has changed, or would change in check mode.
    units: Units = field(default_factory=dict)
    #: Why check mode does not know them.
    units_unknown: str = ""
    #: Snapshots that were taken or restored.
    snapshots: tuple[Mapping[str, Any], ...] = ()
    error: FleetError | None = None
    #: Configuration revisions of the systems in it, by store path.
    revisions: Mapping[str, str] = field(default_factory=dict)
    #: The last run before this one that changed it, or failed to.
    last_run: Run | None = None

    @property
    def name(self) -> str:
        """Return the container's name."""
        return self.plan.container.name

    @property
    def changed(self) -> bool:
        """Return whether anything was done, or would be."""
        return bool(self.steps)

    @property
    def restart_required(self) -> bool:
        """Tell whether something waits for the next start, be it a system that could not be switched to."""
        return self.plan.restart_required or (isinstance(self.error, NotTriedError) and self._boots_another)

    @property
    def _boots_another(self) -> bool:
        instance, recorded = self.observed.instance, self.observed.generations.system
        return instance is not None and instance.is_running and recorded not in (None, instance.running_system)
