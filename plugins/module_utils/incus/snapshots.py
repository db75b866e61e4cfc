# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Query storage pools and volumes, and take, restore and delete snapshots of instances and of volumes."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from .connection import Connection
from .models import Pool, Volume, name_in, pool_from, volume_from

with suppress(ImportError):
    # require_pylxd ends a module without it.
    from pylxd.exceptions import NotFound

#: A volume by its pool and name.
Place = tuple[str, str]
# The API extension with which the list of volumes has no snapshots.
_LISTED_APART = "storage_volume_full"
_CONNECT_TIMEOUT = 5


class Snapshots(Connection):
    """A connection that looks at volumes, and works with snapshots.

    Every method raises FleetError with Incus's own words when it refuses.
    """

    # Looking

    def volumes(self, pools: Iterable[str]) -> dict[Place, list[Volume]]:
        """Return the custom volumes of the project in some pools by pool and name, one for each member that has it.

        Incus 6.0 lists their snapshots among them, as NAME/SNAPSHOT.
        """
        with self._explained("list the storage volumes"):
            found = {pool: self._list(self._volumes(pool), recursion=1) for pool in pools}
        volumes: dict[Place, list[Volume]] = {}
        for pool, entries in found.items():
            snapshots: dict[tuple[str, Any], list[str]] = {}
            for entry in entries:
                name, _slash, snapshot = entry["name"].partition("/")
                if snapshot:
                    snapshots.setdefault((name, entry.get("location")), []).append(snapshot)
            for entry in entries:
                name = entry["name"]
                if "/" not in name:
                    taken = snapshots.get((name, entry.get("location")), ())
                    volumes.setdefault((pool, name), []).append(volume_from(entry, taken))
        return volumes

    def with_snapshots(self, volumes: Mapping[Place, Volume]) -> dict[Place, Volume]:
        """Return volumes of this host with the names of their snapshots, where those are not listed among volumes."""
        if _LISTED_APART not in self.server.extensions:
            return dict(volumes)
        return {place: replace(one, snapshots=self.volume_snapshots(place)) for place, one in volumes.items()}

    def pool_details(self) -> dict[str, Pool]:
        """Return the storage pools by name."""
        with self._explained("look at the storage pools"):
            found = self._list(self._client.api["storage-pools"], recursion=1)
        return {entry["name"]: pool_from(entry) for entry in found}

    def snapshots(self, name: str) -> frozenset[str]:
        """Return the names of the snapshots of an instance."""
        with self._explained(f"list the snapshots of {name}"):
            urls = self._list(self._client.api.instances[name].snapshots)
        return frozenset(map(name_in, urls))

    def snapshot(self, name: str, snapshot: str) -> Mapping[str, Any] | None:
        """Return a snapshot of an instance as Incus shows it, None if there is none of that name."""
        with self._explained(f"look at the snapshot {snapshot} of {name}"):
            try:
                found: Mapping[str, Any] = self._get(self._client.api.instances[name].snapshots[snapshot])
            except NotFound:
                return None
        return found

    def volume_snapshots(self, place: Place) -> frozenset[str]:
        """Return the names of the snapshots of a volume."""
        with self._explained(f"list the snapshots of the volume {'/'.join(place)}"):
            urls = self._list(self._volumes(place[0])[place[1]].snapshots, **self._here)
        return frozenset(map(name_in, urls))

    def times_of_volume_snapshots(self, place: Place, project: str) -> dict[str, str]:
        """Return when the snapshots of a volume were taken, by their names. ``project`` is that of its container."""
        with self._explained(f"list the snapshots of the volume {'/'.join(place)}"):
            node = self._volumes(place[0])[place[1]].snapshots
            found = self._list(node, recursion=1, project=project, **self._here)
        return {entry["name"].rpartition("/")[2]: entry["created_at"] for entry in found}

    # Changing

    def take_snapshot(self, name: str, snapshot: str) -> None:
        """Take a snapshot of the configuration and the root disk of an instance."""
        with self._explained(f"take a snapshot of {name}"):
            body = {"name": snapshot, "stateful": False}
            self._do(partial(self._client.api.instances[name].snapshots.post, json=body))

    def take_volume_snapshot(self, place: Place, snapshot: str) -> None:
        """Take a snapshot of a volume."""
        with self._explained(f"take a snapshot of the volume {'/'.join(place)}"):
            node = self._volumes(place[0])[place[1]].snapshots
            self._do(partial(node.post, json={"name": snapshot}, params=self._here))

    def restore_snapshot(self, name: str, snapshot: str) -> None:
        """Restore the root disk and the configuration of a stopped instance."""
        with self._explained(f"restore {name} from {snapshot}"):
            self._do(partial(self._client.api.instances[name].put, json={"restore": snapshot}))

    def restore_volume(self, place: Place, snapshot: str) -> None:
        """Restore a volume that no running instance has. Incus answers when that is done."""
        with self._explained(f"restore the volume {'/'.join(place)} from {snapshot}"):
            node = self._volumes(place[0])[place[1]]
            patience = (_CONNECT_TIMEOUT, self._endpoint.operation_timeout)
            self._do(partial(node.put, json={"restore": snapshot}, params=self._here, timeout=patience))

    def delete_snapshot(self, name: str, snapshot: str) -> None:
        """Delete a snapshot of an instance, if it is there."""
        with self._explained(f"delete the snapshot {snapshot} of {name}"), suppress(NotFound):
            self._do(self._client.api.instances[name].snapshots[snapshot].delete)

    def delete_volume_snapshot(self, place: Place, snapshot: str) -> None:
        """Delete a snapshot of a volume, if it is there."""
        with self._explained(f"delete the snapshot {snapshot} of the volume {'/'.join(place)}"), suppress(NotFound):
            self._do(partial(self._volumes(place[0])[place[1]].snapshots[snapshot].delete, params=self._here))

    def await_snapshots(self, name: str, places: Collection[Place]) -> None:
        """Wait until Incus has ended what a run that was killed has begun with snapshots.

        Raises LateError when that takes longer than the time for an operation.
        """
        ours = {f"/instances/{name}", *(f"/storage-pools/{pool}/volumes/custom/{volume}" for pool, volume in places)}
        deadline = time.monotonic() + self._endpoint.operation_timeout
        with self._explained(f"wait for the snapshots of {name}"):
            for operation in self._operations():
                urls = [str(url) for found in (operation.get("resources") or {}).values() for url in found or ()]
                paths = {url.partition("?")[0].partition("/snapshots/")[0].removeprefix("/1.0") for url in urls}
                if "napshot" in operation["description"] and paths & ours:
                    self._await_operation(operation, deadline)

    @property
    def _here(self) -> dict[str, str]:
        """Return the parameters that select this member's volume among those of the same name."""
        return {} if self.server.member is None else {"target": self.server.member}

    def _volumes(self, pool: str) -> Any:
        return self._client.api["storage-pools"][pool].volumes.custom
