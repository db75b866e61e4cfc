# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask running containers which units a switch would change.

The new system's dry-activate changes nothing: it compares the units, and runs the activation scripts that are made for
a dry run (nixpkgs: nixos/modules/system/activation/activation-script.nix, supportsDryActivation).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ..errors import FleetError
from ..incus.client import Incus
from ..nix.wanted_units import new_units
from ..text import quoted
from .observed import Observed
from .outcome import Outcome
from .packages import system_before
from .schedule import run_jobs
from .steps import Plan
from .switching import advice_on_untried
from .units import Units, merged_units, planned_units

# The one in Perl waits for another switch.
_PATIENCE = 60


@dataclass(frozen=True, kw_only=True)
class UnitPlan:
    """Units that a switch would change, or why they are not known."""

    units: Units = field(default_factory=dict)
    unknown: str = ""


def with_units(
    incus: Incus, outcomes: Sequence[Outcome], before: Mapping[str, Observed], workers: int
) -> list[Outcome]:
    """Return the outcomes of check mode with the units that switches and secrets would change."""
    planned, nothing = plan_units(incus, outcomes, before, workers), UnitPlan()
    seen = [planned.get(outcome.name, nothing) for outcome in outcomes]
    return [
        replace(
            outcome, units=plan.units if plan.unknown else _with_secret_units(outcome, plan), units_unknown=plan.unknown
        )
        for outcome, plan in zip(outcomes, seen, strict=True)
    ]


def _with_secret_units(outcome: Outcome, plan: UnitPlan) -> Units:
    """Return the units of a plan with those of changed secrets, without those that the switch starts anew."""
    started = {unit for done in ("restarted", "started") for unit in plan.units.get(done, ())}
    wanted = {unit: what for step in outcome.steps for unit, what in step.after.get("secret_units", {}).items()}
    done = {"restarted": "restart", "reloaded": "reload"}
    units = {
        name: tuple(unit for unit, what in wanted.items() if what == word and unit not in started)
        for name, word in done.items()
    }
    return merged_units(plan.units, {name: found for name, found in units.items() if found})


def plan_units(
    incus: Incus, outcomes: Iterable[Outcome], before: Mapping[str, Observed], workers: int
) -> dict[str, UnitPlan]:
    """Return the units of each container whose system changes, by its name."""
    changing = [outcome.plan for outcome in outcomes if _changes_system(outcome, before[outcome.name])]
    reasons = {plan.container.name: why_unknown(plan, before[plan.container.name]) for plan in changing}
    jobs = {
        plan.container.name: partial(_ask, incus, plan, before[plan.container.name])
        for plan in changing
        if not reasons[plan.container.name]
    }
    return {name: UnitPlan(unknown=why) for name, why in reasons.items() if why} | run_jobs(jobs, {}, workers)


def _changes_system(outcome: Outcome, observed: Observed) -> bool:
    """Return whether there is anything to say of units: a container without a system yet has none."""
    plan, old = outcome.plan, system_before(observed)
    if outcome.error is not None or plan.system is None:
        return False
    changes = old not in (None, plan.system.path) and outcome.changed
    return changes or any(step.action == "activate" for step in outcome.steps)


def why_unknown(plan: Plan, observed: Observed) -> str:
    """Return why a container cannot be asked, or an empty text."""
    actions = [step.action for step in plan.steps]
    boots = {"start", "restart"}.intersection(actions)
    is_running = observed.instance is not None and observed.instance.is_running
    if plan.system is not None and not plan.system.built and "activate" in actions:
        return f"the units are known when {plan.system.path} is in the store: see 'build_in_check_mode'"
    if boots and "activate" in actions:
        return "the container boots before it is switched"
    if boots:
        return "the container boots the system, which starts all units"
    if not is_running:
        return "the container does not run"
    if "activate" not in actions:
        return "units change when the container boots the system"
    return "the container is frozen" if "unfreeze" in actions else ""


def _ended_in_time(system: str) -> list[str]:
    """Return what ends a program of a system: Incus does not, and a dry run that goes on holds the lock of a switch."""
    program = f"{system}/sw/bin/timeout"
    return [program, "-k", "5", str(_PATIENCE - 5)] if os.path.exists(program) else []


def _ask(incus: Incus, plan: Plan, observed: Observed) -> UnitPlan:
    step = next(step for step in plan.steps if step.action == "activate")
    system, runs = step.after["running_system"], step.before["running_system"]
    try:
        done = incus.execute(
            plan.container.name,
            [*_ended_in_time(system), f"{system}/bin/switch-to-configuration", "dry-activate"],
            _PATIENCE,
            output_of_success=("stderr",),
        )
    except FleetError as error:
        return UnitPlan(unknown=error.problem)
    if done.code != 0:
        refusal = FleetError(
            f"'dry-activate' of {system} ended with code {done.code}, and a switch may, too. It said:\n"
            f"{quoted(done.stdout + done.stderr)}",
            advice_on_untried(done.code, plan.container),
        )
        return UnitPlan(unknown=str(refusal))
    return UnitPlan(units=planned_units(done.stderr, () if runs is None else new_units(runs, system)))
