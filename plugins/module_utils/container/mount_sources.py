# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuse what needs a path of the host to mount that the host does not have, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..errors import FleetError
from ..incus.models import Instance
from ..values import same_value, value_text
from .declaration import Container, Device
from .observed import Observed
from .steps import Step

# Steps with which Incus looks for all sources that an instance has.
_MOUNTING = frozenset(("create", "move", "start", "restart"))


def required_sources(declared: Container) -> dict[str, str]:
    """Return the paths of the host that declared mounts need, by the names of their devices."""
    disks = {name: keys for name, keys in declared.devices.items() if keys is not None and _is_required_disk(keys)}
    found = {name: str(keys.get("source", "")) for name, keys in disks.items()}
    found.update({entry.device: entry.source for entry in declared.bind_mounts or () if entry.required})
    return {name: source for name, source in found.items() if source.startswith("/")}


def _is_required_disk(keys: Device) -> bool:
    # Incus: doc/reference/devices_disk, "required": one that may come later.
    return keys.get("type") == "disk" and not same_value(False, value_text(keys.get("required", True)))


def shifted_sources(declared: Container, instance: Instance | None) -> dict[str, str]:
    """Return the paths of the host that are to be mounted with shifted ids and are not yet, by their devices' names."""
    disks = {name: keys for name, keys in declared.devices.items() if keys is not None and keys.get("type") == "disk"}
    disks.update({entry.device: entry.keys for entry in declared.bind_mounts or ()})
    stored = {} if instance is None else instance.devices
    found = {
        name: str(keys.get("source", ""))
        for name, keys in disks.items()
        if same_value(True, value_text(keys.get("shift") or "")) and not _is_there(keys, stored.get(name, {}))
    }
    return {name: source for name, source in found.items() if source.startswith("/")}


def _is_there(keys: Device, stored: Mapping[str, str]) -> bool:
    return stored.get("source") == keys.get("source") and same_value(True, stored.get("shift", ""))


def _check_shift(declared: Container, observed: Observed) -> None:
    """Raise FleetError for a source that cannot be mounted with shifted ids. A privileged container shifts none."""
    if declared.allow_privileged:
        return
    for source in sorted(shifted_sources(declared, observed.instance).values()):
        if source in observed.unshiftable:
            raise FleetError(
                f"{declared.name}: the file system of {source} cannot be mounted with shifted ids.",
                "Declare the mount with 'shift: false', for files that everybody may read, or use another file system.",
            )


def check_sources(
    declared: Container, observed: Observed, steps: Sequence[Step], changed: Mapping[str, Any]
) -> tuple[str, ...]:
    """Raise FleetError if steps, or ``changed`` devices, need a source that the host does not have.

    Return warnings of those that the next start needs. What runs keeps what it has mounted, and can be changed.
    """
    _check_shift(declared, observed)
    missing = {name: source for name, source in required_sources(declared).items() if source in observed.missing}
    for name, source in sorted(missing.items()):
        if _is_needed(name, steps, changed):
            raise FleetError(
                f"{declared.name}: the host has no {source} to mount.",
                "Create it first, with the right owner, or declare the mount with 'required: false'.",
            )
    return tuple(_warnings(declared, missing.values()))


def _is_needed(device: str, steps: Sequence[Step], changed: Mapping[str, Any]) -> bool:
    return changed.get(device) is not None or any(step.action in _MOUNTING for step in steps)


def _warnings(declared: Container, sources: Collection[str]) -> list[str]:
    return [
        f"{declared.name} cannot be started again: the host has no {source} to mount. Create it, with the right owner."
        for source in sorted(set(sources))
    ]
