# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps that take, restore and remove snapshots of a container's data. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import FleetError
from ..incus.models import Config, Instance
from ..incus.snapshots import Place
from ..nix.profiles import Generation
from ..stored_keys import RAN, RAN_SINCE, TAKEN, TAKING
from ..text import incus_command
from ..values import same_value
from .declaration import Container
from .exchange import devices_after
from .expanded import root_of
from .fallback import chosen_generation, newest_with
from .mounts import own_volumes
from .observed import Observed
from .rebuilds import rebuilds
from .snapshots import (
    COPYING,
    NO_GENERATION,
    SHARING,
    SnapshotSet,
    chosen_set,
    generation_in,
    persistent_places,
    restoration_in,
    set_of_generation,
    sets_of,
)
from .steps import PROVING, Step, new_step

# Steps that come between a snapshot and the start for which it is taken: a reboot of the host does not wait for that.
_AFTER = ("record", "rebuild", "unfreeze")


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What is in a set: the volumes of 'persist', and the root unless each start empties it; with their pools."""

    covers_root: bool
    root_pool: str
    volumes: tuple[Place, ...]

    @property
    def pools(self) -> list[str]:
        """Return the names of the pools, each once."""
        root = [self.root_pool] if self.covers_root else []
        return sorted({*root, *(pool for pool, _name in self.volumes)})

    @property
    def words(self) -> str:
        """Return what it is for a reader."""
        names = ", ".join("/".join(place) for place in self.volumes)
        volumes = f"the volume{'' if len(self.volumes) == 1 else 's'} {names}" if self.volumes else ""
        return " and ".join(filter(None, ("its root" if self.covers_root else "", volumes)))


def scope_of(declared: Container, observed: Observed, steps: Sequence[Step] = ()) -> Scope:
    """Return what of a container a set has after some steps."""
    devices = devices_after(steps, observed)
    return Scope(
        covers_root=not rebuilds(declared, observed.instance),
        root_pool=root_of(devices).get("pool", ""),
        volumes=persistent_places(devices),
    )


def sets_seen(declared: Container, observed: Observed) -> list[SnapshotSet]:
    """Return the sets of a container, the oldest first, without one that is not finished.

    Nor is one that keeps what is being restored: the step that finishes that makes it.
    """
    notes, sets = notes_seen(observed), _all_sets(declared, observed)
    begun, unfinished = restoration_in(notes), {notes.get(TAKING)}
    if begun is not None and begun.source(sets) == begun.wanted:
        unfinished.add(begun.kept)
    return [one for one in sets if one.name not in unfinished]


def _all_sets(declared: Container, observed: Observed) -> list[SnapshotSet]:
    scope, owned = scope_of(declared, observed), own_volumes(declared, observed)
    required = {place: volume for place, volume in observed.volumes.items() if place in scope.volumes}
    others = {place: volume for place, volume in observed.volumes.items() if "/".join(place) in owned}
    made = observed.generations.made
    return sets_of(observed.snapshots, required, others, made, covers_root=scope.covers_root)


def runner(instance: Instance | None) -> str | None:
    """Return the system that ran last on a container's data, None if that is unknown."""
    if instance is None:
        return None
    if instance.is_running:
        return instance.running_system
    # After another start it may be any.
    is_last = instance.notes.get(RAN_SINCE) == instance.last_started
    return instance.notes.get(RAN) if is_last else None


def data_of_rollback(declared: Container, observed: Observed, fallback: Generation, bad: str) -> str | None:
    """Return the set that a rollback restores as declared, None if it restores none."""
    is_declared = declared.snapshots is not None and declared.snapshots.restore
    if not is_declared or _begun(declared, observed) is not None:
        # What an earlier run has begun is finished first.
        return None
    return chosen_set(sets_seen(declared, observed), notes_seen(observed), fallback, bad)


def _begun(declared: Container, observed: Observed) -> str | None:
    """Return the set with which the restoration that an earlier run has begun is finished, None without one."""
    begun = restoration_in(notes_seen(observed))
    return None if begun is None else begun.source(_all_sets(declared, observed))


