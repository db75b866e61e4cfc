# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell which revision of the configuration each system of a container is: its own word, or that of its flake."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..incus.models import Config
from ..nix.revisions import configuration_revision
from ..stored_keys import REVISIONS
from .outcome import Outcome
from .steps import Step

# A store path is known by its hash.
_HASH = slice(len("/nix/store/"), len("/nix/store/") + 32)
#: Steps that change the generation, and so the revision.
_RECORDING = frozenset(("record", "rollback"))


def recorded_revisions(notes: Config) -> dict[str, str]:
    """Return the revisions of flakes that are noted, by the hash of the system."""
    entries = (entry.partition("=") for entry in notes.get(REVISIONS, "").split())
    return {key: revision for key, _sign, revision in entries if revision}


def noted_revision(notes: Config, system: str, revision: str, kept: Collection[str]) -> dict[str, str]:
    """Return the note that ``system`` was built from ``revision``; those of systems that are not ``kept`` go."""
    found = {**recorded_revisions(notes), system[_HASH]: "".join(revision.split())}
    hashes = {path[_HASH] for path in kept}
    return {REVISIONS: " ".join(f"{key}={one}" for key, one in found.items() if key in hashes)}


def revisions_of(systems: Iterable[str | None], notes: Config) -> dict[str, str]:
    """Return the revisions of systems, as far as they are known, by store path."""
    noted = recorded_revisions(notes)
    found = {path: configuration_revision(path) or noted.get(path[_HASH]) for path in set(systems) if path is not None}
    return {path: revision for path, revision in found.items() if revision is not None}


def with_revisions(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return outcomes with the revisions of their systems."""
    return [replace(outcome, revisions=_revisions(outcome)) for outcome in outcomes]


def _revisions(outcome: Outcome) -> dict[str, str]:
    instance, wanted = outcome.observed.instance, outcome.plan.system
    # What is not built yet does not tell its own.
    declared = {} if wanted is None or wanted.revision is None else {wanted.path: wanted.revision}
    return {**declared, **revisions_of(_systems(outcome), {} if instance is None else instance.notes)}


def _systems(outcome: Outcome) -> Iterator[str | None]:
    instance = outcome.observed.instance
    yield outcome.observed.generations.system
    yield None if instance is None else instance.running_system
    for step in outcome.steps:
        if step.action in _RECORDING:
            yield from (step.before.get("system"), step.after.get("system"))


def with_step_revisions(step: Step, revisions: Mapping[str, str]) -> Step:
    """Return a step that changes the generation with the revisions of both, as far as they are known."""
    if step.action not in _RECORDING:
        return step
    before, after = (revisions.get(side.get("system") or "") for side in (step.before, step.after))
    if before is None and after is None:
        return step
    return replace(step, before={**step.before, "revision": before}, after={**step.after, "revision": after})
