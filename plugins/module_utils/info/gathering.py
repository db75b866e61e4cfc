# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gather information about containers from Incus, their Nix profiles and their GC roots."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from ..container.kind import booted_directory, shares_store
from ..container.notes import carried, remembered
from ..container.rebuilds import has_volatile_root
from ..container.revisions import revisions_of
from ..container.snapshots import persistent_places
from ..errors import FleetError
from ..gcroots.store import roots_of
from ..incus.client import Incus
from ..incus.models import Instance, Space
from ..incus.mounted import mounts_of_host, replaced_sources
from ..names import lxc_name
from ..nix.command import Nix
from ..nix.profiles import read_generations
from ..paths import STORE_DIR
from ..runlogs.reading import can_read, last_runs
from .facts import Differences, Seen, neighbours
from .volatile_files import look_for_files
from .volumes import Unused, by_container

#: How many of the last runs are returned.
RUNS_SHOWN = 5
#: How long root disks are searched, all together.
FILES_SECONDS = 60.0


def look(
    incus: Incus, names: Collection[str] | None, unused: Sequence[Unused] | None, *, files: bool = False
) -> tuple[list[Seen], list[str]]:
    """Return the containers on the shared store, all or the named ones, and warnings about what could not be read.

    ``unused`` are the volumes that nothing uses. With ``files`` root disks are searched for what a rebuild erases.
    """
    found = [one for one in incus.instances_with_state(names) if names is None or one.name in names]
    chosen = [instance for instance in found if shares_store(instance)]
    looker = _Looker(incus)
    looker.warnings += [
        f"Incus cannot look at {instance.name}, so nothing is known about it."
        for instance in found
        if instance.is_unreadable
    ]
    seen = [looker.see(instance) for instance in sorted(chosen, key=lambda found: (found.project, found.name))]
    if files:
        seen = looker.with_files(seen)
    return _with_runs(_with_volumes(seen, unused)), looker.warnings


def _with_volumes(seen: Sequence[Seen], unused: Sequence[Unused] | None) -> list[Seen]:
    """Return what was seen, with the volumes of each container that nothing uses."""
    if unused is None:
        return [replace(one, volumes=None) for one in seen]
    found = by_container(unused)
    return [replace(one, volumes=found.get(lxc_name(one.instance.project, one.instance.name), ())) for one in seen]


def _with_runs(seen: Sequence[Seen]) -> list[Seen]:
    """Return what was seen, with the last runs of each container, which root alone may read."""
    if not can_read():
        return [replace(one, runs=None) for one in seen]
    names = [lxc_name(one.instance.project, one.instance.name) for one in seen]
    runs = last_runs(names, RUNS_SHOWN)
    return [replace(one, runs=tuple(runs.get(name, ()))) for name, one in zip(names, seen, strict=True)]


def compare(nix: Nix, seen: Iterable[Seen]) -> Differences:
    """Return the package changes between neighbouring generations. Equal pairs are compared once."""
    pairs = {pair for one in seen if one.generations is not None for pair in neighbours(one.generations).values()}
    return nix.closure_differences(pairs)


def storage(incus: Incus) -> dict[str, Any]:
    """Return the space of the storage pools, and of the file system with the Nix store; None where it is not told."""
    pools = incus.pools()
    spaces = {name: incus.pool_space(name) for name in sorted(pools or ())}
    return {
        "pools": None if pools is None else [{"name": name, **_space(space)} for name, space in spaces.items()],
        "store": _space(_store_space()),
    }


def _store_space() -> Space | None:
    with suppress(OSError):
        found = shutil.disk_usage(STORE_DIR)
        return Space(used=found.used, total=found.total)
    return None


def _space(space: Space | None) -> dict[str, int | None]:
    return {"used": None, "total": None} if space is None else asdict(space)


class _Looker:
    """What cannot be read of one container does not keep the others from being told of."""

    def __init__(self, incus: Incus) -> None:
        self._incus = incus
        self._host_mounts = mounts_of_host(incus.server.pid)
        self.warnings: list[str] = []

    def see(self, instance: Instance) -> Seen:
        """Look at one container; only what is on this host is looked for on its disk."""
        seen = Seen(instance=replace(instance, running_system=self._running_system(instance)))
        if instance.location != self._incus.server.member:
            return replace(seen, instance=replace(seen.instance, notes=carried(instance)))
        seen = replace(seen, replaced=replaced_sources(instance, self._host_mounts))
        seen = self._with_volume_snapshots(seen)
        return self._with_roots(_with_revisions(self._with_generations(self._with_notes(seen))))

    def _with_volume_snapshots(self, seen: Seen) -> Seen:
        """Look for sets without a root: those of a container whose starts empty it."""
        instance = seen.instance
        if not has_volatile_root(instance):
            return seen
        try:
            times = {
                place: self._incus.times_of_volume_snapshots(place, instance.project)
                for place in persistent_places(instance.devices)
            }
        except FleetError as error:
            self.warnings.append(str(error))
            return seen
        return replace(seen, volume_snapshots=times)

    def _running_system(self, instance: Instance) -> str | None:
        try:
            return self._incus.running_system(instance) if instance.is_running else None
        except FleetError as error:
            self.warnings.append(str(error))
            return None

    def _with_notes(self, seen: Seen) -> Seen:
        try:
            return replace(seen, instance=replace(seen.instance, notes=remembered(seen.instance).notes))
        except FleetError as error:
            self.warnings.append(str(error))
            return seen

    def _with_generations(self, seen: Seen) -> Seen:
        directory = booted_directory(seen.instance)
        try:
            found = read_generations(directory)
        except FleetError as error:
            self.warnings.append(str(error))
            return seen
        is_kept = found.system is None or os.path.lexists(found.system)
        return replace(seen, generations=found, is_kept=is_kept)

    def _with_roots(self, seen: Seen) -> Seen:
        name = lxc_name(seen.instance.project, seen.instance.name)
        try:
            return replace(seen, roots=roots_of(name))
        except OSError as error:
            self.warnings.append(f"The roots of {name} cannot be read: {error.strerror}.")
            return seen

    def with_files(self, seen: Sequence[Seen]) -> list[Seen]:
        """Return what was seen, with the files that the next rebuild of each root on this host erases."""
        deadline = time.monotonic() + FILES_SECONDS
        return [self._with_files(one, deadline) for one in seen]

    def _with_files(self, seen: Seen, deadline: float) -> Seen:
        instance = seen.instance
        if not has_volatile_root(instance) or instance.location != self._incus.server.member:
            return seen
        name = lxc_name(instance.project, instance.name)
        try:
            return replace(seen, files=look_for_files(self._incus.disk_of(name), deadline))
        except OSError as error:
            self.warnings.append(f"The root disk of {name} cannot be read: {error.strerror}.")
            return seen


def _with_revisions(seen: Seen) -> Seen:
    systems = [seen.instance.running_system, *(() if seen.generations is None else seen.generations.paths.values())]
    return replace(seen, revisions=revisions_of(systems, seen.instance.notes))
