# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Incus objects as plain data, read from its answers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .addresses import addresses_from

Config: TypeAlias = Mapping[str, str]
Devices: TypeAlias = Mapping[str, Mapping[str, str]]


def server_from(info: Mapping[str, Any]) -> Server:
    """Return the server from the answer of GET /1.0."""
    environment = info.get("environment") or {}
    features = environment.get("kernel_features") or {}
    return Server(
        name=str(environment.get("server_name", "")),
        version=str(environment.get("server_version", "")),
        extensions=frozenset(info.get("api_extensions") or ()),
        # Incus 7.0 takes them for granted and names no features any more.
        idmapped_mounts=features.get("idmapped_mounts", "true") == "true",
        member=str(environment["server_name"]) if environment.get("server_clustered") else None,
        pid=int(environment.get("server_pid") or 0),
    )


def instances_of(operation: Mapping[str, Any]) -> set[str]:
    """Return the names of an operation's instances, which are all in one project."""
    urls = (operation.get("resources") or {}).get("instances") or ()
    return set(map(name_in, urls))


def name_in(url: object) -> str:
    """Return the name of what a URL of Incus is about, which is its last part."""
    return str(url).partition("?")[0].rpartition("/")[2]


def location_of(entry: Mapping[str, Any]) -> str | None:
    """Incus says "none" without a cluster."""
    location = entry.get("location")
    return None if location in (None, "", "none") else str(location)


def profile_from(entry: Mapping[str, Any]) -> Profile:
    return Profile(
        name=entry["name"],
        description=entry.get("description") or "",
        config=entry.get("config") or {},
        devices=entry.get("devices") or {},
        used_by=tuple(entry.get("used_by") or ()),
    )


def profile_body(profile: Profile) -> dict[str, Any]:
    return {
        "description": profile.description,
        "config": dict(profile.config),
        "devices": {name: dict(keys) for name, keys in profile.devices.items()},
    }


def instance_from(entry: Mapping[str, Any]) -> Instance:
    """Return an instance from an entry of GET /1.0/instances."""
    state = entry.get("state") or {}
    return Instance(
        name=entry["name"],
        project=entry.get("project") or "default",
        type=entry.get("type") or "container",
        # It is Ready when it has said so itself, through /dev/incus.
        status="Running" if entry.get("status") == "Ready" else entry.get("status") or "",
        pid=int(state.get("pid") or 0),
        config=entry.get("config") or {},
        devices=entry.get("devices") or {},
        profiles=tuple(entry.get("profiles") or ()),
        description=entry.get("description") or "",
        ephemeral=bool(entry.get("ephemeral")),
        expanded_config=entry.get("expanded_config") or {},
        expanded_devices=entry.get("expanded_devices") or {},
        addresses=addresses_from(entry),
        last_started=entry.get("last_used_at") or "",
        disk={name: used for name, seen in (state.get("disk") or {}).items() if (used := seen.get("usage") or 0) > 0},
        location=location_of(entry),
        snapshots=tuple(_snapshot_from(found) for found in entry.get("snapshots") or ()),
    )


def _snapshot_from(entry: Mapping[str, Any]) -> Snapshot:
    size = entry.get("size")
    return Snapshot(
        # Some answers have the name of the instance before it.
        name=str(entry["name"]).rpartition("/")[2],
        created=entry.get("created_at") or "",
        size=size if isinstance(size, int) and size >= 0 else None,
        devices=entry.get("devices") or {},
    )


def volume_from(entry: Mapping[str, Any], snapshots: Collection[str] = ()) -> Volume:
    return Volume(
        config=entry.get("config") or {},
        used_by=tuple(entry.get("used_by") or ()),
        location=location_of(entry),
        project=entry.get("project") or "default",
        created=entry.get("created_at") or "",
        snapshots=frozenset(snapshots),
    )


def on_member(
    volumes: Mapping[tuple[str, str], Collection[Volume]], member: str | None
) -> dict[tuple[str, str], Volume]:
    """Return the volumes that a member of a cluster has, or all members; without a cluster, all of them."""
    return {place: one for place, found in volumes.items() for one in found if one.location in (None, member)}


