# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluate, observe, plan, build and apply: how the modules change containers, one or a hundred."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..errors import ConflictError, FleetError, NotTriedError
from ..names import lxc_name
from ..nix.rehearsals import read_rehearsal
from ..nix.sources import System
from ..stored_keys import WAITING
from ..text import incus_command
from .apply import apply_step
from .builds import Builds
from .data_costs import with_costs
from .declaration import Container
from .ends import Host
from .exchange import with_exchange
from .handover import Handovers, not_released
from .health import verify
from .held_back import not_touched
from .neighbours import with_refused_members, with_refused_neighbours
from .observation import members_of_set, observe
from .observed import Observed
from .outcome import Outcome
from .packages import closure_differences
from .placement import placed
from .rehearse import UnfitError
from .rollback import RolledBackError
from .run_locks import Locks
from .schedule import Slots, run_jobs
from .set_declaration import ContainerSet
from .set_plan import plan_set
from .steps import BUILDING, DISRUPTIVE, PROVING, Plan, Step
from .systems import Systems, is_recorded, recorded, sources, systems_by_name, with_builds, with_validity
from .telling import tell_end, tell_plans
from .unit_plan import with_units
from .units import Units, merged_units


def converge(
    host: Host, declared: ContainerSet, *, check: bool, diff: bool, build: bool, lock_timeout: int
) -> list[Outcome]:
    """Bring containers to what is declared, or say what that would take: the purged ones, then the declared ones.

    Another run that works on one of those that change is waited for. Raises FleetError when nothing can be planned at
    all; what ails one container is in its outcome's ``error``. With ``build``, check mode builds systems.
    """
    locks = Locks(_title(declared), lock_timeout, host.events)
    declared, misplaced, located = _placed(host, declared)
    # The reason ends with what to do about it, as inx_system has said it.
    refused = {**misplaced, **{name: FleetError(why, "") for name, why in declared.build_failures.items()}}
    if check and build:
        with host.nix.evaluated(sources(host, declared), recorded(declared)) as found:
            evaluated = with_builds(host, declared, systems_by_name(host, declared, found))
            return _converge(host, declared, evaluated, refused=refused, located=located, locks=None, diff=diff) or []
    if check:
        evaluated = systems_by_name(host, declared, host.nix.evaluate(sources(host, declared)))
        return _converge(host, declared, evaluated, refused=refused, located=located, locks=None, diff=diff) or []
    with locks:
        # Before it evaluates: what another run applies while this one evaluates could be newer.
        locks.take_free(_lxc_names(declared.containers))
        while True:
            with host.nix.evaluated(sources(host, declared), recorded(declared)) as found:
                evaluated = systems_by_name(host, declared, found)
                outcomes = _converge(
                    host, declared, evaluated, refused=refused, located=located, locks=locks, diff=diff
                )
            if outcomes is not None:
                return outcomes


def _title(declared: ContainerSet) -> str:
    """Return the name of a run, for others that wait for it."""
    if declared.name is None:
        return "inx_container"
    return f"inx_containers with the set {declared.name}"


def _lxc_names(containers: Iterable[Container]) -> list[str]:
    return [lxc_name(container.project, container.name) for container in containers]


def _converge(
    host: Host,
    declared: ContainerSet,
    evaluated: Systems,
    *,
    refused: Mapping[str, FleetError],
    located: Mapping[str, str | None],
    locks: Locks | None,
    diff: bool,
) -> list[Outcome] | None:
    """Observe, plan and apply; without ``locks`` only plan. None when it had to wait, and is to look again."""
    # What another run has in hand is waited for by the lock.
    busy = host.incus.await_operations(partial(_names_here, host, declared, locks))
    before = observe(host, declared)
    evaluated = {**evaluated, **refused, **busy, **_moved(located, before), **_unseen(host, declared, before)}
    unrecorded = [
        system
        for name, system in evaluated.items()
        if isinstance(system, System) and not is_recorded(system, before[name].generations)
    ]
    systems = with_validity(host, evaluated, unrecorded)
    planned = [_with_warnings(plan, systems.get(plan.container.name)) for plan in plan_set(declared, systems, before)]
    planned = with_costs(host.incus, planned, before)
    purged = {plan.container.name for plan in planned} - {container.name for container in declared.containers}
    plans = with_exchange(with_refused_neighbours(host, planned, before), before, purged)
    if locks is None:
        outcomes = [_outcome(plan, before[plan.container.name], steps=plan.steps) for plan in plans]
    else:
        if locks.hold(_lxc_names(plan.container for plan in plans if _has_to_do(plan))):
            return None
        if locks.refused:
            plans = with_exchange(with_refused_members(_without_held(planned, locks), before), before, purged)
        outcomes = _apply(host, declared, plans, before)
    if not diff:
        return outcomes
    differences = closure_differences(host, outcomes, before)
    outcomes = [replace(outcome, closure_difference=differences.get(outcome.name, ())) for outcome in outcomes]
    # A run tells which units it has changed.
    return outcomes if locks is not None else with_units(host.incus, outcomes, before, _workers(declared))