def restored_set(declared: Container, observed: Observed) -> str | None:
    """Return the set that a plan restores: what an earlier run has begun, or as declared with a generation.

    Raises FleetError when there is none of that generation.
    """
    begun = _begun(declared, observed)
    if begun is not None or not declared.restore_data:
        return begun
    notes = notes_seen(observed)
    number, sets = chosen_generation(declared, observed), sets_seen(declared, observed)
    if not any(one.is_complete and one.generation == number for one in sets):
        there = ", ".join(one.name for one in sets if one.is_complete)
        raise FleetError(
            f"{declared.name} has no snapshot of the data of generation {number}.",
            f"It has {there or 'none at all'}. Leave out 'restore_data', or choose one of those generations.",
        )
    return set_of_generation(sets, notes, number)


def stops_for_data(declared: Container, observed: Observed, boots: str | None) -> bool:
    """Return whether a running container is stopped before its data is restored, or copied for another system."""
    instance = observed.instance
    if instance is None or not instance.is_running:
        return False
    if restored_set(declared, observed) is not None:
        return True
    return declared.snapshots is not None and declared.state == "restarted" and boots != instance.running_system


def with_data_steps(declared: Container, observed: Observed, planned: Iterable[Step]) -> tuple[Step, ...]:
    """Return the planned steps, with the snapshot or the restoration that comes before another system runs."""
    steps, instance = tuple(planned), observed.instance
    check_data(declared, observed, steps)
    if instance is None:
        return steps
    restored = restored_set(declared, observed)
    runs = runner(instance)
    if restored is not None:
        steps = _with_restoration(declared, observed, steps, restored, runs)
        runs = observed.generations.paths.get(generation_in(restored))
    return steps if declared.snapshots is None else _with_snapshot(declared, observed, steps, runs)


def _with_restoration(
    declared: Container, observed: Observed, steps: tuple[Step, ...], name: str, runs: str | None
) -> tuple[Step, ...]:
    stops = [number for number, step in enumerate(steps) if step.action == "stop"]
    place = stops[0] + 1 if stops else before_preparation(steps, _first_start(steps))
    scope, generation = scope_of(declared, observed, steps[:place]), newest_with(observed.generations, runs)
    summary, before = f"restore {scope.words} from {name}, and keep what that replaces as a snapshot", {}
    begun = restoration_in(notes_seen(observed))
    if begun is not None and _begun(declared, observed) is not None:
        summary, before = f"{summary}: an earlier run did not finish it", {"unfinished": name}
        if begun.wanted != name:
            summary += f" from {begun.wanted}, which is not complete any more"
            # What is replaced may be data of two times, which no generation wrote.
            generation = NO_GENERATION
    data = {**_data(scope), "from": name, "generation": generation}
    step = new_step("restore", declared.name, summary, before, {"data": data})
    return (*steps[:place], step, *steps[place:])


def _first_start(steps: Sequence[Step]) -> int:
    return next((number for number, step in enumerate(steps) if step.action in PROVING), len(steps))


def _with_snapshot(
    declared: Container, observed: Observed, steps: tuple[Step, ...], runs: str | None
) -> tuple[Step, ...]:
    notes = notes_seen(observed)
    taken, _blank, wanted = notes.get(TAKEN, "").partition(" ")
    is_there = any(one.name == taken and one.is_complete for one in sets_seen(declared, observed))
    planned: tuple[Step, ...] = ()
    for step in steps:
        system = _system_of(step)
        # An earlier run that was killed has taken it, and may have come to run the system.
        is_taken = system == wanted and is_there and (runs is None or notes.get(RAN) == system)
        if system not in (None, runs) and not is_taken:
            place = before_preparation(planned, len(planned))
            between = planned[place:]
            # A snapshot that fails leaves nothing frozen.
            first = tuple(one for one in between if one.action == "unfreeze")
            snapshot = _snapshot_step(declared, observed, planned[:place], runs, str(system))
            planned = (*planned[:place], *first, snapshot, *(one for one in between if one not in first))
        planned, runs = (*planned, step), system or runs
    return planned


