# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of a running container that wait for its next start. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping

from ..incus.addresses import plain_address
from ..incus.models import Config, Devices, Instance
from ..incus.start_config import StartConfig, folded
from ..paths import LOCALTIME
from ..stored_keys import HIDDEN_KEYS, RESTART, RESTART_KEYS
from ..values import same_value
from .declaration import Container
from .expanded import Expanded
from .observed import Observed
from .secret_device import GUARD, SECRETS_DEVICE

_RAW_LXC = "raw.lxc"
_PRIVILEGED = "security.privileged"
_IDMAP = (_PRIVILEGED, "security.idmap.base", "security.idmap.isolated", "security.idmap.size", "raw.idmap")
# Incus: internal/server/instance/drivers/driver_lxc.go: what it runs with, and what it gets at its next start.
_CURRENT, _NEXT = "volatile.idmap.current", "volatile.idmap.next"
_NO_MAP = "[]"
_NIX = "/nix/"
_ABSENT = "-"
#: In the place of the mark of a secret value, which counts as changed until the next start.
_UNKNOWN = "?"
_MARK = 12
# Of a NIC: what Incus passes on to its DHCP server, and what it makes the NIC anew for.
_STATIC = ("ipv4.address", "ipv6.address")
_NIC_IDENTITY = ("type", "network", "parent", "nictype", "hwaddr", "name", "mtu", "vlan")
#: Between the name of a NIC and its option.
NIC_KEY = "/"


def waiting(now: Expanded, wanted: Expanded, instance: Instance, observed: Observed) -> dict[str, str]:
    """Return the keys that come into force at the next start, with marks of the values that the container runs with.

    That is read from what Incus wrote at the start where it tells, whoever started it; else it is what earlier runs
    have noted when they changed a key; else what the key is now.
    """
    runs = _running_marks(now, wanted, instance, observed)
    marks = {key: _mark(key, wanted.config.get(key)) for key in runs}
    waits = {key: mark for key, mark in sorted(runs.items()) if mark != marks[key]}
    return waits | _idmap(now, wanted, instance) | _addresses(now, wanted, instance, observed.addresses)


def _running_marks(now: Expanded, wanted: Expanded, instance: Instance, observed: Observed) -> dict[str, str]:
    """Return the marks of the values that it runs with, of all keys that take a start."""
    noted, start = noted_marks(instance), observed.started
    keys = {*now.config, *wanted.config, *noted, *(() if start is None else start.config)}
    return {
        key: _running_mark(key, now.config, wanted.config, noted, start)
        for key in keys
        if observed.config_keys.wait(key) and not (key in _IDMAP and _is_told_by_idmap(now, wanted, instance, key))
    }


def _running_mark(key: str, now: Config, wanted: Config, noted: Mapping[str, str], start: StartConfig | None) -> str:
    if start is not None and key == _RAW_LXC:
        return _mark(key, "\n".join(start.raw_lxc))
    if start is not None and start.knows(key, wanted.get(key)) and start.knows(key, now.get(key)):
        return _mark(key, start.config.get(key))
    return noted.get(key, _mark(key, now.get(key)))


def _mark(key: str, value: str | None) -> str:
    """Return a mark by which a value is known again, and not told."""
    if key == _RAW_LXC:
        lines = (folded(line) for line in (value or "").splitlines())
        # What guards secrets is for copies, which have yet to start.
        value = "\n".join(sorted(line for line in lines if line and not line.startswith(("#", GUARD))))
    return hashlib.sha256(value.encode(errors="surrogateescape")).hexdigest()[:_MARK] if value else _ABSENT


# User ids


def _is_told_by_idmap(now: Expanded, wanted: Expanded, instance: Instance, key: str) -> bool:
    """Return whether Incus's own notes on user ids say it all, so that no others are needed."""
    both = _CURRENT in instance.config and _NEXT in instance.config
    return both and (key == _PRIVILEGED or _idmap_config(now.config) == _idmap_config(wanted.config))


def _idmap(now: Expanded, wanted: Expanded, instance: Instance) -> dict[str, str]:
    """Return the keys of user ids that wait, as Incus's notes tell."""
    current, following = instance.config.get(_CURRENT), instance.config.get(_NEXT)
    if current is None or following is None:
        return {}
    if runs_otherwise(instance, wanted):
        return {_PRIVILEGED: _mark(_PRIVILEGED, "true" if current == _NO_MAP else None)}
    same_declared = _idmap_config(now.config) == _idmap_config(wanted.config)
    if not same_declared or current == following or wanted.is_privileged:
        return {}
    return dict.fromkeys(_idmap_config(wanted.config) or ("security.idmap.isolated",), _UNKNOWN)


def _idmap_config(config: Config) -> dict[str, str]:
    return {key: config[key] for key in _IDMAP if config.get(key) and not same_value(False, config[key])}


def runs_otherwise(instance: Instance, wanted: Expanded) -> bool:
    """Return whether a running container is privileged and is not to be, or the other way round."""
    current = instance.config.get(_CURRENT)
    return instance.is_running and current is not None and (current == _NO_MAP) != wanted.is_privileged