def _workers(declared: ContainerSet) -> int:
    """Return how many containers are worked on at the same time."""
    return declared.parallel or max(4, 2 * (os.cpu_count() or 1))


def _with_warnings(plan: Plan, system: System | FleetError | None) -> Plan:
    """Return the plan, with the warnings about its system."""
    return replace(plan, warnings=(*plan.warnings, *system.warnings)) if isinstance(system, System) else plan


def _without_held(plans: Sequence[Plan], locks: Locks) -> list[Plan]:
    """Return the plans, without the steps for containers that another run holds."""
    names = _lxc_names(plan.container for plan in plans)
    return [
        replace(plan, steps=(), error=locks.refused[name]) if name in locks.refused and _has_to_do(plan) else plan
        for name, plan in zip(names, plans, strict=True)
    ]


def _has_to_do(plan: Plan) -> bool:
    return bool(plan.steps) or plan.awaits


def _outcome(plan: Plan, observed: Observed, steps: tuple[Step, ...] = ()) -> Outcome:
    return Outcome(plan=plan, steps=steps, observed=observed, warnings=plan.warnings, error=plan.error)


# Placing, in a cluster


def _placed(host: Host, declared: ContainerSet) -> tuple[ContainerSet, dict[str, FleetError], Mapping[str, str | None]]:
    """Return the set with the member of each container, errors for those without one, and where instances are."""
    cluster = host.incus.cluster()
    located = {} if cluster is None else host.incus.locations()
    containers, refused = [], dict[str, FleetError]()
    for container in declared.containers:
        try:
            containers.append(placed(container, located.get(container.name), cluster))
        except FleetError as error:
            refused[container.name] = error
            containers.append(replace(container, target=host.incus.server.member))
    return replace(declared, containers=tuple(containers)), refused, located


def _moved(located: Mapping[str, str | None], before: Mapping[str, Observed]) -> dict[str, FleetError]:
    """Return errors for containers that were moved by somebody else since they were placed."""
    return {
        name: ConflictError(f"{name} was moved from {located[name]} in the meantime.", "Run again.")
        for name, seen in before.items()
        if seen.instance is not None and located.get(name) not in (None, seen.instance.location)
    }


def _unseen(host: Host, declared: ContainerSet, before: Mapping[str, Observed]) -> dict[str, FleetError]:
    """Return why nothing can be said of some containers: nothing of theirs is changed, and least of all deleted.

    A list may lack instances that this user is not shown. What belongs to one that is to be absent goes when Incus
    says of the very instance that it does not exist.
    """
    unseen: dict[str, FleetError] = {}
    here = [container for container in declared.containers if container.target == host.incus.server.member]
    for container in here:
        seen = before[container.name]
        if seen.instance is not None and seen.instance.is_unreadable:
            problem = f"Incus cannot look at {container.name}, so nothing is known about it."
            unseen[container.name] = FleetError(
                problem, f"See '{incus_command(container.project, 'info', container.name)}' on the host."
            )
        elif seen.instance is None and container.state == "absent" and _has_left(container, seen):
            try:
                if host.incus.instance(container.name) is not None:
                    raise ConflictError(f"{container.name} was created in the meantime.", "Run again.")
            except FleetError as error:
                unseen[container.name] = error
    return unseen


def _has_left(container: Container, seen: Observed) -> bool:
    return seen.generations.directory or container.volatile.delete_volumes or seen.secrets.is_kept


# Observing


