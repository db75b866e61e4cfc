# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring a host to what is declared: look, plan, and apply."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import takewhile

from ..errors import FleetError
from ..paths import INTERPRETER
from ..progress.events import Events, Planned, PlannedSteps
from .apply import apply_step
from .declaration import HostDeclaration
from .nixos import lacking_lines
from .observation import observe_debian, observe_nixos, read_release
from .observed import Release
from .plan import plan_host
from .python import has_libraries_here
from .steps import NO_PACKAGES, PackageList, Plan, Step, steps_result

_UNSEEN = "Incus does not run. What it holds can only be compared once it does."


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run did. ``steps`` are done, in check mode they would be, and ``left`` are not.

    ``packages`` are to be installed before the rest can be done. ``lacking`` are the lines that the configuration of a
    NixOS host lacks.
    """

    steps: tuple[Step, ...] = ()
    left: tuple[Step, ...] = ()
    packages: PackageList = NO_PACKAGES
    pending: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    lacking: str = ""
    #: The interpreter that has the libraries of the modules, once it has them and if this one does not.
    python: str | None = None
    error: FleetError | None = None


def converge(declared: HostDeclaration, events: Events, *, check: bool) -> Outcome:
    """Set up a Debian host, or compare a NixOS host. Raise FleetError if nothing was changed yet."""
    release = read_release()
    if release.id == "nixos":
        return Outcome(lacking=lacking_lines(declared, observe_nixos(declared, release)))
    return _converge_debian(declared, release, events, check=check)


def _converge_debian(declared: HostDeclaration, release: Release, events: Events, *, check: bool) -> Outcome:
    plan = plan_host(declared, observe_debian(declared, release))
    if check:
        return _predicted(plan)
    outcome = _applied(declared, plan, events)
    if outcome.error is not None or outcome.packages or not plan.continues:
        return outcome
    try:
        plan = plan_host(declared, observe_debian(declared, release))
        if plan.continues:
            raise FleetError("Incus was started, and does not listen.", "See 'journalctl -u incus.socket' on the host.")
    except FleetError as error:
        return replace(outcome, error=error)
    later = _applied(declared, plan, events)
    return replace(later, steps=(*outcome.steps, *later.steps))


def _predicted(plan: Plan) -> Outcome:
    return Outcome(
        steps=plan.steps,
        packages=plan.packages,
        pending=plan.pending,
        warnings=(*plan.warnings, *((_UNSEEN,) if plan.continues else ())),
        python=None if "Python" in plan.pending else _better_python(),
    )


def _applied(declared: HostDeclaration, plan: Plan, events: Events) -> Outcome:
    """Do the steps until one fails, or needs packages, which are not installed here."""
    events.tell(Planned(steps=len(plan.steps)))
    own = tuple(takewhile(lambda step: step.action != "packages", plan.steps))
    if own:
        events.tell(PlannedSteps(name="", steps=tuple(steps_result(own))))
    for place, step in enumerate(plan.steps):
        if step.action == "packages":
            return replace(_stopped(plan, place), packages=plan.packages)
        try:
            with events.step("", step.action, step.summary):
                apply_step(declared, step)
        except FleetError as error:
            return replace(_stopped(plan, place), error=error)
    return Outcome(steps=plan.steps, warnings=plan.warnings, python=_better_python())


def _better_python() -> str | None:
    return None if has_libraries_here() else INTERPRETER


def _stopped(plan: Plan, place: int) -> Outcome:
    return Outcome(steps=plan.steps[:place], left=plan.steps[place:], pending=plan.pending, warnings=plan.warnings)
