# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recognise containers on the shared store, and refuse other instances. Pure."""

from __future__ import annotations

from ..errors import FleetError
from ..incus.models import Instance
from ..paths import STORE_PROFILE
from ..text import incus_command
from .declaration import Container
from .observed import Observed
from .raw_lxc import INIT_LINE, lines_of

PROFILES_TARGET = "/nix/var/nix/profiles"
PROFILES_DEVICE = "nixprofiles"


def shares_store(instance: Instance, store_profile: str = STORE_PROFILE) -> bool:
    """Return whether an instance is a container on the shared store. One sign is enough."""
    signs = (has_profiles_device(instance), has_init_line(instance), store_profile in instance.profiles)
    return instance.type == "container" and "volatile.base_image" not in instance.config and any(signs)


def has_profiles_device(instance: Instance) -> bool:
    """Return whether it mounts a Nix profile, its own or another."""
    return instance.devices.get(PROFILES_DEVICE, {}).get("path") == PROFILES_TARGET


def has_init_line(instance: Instance) -> bool:
    """Return whether it boots the system of its Nix profile."""
    return INIT_LINE in lines_of(instance.config.get("raw.lxc", ""))


def check_kind(declared: Container, instance: Instance) -> None:
    """Refuse an instance that is something else: to turn it into one of ours would destroy it."""
    if not shares_store(instance, declared.store_profile):
        raise FleetError(
            f"There is an instance {declared.name!r} already, and it is not a container on the shared store.",
            "It was left as it is. Choose another name, or remove it yourself with "
            f"'{incus_command(declared.project, 'delete', declared.name)}'.",
        )


def check_survives_stop(declared: Container, instance: Instance) -> None:
    if instance.ephemeral and declared.ephemeral is not False:
        raise FleetError(
            f"{declared.name} is ephemeral: its stop would delete it.",
            "Declare 'ephemeral: false' to keep it, or 'state: absent'.",
        )


def check_profiles(declared: Container, observed: Observed) -> None:
    if declared.store_profile not in observed.profiles:
        raise FleetError(
            f"The Incus profile {declared.store_profile!r} that shares the store is not there.",
            "Run the module inx.fleet.inx_store_mount first (the role inx.fleet.host does it).",
        )
    for name in declared.profiles or ():
        if name not in observed.profiles:
            raise FleetError(
                f"{declared.name}: the Incus profile {name!r} does not exist.",
                f"The project has: {', '.join(sorted(observed.profiles))}.",
            )
