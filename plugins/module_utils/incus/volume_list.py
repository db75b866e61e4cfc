# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List the volumes that were made for containers, of one project or of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..stored_keys import VOLUME_CONTAINER, VOLUME_PATH
from .models import location_of
from .snapshots import Snapshots

with suppress(ImportError):
    # require_pylxd ends a module without it.
    from pylxd.exceptions import LXDAPIException


@dataclass(frozen=True, kw_only=True)
class MadeVolume:
    """A volume, and the container and the path that it was made for. ``container`` is what liblxc calls it.

    ``location`` is the cluster member that has it, None without a cluster, or when all members have it.
    """

    pool: str
    name: str
    project: str
    container: str
    path: str
    location: str | None = None
    is_used: bool = False


class VolumeList(Snapshots):
    """A connection that lists volumes.

    Every method raises FleetError with Incus's own words when it refuses.
    """

    def made_volumes(self, pools: Iterable[str]) -> list[MadeVolume]:
        """Return the volumes that were made for containers, in some pools: one request for each."""
        everywhere = {} if self.project is not None else {"all-projects": "true"}
        with self._explained("list the storage volumes"):
            found = {
                pool: self._list(self._volumes(pool), recursion=1, **everywhere)
                for pool in pools
            }
        return [made_volume(pool, entry) for pool, entries in found.items() for entry in entries if _is_made(entry)]

    def volume_usage(self, volume: MadeVolume) -> int | None:
        """Return the bytes that a volume takes, None if Incus does not tell: its pool may not."""
        params = {"project": volume.project, **({} if volume.location is None else {"target": volume.location})}
        node = self._volumes(volume.pool)[volume.name].state
        with self._explained(f"look at the volume {volume.pool}/{volume.name}"), suppress(LXDAPIException):
            used = (self._get(node, **params).get("usage") or {}).get("used")
            return int(used) if used else None
        return None


def _is_made(entry: Mapping[str, Any]) -> bool:
    # Incus lists snapshots among them, as NAME/SNAPSHOT.
    return VOLUME_CONTAINER in (entry.get("config") or {}) and "/" not in entry["name"]


def made_volume(pool: str, entry: Mapping[str, Any]) -> MadeVolume:
    """Return such a volume from an entry of GET /1.0/storage-pools/POOL/volumes/custom."""
    return MadeVolume(
        pool=pool,
        name=entry["name"],
        project=entry.get("project") or "default",
        container=entry["config"][VOLUME_CONTAINER],
        path=entry["config"].get(VOLUME_PATH, ""),
        location=location_of(entry),
        is_used=bool(entry.get("used_by")),
    )
