# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take, restore and remove snapshots of a container's data. Each can be repeated after a run that was killed."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ConflictError, FleetError, LateError, cleaning_up
from ..incus.client import Incus
from ..incus.models import on_member, writable
from ..incus.snapshots import Place
from ..nix.profiles import Generation, read_generations
from ..stored_keys import RAN, RAN_SINCE, RESTORED, RESTORING, TAKEN, TAKING
from .declaration import Container
from .notes import Notes
from .rebuilds import rebuilds
from .snapshots import (
    Restoration,
    chosen_set,
    is_ours,
    persistent_places,
    restoration_in,
    seconds_in,
    sets_of,
    snapshot_name,
    span_text,
    taken_at,
)

# Config keys of Incus's own that a restored snapshot must not bring back.
_KEPT_CONFIG = (".hwaddr", ".uuid")


@dataclass(frozen=True, kw_only=True)
class Data:
    """The data of one container: its root, if that is covered, and volumes."""

    incus: Incus
    notes: Notes
    container: Container
    covers_root: bool
    volumes: Sequence[Place]

    @property
    def name(self) -> str:
        """Return the name of the container."""
        return self.container.name

    def names(self) -> set[str]:
        """Return the names of all snapshots of it."""
        found = set(self.incus.snapshots(self.name)) if self.covers_root else set()
        return found.union(*map(self.incus.volume_snapshots, self.volumes))

    def settle(self) -> None:
        """Wait until what a run that was killed has begun is done."""
        self.incus.await_snapshots(self.name, self.volumes)

    def take(self, snapshot: str) -> None:
        """Take a snapshot of each."""
        for place in self.volumes:
            self.incus.take_volume_snapshot(place, snapshot)
        if self.covers_root:
            self.incus.take_snapshot(self.name, snapshot)

    def remove(self, snapshot: str, volumes: Collection[Place] = ()) -> None:
        """Remove a set, as far as it is there; also from other volumes."""
        if not is_ours(snapshot):
            raise ConflictError(f"{snapshot} is not a snapshot of this collection.", "Run again.")
        self.incus.delete_snapshot(self.name, snapshot)
        for place in dict.fromkeys((*self.volumes, *volumes)):
            self.incus.delete_volume_snapshot(place, snapshot)


def take(data: Data, generation: int, system: str, superseded: str = "") -> dict[str, Any]:
    """Take a set before ``system`` runs, remove the one that it supersedes, and return what there is to tell of it.

    What runs is frozen meanwhile. Whatever fails, it goes on, and nothing is left of the set.
    """
    remove_unfinished(data)
    name = _new_name(data, generation)
    data.notes.change(data.container, {TAKING: name})
    span = Span()
    try:
        with frozen(data, span):
            data.take(name)
    except LateError:
        # It goes on without this run: the next one waits for it, and removes it.
        raise
    except FleetError as error:
        with cleaning_up(error, f"Removing the unfinished snapshot {name}"):
            if not span.is_left:
                remove_unfinished(data)
        raise
    data.notes.change(data.container, {TAKING: superseded, TAKEN: f"{name} {system}", RESTORED: ""})
    remove_unfinished(data)
    return {"name": name, "frozen_seconds": span.seconds, "restored": False}


@dataclass(kw_only=True)
class Span:
    """The seconds for which a container was frozen; None if it was not. ``is_left``: it could not be unfrozen."""

    seconds: float | None = None
    is_left: bool = False


@contextmanager
def frozen(data: Data, span: Span) -> Iterator[None]:
    """Freeze a container that runs, and unfreeze it in every case."""
    found = data.incus.instance(data.name)
    if found is None or found.status != "Running":
        yield
        return
    began = time.monotonic()
    try:
        data.incus.set_state(data.name, "freeze")
        yield
    finally:
        span.is_left = True
        _unfreeze(data)
        span.is_left = False
        span.seconds = round(time.monotonic() - began, 3)


