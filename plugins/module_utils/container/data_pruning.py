# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps that remove snapshots of a container's data that are too old, or not finished. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ..incus.models import Config
from ..nix.profiles import Generation
from ..stored_keys import RESTORED, TAKING
from .data_steps import before_preparation, notes_seen, scope_of, sets_seen
from .declaration import Container
from .observed import Observed
from .snapshots import Restoration, SnapshotSet, restoration_in, set_of_generation
from .steps import Step, new_step


def with_data_pruned(
    declared: Container, observed: Observed, steps: tuple[Step, ...], fallback: Generation | None
) -> tuple[Step, ...]:
    """Return the steps with the removal of the oldest sets, and of what an earlier run did not finish.

    It comes last, once nothing goes back any more. Sets that are too many before a new one is taken are left by runs
    that went back, to ``fallback`` in this one: they go first, for else each such run needs more room.
    """
    if observed.instance is None:
        return steps
    sets, keep = _counted_sets(declared, observed, steps), declared.snapshots.keep if declared.snapshots else 0
    notes = notes_seen(observed)
    restored = _restored_by(steps, notes)
    place = next((number for number, step in enumerate(steps) if step.action in ("snapshot", "restore")), None)
    surplus: Sequence[SnapshotSet] = ()
    if place is not None:
        number = None if fallback is None else fallback.number
        surplus = _oldest(sets, keep, {*restored, notes.get(RESTORED), set_of_generation(sets, {}, number)})
    left = [one for one in sets if one not in surplus]
    new = sum(step.action in ("snapshot", "restore") for step in steps)
    old = _oldest(left, keep - new, restored)
    first, last = _named(surplus), {**_named(old), **_unfinished(declared, observed, steps)}
    before = _before_downtime(steps, place or 0)
    return (
        *steps[:before],
        *_removal(declared, first),
        *steps[before:],
        *_removal(declared, last),
        *_forgotten(declared, observed, steps),
    )


def _counted_sets(declared: Container, observed: Observed, steps: Sequence[Step]) -> list[SnapshotSet]:
    """Return the sets that count for 'keep', none when there is no 'keep'."""
    if declared.snapshots is None:
        return []
    superseded = {step.before.get("superseded") for step in steps}
    return [one for one in sets_seen(declared, observed) if one.name not in superseded]


def _oldest(sets: Sequence[SnapshotSet], keep: int, needed: Collection[str | None]) -> list[SnapshotSet]:
    """Return all but the newest sets, except those that are needed."""
    return [one for one in sets[: max(0, len(sets) - keep)] if one.name not in needed]


def _before_downtime(steps: Sequence[Step], place: int) -> int:
    """Return the place before the stop that comes before a step."""
    stops = [number for number, step in enumerate(steps[:place]) if step.action in ("stop", "move")]
    return before_preparation(steps, stops[0] if stops else place)


def _named(sets: Iterable[SnapshotSet]) -> dict[str, list[str]]:
    return {one.name: sorted("/".join(place) for place in one.volumes) for one in sets}


def _removal(declared: Container, sets: Mapping[str, Sequence[str]]) -> Iterator[Step]:
    if sets:
        summary = f"remove the snapshots {', '.join(sets)}"
        yield new_step("prune", declared.name, summary, {"snapshots": dict(sets)}, {})


def _unfinished(declared: Container, observed: Observed, steps: Sequence[Step]) -> dict[str, list[str]]:
    """Return the set that an earlier run did not finish, and that no step of this one removes."""
    left = notes_seen(observed).get(TAKING)
    if left is None or any(step.action == "snapshot" for step in steps):
        return {}
    return {left: sorted("/".join(place) for place in scope_of(declared, observed).volumes)}


def _forgotten(declared: Container, observed: Observed, steps: Sequence[Step]) -> Iterator[Step]:
    """Yield the end of a restoration that nothing can finish any more: its set was deleted."""
    begun = _left_begun(observed, steps)
    if begun is not None:
        summary = f"forget that {begun.wanted} was to be restored: it is not complete any more"
        yield new_step("prune", declared.name, summary, {"restoring": begun.text}, {})


def data_warnings(declared: Container, observed: Observed, steps: Sequence[Step]) -> Iterator[str]:
    """Yield that a restoration which has replaced some of the data cannot be finished."""
    begun = _left_begun(observed, steps)
    if begun is not None and begun.is_kept:
        yield (
            f"{declared.name}: an earlier run has begun to restore its data from {begun.wanted}. Neither that snapshot "
            f"nor {begun.kept}, which kept what it replaced, is complete any more. Its data may be of two times."
        )


def _left_begun(observed: Observed, steps: Sequence[Step]) -> Restoration | None:
    """Return the restoration that an earlier run has begun, if no step finishes it."""
    finishes = any(step.action == "restore" for step in steps)
    return None if finishes else restoration_in(notes_seen(observed))


def _restored_by(steps: Sequence[Step], notes: Config) -> set[str]:
    """Return the set that the data comes from when a plan is done: the same declaration finds it in the next run."""
    restored = {notes[RESTORED]} if RESTORED in notes else set()
    for step in steps:
        if step.action == "restore":
            restored = {step.after["data"]["from"]}
        elif step.action == "snapshot":
            restored = set()
    return restored