def pool_from(entry: Mapping[str, Any]) -> Pool:
    config = entry.get("config") or {}
    return Pool(driver=entry.get("driver") or "", source=config.get("source", ""), config=config)


def writable(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an instance that a PUT takes (InstancePut)."""
    keys = ("architecture", "config", "devices", "ephemeral", "profiles", "stateful", "description")
    return {key: entry[key] for key in keys if key in entry}


@dataclass(frozen=True, kw_only=True)
class Server:
    """What Incus says of itself and of its kernel (GET /1.0)."""

    name: str
    version: str
    extensions: frozenset[str]
    idmapped_mounts: bool
    #: Its name in the cluster that it is a member of; None when it is in none.
    member: str | None = None
    #: The process that answered, 0 if it does not say.
    pid: int = 0


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
class Snapshot:
    """A snapshot of an instance; ``size`` is in bytes, None where its driver does not tell."""

    name: str
    created: str = ""
    size: int | None = None
    devices: Devices = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An Incus instance as ``GET /1.0/instances?recursion=2`` shows it.

    ``pid`` is its init's process id on this host, 0 when it does not run here.
    ``location`` is the cluster member that it is at, None without a cluster.
    ``addresses`` are those of its NICs by interface. ``running_system`` is
    where /run/current-system leads inside it, None when that could not be read.
    ``last_started`` is Incus's time stamp, always in UTC. ``disk`` has the bytes used on those
    of its disks that can tell. ``notes`` is what the host remembers of it, where that was looked at.
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
    notes: Mapping[str, str] = field(default_factory=dict)
    #: Where Incus was asked for its state as well.
    snapshots: tuple[Snapshot, ...] = ()

    @property
    def identity(self) -> str:
        """Return what stays the same when it is renamed, moved or restored, and is new in a copy."""
        return self.config.get("volatile.uuid", "")

    @property
    def is_running(self) -> bool:
        """Return whether it has processes, as a frozen instance does."""
        return self.status in ("Running", "Frozen")

    @property
    def is_unreadable(self) -> bool:
        """Return whether a list has only its name: Incus could not read it, or reach its cluster member."""
        return self.status == "Error" and not self.config


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that Incus manages; ``type`` is bridge, ovn or another."""

    name: str
    type: str
    config: Config = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Space:
    """Bytes that are used, of those that there are."""

    used: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A custom storage volume; ``used_by`` holds API paths of instances and profiles.

    ``location`` is the cluster member that has it, None without a cluster, or when all members have it.
    """

    config: Config = field(default_factory=dict)
    used_by: tuple[str, ...] = ()
    location: str | None = None
    project: str = "default"
    #: Incus's time stamp, in UTC.
    created: str = ""
    snapshots: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A storage pool; ``source`` is a path or a device, "" when it has none."""

    driver: str
    source: str = ""
    config: Config = field(default_factory=dict)

    @property
    def shares_copies(self) -> bool:
        """Return whether a copy takes no space and hardly any time."""
        # Incus: doc/reference/storage_drivers, "optimized volume cloning", and what turns it off.
        off = {"zfs": "zfs.clone_copy", "ceph": "ceph.rbd.clone_copy", "lvm": "lvm.use_thinpool"}
        return (
            self.driver in ("btrfs", "linstor", *off) and self.config.get(off.get(self.driver, ""), "true") != "false"
        )


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What Incus knows and /proc does not: all instances of this host, and the links of containers that do not run.

    ``running`` and ``stopped`` are what it takes containers for, a moment after they are; ``unreadable`` are those
    that it cannot look at. ``read_stopped`` returns the target of the link at a path in a stopped container, None if
    it is not a link, and ``is_gone`` whether an instance that is not listed does not exist on this host. Both raise
    FleetError when Incus does not answer that. ``filtered`` says why the list may lack instances, None if it has all.
    ``identities`` has what stays the same when an instance is renamed.
    """

    names: frozenset[str]
    running: frozenset[str]
    stopped: frozenset[str]
    read_stopped: Callable[[str, str], str | None]
    is_gone: Callable[[str], bool]
    unreadable: frozenset[str] = frozenset()
    filtered: str | None = None
    identities: Mapping[str, str] = field(default_factory=dict)
