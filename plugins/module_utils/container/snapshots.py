# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of a container's data, as they are declared, and the sets that they form. Pure.

A set is a snapshot of the root and one of each volume of 'persist', all with the same name: that of the generation
that wrote the data, and the time. Snapshots with other names are somebody else's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..errors import FleetError
from ..incus.models import Config, Devices, Volume
from ..incus.snapshots import Place
from ..nix.profiles import Generation
from ..stored_keys import HEALTHY, RESTORED, RESTORING, TAKEN
from .volatile import PERSIST_DEVICE

# Longer numbers are not generations, see nix/profiles.py.
_NAME = re.compile(r"inx-(\d{1,9})-(\d{8}T\d{6}Z)\Z")
_TIME = "%Y%m%dT%H%M%SZ"
#: The number of what is not known to be a generation.
NO_GENERATION = 0
#: Storage drivers whose snapshots share what has not changed, and whether they restore any of several.
SHARING = {"btrfs": True, "lvm": True, "zfs": False}
#: The one that copies everything.
COPYING = "dir"
#: Bytes that a pool must have free for a snapshot that shares what has not changed.
ROOM = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """How many sets are kept, whether a rollback restores one, and whether drivers may copy everything."""

    keep: int = 3
    restore: bool = False
    full_copy: bool = False


@dataclass(frozen=True, kw_only=True)
class SnapshotSet:
    """The snapshots of one name; ``is_complete`` says whether all that the container has now has one.

    ``generation`` wrote the data; 0 if that is unknown, or was one of an earlier container with that name.
    """

    name: str
    generation: int
    has_root: bool
    volumes: frozenset[Place]
    is_complete: bool

    @property
    def time(self) -> str:
        """Return when it was taken, as its name says."""
        return time_in(self.name)


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """What is noted of a restoration that is not finished: of the set ``wanted``, with ``kept`` for what it replaces.

    ``is_kept`` says whether that one has been taken, so that data may have been replaced.
    """

    wanted: str
    kept: str
    is_kept: bool = False

    @property
    def text(self) -> str:
        """Return it as it is noted."""
        return " ".join((self.wanted, self.kept, *(("kept",) if self.is_kept else ())))

    def source(self, sets: Sequence[SnapshotSet]) -> str | None:
        """Return the set with which it is finished, None if there is none any more.

        It is the set that keeps what was replaced, when somebody has deleted the other one meanwhile.
        """
        there = {one.name for one in sets if one.is_complete}
        if self.wanted in there:
            return self.wanted
        return self.kept if self.is_kept and self.kept in there else None


def restoration_in(notes: Config) -> Restoration | None:
    """Return the restoration that an earlier run, or an earlier step, has begun."""
    words = notes.get(RESTORING, "").split()
    return Restoration(wanted=words[0], kept=words[1], is_kept=len(words) > 2) if words else None


def snapshots_from(params: Mapping[str, Any], name: str) -> Snapshots | None:
    """Return the snapshots that the parameters of inx_container declare. Raise FleetError for what cannot be."""
    given = params["snapshots"]
    if given is None:
        return None
    if given["keep"] < 1:
        raise FleetError(f"{name}: snapshots: keep is {given['keep']}.", "Keep 1 or more, or remove 'snapshots'.")
    if params["ephemeral"]:
        raise FleetError(
            f"{name}: an ephemeral container is deleted by its stop, with its snapshots.",
            "Keep 'ephemeral' or 'snapshots'.",
        )
    return Snapshots(keep=given["keep"], restore=given["restore"], full_copy=given["full_copy"])


def restore_data_from(params: Mapping[str, Any], name: str) -> bool:
    """Return whether data is to be restored with a generation. Raise FleetError without one."""
    if params["restore_data"] and params["generation"] is None and params["state"] != "absent":
        raise FleetError(f"{name}: 'restore_data' is given without a generation.", "Add 'generation: previous'.")
    return bool(params["restore_data"]) and params["state"] != "absent"


def snapshot_name(generation: int, seconds: float) -> str:
    """Return the name of a set that is taken at a time, in seconds since 1970."""
    return f"inx-{generation}-{time.strftime(_TIME, time.gmtime(seconds))}"


