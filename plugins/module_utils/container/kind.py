# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recognise containers on the shared store, and refuse other instances. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..errors import FleetError
from ..incus.models import Instance
from ..names import lxc_name, lxc_name_parts
from ..paths import PROFILES_DIR, STORE_PROFILE, profile_dir
from ..stored_keys import REHEARSAL
from ..text import incus_command
from .declaration import Container
from .observed import Observed
from .raw_lxc import INIT_LINE, lines_of

PROFILES_TARGET = "/nix/var/nix/profiles"
PROFILES_DEVICE = "nixprofiles"


def shares_store(instance: Instance, store_profile: str = STORE_PROFILE) -> bool:
    """Return whether an instance is a container on the shared store. One sign is enough. The twin of one is not."""
    signs = (has_profiles_device(instance), has_init_line(instance), store_profile in instance.profiles)
    is_other = "volatile.base_image" in instance.config or REHEARSAL in instance.config
    return instance.type == "container" and not is_other and any(signs)


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


def is_foreign(instance: Instance) -> bool:
    """Return whether it boots from the profile directory of another container: it was copied from that, or renamed."""
    source = instance.devices.get(PROFILES_DEVICE, {}).get("source")
    return has_profiles_device(instance) and source != profile_dir(instance.project, instance.name)


def booted_directory(instance: Instance) -> str:
    """Return the profile directory that an instance boots from, which is another's for a copy."""
    source = instance.devices.get(PROFILES_DEVICE, {}).get("source", "")
    is_one_of_ours = os.path.dirname(source) == PROFILES_DIR and not os.path.basename(source).startswith(".")
    return source if is_foreign(instance) and is_one_of_ours else profile_dir(instance.project, instance.name)


def users_of(directory: str, instances: Iterable[Instance]) -> frozenset[str]:
    """Return the instances that mount a directory of the host, by the names that liblxc gives them."""
    return frozenset(
        lxc_name(one.project, one.name)
        for one in instances
        if any(keys.get("source") == directory for keys in one.expanded_devices.values())
    )


def foreign_warning(instance: Instance) -> str:
    """Return why a purge leaves an instance that is in the set."""
    source = instance.devices.get(PROFILES_DEVICE, {}).get("source")
    delete = incus_command(instance.project, "delete", "--force", instance.name)
    return (
        f"{instance.name} is not purged: it uses the profile directory {source}, as a copy or a renamed container "
        f"does. Declare it to give it one of its own, or remove it with '{delete}'."
    )


def check_not_renamed(declared: Container, observed: Observed) -> None:
    """Refuse to create a container whose profile directory another instance uses: both would boot its systems."""
    if not observed.users:
        return
    others = [lxc_name_parts(lxc) for lxc in sorted(observed.users)]
    commands = [
        incus_command(project, "rename", name, declared.name) for project, name in others if project == declared.project
    ]
    back = f"rename it back with '{commands[0]}', or " if commands else ""
    raise FleetError(
        f"There is no instance {declared.name!r}, and its profile directory {declared.profile_dir} is used by "
        f"{_users(observed)}, which was renamed, or is a copy of one that is gone.",
        f"If it was renamed, {back}declare it by its new name. Declare a copy as well: it then gets a "
        "profile directory of its own.",
    )


def users_warning(declared: Container, observed: Observed) -> str:
    """Return why the profile directory of a container that is removed stays."""
    return (
        f"{declared.profile_dir} is kept, because {_users(observed)} boots from it. "
        "Declare that container to give it a profile directory of its own."
    )


def _users(observed: Observed) -> str:
    others = [lxc_name_parts(lxc) for lxc in sorted(observed.users)]
    return ", ".join(name if project == "default" else f"{name} of the project {project}" for project, name in others)


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