def runs_as_host_root(instance: Instance) -> bool:
    """Return whether some user in a running container is the host's uid 0, by what it was started with."""
    current = instance.config.get(_CURRENT)
    if current is None or not instance.is_running:
        return False
    try:
        entries = json.loads(current)
    except ValueError:
        return False
    return not entries or any(entry.get("Isuid") and entry.get("Hostid") == 0 for entry in entries)


def trust_warnings(instance: Instance, now: Expanded) -> Iterator[str]:
    """Yield a warning of a container whose root is the daemon's trusted root, by what it was started with."""
    if now.has_daemon and runs_as_host_root(instance):
        yield (
            f"{instance.name} was started privileged, or with the host's uid 0, and has the socket of the Nix daemon: "
            "until its next start its root is the host's. 'state: restarted' ends that."
        )


# Disks


def stale_disks(now: Devices, wanted: Devices, replaced: Collection[str]) -> frozenset[str]:
    """Return the disks that a run leaves as they are, and that show what was at their source before.

    The time zone is left out: each update of its package replaces it, which is no reason to restart all containers.
    """
    stays = {name: now[name] for name in replaced if name in now and now[name] == wanted.get(name)}
    return frozenset(name for name, keys in stays.items() if keys.get("source") != LOCALTIME)


def mounted_anew(declared: Container, observed: Observed) -> frozenset[str]:
    """Return the disks whose source was replaced and that can be mounted again while the container runs.

    They are its own that are declared, below which nothing else is mounted. Its programs come from below /nix.
    """
    instance = observed.instance
    if instance is None or instance.status != "Running":
        return frozenset()
    names = {*declared.devices, *(entry.device for entry in declared.bind_mounts or ())}
    names |= {SECRETS_DEVICE} if declared.secret_files else set()
    own = {name: keys for name, keys in instance.devices.items() if name in names}
    free = observed.replaced.disks - observed.replaced.under
    return frozenset(name for name, keys in own.items() if name in free and not f"{keys['path']}/".startswith(_NIX))


# Static addresses


def _addresses(now: Expanded, wanted: Expanded, instance: Instance, there: frozenset[str] | None) -> dict[str, str]:
    """Return the static addresses that were changed and that the container does not have yet, as keys with marks.

    Incus tells its DHCP server, and a container asks that at its next start, or when its lease has run out.
    """
    noted, before, after = noted_marks(instance), static_addresses(now.devices), static_addresses(wanted.devices)
    waits: dict[str, str] = {}
    for key, address in after.items():
        mark = noted.get(key, _mark(key, before.get(key)))
        is_plugged = key not in noted and _is_plugged_anew(now.devices, wanted.devices, key)
        if mark != _mark(key, address) and not is_plugged and there is not None and address not in there:
            waits[key] = mark
    return waits


def static_addresses(devices: Devices) -> dict[str, str]:
    """Return the static addresses of NICs by keys of our own, which a note can have beside config keys."""
    found = {
        f"{name}{NIC_KEY}{key}": plain_address(keys[key])
        for name, keys in devices.items()
        if keys.get("type") == "nic" and name.split() == [name]
        for key in _STATIC
        if key in keys
    }
    return {key: address for key, address in found.items() if address}


def _is_plugged_anew(before: Devices, after: Devices, key: str) -> bool:
    """Return whether Incus makes a NIC anew, so that the container sees it come up and asks for an address."""
    name = key.partition(NIC_KEY)[0]
    old, new = before.get(name, {}), after.get(name, {})
    return any(old.get(one) != new.get(one) for one in _NIC_IDENTITY)


# Notes


def noted_marks(instance: Instance) -> dict[str, str]:
    """Return what is noted of the values that were in force at the last start, if the note is of that start."""
    start, *pairs = instance.notes.get(RESTART_KEYS, "").split() or [""]
    if not start or start != instance.last_started:
        return {}
    parts = (pair.rpartition("=") for pair in pairs)
    return {key: mark for key, _sign, mark in parts if key}


def restart_notes(instance: Instance, waits: Mapping[str, str]) -> dict[str, str]:
    """Return what to note of an instance when keys are changed that wait for a start; nothing if it is noted."""
    if not waits or waits.keys() <= noted_marks(instance).keys():
        return {}
    secret = instance.config.get(HIDDEN_KEYS, "").split()
    marks = [f"{key}={_UNKNOWN if key in secret else mark}" for key, mark in sorted(waits.items())]
    return {RESTART_KEYS: " ".join([instance.last_started, *marks])}


def restart_pending(instance: Instance, addresses: Collection[str] = ()) -> bool:
    """Return whether it runs without what was changed since its start, as far as notes tell.

    ``addresses`` are some that it has, beside those that Incus has told.
    """
    since = instance.notes.get(RESTART, "")
    # As texts they compare rightly without the Z: both are in UTC, and differ in precision alone.
    if not instance.is_running or instance.last_started.rstrip("Z") >= since.rstrip("Z"):
        return False
    static, noted = static_addresses({**instance.expanded_devices, **instance.devices}), noted_marks(instance)
    there = {*addresses, *(address for found in instance.addresses.values() for address in found)}
    in_force = {key for key, address in static.items() if address in there}
    config = {**instance.expanded_config, **instance.config, **static}
    return not noted or any(mark != _mark(key, config.get(key)) for key, mark in noted.items() if key not in in_force)
