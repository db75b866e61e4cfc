# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy instances and volumes, and make networks, for containers that live for minutes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..waiting import poll
from .inside import Inside
from .models import Network, Volume, volume_from
from .snapshots import Snapshots

with suppress(ImportError):
    # require_pylxd ends a module without it.
    from pylxd.exceptions import LXDAPIException, NotFound


# Seconds that the removal of a network may take.
_GOING = 10


class Copies(Snapshots, Inside):
    """A connection that copies.

    Every method raises FleetError with Incus's own words when it refuses.
    """

    def copy_instance(self, source: str, body: Mapping[str, Any]) -> None:
        """Copy an instance without its snapshots. Its config and devices are copied where ``body`` has none.

        It may run. Incus copies it as a power failure would leave it: where the driver takes no snapshots by itself,
        it is frozen meanwhile.
        """
        origin = {"type": "copy", "source": source, "project": self._client.project, "instance_only": True}
        with self._explained(f"copy {source} to {body['name']}"):
            self._wait(self._client.api.instances.post(json={**body, "type": "container", "source": origin}))

    def volume(self, pool: str, name: str) -> Volume | None:
        """Return a custom volume, None if there is none of that name."""
        with self._explained(f"look at the volume {pool}/{name}"):
            try:
                return volume_from(self._get(self._volumes(pool)[name], **self._here))
            except NotFound:
                return None

    def copy_volume(self, pool: str, source: str, name: str, config: Mapping[str, str]) -> None:
        """Copy a custom volume without its snapshots, within its pool. ``config`` is that of the copy."""
        origin = {"type": "copy", "name": source, "pool": pool, "project": self._client.project, "volume_only": True}
        body = {"name": name, "type": "custom", "config": dict(config), "source": origin}
        with self._explained(f"copy the volume {pool}/{source} to {name}"):
            self._wait(self._volumes(pool).post(json=body, params=self._here))

    def network(self, name: str) -> Network | None:
        """Return a managed network, None if there is none of that name, or it is not shown to this user."""
        with self._explained(f"look at the network {name}"):
            try:
                found = self._get(self._client.api.networks[name])
            except LXDAPIException:
                return None
        managed = Network(name=name, type=found.get("type") or "", config=found.get("config") or {})
        return managed if found.get("managed") else None

    def create_network(self, name: str, description: str, config: Mapping[str, str]) -> None:
        """Create a bridge."""
        body = {"name": name, "type": "bridge", "description": description, "config": dict(config)}
        with self._explained(f"create the network {name}"):
            self._wait(self._client.api.networks.post(json=body))

    def delete_network(self, name: str) -> None:
        """Delete a network that nothing uses. Incus may be at it for a run that was killed."""
        with self._explained(f"delete the network {name}"):
            try:
                self._wait(self._client.api.networks[name].delete())
            except LXDAPIException:
                if not poll(lambda: self.network(name) is None, time.monotonic() + _GOING):
                    raise