def _snapshot_step(
    declared: Container, observed: Observed, done: Sequence[Step], runs: str | None, system: str
) -> Step:
    """Return the step that takes a set of what ``runs`` has written, after some steps and before ``system`` runs."""
    notes, scope = notes_seen(observed), scope_of(declared, observed, done)
    generation = newest_with(observed.generations, runs)
    summary = f"take a snapshot of {scope.words} as inx-{generation}-TIME"
    before = {"unfinished": notes[TAKING]} if TAKING in notes else {}
    superseded = _superseded(declared, observed, done, generation)
    if superseded:
        summary += f" in the place of {superseded}"
        before["superseded"] = superseded
    data = {**_data(scope), "generation": generation, "system": system}
    return new_step("snapshot", declared.name, summary, before, {"snapshot": data})


def _superseded(declared: Container, observed: Observed, done: Sequence[Step], generation: int) -> str | None:
    """Return the set that a killed run took of the same generation, for a system that has not run since."""
    name = notes_seen(observed).get(TAKEN, "").partition(" ")[0]
    is_first = not any(step.action == "snapshot" for step in done)
    is_there = any(one.name == name and one.generation == generation for one in sets_seen(declared, observed))
    return name if is_first and is_there else None


def before_preparation(steps: Sequence[Step], number: int) -> int:
    """Return the place before a step, and before those that prepare it."""
    while number and steps[number - 1].action in _AFTER:
        number -= 1
    return number


def _system_of(step: Step) -> str | None:
    """Return the system that a step lets run."""
    if step.action not in PROVING:
        return None
    system = step.after["running_system" if step.action == "activate" else "system"]
    return None if system is None else str(system)


def _data(scope: Scope) -> dict[str, Any]:
    volumes = ["/".join(place) for place in scope.volumes]
    return {"root": scope.root_pool if scope.covers_root else None, "volumes": volumes}


def notes_seen(observed: Observed) -> Config:
    return {} if observed.instance is None else observed.instance.notes


# What is refused


def check_data(declared: Container, observed: Observed, steps: Sequence[Step]) -> None:
    """Raise FleetError for data of which there can be no snapshots as they are declared."""
    if declared.snapshots is None and not declared.restore_data:
        return
    instance, scope = observed.instance, scope_of(declared, observed, steps)
    if instance is not None and instance.ephemeral and declared.ephemeral is None:
        raise FleetError(
            f"{declared.name} is ephemeral: its stop deletes it, with its snapshots.",
            "Declare 'ephemeral: false', or remove 'snapshots'.",
        )
    if not scope.covers_root and not scope.volumes:
        raise FleetError(
            f"{declared.name} has nothing to take snapshots of: each start empties its root, and it has no volumes.",
            "Name what it keeps in 'persist', or remove 'snapshots'.",
        )
    for pool in scope.pools:
        _check_pool(declared, pool, observed)


def _check_pool(declared: Container, name: str, observed: Observed) -> None:
    pool = observed.pool_details.get(name)
    if pool is None:
        # Incus says so when it is used.
        return
    problem = f"{declared.name}: the storage pool {name!r} has the driver {pool.driver}"
    copies = declared.snapshots is not None and declared.snapshots.full_copy
    restores = declared.restore_data or (declared.snapshots is not None and declared.snapshots.restore)
    if pool.driver == COPYING:
        if not copies:
            raise FleetError(
                f"{problem}, with which each snapshot copies all of the data.",
                "Use a pool with btrfs, zfs or lvm, or declare 'snapshots: {full_copy: true}'.",
            )
    elif pool.driver not in SHARING or same_value(False, pool.config.get("lvm.use_thinpool")):
        thin = " without a thin pool" if pool.driver == "lvm" else ""
        raise FleetError(
            f"{problem}{thin}, with which no snapshots are taken here.",
            "Use a pool with btrfs, zfs, or lvm that is thin.",
        )
    elif restores and not SHARING[pool.driver]:
        raise FleetError(
            f"{problem}, which restores nothing but the last snapshot, so the data that is replaced could not be kept.",
            "Declare 'restore: false', and restore it by hand, see "
            f"'{incus_command(declared.project, 'snapshot', 'list', declared.name)}'.",
        )


def places_in(data: Mapping[str, Any]) -> list[Place]:
    """Return the volumes of a step."""
    return [place_of(text) for text in data["volumes"]]


def place_of(text: str) -> Place:
    """Return the pool and the name of a volume from POOL/NAME."""
    pool, _slash, name = text.partition("/")
    return pool, name
