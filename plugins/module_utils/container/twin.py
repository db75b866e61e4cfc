# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The twin in which a system is rehearsed: the container as it will be, without what only one can have. Pure.

Everything is kept that a system may need to come up, and everything is left out by which it would reach others: it has
a network of its own without routes, and what it shares with the host it can only read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..incus.addresses import NIC_TYPES
from ..incus.models import Devices, Instance, Pool
from ..names import lxc_name
from ..nix.rehearsals import Rehearsal
from ..stored_keys import REHEARSAL
from .declaration import Container, Wait
from .expanded import expanded, root_of
from .kind import PROFILES_DEVICE
from .observed import Observed
from .raw_lxc import INIT_LINE, lines_of
from .rebuilds import rebuilds
from .secret_device import SECRETS_DEVICE, directory_of
from .volatile import TMPFS_ENTRY

_MASK = {"type": "none"}
_LONGEST_NAME = 63
# With "-rehearsal-" and a hash behind it.
_KEPT_OF_NAME = _LONGEST_NAME - len("-rehearsal-") - 8
#: For benchmarks of networks (RFC 2544): nobody has it at home. It has 8192 networks of 16 addresses.
_NETWORKS, _SIZE = "198.18", 16
# What the system of a container is never told of, or would be told wrong.
_KEPT_BACK = re.compile(r"volatile\.|user\.inx\.|boot\.|snapshots\.|cluster\.|security\.protection\.")
# Devices of the kernel that each container has for itself when it opens them.
_SHARED_DEVICES = frozenset(("/dev/net/tun", "/dev/fuse", "/dev/kvm", "/dev/ppp", "/dev/vhost-net"))
_MOUNT_LINE = "lxc.mount.entry="
# Networks of liblxc's own, and programs that it runs on the host.
_LEFT_OUT_LINES = ("lxc.net.", "lxc.hook.", "lxc.uts.name=")
_OWN_VOLUME_KEYS = ("user.inx.", "volatile.uuid")


@dataclass(frozen=True, kw_only=True)
class TwinVolume:
    """A volume of a twin. It is a copy of the volume ``source`` of the same pool, or new and empty without one."""

    pool: str
    name: str
    config: Mapping[str, str]
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class Twin:
    """What is made for a rehearsal. ``container`` is the twin as a container of its own.

    ``body`` creates it, as a copy of the instance ``source``, or new and empty without one. ``data`` says in words what
    of the container's data it has.
    """

    container: Container
    body: Mapping[str, Any]
    rehearsal: Rehearsal
    source: str | None
    volumes: tuple[TwinVolume, ...]
    data: str


def twin_name(project: str, name: str) -> str:
    """Return the name of a container's twin, which Incus takes whatever the container's own is."""
    return f"{name[:_KEPT_OF_NAME]}-rehearsal-{_hash(project, name)[:8]}"


def network_name(project: str, name: str, turn: int = 0) -> str:
    """Return the name of a twin's network. An interface of Linux has at most 15 characters."""
    return f"inxr-{_hash(project, f'{name}/{turn}')[:10]}"


def network_config(rehearsal: Rehearsal) -> dict[str, str]:
    """Return a bridge that gives addresses by DHCP, so that what waits for a network comes up, and leads nowhere.

    No address is translated or forwarded, no route and no name server is announced, and no name is answered.
    """
    number = int(_hash(rehearsal.project, f"{rehearsal.container}/{rehearsal.turn}")[:4], 16) // 8
    third, fourth = divmod(number * _SIZE, 256)
    first, second = _NETWORKS.split(".")
    return {
        "ipv4.address": f"{first}.{int(second) + third // 256}.{third % 256}.{fourth + 1}/28",
        "ipv4.nat": "false",
        "ipv4.routing": "false",
        "ipv6.address": "none",
        "dns.mode": "none",
        "raw.dnsmasq": "port=0\ndhcp-option=3\ndhcp-option=6",
        REHEARSAL: rehearsal.lxc,
    }


