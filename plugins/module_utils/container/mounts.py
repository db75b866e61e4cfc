# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Desired tmpfs and volumes of a container. Refuses what is not possible.

Pure, as the plan that it serves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NoReturn

from ..errors import FleetError
from ..incus.models import Instance
from ..incus.mountinfo import mounts_in, nearest
from ..names import lxc_name
from ..stored_keys import VOLUME_CONTAINER, VOLUME_PATH
from ..text import incus_command
from ..values import same_value
from .attached import BIND_DEVICE
from .declaration import Container, Device
from .expanded import Expanded
from .in_force import runs_otherwise
from .mount_tree import (
    RAW_LXC,
    Mount,
    Problem,
    hides_when_live,
    loses_points,
    mounts_from,
    problems,
    remounted,
)
from .observed import Observed
from .secret_device import SECRETS_DEVICE
from .secrets import check_paths
from .volatile import PERSIST_DEVICE, TMPFS_DEVICE, TMPFS_ENTRY, Persist

# Incus adds and removes these only while the instance is stopped.
_NOT_WHILE_RUNNING = ("tmpfs:", "tmpfs-overlay:")


# Tmpfs


def tmpfs_entries(declared: Container, stored: Sequence[str], observed: Observed) -> list[str]:
    """Return the lines of raw.lxc for tmpfs, the stored ones if nothing is declared."""
    if declared.volatile.root is None:
        return [line for line in stored if line.startswith(TMPFS_ENTRY)]
    # In the order of their paths, so that one below another is mounted after it.
    entries = sorted(declared.volatile.tmpfs, key=lambda entry: entry.path)
    return [] if observed.has_tmpfs_devices else [entry.entry for entry in entries]


def mount_devices(
    declared: Container, instance: Instance | None, root_pool: str | None, observed: Observed
) -> dict[str, Device | None]:
    """Return the devices for tmpfs and volumes, None for those that are no longer declared."""
    stored = {} if instance is None else instance.devices
    wanted: dict[str, Device | None] = {}
    if declared.volatile.root is not None:
        wanted.update({name: None for name in stored if name.startswith(TMPFS_DEVICE)})
        if observed.has_tmpfs_devices:
            wanted.update({entry.device: entry.keys for entry in declared.volatile.tmpfs})
    if declared.volatile.persist is not None:
        wanted.update({name: None for name in stored if name.startswith(PERSIST_DEVICE)})
        for entry in declared.volatile.persist:
            pool, volume = _place(declared, entry, stored.get(entry.device, {}), root_pool, observed)
            wanted[entry.device] = {"type": "disk", "path": entry.path, "pool": pool, "source": volume}
    return wanted


def late_changes(
    now: Expanded, wanted: Expanded, instance: Instance, observed: Observed, own: Collection[str]
) -> frozenset[str]:
    """Return the devices that change while the instance is stopped: Incus refuses others, or mounts would be hidden.

    ``own`` are those that change on the instance itself. All others come or go together, with its profiles.
    """
    changed = remounted(now.devices, wanted.devices)
    refused = {
        name
        for name in {**now.devices, **wanted.devices}
        for side in (now.devices, wanted.devices)
        if side.get(name, {}).get("source") in _NOT_WHILE_RUNNING and now.devices.get(name) != wanted.devices.get(name)
    }
    refused |= _mapped_otherwise(changed, wanted, instance)
    before, after = (_tree(side, observed) for side in (now, wanted))
    refused |= set() if observed.keeps_mount_points else loses_points(before, changed, observed.files)
    late = hides_when_live(before, after, changed - refused) | refused
    inherited = changed - frozenset(own)
    if not late & inherited:
        return late
    return hides_when_live(before, after, changed - late - inherited) | late | inherited


def _mapped_otherwise(changed: Collection[str], wanted: Expanded, instance: Instance) -> set[str]:
    """Return the changed disks whose owners Incus would map by the config, and not by what the container runs with.

    It fails for one that runs privileged still, after it has unmounted what is to go; in one that is to be privileged
    nobody would own them (internal/server/instance/drivers/driver_lxc.go: deviceAttachMounts).
    """
    if not runs_otherwise(instance, wanted):
        return set()
    disks = {name: wanted.devices[name] for name in changed if name in wanted.devices}
    return {name for name, keys in disks.items() if same_value(True, keys.get("shift")) or keys.get("pool")}


# The mount tree


def check_mounts(declared: Container, observed: Observed, now: Expanded | None, wanted: Expanded) -> tuple[str, ...]:
    """Raise FleetError for mounts that do not go together; return warnings of those that nobody has declared."""
    there = () if now is None else _problems(now, observed)
    own = _declared_mounts(declared)
    found = _problems(wanted, observed)
    for problem in found:
        if problem not in there or problem.devices & own:
            raise FleetError(f"{declared.name}: {problem.text}", problem.advice)
    mounts = [mount.path for mount in _tree(wanted, observed) if mount.device != SECRETS_DEVICE]
    check_paths(declared.name, declared.secret_files or (), mounts, observed.secrets)
    return tuple(f"{declared.name}: {problem.text} {problem.advice}" for problem in found)


