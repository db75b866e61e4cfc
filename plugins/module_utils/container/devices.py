# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The devices that a declaration names, as the instance is to have them, and the root disk among them. Pure."""

from __future__ import annotations

from ..errors import FleetError
from ..incus.addresses import NIC_TYPES
from ..incus.models import Devices
from ..text import incus_command
from ..values import same_value
from .declaration import Container, Device
from .expanded import Expanded, root_name, root_names, root_of
from .observed import Observed

#: What hides a device of the profiles. Incus: doc/reference/devices_none.
_MASK: Device = {"type": "none"}


def declared_devices(
    declared: Container, root: str, root_options: Device | None, from_profiles: Devices
) -> dict[str, Device | None]:
    """Return the declared devices. Options for the root disk, which is named ``root``, are merged into it.

    Null hides a device of the profiles. A device without a type is the profiles' device with the declared keys on
    top, as "incus config device override" has it; without any keys it is the profiles' device itself.
    """
    _check_root_options(declared, root)
    return {
        name: _mask(declared, name, root, from_profiles)
        if keys is None
        else _wanted(declared, name, {**(root_options or {}), **keys} if name == root else keys, from_profiles)
        for name, keys in declared.devices.items()
    }


def _mask(declared: Container, name: str, root: str, from_profiles: Devices) -> Device | None:
    if name == root:
        raise FleetError(
            f"{declared.name}: the device {name!r} is its root disk, and declared as null.",
            "Remove it from 'devices', or declare it as {} for the root disk of the profiles.",
        )
    return _MASK if _has(from_profiles, name) else None


def _wanted(declared: Container, name: str, keys: Device, from_profiles: Devices) -> Device | None:
    if "type" in keys:
        return keys
    if not _has(from_profiles, name):
        # What it was once of a profile, or was made by hand, says nothing of what it is to be.
        raise FleetError(
            f"{declared.name}: the device {name!r} has no type, and no profile has a device of that name.",
            "Declare its 'type', such as nic, disk or proxy.",
        )
    return {**from_profiles[name], **keys} if keys else None


def _has(devices: Devices, name: str) -> bool:
    return devices.get(name, _MASK).get("type") != _MASK["type"]


def check_addresses(declared: Container, wanted: Expanded) -> None:
    """Raise FleetError if addresses are waited for that nothing can give."""
    has_interface = any(keys.get("type") in NIC_TYPES for keys in wanted.devices.values())
    awaited = declared.wait.addresses
    if awaited and not has_interface and "lxc.net." not in wanted.config["raw.lxc"]:
        raise FleetError(
            f"{declared.name} would have no network interface, so it has no addresses to wait for.",
            "Declare a device of the type nic, or a profile that has one, or remove "
            f"{', '.join(map(repr, awaited))} from 'wait_for'.",
        )


# The root disk


def name_of_root(declared: Container, stored: Devices, from_profiles: Devices) -> str:
    """Return the name of the root disk: as it is declared, or is, or is in the profiles."""
    given = {name: keys for name, keys in declared.devices.items() if keys is not None}
    return root_name(given) or root_name(stored) or root_name(from_profiles) or "root"


def _check_root_options(declared: Container, root: str) -> None:
    """Raise FleetError if the options for the root disk and its device say different things."""
    keys = declared.devices.get(root) or {}
    for option, key, value in (
        ("root_size", "size", declared.root_size),
        ("storage_pool", "pool", declared.storage_pool),
    ):
        if value is not None and key in keys and not same_value(keys[key], value):
            raise FleetError(
                f"{declared.name}: {option!r} is {value}, and {key!r} of the device {root!r} is {keys[key]}.",
                "Keep one of them.",
            )


def check_root_disk(declared: Container, observed: Observed, now: Expanded | None, wanted: Expanded) -> None:
    """Raise FleetError unless a container would have one root disk, in the pool where it has it."""
    names = root_names(wanted.devices)
    if len(names) > 1:
        raise FleetError(
            f"{declared.name} would have {len(names)} root disks: the devices {', '.join(names)}.",
            "Declare the one that you mean under the name that it has in the profile or the instance.",
        )
    pool = root_of(wanted.devices).get("pool")
    if not pool:
        raise FleetError(
            f"{declared.name} would have no root disk in a storage pool.",
            f"Declare 'storage_pool' (the host has: {', '.join(sorted(observed.pools or ())) or 'none it tells'}), "
            "or a profile with a root disk.",
        )
    there = None if now is None else root_of(now.devices).get("pool")
    if there not in (None, pool):
        raise FleetError(
            f"{declared.name}: its root disk is in the pool {there!r}, and {pool!r} is declared.",
            "Move it by hand, while it is stopped: "
            + incus_command(declared.project, "move", declared.name, "--storage", pool),
        )