def is_ours(name: str) -> bool:
    return _NAME.match(name) is not None


def generation_in(name: str) -> int:
    """Return the generation in the name of a set."""
    found = _NAME.match(name)
    return NO_GENERATION if found is None else int(found[1])


def time_in(name: str) -> str:
    """Return the time in the name of a set, "" if there is none."""
    found = _NAME.match(name)
    return "" if found is None else found[2]


def seconds_in(name: str) -> float:
    """Return the time in the name of a set, in seconds since 1970."""
    try:
        return datetime.strptime(time_in(name), _TIME).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0


def sets_of(
    root: Collection[str],
    required: Mapping[Place, Volume],
    others: Mapping[Place, Volume],
    made: Mapping[int, float],
    *,
    covers_root: bool,
) -> list[SnapshotSet]:
    """Return the sets of a container, the oldest first: of its root, of the volumes that it has now, and of others.

    A volume that is newer than a set need not be in it. ``made`` is when its generations were made, in seconds since
    1970: volumes outlive their container, and the next one of that name counts its generations from 1 again.
    """
    volumes = {**others, **required}
    names = {name for found in (root, *(volume.snapshots for volume in volumes.values())) for name in found}
    sets = []
    for name in sorted(filter(is_ours, names), key=lambda one: (time_in(one), generation_in(one))):
        having = frozenset(place for place, volume in volumes.items() if name in volume.snapshots)
        missing = {place for place, volume in required.items() if _is_older(volume, name)} - having
        is_complete = not missing and (name in root or not covers_root)
        found = SnapshotSet(
            name=name,
            generation=_writer(name, made),
            has_root=name in root,
            volumes=having,
            is_complete=is_complete,
        )
        sets.append(found)
    return sets


def _writer(name: str, made: Mapping[int, float]) -> int:
    """Return the generation that wrote what a set has. None wrote anything before it was made."""
    number = generation_in(name)
    return number if int(made.get(number, 0)) <= seconds_in(name) else NO_GENERATION


def _is_older(volume: Volume, name: str) -> bool:
    """Return whether a volume was there when a set was taken."""
    return re.sub(r"[-:]", "", volume.created[: len("2026-11-30T20:01:34")]) + "Z" <= time_in(name)


def chosen_set(sets: Sequence[SnapshotSet], notes: Config, fallback: Generation, bad: str | None) -> str | None:
    """Return the set with which a rollback from ``bad`` goes back to a generation, None if there is none.

    Nor is there when the data comes from that set already, and only that generation has run since.
    """
    complete = [one.name for one in sets if one.is_complete]
    name, _blank, system = notes.get(TAKEN, "").partition(" ")
    # It was taken before the bad one ran, of data that no known generation had written.
    is_unknown = name in complete and system == bad and generation_in(name) == NO_GENERATION
    if is_unknown and notes.get(HEALTHY) in (None, fallback.system):
        # What an older set of that generation has may be months older.
        return name
    return set_of_generation(sets, notes, fallback.number) or (name if is_unknown else None)


def set_of_generation(sets: Sequence[SnapshotSet], notes: Config, number: int | None) -> str | None:
    """Return the newest complete set of a generation, None when the data comes from one of it already.

    The newest one may be what that restoration replaced, so a second run must not restore it.
    """
    found = [one.name for one in sets if one.is_complete and one.generation == number]
    return found[-1] if found and notes.get(RESTORED) not in found else None


def persistent_places(devices: Devices) -> tuple[Place, ...]:
    """Return the volumes of 'persist' among the devices of a container."""
    places = {
        (keys["pool"], keys["source"].partition("/")[0])
        for name, keys in devices.items()
        if name.startswith(PERSIST_DEVICE) and "pool" in keys and "source" in keys
    }
    return tuple(sorted(places))


def taken_at(name: str) -> str:
    """Return the time in the name of a set, for a reader."""
    text = time_in(name)
    return f"{text[:4]}-{text[4:6]}-{text[6:11]}:{text[11:13]}:{text[13:]}"


def size_text(size: int) -> str:
    """Return a number of bytes for a reader."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def span_text(seconds: float) -> str:
    """Return a time span for a reader."""
    whole = max(0, round(seconds))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