def _unfreeze(data: Data) -> None:
    """Unfreeze a container, unless it has not come to be frozen."""
    try:
        data.incus.set_state(data.name, "unfreeze")
    except FleetError:
        found = data.incus.instance(data.name)
        if found is not None and found.status == "Frozen":
            raise


def remove_unfinished(data: Data) -> None:
    """Remove the set that a run did not finish, and forget it."""
    left = data.notes.of(data.container).get(TAKING)
    if left is not None:
        data.settle()
        data.remove(left)
        data.notes.change(data.container, {TAKING: ""})


def _new_name(data: Data, generation: int) -> str:
    """Return a name with a later time than all sets and their generation have, also when the clock was wrong.

    Sets are sorted by it, and one that is older than its generation belongs to an earlier container.
    """
    newest = max(map(seconds_in, data.names()), default=0.0)
    made = read_generations(data.container.profile_dir).made.get(generation, 0.0)
    return snapshot_name(generation, max(time.time(), newest + 1, made))


# What ran on it


def note_run(notes: Notes, container: Container, system: str) -> None:
    """Note that a system is about to run on the data, from a start that is yet to come."""
    if container.snapshots is not None and notes.of(container).get(RAN) != system:
        _note(notes, container, system, {RAN_SINCE: ""})


def note_switch(incus: Incus, notes: Notes, container: Container, system: str) -> None:
    """Note that a system is about to run on the data, in a container that was started before."""
    if container.snapshots is not None:
        _note(notes, container, system, {RAN_SINCE: _last_start(incus, container)})


def note_start(incus: Incus, notes: Notes, container: Container, system: str) -> None:
    """Note since which start a system runs on the data. Without health, no rollback needs its snapshot any more."""
    if container.snapshots is not None:
        over = {TAKEN: ""} if container.health is None else {}
        _note(notes, container, system, {RAN_SINCE: _last_start(incus, container), **over})


def _note(notes: Notes, container: Container, system: str, changes: Mapping[str, str]) -> None:
    left = {} if notes.of(container).get(RAN) == system else {RESTORED: ""}
    notes.change(container, {RAN: system, **left, **changes})


def _last_start(incus: Incus, container: Container) -> str:
    found = incus.instance(container.name)
    return "" if found is None else found.last_started


def forget_taken(notes: Notes, container: Container) -> None:
    """Forget that a snapshot was taken for what was to run: it has run, or it did not come to that."""
    if container.snapshots is not None and TAKEN in notes.of(container):
        notes.change(container, {TAKEN: ""})


# Restoring


@dataclass(frozen=True, kw_only=True)
class Restored:
    """Data that was restored: ``lost`` are the seconds between its snapshot and the stop."""

    name: str
    kept: str
    lost: float

    @property
    def words(self) -> str:
        """Return it as sentences."""
        return (
            f"Its data of {taken_at(self.name)} was restored. What was written in the {span_text(self.lost)} after "
            f"that was kept as the snapshot {self.kept}."
        )

    @property
    def told(self) -> dict[str, Any]:
        """Return it as a part of a result."""
        return {
            "name": self.name,
            "frozen_seconds": None,
            "restored": True,
            "kept_as": self.kept,
            "lost_seconds": round(self.lost),
        }


def begin_restoration(data: Data, snapshot: str, generation: int) -> None:
    """Note that a set is to be restored: from now on a run that is killed is finished by the next one.

    ``generation`` is the one that wrote what is replaced.
    """
    begun = restoration_in(data.notes.of(data.container))
    if begun is None or begun.wanted != snapshot:
        begun = Restoration(wanted=snapshot, kept=_new_name(data, generation))
        data.notes.change(data.container, {RESTORING: begun.text})