def _hash(project: str, name: str) -> str:
    return hashlib.sha256(lxc_name(project, name).encode()).hexdigest()


def twin_of(declared: Container, instance: Instance, body: Mapping[str, Any], observed: Observed) -> Twin:
    """Return the twin of a container that will be as ``body`` has it, in config, devices and profiles."""
    name = twin_name(declared.project, declared.name)
    container = replace(
        declared,
        name=name,
        state="started",
        # What it has of addresses says nothing of those that the container gets.
        wait=Wait(timeout=declared.wait.timeout),
        secrets_at_rest=False,
    )
    devices = expanded(body["profiles"], observed.profiles, {}, body["devices"]).devices
    turn = 0 if observed.rehearsal is None else 1 - observed.rehearsal.turn
    volumes = _volumes(declared, f"{lxc_name(container.project, name)}_{turn}", devices, observed)
    has_nic = any(keys.get("type") in NIC_TYPES for keys in devices.values())
    rehearsal = Rehearsal(
        container=declared.name,
        project=declared.project,
        twin=name,
        network=network_name(declared.project, declared.name, turn) if has_nic else None,
        volumes=tuple((volume.pool, volume.name) for volume in volumes.values()),
        turn=turn,
    )
    copies_root = not rebuilds(declared, instance) and _pool(root_of(devices).get("pool"), observed).shares_copies
    wanted: dict[str, Any] = {
        "name": name,
        "description": f"Rehearsal of {declared.name}",
        "ephemeral": False,
        "config": _config(declared, body, rehearsal),
        "devices": {
            device: _device(device, keys, container, volumes, rehearsal.network) for device, keys in devices.items()
        },
        "profiles": list(body["profiles"]),
    }
    return Twin(
        container=container,
        body=_hiding(wanted, instance) if copies_root else wanted,
        rehearsal=rehearsal,
        source=instance.name if copies_root else None,
        volumes=tuple(volumes.values()),
        data=_data(declared, instance, devices, volumes, observed),
    )


# Config


def _config(declared: Container, body: Mapping[str, Any], rehearsal: Rehearsal) -> dict[str, str]:
    config = {key: value for key, value in body["config"].items() if not _KEPT_BACK.match(key)}
    return {
        **config,
        REHEARSAL: rehearsal.lxc,
        # Also where a profile says otherwise.
        "boot.autostart": "false",
        "security.protection.delete": "false",
        "snapshots.schedule": "",
        "raw.lxc": "\n".join(_lines(declared.name, config.get("raw.lxc", ""))),
    }


def _lines(name: str, raw_lxc: str) -> Iterator[str]:
    """Yield the lines of raw.lxc, with the host name of the container, and mounts of the host that are read-only."""
    for line in lines_of(raw_lxc):
        if line.startswith(_LEFT_OUT_LINES) or line == INIT_LINE:
            continue
        yield _read_only(line) if line.startswith(_MOUNT_LINE) and not line.startswith(TMPFS_ENTRY) else line
    yield f"lxc.uts.name={name}"
    yield INIT_LINE


def _read_only(line: str) -> str:
    fields = line.split()
    if len(fields) < 4 or not fields[0].startswith(f"{_MOUNT_LINE}/"):
        return line
    return " ".join([*fields[:3], f"{fields[3]},ro", *fields[4:]])


def _hiding(body: dict[str, Any], instance: Instance) -> dict[str, Any]:
    """Return the body of a copy, which gets nothing else of the instance: Incus copies what is left out."""
    config = {key: "" for key in instance.config if not key.startswith("volatile.")}
    devices = dict.fromkeys(instance.devices, _MASK)
    return {**body, "config": {**config, **body["config"]}, "devices": {**devices, **body["devices"]}}


# Devices


