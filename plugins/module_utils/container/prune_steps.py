# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps that remove generations that a container no longer needs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ..incus.models import Instance
from ..nix.profiles import Generations
from ..stored_keys import ACTIVATING
from .data_pruning import with_data_pruned
from .declaration import Container
from .fallback import fallback_of, notes_of_health, old_generations
from .observed import Observed
from .steps import PROVING, Step, new_step, numbered


def with_prune(declared: Container, system: str, observed: Observed, planned: Iterable[Step]) -> tuple[Step, ...]:
    """Return the planned steps, with the removal of old snapshots, and after them that of old generations."""
    steps = tuple(planned)
    fallback = None if observed.instance is None else fallback_of(system, observed.instance, observed.generations)
    with_data = with_data_pruned(declared, observed, steps, fallback)
    return (*with_data, *_prune_step(declared, system, observed, steps))


def _prune_step(declared: Container, system: str, observed: Observed, steps: Sequence[Step]) -> Iterator[Step]:
    """Yield the removal of generations older than those to keep, except what runs, boots, or may be rolled back to.

    That is judged by what the other steps leave, as the next run would judge it, which is to find nothing to do.
    """
    instance, found = left_by(declared, observed, steps)
    is_known = instance.running_system is not None or not instance.is_running
    if found.tried is not None and is_known and instance.running_system != found.tried:
        yield new_step("prune", declared.name, f"stop keeping {found.tried}", {"tried": found.tried}, {})
    if declared.keep_generations is None:
        return
    old = old_generations(system, instance, found, declared.keep_generations)
    if old:
        numbers = ", ".join(str(key) for key in sorted(old))
        yield new_step("prune", declared.name, f"remove generations {numbers}", {"generations": numbered(old)}, {})


def left_by(declared: Container, observed: Observed, steps: Sequence[Step]) -> tuple[Instance, Generations]:
    """Return the instance and the generations that the steps leave when they succeed."""
    instance, found = observed.instance or Instance(name=declared.name), observed.generations
    runs, status, notes = instance.running_system, instance.status, dict(instance.notes)
    for step in steps:
        if step.action == "record":
            number, path = step.after["generation"], step.after["system"]
            found = replace(found, paths={**found.paths, number: path}, current=number)
        elif step.action in ("stop", "move"):
            runs, status = None, "Stopped"
        elif step.action in PROVING:
            status = "Running"
            runs = step.after["running_system" if step.action == "activate" else "system"]
            notes.pop(ACTIVATING, None)
            if declared.health is not None and runs is not None:
                notes.update(notes_of_health(instance.notes, runs))
        if step.action == "activate" and step.after["activation"] == "test":
            found = replace(found, tried=runs)
    return replace(instance, status=status, running_system=runs, notes=notes), found