def _names_here(host: Host, declared: ContainerSet, locks: Locks | None) -> set[str]:
    """Return the containers that this run may change now: of those that are declared, and those that may be purged."""
    names = {
        container.name
        for container in declared.containers
        if container.target == host.incus.server.member
        and (locks is None or lxc_name(container.project, container.name) in locks)
    }
    # A killed run may have left a twin behind that is still starting.
    names |= {left.twin for name in names if (left := read_rehearsal(declared.project, name)) is not None}
    return names | (members_of_set(host, declared) if declared.purge else set())


# Applying


def _apply(host: Host, declared: ContainerSet, plans: Sequence[Plan], before: Mapping[str, Observed]) -> list[Outcome]:
    builds = Builds(host.nix, plans)
    slots = Slots(declared.max_unavailable, declared.rollback_limit)
    work = _Work(host, slots, declared.rollback_limit, plans, before)
    names = {container.name for container in declared.containers}
    tell_plans(host.events, plans, before, [plan.container.name for plan in plans if work.has_work(plan)])
    purged = [plan for plan in plans if plan.container.name not in names]
    # What goes may hold an address or a port that one of the others is to get.
    for chosen in (purged, [plan for plan in plans if plan.container.name in names]):
        jobs = {plan.container.name: partial(work.do_built, plan, builds) for plan in chosen if work.has_work(plan)}
        after = {name: [*others, *builds.before(name)] for name, others in _after(chosen).items()}
        run_jobs(jobs, after, _workers(declared), beside=None if chosen is purged else builds.jobs)
    return _with_what_is_now(host, declared, [work.outcome(plan) for plan in plans])


def _after(plans: Iterable[Plan]) -> dict[str, Sequence[str]]:
    return {plan.container.name: plan.container.after for plan in plans}


