# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Config keys that Incus applies at the next start only. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# Nothing in the container depends on them: they are Incus's own to go by, or for people.
_NOT_FOR_THE_CONTAINER = (
    *("user.", "volatile.", "image.", "boot.", "cluster.", "migration.", "snapshots.", "security.protection."),
    # "no" in the metadata, and applied: internal/server/instance/drivers/driver_lxc.go, Update; seen with 6.0 and 7.0.
    "security.guestapi",
)
_AT_START = (
    # Not in the metadata of 6.0.
    *("limits.kernel.", "linux.sysctl."),
    # "yes" in the metadata, for new commands. The first process, and what it starts, keep what they have.
    "environment.",
    "security.guestapi.images",
)
# For a server that does not tell. Incus: doc/config_options.txt, keys of containers with "live update: no".
_FALLBACK = (
    *("raw.idmap", "raw.lxc", "raw.seccomp", "nvidia.", "cloud-init."),
    *("security.privileged", "security.idmap.", "security.syscalls."),
)


@dataclass(frozen=True, kw_only=True)
class ConfigKeys:
    """What a server says of its config keys: whether one is applied while a container runs."""

    live: Mapping[str, bool] = field(default_factory=dict)

    def wait(self, key: str) -> bool:
        """Return whether another value of a key comes into force at the next start."""
        if key.startswith(_AT_START):
            return True
        if key.startswith(_NOT_FOR_THE_CONTAINER):
            return False
        live = self.live.get(key)
        return key.startswith(_FALLBACK) if live is None else not live


def config_keys_from(answer: Mapping[str, Any]) -> ConfigKeys:
    """Return what GET /1.0/metadata/configuration says of the keys of containers."""
    groups = answer.get("configs", {}).get("instance", {}).values()
    return ConfigKeys(live=dict(pair for group in groups for pair in _of_group(group)))


def _of_group(group: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    for entry in group.get("keys", ()):
        for key, said in entry.items():
            if said.get("condition") != "virtual machine" and "liveupdate" in said:
                yield key, said["liveupdate"] != "no"
