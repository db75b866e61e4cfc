# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan when a system is rehearsed, and the removal of what an earlier rehearsal has left. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import FleetError
from ..incus.models import Instance
from ..nix.sources import System
from ..stored_keys import HEALTHY
from .declaration import Container
from .desired import Change, body_after
from .observed import Observed
from .steps import BUILDING, Plan, Step, new_step
from .twin import twin_of

# Steps that give a container a system, with the key that has it.
_GIVING = {"record": "system", "activate": "running_system", "start": "system", "restart": "system"}


def check_rehearsal(declared: Container, observed: Observed) -> None:
    """Raise FleetError for a rehearsal that cannot be on this host."""
    if not declared.rehearse or declared.state == "absent":
        return
    if observed.member is not None:
        raise FleetError(
            f"{declared.name}: 'rehearse' is not possible in a cluster, whose networks are those of all members.",
            "Remove 'rehearse'.",
        )
    if observed.pools is None:
        raise FleetError(
            f"{declared.name}: 'rehearse' needs access to the storage pools, which Incus denies this user.",
            "Use the socket, or a certificate that is not restricted.",
        )


def with_rehearsal(plan: Plan, system: str, differs: Change, instance: Instance, observed: Observed) -> Plan:
    """Return the plan, with a rehearsal of ``system`` before all that touches the container, if it is another one.

    ``differs`` is all that the plan changes of the instance, be it later.
    """
    declared = plan.container
    if not declared.rehearse or not _is_due(plan.system, plan.steps, system, instance, observed):
        return plan
    twin = twin_of(declared, instance, body_after(instance, differs), observed)
    step = new_step("rehearse", declared.name, f"rehearse {system}, {twin.data}", {}, {"rehearsed": system})
    number = next(place for place, one in enumerate((*plan.steps, step)) if one.action not in BUILDING)
    return replace(plan, twin=twin, steps=(*plan.steps[:number], step, *plan.steps[number:]))


def _is_due(wanted: System | None, steps: Sequence[Step], system: str, instance: Instance, observed: Observed) -> bool:
    """Return whether steps give a container a system that it neither has nor was seen to be healthy with.

    It goes back without a rehearsal, too.
    """
    if wanted is not None and wanted.generation is not None:
        return False
    given = {step.after.get(_GIVING[step.action]) for step in steps if step.action in _GIVING}
    has = instance.running_system if instance.is_running else observed.generations.system
    return system in given - {has, instance.notes.get(HEALTHY)}


def with_removal(plan: Plan, observed: Observed) -> Plan:
    """Return the plan, with the removal of what an earlier rehearsal has left before all else."""
    left = observed.rehearsal
    if left is None or plan.container.target != observed.member:
        return plan
    summary = f"remove {left.twin}, which an earlier rehearsal has left"
    step = new_step("rehearse", plan.container.name, summary, {"rehearsal": left.twin}, {})
    return replace(plan, steps=(step, *plan.steps))


def is_rehearsal(step: Step) -> bool:
    """Return whether a step rehearses a system."""
    return step.action == "rehearse" and "rehearsed" in step.after