class _Work:
    """What the jobs of a run share: where they note their outcomes, and the slots that they wait for."""

    def __init__(
        self,
        host: Host,
        slots: Slots,
        rollback_limit: int | None,
        plans: Sequence[Plan],
        before: Mapping[str, Observed],
    ) -> None:
        self._host = host
        self._slots = slots
        self._rollback_limit = rollback_limit
        self._before = before
        self._handovers = Handovers(plans, partial(apply_step, host))
        here = {plan.container.name for plan in plans if plan.container.target == host.incus.server.member}
        self._waited_for = {name for plan in plans if plan.steps for name in plan.container.after} & here
        failed = [plan for plan in plans if plan.error is not None and not plan.steps]
        self.outcomes = {plan.container.name: _outcome(plan, before[plan.container.name]) for plan in failed}

    def has_work(self, plan: Plan) -> bool:
        """Return whether there is anything to do, such as a check of health for the containers that wait for it."""
        is_looked_at = plan.awaits or plan.container.name in self._waited_for
        return bool(plan.steps) or (is_looked_at and plan.error is None)

    def outcome(self, plan: Plan) -> Outcome:
        """Return the outcome of a container, with or without a job."""
        name, handovers = plan.container.name, self._handovers
        outcome = self.outcomes[name] if name in self.outcomes else _outcome(plan, self._before[name])
        head, warnings = handovers.done.get(name, ()), handovers.warnings.get(name, ())
        error = outcome.error or handovers.errors.get(name)
        return replace(outcome, steps=(*head, *outcome.steps), warnings=(*outcome.warnings, *warnings), error=error)

    def do_built(self, plan: Plan, builds: Builds) -> Outcome:
        """Do the steps of a plan, unless its system could not be built."""
        error = builds.error_of(plan)
        if error is None:
            return self.do(plan)
        return self._ended(_outcome(replace(plan, steps=(), error=error), self._before[plan.container.name]))

    def do(self, plan: Plan) -> Outcome:
        """Do the steps of a plan, one after another until one fails."""
        done: list[Step] = []
        warnings = list(plan.warnings)
        units: Units = {}
        snapshots: list[Mapping[str, Any]] = []
        error: FleetError | None = None
        # It is at its work until it is interrupted.
        available, has_slot, has_turn = True, False, False
        try:
            for number, step in enumerate(plan.steps):
                # What was built, together with the others, stays so. All else waits for the container's turn: what is
                # recorded before that would boot with the host.
                if step.action == "rehearse" and not has_turn:
                    # What it tries is no container of the set, and interrupts none.
                    self._check_others(plan)
                    self._check_limit(plan)
                elif step.action not in BUILDING and not has_turn:
                    self._check_others(plan)
                    has_slot, has_turn = self._take_slot(plan), True
                if number < plan.head or step.claims_from:
                    self._hand_over(plan, step)
                if number < plan.head:
                    continue
                available = available and step.action not in DISRUPTIVE
                told = apply_step(self._host, plan, step)
                warnings += told.warnings
                units = merged_units(units, told.units)
                snapshots += told.snapshots
                done.append(step)
            if plan.error is None:
                warnings += self._prove(plan)
            error = plan.error
            available = True
        except RolledBackError as failure:
            error = failure
            available = True
            self._slots.note_rollback()
            done.append(failure.step)
            snapshots += [] if failure.data is None else [failure.data.told]
        except UnfitError as failure:
            error = failure
            self._slots.note_rollback()
            done.append(failure.step)
        except NotTriedError as failure:
            error = failure
            available = True
        except FleetError as failure:
            error = failure
        finally:
            if has_slot:
                self._slots.give_back(available=available)
        outcome = _outcome(plan, self._before[plan.container.name], tuple(done))
        return self._ended(
            replace(outcome, warnings=tuple(warnings), units=units, snapshots=tuple(snapshots), error=error)
        )

    def _ended(self, outcome: Outcome) -> Outcome:
        """Note the outcome of a job."""
        self.outcomes[outcome.name] = outcome
        tell_end(self._host.events, outcome.name, outcome.error)
        return outcome

    def _hand_over(self, plan: Plan, step: Step) -> None:
        """Do what containers release and claim among each other. Raise FleetError if a step cannot be done then."""
        name = plan.container.name
        self._handovers.settle(plan)
        if name in self._handovers.errors:
            raise self._handovers.errors[name]
        for other in sorted(step.claims_from):
            # Those that are purged have ended.
            ended = self.outcomes.get(other)
            if not self._handovers.has_released(other) and (ended is None or ended.error is not None):
                raise not_released(name, other)

    def _check_others(self, plan: Plan) -> None:
        for name in plan.container.after:
            if name in self.outcomes and self.outcomes[name].error is not None:
                raise not_touched(plan.container.name, name)

    def _take_slot(self, plan: Plan) -> bool:
        """Wait for a container's turn; True when it takes a slot, since it runs and is to be interrupted."""
        name, actions = plan.container.name, {step.action for step in plan.steps}
        instance = self._before[name].instance
        takes_slot = bool(actions & DISRUPTIVE) and instance is not None and instance.is_running
        if takes_slot and self._slots.take():
            return True
        if takes_slot or actions & PROVING:
            self._check_limit(plan)
        if takes_slot:
            raise FleetError(
                f"{name} was not interrupted: as many containers are unavailable after their update as "
                "'max_unavailable' allows.",
                "Fix those first.",
            )
        return False

    def _check_limit(self, plan: Plan) -> None:
        if self._slots.is_over:
            raise FleetError(
                f"{plan.container.name} was not touched: as many containers were rolled back, or kept from a system "
                f"that failed its rehearsal, as 'rollback_limit' allows, which is {self._rollback_limit}.",
                "Fix their systems first, or raise it.",
            )

    def _prove(self, plan: Plan) -> list[str]:
        """See that a container is up that others come after, or that did not come up after its start.

        Not if a step has just seen it.
        """
        name = plan.container.name
        is_looked_at = plan.awaits or name in self._waited_for
        if not is_looked_at or any(step.action in PROVING for step in plan.steps):
            return []
        instance = self._before[name].instance
        if instance is None or instance.running_system is None:
            look = incus_command(plan.container.project, "exec", name, "--", "ls", "-l", "/run")
            raise FleetError(f"{name} does not report which system it runs.", f"See '{look}'.")
        warnings = verify(self._host.incus, plan.container, instance.running_system)
        if plan.awaits:
            self._host.notes.change(plan.container, {WAITING: ""})
        return warnings


def _with_what_is_now(host: Host, declared: ContainerSet, outcomes: list[Outcome]) -> list[Outcome]:
    """Look again at those with which anything was done or tried."""
    touched = [outcome.name for outcome in outcomes if outcome.changed or outcome.error is not None]
    if not touched:
        return outcomes
    try:
        now = observe(host, declared, touched)
    except FleetError as failure:
        # The first error counts. The completed steps are returned with either.
        return [
            replace(outcome, error=outcome.error or failure) if outcome.changed else outcome for outcome in outcomes
        ]
    return [replace(outcome, observed=now.get(outcome.name, outcome.observed)) for outcome in outcomes]