def _declared_mounts(declared: Container) -> frozenset[str]:
    """Return the names of the devices that a declaration makes or sets."""
    names = {name for name, keys in declared.devices.items() if keys is not None}
    lines = {RAW_LXC} if "raw.lxc" in declared.config or declared.volatile.tmpfs else set[str]()
    return frozenset({*names, *lines, *(entry.device for entry in declared.mounts)})


def _problems(found: Expanded, observed: Observed) -> list[Problem]:
    return problems(_tree(found, observed), observed.absent_points)


def _tree(found: Expanded, observed: Observed) -> list[Mount]:
    return mounts_from(
        found.devices,
        found.config.get("raw.lxc", ""),
        labels={name: _label(name, keys, found) for name, keys in found.devices.items()},
        privileged=found.is_privileged,
        shifted=[name for name, keys in found.devices.items() if _is_shifted(keys, observed)],
    )


def _label(name: str, keys: Mapping[str, str], found: Expanded) -> str:
    path = keys.get("path", "")
    if name == SECRETS_DEVICE:
        return f"the directory of secrets at {path}"
    kinds = {TMPFS_DEVICE: "tmpfs", PERSIST_DEVICE: "volume", BIND_DEVICE: "bind mount"}
    for prefix, kind in kinds.items():
        if name.startswith(prefix):
            return f"the {kind} at {path}"
    profile = found.profile_of.get(name)
    return f"the device {name!r}{'' if profile is None else f' of the profile {profile!r}'} at {path}"


def _is_shifted(keys: Mapping[str, str], observed: Observed) -> bool:
    """Return whether a device is a volume that Incus mounts with mapped owners, as far as volumes were looked at."""
    volume = observed.volumes.get((keys.get("pool", ""), keys.get("source", "").partition("/")[0]))
    return volume is not None and same_value(True, volume.config.get("security.shifted", ""))


# Volumes


def _place(
    declared: Container, entry: Persist, device: Mapping[str, str], root_pool: str | None, observed: Observed
) -> tuple[str, str]:
    """Return the pool and name of a path's volume: its current one, an earlier one, or a new one."""
    check_pool(declared, entry.pool, observed)
    name = entry.volume(lxc_name(declared.project, declared.name))
    if device.get("path") == entry.path and "pool" in device and "source" in device:
        found, name = [device["pool"]], device["source"]
    else:
        found = sorted(pool for pool, volume in observed.volumes if volume == name)
    wanted = entry.pool or root_pool
    if found and wanted not in found:
        if entry.pool is not None:
            raise FleetError(
                f"{declared.name}: the volume {name} of {entry.path} is in the pool {found[0]!r}, and {entry.pool!r} "
                "is declared.",
                "Move it by hand: "
                + incus_command(
                    declared.project, "storage", "volume", "move", f"{found[0]}/{name}", f"{entry.pool}/{name}"
                ),
            )
        wanted = found[0]
    if wanted is None:
        raise FleetError(f"{declared.name}: no pool is known for {entry.path}.", "Name one: 'persist', 'pool'.")
    if wanted in observed.memory_pools:
        raise FleetError(
            f"{declared.name}: the pool {wanted!r} is in memory, so nothing persists there.",
            f"Name another for {entry.path}: 'persist', 'pool'.",
        )
    _check_volume(declared, entry, (wanted, name), observed, is_attached=bool(device))
    return wanted, name


def check_pool(declared: Container, pool: str | None, observed: Observed) -> None:
    """Refuse a storage pool that is not there; the server will, if it does not list them to this user."""
    if pool is not None and observed.pools is not None and pool not in observed.pools:
        raise FleetError(
            f"{declared.name}: the storage pool {pool!r} does not exist.",
            f"The host has: {', '.join(sorted(observed.pools)) or 'none'}.",
        )


def _check_volume(
    declared: Container, entry: Persist, place: tuple[str, str], observed: Observed, *, is_attached: bool
) -> None:
    _check_is_here(declared, place, observed)
    if entry.path in observed.occupied:
        raise FleetError(
            f"{declared.name} has files at {entry.path}, which a volume there would hide.",
            "Move them away first; once the volume is there, they can be put into it.",
        )
    volume = observed.volumes.get(place)
    if volume is None:
        return
    owner = (volume.config.get(VOLUME_CONTAINER), volume.config.get(VOLUME_PATH))
    where = "/".join(place)
    if not is_attached and owner != (lxc_name(declared.project, declared.name), entry.path):
        raise FleetError(
            f"{declared.name}: there is a volume {where}, and it was not made for {entry.path} of {declared.name}.",
            "Rename it, or attach it yourself with 'devices'.",
        )
    others = [user for user in volume.used_by if user != _url(declared)]
    if others:
        raise FleetError(
            f"{declared.name}: the volume {where} of {entry.path} is in use by {', '.join(others)}.",
            "A volume belongs to one container. Detach it there.",
        )


