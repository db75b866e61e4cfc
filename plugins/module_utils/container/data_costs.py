# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at what planned snapshots cost, and refuse those for which a pool has no room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..errors import FleetError
from ..incus.client import Incus
from ..incus.models import Pool
from ..names import lxc_name
from ..text import incus_command, tail
from .data_steps import place_of, places_in
from .declaration import Container
from .observed import Observed
from .snapshots import COPYING, ROOM, size_text
from .steps import Plan, Step

# Pools that are directories of file systems, and where Incus mounts them.
_FILE_SYSTEMS = ("btrfs", "dir")
_POOLS = "/var/lib/incus/storage-pools"
_MIB = 2**20
_COPIES = {"snapshot": "snapshot", "restore": "data"}


def with_costs(incus: Incus, plans: Sequence[Plan], before: Mapping[str, Observed]) -> list[Plan]:
    """Return the plans with what their snapshots cost, or with the error that a pool has no room for them."""
    return [_with_costs(incus, plan, before[plan.container.name]) for plan in plans]


def _with_costs(incus: Incus, plan: Plan, seen: Observed) -> Plan:
    if not any(step.action in _COPIES for step in plan.steps):
        return plan
    try:
        return replace(plan, steps=tuple(_with_cost(incus, plan, step, seen) for step in plan.steps))
    except FleetError as error:
        return replace(plan, steps=(), error=error)


def _with_cost(incus: Incus, plan: Plan, step: Step, seen: Observed) -> Step:
    key = _COPIES.get(step.action)
    if key is None:
        return step
    what, container = step.after[key], plan.container
    copied = dict.fromkeys(_pools(what), 0)
    for pool, path in _paths(plan, what, seen):
        details = seen.pool_details.get(pool)
        if details is not None and details.driver == COPYING:
            copied[pool] += used(f"{details.source}/{path}")
    for pool, size in copied.items():
        free = _free(incus, pool, seen.pool_details.get(pool, Pool(driver="")))
        if not _makes_room(plan, step, pool, what):
            _check_room(container, pool, size, free)
    drivers = {pool: seen.pool_details.get(pool, Pool(driver="")).driver for pool in copied}
    total = sum(copied.values())
    names = ", ".join(sorted(set(drivers.values())))
    cost = f"copies {size_text(total)}" if total else "copies nothing"
    after = {**step.after, key: {**what, "drivers": drivers, "copied_bytes": total}}
    return replace(step, summary=f"{step.summary} ({names}: {cost})", after=after)


def _makes_room(plan: Plan, step: Step, pool: str, what: Mapping[str, Any]) -> bool:
    """Return whether snapshots in a pool go before a step: what a killed run has not finished, or what is too old."""
    if "unfinished" in step.before:
        return True
    pruned = [one.before["snapshots"] for one in plan.steps[: plan.steps.index(step)] if "snapshots" in one.before]
    places = [place_of(text) for sets in pruned for volumes in sets.values() for text in volumes]
    return bool(pruned) and pool in {what["root"], *(found for found, _name in places)}


def _pools(what: Mapping[str, Any]) -> list[str]:
    return sorted({*([what["root"]] if what["root"] else []), *(pool for pool, _name in places_in(what))})


def _paths(plan: Plan, what: Mapping[str, Any], seen: Observed) -> list[tuple[str, str]]:
    """Return the pools with the paths below their sources that a snapshot copies."""
    container = plan.container
    paths = [(str(what["root"]), f"containers/{lxc_name(container.project, container.name)}")] if what["root"] else []
    for place in places_in(what):
        volume = seen.volumes.get(place)
        # One that is yet to be created is empty.
        if volume is not None:
            paths.append((place[0], f"custom/{volume.project}_{place[1]}"))
    return paths


def used(path: str) -> int:
    """Return the bytes that a directory takes on the disk, rounded up to MiB.

    Raises FleetError if this user may not look.
    """
    with subprocess.Popen(
        ["du", "--summarize", "--one-file-system", "--block-size=1", "--", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C"},
    ) as process:
        stdout, stderr = process.communicate()
    # What vanishes while it looks is no matter.
    if "Permission denied" in stderr or not stdout:
        raise FleetError(f"It is not known what a snapshot of {path} would copy: {tail(stderr, 1)}", "Become root.")
    # A container writes on meanwhile.
    return -(-int(stdout.split()[0]) // _MIB) * _MIB


def _free(incus: Incus, name: str, pool: Pool) -> int | None:
    """Return the bytes that are free in a pool, None where that is unknown.

    What Incus says of a file system counts blocks that nobody can use: those of its metadata, and those kept for root.
    """
    if pool.driver in _FILE_SYSTEMS:
        for path in (pool.source, f"/proc/{incus.server.pid}/root{_POOLS}/{name}"):
            with suppress(OSError):
                if os.path.isdir(path):
                    found = os.statvfs(path)
                    return found.f_bavail * found.f_frsize
    space = incus.pool_space(name)
    return None if space is None else space.total - space.used


def _check_room(container: Container, pool: str, size: int, free: int | None) -> None:
    if free is not None and free < size + ROOM:
        needs = f"a snapshot copies {size_text(size)}" if size else f"a snapshot needs {size_text(ROOM)}"
        raise FleetError(
            f"{container.name}: the storage pool {pool!r} has {size_text(max(0, free))} free, and {needs}.",
            f"Make room there ('{incus_command(container.project, 'storage', 'info', pool)}'), or remove 'snapshots'.",
        )
