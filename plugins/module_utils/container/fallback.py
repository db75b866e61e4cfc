# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generations to choose and to fall back to, and systems that are remembered as good or bad. Pure."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import FleetError
from ..incus.models import Config, Instance
from ..nix.profiles import Generation, Generations
from ..nix.sources import System
from ..stored_keys import ACTIVATING, FAILED, HEALTHY, TAKEN
from .declaration import Container
from .observed import Observed
from .steps import Step, new_step

# Longer numbers are not generations, see nix/profiles.py.
_LAST_GENERATION = 999_999_999


def next_generation(found: Generations, path: str) -> int:
    """Return the number for ``path``: that of the newest generation if it is the same system, else the next one.

    Nix: src/libstore/profiles.cc, createGeneration.
    """
    newest = max(found.paths, default=0)
    if newest >= _LAST_GENERATION and found.paths[newest] != path:
        raise FleetError(
            f"Its profile has a generation {newest}, and none can come after that.",
            f"If that is not one of yours, remove system-{newest}-link.",
        )
    return newest if found.paths.get(newest) == path else newest + 1


def chosen_generation(declared: Container, observed: Observed) -> int | None:
    """Return the number of the declared generation, None when none is declared."""
    choice, found = declared.generation, observed.generations
    if choice is None:
        return None
    if choice != "previous":
        if found.paths.get(choice) in found.lost:
            raise FleetError(
                f"{declared.name}: generation {choice} is {found.paths[choice]}, which is not in the store any more.",
                "Choose another generation, or declare its system.",
            )
        if choice in found.paths:
            return choice
        raise FleetError(
            f"{declared.name} has no generation {choice}.",
            f"It has: {', '.join(str(number) for number in found.paths) or 'none'}.",
        )
    previous = previous_generation(observed)
    if previous is None:
        raise FleetError(f"{declared.name} has no good generation before the current one.", "Declare its system.")
    return previous


def previous_generation(observed: Observed) -> int | None:
    """Return the generation that a rollback chooses, None if there is none."""
    found = observed.generations
    older = _older_good(found, {*failed_systems(observed.instance), *found.lost})
    return older[-1] if older else None


def _older_good(found: Generations, failed: Collection[str]) -> list[int]:
    """Return the generations before the current one, of other systems that are not known to be bad, the newest last."""
    return [
        number
        for number, path in sorted(found.paths.items())
        if found.current is not None and number < found.current and path != found.system and path not in failed
    ]


def newest_with(found: Generations, system: str | None) -> int:
    """Return the newest generation with a system, 0 if there is none."""
    return max((number for number, path in found.paths.items() if path == system), default=0)


def failed_systems(instance: Instance | None) -> tuple[str, ...]:
    """Return the systems that were tried on an instance and found bad, oldest first."""
    return () if instance is None else failed_in(instance.notes)


def failed_in(notes: Config) -> tuple[str, ...]:
    """Return the systems that are noted as bad, oldest first."""
    return tuple(notes.get(FAILED, "").split())


def notes_of_health(notes: Config, system: str) -> dict[str, str]:
    """Return what is noted of an instance whose system was seen to be healthy; "" removes a note."""
    others = [path for path in failed_in(notes) if path != system]
    return {ACTIVATING: "", HEALTHY: system, FAILED: " ".join(others), TAKEN: ""}


def fallback_of(system: str, instance: Instance, found: Generations) -> Generation | None:
    """Return the generation to roll back to if ``system`` is bad: what runs, what was healthy last, or what boots.

    None when there is none, or when ``system`` was healthy before: what ails it then is not the update.
    """
    healthy, runs = instance.notes.get(HEALTHY), instance.running_system
    if healthy == system:
        return None
    unproven = {system, *failed_systems(instance), *found.lost}
    if runs != healthy and runs == instance.notes.get(ACTIVATING):
        unproven.add(str(runs))
    for path in (runs, healthy, found.system):
        numbers = [number for number, kept in found.paths.items() if kept == path and path not in unproven]
        if numbers:
            return Generation(number=max(numbers), system=str(path))
    if instance.notes.get(ACTIVATING) == system:
        # It was recorded over another one, and has never been seen to work.
        current = found.current or 0
        older = [number for number, kept in found.paths.items() if number < current and kept not in unproven]
        if older:
            return Generation(number=max(older), system=found.paths[max(older)])
    return None


def old_generations(system: str, instance: Instance, found: Generations, keep: int) -> dict[int, str]:
    """Return the generations that can go when the ``keep`` newest ones are to stay, for an instance to run ``system``.

    Those that are known to be bad are not counted: as many others stay beside them. Of two or more, the one that a
    rollback would choose is one. Nothing goes while it is unknown what runs.
    """
    if instance.is_running and instance.running_system is None:
        return {}
    bad = {*failed_systems(instance), *found.lost}
    good = [number for number, path in sorted(found.paths.items()) if path not in bad]
    kept = {found.current, *sorted(found.paths)[-keep:], *good[-keep:]}
    if keep > 1:
        kept.update(_older_good(found, bad)[-1:])
    fallback = fallback_of(system, instance, found)
    if fallback is not None:
        kept.add(fallback.number)
    in_use = (instance.running_system, instance.notes.get(HEALTHY))
    return {number: path for number, path in found.paths.items() if number not in kept and path not in in_use}


def is_refused(declared: Container, wanted: System, instance: Instance) -> bool:
    retried = declared.health is not None and declared.health.retry_failed
    return wanted.path in failed_systems(instance) and not retried


def rollback_step(
    name: str, found: Generations, runs: str | None, fallback: Generation, data: str | None = None
) -> Step:
    """From what boots and what runs to a generation that is good, and to ``data``, a snapshot."""
    number, good = fallback.number, fallback.system
    before = {"generation": found.current, "system": found.system, "running_system": runs}
    after = {"generation": number, "system": good, "running_system": good}
    summary = f"go back to generation {number}, {good}"
    if data is not None:
        summary += f", and to its data in the snapshot {data}"
        after["data"] = data
    return new_step("rollback", name, summary, before, after)
