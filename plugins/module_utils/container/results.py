# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of the modules: outcomes, and diffs as Ansible shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import FleetError
from ..incus.addresses import first, ordered
from ..redaction import hidden, secret_keys, stored_secrets
from ..runlogs.records import as_data
from ..text import listed
from ..values import present
from .fallback import previous_generation
from .outcome import Outcome
from .revisions import with_step_revisions
from .steps import Step
from .units import VERBS

# How many names of those with the same error are given.
_MOST_NAMES = 10


def container_result(outcome: Outcome, family: str = "ipv4") -> dict[str, Any]:
    """Return the return values of one container; addresses of ``family`` come first."""
    instance, found = outcome.observed.instance, outcome.observed.generations
    runs = None if instance is None else instance.running_system
    container = {
        "name": outcome.name,
        "status": instance.status if instance is not None else "Absent",
        "location": None if instance is None else instance.location,
        "addresses": {} if instance is None else ordered(instance.addresses, family),
        "address": None if instance is None else first(instance.addresses, family),
        "system": found.system,
        "revision": outcome.revisions.get(found.system or ""),
        "running_system": runs,
        "running_revision": outcome.revisions.get(runs or ""),
        "generation": found.current,
        "previous_generation": previous_generation(outcome.observed),
    }
    return {
        "changed": outcome.changed,
        "container": container,
        "steps": steps_result(told_steps(outcome)),
        "units": {done: list(units) for done, units in outcome.units.items()},
        "snapshots": [dict(one) for one in outcome.snapshots],
        "units_unknown": outcome.units_unknown or None,
        "packages": list(outcome.closure_difference),
        "restart_required": outcome.restart_required,
        "last_run": None if outcome.last_run is None else as_data(outcome.last_run),
        "locked_inputs": [] if outcome.plan.system is None else list(outcome.plan.system.locked_inputs),
    }


def member_result(outcome: Outcome) -> dict[str, Any]:
    """Return the return values of one container of a set, with the error that stopped it.

    Addresses are not among them: for a whole set they are not asked for.
    """
    result = container_result(outcome)
    del result["container"]["addresses"], result["container"]["address"]
    error = None if outcome.error is None else str(outcome.error)
    return {**result.pop("container"), **result, "failed": error is not None, "error": error}


def failures(outcomes: Sequence[Outcome]) -> str:
    """Return what went wrong with which containers."""
    failed = {outcome.name: outcome.error for outcome in outcomes if outcome.error is not None}
    return errors_by_name(failed, f"{len(failed)} of {len(outcomes)} containers failed:")


def errors_by_name(failed: Mapping[str, FleetError], headline: str) -> str:
    """Return each error once, after the names of those that have it."""
    names: dict[str, list[str]] = {}
    for name, error in failed.items():
        names.setdefault(str(error).removeprefix(f"{name}: "), []).append(name)
    lines = [f"{listed(those, _MOST_NAMES)}: {text}".splitlines() for text, those in names.items()]
    return "\n".join([headline, *(f"  {first}" + "".join(f"\n    {line}" for line in more) for first, *more in lines)])


def told_steps(outcome: Outcome) -> list[Step]:
    """Return the steps without the values of secret keys, and with the revisions of their systems."""
    keys = _secret_keys(outcome)
    return [
        with_step_revisions(
            replace(step, before=hidden(step.before, keys, old=True), after=hidden(step.after, keys, old=False)),
            outcome.revisions,
        )
        for step in outcome.steps
    ]


def secrets_met(outcomes: Sequence[Outcome]) -> set[str]:
    """Return the values of secret keys that a run has met on instances."""
    return {
        value
        for outcome in outcomes
        for value in stored_secrets(_secret_keys(outcome), _sides(outcome), _config(outcome))
    }


def _secret_keys(outcome: Outcome) -> frozenset[str]:
    return secret_keys(outcome.plan.container.secrets, _sides(outcome), _config(outcome))


def _sides(outcome: Outcome) -> list[Mapping[str, Any]]:
    return [side for step in outcome.steps for side in (step.before, step.after)]


def _config(outcome: Outcome) -> Mapping[str, str]:
    return {} if outcome.observed.instance is None else outcome.observed.instance.config


def steps_result(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps as the modules return them."""
    return [
        {"action": step.action, "summary": step.summary, "before": dict(step.before), "after": dict(step.after)}
        for step in steps
    ]


def differences(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as Ansible's diff: what changes as two dictionaries, and packages and units as lines."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for step in told_steps(outcome):
        _merge(before, step.before, keep=True)
        _merge(after, step.after, keep=False)
        if step.action == "delete":
            # Nothing is left of what an earlier step has changed.
            after.clear()
    diff: dict[str, Any] = {
        "before": present(before),
        "after": present(after),
        "before_header": outcome.name,
        "after_header": outcome.name,
    }
    prepared = [*_headed("packages", outcome, outcome.closure_difference), *_headed("units", outcome, _units(outcome))]
    return {**diff, "prepared": "\n".join(prepared)} if prepared else diff


def _headed(what: str, outcome: Outcome, lines: Sequence[str]) -> list[str]:
    return [f"{what} of {outcome.name}:", *lines, ""] if lines else []


def _units(outcome: Outcome) -> list[str]:
    """Return a line for each thing that becomes of units, or why they are not known."""
    if outcome.units_unknown:
        return [f"({outcome.units_unknown})"]
    return [f"{VERBS[done]}: {', '.join(units)}" for done, units in outcome.units.items()]


def _merge(target: dict[str, Any], part: Mapping[str, Any], *, keep: bool) -> None:
    """Lay a step's side over those of earlier steps; the first "before" counts, and the last "after"."""
    for key, value in part.items():
        if not (keep and key in target):
            target[key] = value
