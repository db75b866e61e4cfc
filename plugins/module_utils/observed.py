# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was seen on the host: plain data, made by the two files that do I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Config: TypeAlias = Mapping[str, str]
Devices: TypeAlias = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Server:
    """What Incus says of itself and of its kernel (GET /1.0)."""

    name: str
    version: str
    extensions: frozenset[str]
    idmapped_mounts: bool
    #: Its name in the cluster that it is a member of; None when it is in none.
    member: str | None = None


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The members of a cluster by name, those of them that take containers, and the one that this host is."""

    member: str
    members: frozenset[str]
    online: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """An Incus profile; ``used_by`` holds API paths of instances and images."""

    name: str
    description: str = ""
    config: Config = field(default_factory=dict)
    devices: Devices = field(default_factory=dict)
    used_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An Incus instance as ``GET /1.0/instances?recursion=2`` shows it.

    ``pid`` is its init's process id on this host, 0 when it does not run here.
    ``location`` is the cluster member that it is at, None without a cluster.
    ``addresses`` are its global addresses by interface. ``running_system`` is
    where /run/current-system leads inside it, None when that could not be read.
    ``last_started`` is Incus's time stamp, always in UTC. ``disk`` has the bytes used on those
    of its disks that can tell.
    """

    name: str
    project: str = "default"
    type: str = "container"
    status: str = "Stopped"
    pid: int = 0
    config: Config = field(default_factory=dict)
    devices: Devices = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    description: str = ""
    ephemeral: bool = False
    expanded_config: Config = field(default_factory=dict)
    expanded_devices: Devices = field(default_factory=dict)
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    running_system: str | None = None
    last_started: str = ""
    disk: Mapping[str, int] = field(default_factory=dict)
    location: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has processes; a frozen instance has."""
        return self.status in ("Running", "Frozen")


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One generation of a Nix profile."""

    number: int
    system: str


@dataclass(frozen=True, kw_only=True)
class Generations:
    """The Nix profile of a container: generation number to store path, and the current one.

    ``directory`` says whether the directory of the profile is there at all.
    """

    directory: bool = True
    paths: Mapping[int, str] = field(default_factory=dict)
    current: int | None = None

    @property
    def system(self) -> str | None:
        """The store path that the profile leads to."""
        return None if self.current is None else self.paths.get(self.current)


@dataclass(frozen=True, kw_only=True)
class System:
    """A declared system as nix evaluated it.

    ``derivation`` is None for a store path given as such, and ``copy_from`` the store to copy that from, if one is
    given. ``built`` says
    whether ``path`` is valid in the store now. ``generation`` is its number when
    it was chosen as a generation that the profile has.
    """

    path: str
    derivation: str | None = None
    copy_from: str | None = None
    built: bool = False
    generation: int | None = None


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A custom storage volume; ``used_by`` holds API paths of instances and profiles.

    ``location`` is the cluster member that has it, None without a cluster, or when all members have it.
    """

    config: Config = field(default_factory=dict)
    used_by: tuple[str, ...] = ()
    location: str | None = None


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
    has_snapshots: bool = False
    #: The cluster member that this host is; None without a cluster.
    member: str | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Whether there is an instance, at another member of the cluster."""
        return self.instance is not None and self.instance.location != self.member


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What Incus knows and /proc does not: all instances, and the links of containers that do not run.

    ``running`` and ``stopped`` are what it takes containers for, a moment after they are.
    ``read_stopped`` gives the target of the link at a path in a stopped container, None if it is no link.
    """

    names: frozenset[str]
    running: frozenset[str]
    stopped: frozenset[str]
    read_stopped: Callable[[str, str], str | None]