def check_volumes_come(declared: Container, instance: Instance, observed: Observed) -> None:
    """Refuse to take an instance from a member of the cluster that keeps a volume of it."""
    for place in attached_volumes(instance):
        if instance.location in observed.far_volumes.get(place, ()):
            _refuse_far(declared, place, str(instance.location), observed)


def check_volumes_are_here(declared: Container, instance: Instance, observed: Observed) -> None:
    """Refuse an instance that was moved here without its volumes: it would not start."""
    for place in attached_volumes(instance):
        _check_is_here(declared, place, observed)


def attached_volumes(instance: Instance) -> list[tuple[str, str]]:
    """Return the pool and name of the custom volumes attached to the instance itself."""
    return [
        # What comes after the name is a path in the volume.
        (device["pool"], device["source"].partition("/")[0])
        for device in instance.devices.values()
        if device.get("type") == "disk" and "pool" in device and "source" in device
    ]


def _check_is_here(declared: Container, place: tuple[str, str], observed: Observed) -> None:
    far = observed.far_volumes.get(place)
    if far and place not in observed.volumes:
        _refuse_far(declared, place, min(far), observed)


def _refuse_far(declared: Container, place: tuple[str, str], member: str, observed: Observed) -> NoReturn:
    name, volume = declared.name, "/".join(place)
    # Incus deletes no volume that an instance of the same member has.
    here = str(observed.member)
    commands: list[tuple[str, ...]] = [
        ("storage", "volume", "move", volume, volume, "--target", member, "--destination-target", here)
    ]
    if observed.is_elsewhere:
        commands.insert(0, ("move", name, "--target", here))
        if observed.instance is not None and observed.instance.is_running:
            commands.insert(0, ("stop", name))
    raise FleetError(
        f"{name}: its volume {volume} is at {member}, and Incus does not move volumes with a container.",
        f"Move it by hand: {' && '.join(incus_command(declared.project, *words) for words in commands)}",
    )


def _url(declared: Container) -> str:
    project = "" if declared.project == "default" else f"?project={declared.project}"
    return f"/1.0/instances/{declared.name}{project}"


#: What a step does to volumes: POOL/NAME to their configuration, None for "not there".
Volumes = Mapping[str, "Mapping[str, str | None] | None"]


def volumes_change(
    declared: Container, devices: Mapping[str, Device | None], observed: Observed
) -> tuple[Volumes, Volumes]:
    """Return the volumes that are missing or have another size, before and after. ``devices`` are the wanted ones."""
    before: dict[str, Mapping[str, str | None] | None] = {}
    after: dict[str, Mapping[str, str | None] | None] = {}
    for entry in declared.volatile.persist or ():
        device = devices[entry.device] or {}
        pool, name = str(device["pool"]), str(device["source"])
        volume, size = observed.volumes.get((pool, name)), {} if entry.size is None else {"size": entry.size}
        if volume is None:
            before[f"{pool}/{name}"] = None
            after[f"{pool}/{name}"] = {**_new_volume(declared, entry), **size}
        elif size and not same_value(entry.size, volume.config.get("size")):
            before[f"{pool}/{name}"] = {"size": volume.config.get("size")}
            after[f"{pool}/{name}"] = size
    return before, after


def _new_volume(declared: Container, entry: Persist) -> dict[str, str]:
    return {
        "initial.mode": entry.mode,
        VOLUME_CONTAINER: lxc_name(declared.project, declared.name),
        VOLUME_PATH: entry.path,
    }


def own_volumes(declared: Container, observed: Observed) -> dict[str, dict[str, str]]:
    """Return the volumes that were created for a container of this name, as POOL/NAME, with their paths."""
    owner = lxc_name(declared.project, declared.name)
    return {
        f"{pool}/{name}": {VOLUME_PATH: volume.config.get(VOLUME_PATH, "")}
        for (pool, name), volume in sorted(observed.volumes.items())
        if volume.config.get(VOLUME_CONTAINER) == owner
    }


def is_in_memory(path: str, mountinfo: str) -> bool:
    """Return whether a path of the host is on a tmpfs, by the text of /proc/self/mountinfo."""
    mount = nearest(path, mounts_in(mountinfo))
    return mount is not None and mount.kind in ("tmpfs", "ramfs")
