# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that were made for containers and that nothing uses any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import FleetError
from ..incus.client import Incus
from ..incus.volume_list import MadeVolume
from ..names import lxc_name_parts


@dataclass(frozen=True, kw_only=True)
class Unused:
    """A volume that no instance and no profile uses, and the bytes that it takes, None where Incus does not tell."""

    volume: MadeVolume
    used: int | None


def unused_volumes(incus: Incus) -> list[Unused] | None:
    """Return them, sorted; None if this user may not list the storage pools."""
    pools = incus.pools()
    if pools is None:
        return None
    found = [volume for volume in incus.made_volumes(sorted(pools)) if not volume.is_used]
    ordered = sorted(found, key=lambda volume: (volume.project, volume.name, volume.pool, volume.location or ""))
    return [Unused(volume=volume, used=incus.volume_usage(volume)) for volume in ordered]


def try_unused(incus: Incus) -> tuple[list[Unused] | None, list[str]]:
    """Return them, and a warning if they cannot be listed: all else can be told without."""
    try:
        return unused_volumes(incus), []
    except FleetError as error:
        return None, [str(error)]


def by_container(unused: Sequence[Unused]) -> Mapping[str, tuple[Unused, ...]]:
    """Return the volumes of each container, by what liblxc calls it."""
    names = {one.volume.container for one in unused}
    return {name: tuple(one for one in unused if one.volume.container == name) for name in names}


def without_container(
    unused: Sequence[Unused] | None, incus: Incus, project: str | None
) -> list[dict[str, Any]] | None:
    """Return the volumes whose container does not exist, in a project or in all. ``incus`` is for all projects.

    None if the volumes are not known, or if some instances may be hidden from this user.
    """
    instances = None if unused is None else incus.all_names()
    if unused is None or instances is None:
        return None
    gone = [(one, *lxc_name_parts(one.volume.container)) for one in unused if one.volume.container not in instances]
    return [
        {**as_data(one), "container": name, "project": owner} for one, owner, name in gone if project in (None, owner)
    ]


def as_data(one: Unused) -> dict[str, Any]:
    """Return a volume as the info module shows it."""
    volume = one.volume
    return {
        "pool": volume.pool,
        "name": volume.name,
        "path": volume.path,
        "location": volume.location,
        "used": one.used,
    }
