# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observations of the host, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..incus.config_keys import ConfigKeys
from ..incus.models import Instance, Pool, Profile, Volume
from ..incus.mounted import Replaced
from ..incus.start_config import StartConfig
from ..nix.profiles import Generations
from ..nix.rehearsals import Rehearsal
from .secrets import SecretsSeen


@dataclass(frozen=True, kw_only=True)
class Observed:
    """All that the plan for one container may look at.

    ``volumes`` are the custom volumes of this host by pool and name, ``far_volumes`` the members of the cluster that
    have others, ``memory_pools`` the pools that a reboot of the host empties, ``occupied`` the declared persistent
    paths at which the root has files. They, and ``has_snapshots``, are looked at only where they matter.
    """

    instance: Instance | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    #: None when they cannot be listed.
    pools: frozenset[str] | None = frozenset()
    generations: Generations = field(default_factory=Generations)
    has_localtime: bool = True
    has_tmpfs_devices: bool = False
    volumes: Mapping[tuple[str, str], Volume] = field(default_factory=dict)
    far_volumes: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    memory_pools: frozenset[str] = frozenset()
    occupied: frozenset[str] = frozenset()
    #: Of the declared bind mounts, the sources that the host does not have.
    missing: frozenset[str] = frozenset()
    #: Sources whose file systems cannot be mounted with shifted ids.
    unshiftable: frozenset[str] = frozenset()
    #: The paths on the host that mounts in its directories would need as mount points, and that it does not have.
    absent_points: frozenset[str] = frozenset()
    #: Of the paths on the host that are mounted or to be mounted, those that are files.
    files: frozenset[str] = frozenset()
    has_snapshots: bool = False
    #: The names of the snapshots of the instance, and the storage pools. Looked at where snapshots or a rehearsal are
    #: declared.
    snapshots: frozenset[str] = frozenset()
    pool_details: Mapping[str, Pool] = field(default_factory=dict)
    #: What the host has mounted, as far as it may be in a root disk or a volume.
    host_mounts: frozenset[str] = frozenset()
    #: Whether it is a profile directory of the declared set, without an instance.
    is_left: bool = False
    #: The other instances that use its profile directory, as liblxc names them: copies, or what was renamed. Looked at
    #: where the directory is to go, or where it is there without an instance.
    users: frozenset[str] = frozenset()
    #: What a running container was started with; None when it does not run here, or this user may not read it.
    started: StartConfig | None = None
    #: Its disks that show what was at their source before something else took its place there.
    replaced: Replaced = field(default_factory=Replaced)
    #: The addresses of all its interfaces; None when it does not run here, or this user may not read them.
    addresses: frozenset[str] | None = None
    #: The proxies that a running container has in its configuration only.
    lost_proxies: frozenset[str] = frozenset()
    config_keys: ConfigKeys = field(default_factory=ConfigKeys)
    #: What the host has of its secrets. Looked at where some are declared, or it has any.
    secrets: SecretsSeen = field(default_factory=SecretsSeen)
    #: What an earlier rehearsal has left.
    rehearsal: Rehearsal | None = None
    #: The cluster member that this host is; None without a cluster.
    member: str | None = None

    @property
    def keeps_mount_points(self) -> bool:
        """Return whether Incus keeps the mount point when it unmounts: since 6.15, and tmpfs are devices since 6.16."""
        return self.has_tmpfs_devices

    @property
    def is_elsewhere(self) -> bool:
        """Return whether there is an instance on another member of the cluster."""
        return self.instance is not None and self.instance.location != self.member