def finish_restoration(data: Data, system: str | None) -> Restored:
    """Restore a stopped container from the set that is noted; what that replaces stays as a set of its own.

    ``system`` wrote what is restored.
    """
    begun = restoration_in(data.notes.of(data.container))
    if begun is None:
        raise ConflictError(f"The data of {data.name} is not to be restored any more.", "Run again.")
    snapshot, kept = begun.wanted, begun.kept
    data.settle()
    if not begun.is_kept:
        _keep(data, kept)
        data.notes.change(data.container, {RESTORING: replace(begun, is_kept=True).text})
    if data.covers_root:
        _restore_root(data, snapshot, kept)
    for place in data.volumes:
        if snapshot in data.incus.volume_snapshots(place):
            data.incus.restore_volume(place, snapshot)
    since = _last_start(data.incus, data.container)
    ran = {RAN: "", RAN_SINCE: ""} if system is None else {RAN: system, RAN_SINCE: since}
    data.notes.change(data.container, {RESTORING: "", RESTORED: snapshot, TAKEN: "", **ran})
    return Restored(name=snapshot, kept=kept, lost=seconds_in(kept) - seconds_in(snapshot))


def _keep(data: Data, kept: str) -> None:
    """Take the set of what is to be replaced. If that fails nothing is replaced, and no run is to go on with it."""
    try:
        data.remove(kept)
        data.take(kept)
    except LateError:
        raise
    except FleetError as error:
        with cleaning_up(error, f"Removing the unfinished snapshot {kept}"):
            data.remove(kept)
            data.notes.change(data.container, {RESTORING: ""})
        raise


def _restore_root(data: Data, snapshot: str, kept: str) -> None:
    """Restore the root. Incus restores the configuration with it, which is put back."""
    before = data.incus.instance(data.name)
    saved = data.incus.snapshot(data.name, kept)
    if before is None or saved is None:
        raise ConflictError(f"{data.name} has no snapshot {kept} any more.", "Run again.")
    data.incus.restore_snapshot(data.name, snapshot)
    body = {key: value for key, value in writable(saved).items() if key != "stateful"}

    def put_back(found: dict[str, Any]) -> dict[str, Any]:
        config = config_after(found["config"], body.get("config") or {})
        return {**found, **body, "config": config, "description": before.description}

    data.incus.update_instance(data.name, put_back)


def config_after(restored: Mapping[str, str], saved: Mapping[str, str]) -> dict[str, str]:
    """Return the configuration that was ``saved``, with what Incus notes of the ``restored`` root."""
    own = {key: value for key, value in restored.items() if key.startswith("volatile.")}
    kept = {key: value for key, value in saved.items() if key.startswith("volatile.") and key.endswith(_KEPT_CONFIG)}
    return {**{key: value for key, value in saved.items() if not key.startswith("volatile.")}, **own, **kept}


# On a way back that no plan has foreseen


def data_now(incus: Incus, notes: Notes, container: Container) -> Data:
    """Return the data of a container as it is now."""
    found = incus.instance(container.name)
    devices = {} if found is None else found.devices
    return Data(
        incus=incus,
        notes=notes,
        container=container,
        covers_root=not rebuilds(container, found),
        volumes=persistent_places(devices),
    )


def set_for(data: Data, made: Mapping[int, float], fallback: Generation, bad: str) -> str | None:
    """Return the set with which a rollback from ``bad`` goes back to a generation as declared, None for none.

    ``made`` is when the generations were made, in seconds since 1970.
    """
    declared, notes = data.container.snapshots, data.notes.of(data.container)
    if declared is None or not declared.restore:
        return None
    found = data.incus.volumes(sorted({pool for pool, _name in data.volumes}))
    here = on_member(found, data.incus.server.member)
    volumes = {place: one for place, one in here.items() if place in data.volumes}
    root = data.incus.snapshots(data.name) if data.covers_root else frozenset[str]()
    sets = sets_of(root, data.incus.with_snapshots(volumes), {}, made, covers_root=data.covers_root)
    return chosen_set([one for one in sets if one.name != notes.get(TAKING)], notes, fallback, bad)