def _device(
    name: str,
    keys: Mapping[str, str],
    twin: Container,
    volumes: Mapping[tuple[str, str], TwinVolume],
    network: str | None,
) -> dict[str, str]:
    kind, source = keys.get("type"), keys.get("source", "")
    if kind in NIC_TYPES and network is not None:
        inside = {"name": keys["name"]} if "name" in keys else {}
        return {"type": "nic", "network": network, **inside}
    if kind == "unix-char" and (source or keys.get("path")) in _SHARED_DEVICES:
        return dict(keys)
    return _disk(name, keys, twin, volumes) if kind == "disk" else dict(_MASK)


def _disk(
    name: str, keys: Mapping[str, str], twin: Container, volumes: Mapping[tuple[str, str], TwinVolume]
) -> dict[str, str]:
    source = keys.get("source", "")
    if keys.get("path") == "/" or source.startswith("tmpfs"):
        return dict(keys)
    if keys.get("pool") and source:
        volume, slash, below = source.partition("/")
        return {**keys, "source": f"{volumes[keys['pool'], volume].name}{slash}{below}"}
    if name == PROFILES_DEVICE:
        return {**keys, "source": twin.profile_dir}
    if name == SECRETS_DEVICE and twin.secret_files:
        return {**keys, "source": directory_of(twin.project, twin.name)}
    if not source.startswith(("/", "cephfs:")):
        return dict(_MASK)
    # Incus mounts nothing read-only together with what is below it.
    return {**{key: value for key, value in keys.items() if key != "recursive"}, "readonly": "true"}


# Volumes, and what is copied


def _volumes(
    declared: Container, prefix: str, devices: Devices, observed: Observed
) -> dict[tuple[str, str], TwinVolume]:
    """Return the volumes that a twin gets in the place of those that are attached, by the pools and names of those."""
    places = dict.fromkeys(
        (keys["pool"], keys["source"].partition("/")[0])
        for _name, keys in sorted(devices.items())
        if keys.get("type") == "disk" and keys.get("pool") and keys.get("source")
    )
    modes = _modes(declared, devices)
    return {
        (pool, name): TwinVolume(
            pool=pool,
            name=f"{prefix}-{number}",
            config=_volume_config(declared, (pool, name), modes, observed),
            source=name if (pool, name) in observed.volumes and _pool(pool, observed).shares_copies else None,
        )
        for number, (pool, name) in enumerate(places)
    }


def _volume_config(
    declared: Container, place: tuple[str, str], modes: Mapping[tuple[str, str], str], observed: Observed
) -> dict[str, str]:
    found = observed.volumes.get(place)
    stored = {"initial.mode": modes[place]} if found is None and place in modes else {}
    if found is not None:
        stored = {key: value for key, value in found.config.items() if not key.startswith(_OWN_VOLUME_KEYS)}
    return {**stored, REHEARSAL: lxc_name(declared.project, declared.name)}


def _modes(declared: Container, devices: Devices) -> dict[tuple[str, str], str]:
    """Return the modes of volumes that are to be made, by their places."""
    return {
        (keys["pool"], keys["source"]): entry.mode
        for entry in declared.volatile.persist or ()
        if (keys := devices.get(entry.device)) is not None and keys.get("pool") and keys.get("source")
    }


def _pool(name: str | None, observed: Observed) -> Pool:
    return observed.pool_details.get(name or "", Pool(driver="unknown"))


def _data(
    declared: Container,
    instance: Instance,
    devices: Devices,
    volumes: Mapping[tuple[str, str], TwinVolume],
    observed: Observed,
) -> str:
    """Return in words what of the container's data a twin has."""
    pools = {"its root disk": root_of(devices).get("pool")} if not rebuilds(declared, instance) else {}
    pools.update({f"the volume {'/'.join(place)}": place[0] for place in volumes if place in observed.volumes})
    if not pools:
        return "it keeps no data"
    drivers = {what: _pool(pool, observed) for what, pool in pools.items()}
    empty = [what for what, driver in drivers.items() if not driver.shares_copies]
    if not empty:
        return "with copies of its data"
    names = ", ".join(sorted({drivers[what].driver for what in empty}))
    return f"without the data of {', '.join(empty)}, which the storage driver {names} would copy as a whole"
