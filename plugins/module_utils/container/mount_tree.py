# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mount tree of a container: all mounts in the order of a start, and which ones would hide others. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..incus.models import Devices
from ..values import same_value

ROOT = "/"
STORE = "/nix/store"
#: Device name of the mounts that a line of raw.lxc makes.
RAW_LXC = "raw.lxc"

# Links of every NixOS system (nixos/modules/system/activation/activation-script.nix), which a mount would follow.
_LINKS = {"/var/run": "/run", "/var/lock": "/run/lock"}
# What liblxc and the system itself mount in every container.
_KERNEL = ("/dev", "/proc", "/sys")
_RUN = "/run"
# The host's directories that the container lives on. Only themselves may be mounted at, over or below them.
_SHARED = (STORE, "/nix/var/nix/daemon-socket", "/nix/var/nix/db", "/nix/var/nix/profiles")
# Incus: internal/server/device/disk.go, UpdatableFields: all other keys unmount and mount the disk again.
_KEPT_MOUNTED = ("size", "limits.", "dependent")
_ENTRY = "lxc.mount.entry"


@dataclass(frozen=True, kw_only=True)
class Mount:
    """Something mounted in a container.

    ``device`` is the name of its device, RAW_LXC for a line of raw.lxc; ``label`` is how an error names it. ``source``
    is a path on the host, "" for anything else, and ``text`` is the path as it is written, by which Incus sorts.
    ``hider`` is what is mounted between the making of its mount point and the mount itself, and hides that point.
    """

    device: str
    label: str
    path: str
    text: str = ""
    source: str = ""
    hider: Mount | None = None


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Mounts that do not go together: what is wrong, and what to do. ``devices`` are those that it is about."""

    text: str
    advice: str
    devices: frozenset[str]


def normalised(path: str) -> str:
    """Return a path in a container as it resolves there, as far as its text tells."""
    plain = posixpath.normpath(f"/{path.lstrip('/')}")
    for link, target in _LINKS.items():
        if is_below(plain, link):
            return target + plain[len(link) :]
    return plain


def is_below(path: str, directory: str) -> bool:
    """Return whether a path is a directory, or is in it, by their texts."""
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")


def mounts_from(
    devices: Devices,
    raw_lxc: str,
    *,
    labels: Mapping[str, str],
    privileged: bool,
    shifted: Collection[str] = (),
) -> list[Mount]:
    """Return what is mounted at a start, in its order.

    Incus sorts disks by the texts of their paths (internal/server/device/config/devices_sort.go), and appends raw.lxc.
    liblxc makes all mount points in this order, and mounts what is idmapped after all else (src/lxc/conf.c,
    lxc_idmapped_mounts_child), as seen with Incus 6.0 and 7.0; nothing is idmapped in a privileged container.
    ``shifted`` are the devices with volumes that are idmapped.
    """
    disks = [(name, keys) for name, keys in devices.items() if keys.get("type") == "disk" and keys.get("path")]
    disks.sort(key=lambda disk: (normalised(disk[1]["path"]) != ROOT, disk[1]["path"], disk[0]))
    idmapped = [
        (name in shifted or same_value(True, keys.get("shift")), _mount_of(name, keys, labels)) for name, keys in disks
    ]
    idmapped += _mounts_of_lines(raw_lxc)
    found = [(is_idmapped and not privileged, mount) for is_idmapped, mount in idmapped]
    first = [mount for late, mount in found if not late]
    last = [replace(mount, hider=_hider(mount, found[place:])) for place, (late, mount) in enumerate(found) if late]
    return first + last


def _hider(late: Mount, following: Sequence[tuple[bool, Mount]]) -> Mount | None:
    """Return the tmpfs that comes over the mount point of an idmapped mount before that is mounted."""
    above = (
        mount
        for is_late, mount in following
        if not is_late and not mount.source and is_below(late.path, mount.path) and mount.path not in (late.path, ROOT)
    )
    return next(above, None)


def _mount_of(name: str, keys: Mapping[str, str], labels: Mapping[str, str]) -> Mount:
    source = keys.get("source", "")
    host_path = posixpath.normpath(source) if source.startswith("/") and not keys.get("pool") else ""
    path = normalised(keys["path"])
    label = labels.get(name, f"the device {name!r} at {path}")
    return Mount(device=name, label=label, path=path, text=keys["path"], source=host_path)


def _mounts_of_lines(raw_lxc: str) -> Iterator[tuple[bool, Mount]]:
    for line in raw_lxc.splitlines():
        key, _sign, value = line.partition("=")
        # As in fstab.
        words = [word.replace(r"\040", " ").replace(r"\134", "\\") for word in value.split()]
        if key.strip() != _ENTRY or len(words) < 2:
            continue
        path, source = normalised(words[1]), words[0] if words[0].startswith("/") else ""
        kind = "tmpfs" if words[2:3] == ["tmpfs"] else "mount of raw.lxc"
        is_late = any(option.startswith("idmap=") for option in ",".join(words[3:4]).split(","))
        yield is_late, Mount(device=RAW_LXC, label=f"the {kind} at {path}", path=path, source=source)


def problems(mounts: Sequence[Mount], absent: Collection[str] = ()) -> list[Problem]:
    """Return what is wrong with mounts in their order. ``absent`` are the mount points that the host does not have."""
    return [
        *(found for mount in mounts for found in _misplaced(mount)),
        *_covered(mounts),
        *_without_point(mounts, absent),
        *_without_store(mounts),
    ]


def _misplaced(mount: Mount) -> Iterator[Problem]:
    """Yield the problem of a mount at a place that is not for mounts."""
    beside = "Mount it at another path."
    devices = frozenset((mount.device,))
    if mount.path == ROOT:
        return
    if mount.path in (*_KERNEL, _RUN):
        yield Problem(text=f"{mount.label} hides what every container needs there.", advice=beside, devices=devices)
    elif is_below(mount.path, _RUN):
        text = f"{mount.label} would be hidden: the system mounts a tmpfs at {_RUN} at every start."
        yield Problem(text=text, advice="Mount it outside of /run.", devices=devices)
    if mount.source == mount.path:
        # It shows the host's own there.
        return
    for shared in _SHARED:
        if mount.path != shared and (is_below(shared, mount.path) or is_below(mount.path, shared)):
            text = f"{mount.label} hides {shared} or a part of it, which the container needs."
            yield Problem(text=text, advice=beside, devices=devices)
            return


def _covered(mounts: Sequence[Mount]) -> Iterator[Problem]:
    """Yield the mounts that a later one covers. Of a path with two, Incus mounts both."""
    for number, first in enumerate(mounts):
        for second in mounts[number + 1 :]:
            if first.path == ROOT or not is_below(first.path, second.path):
                continue
            if first.path == second.path:
                text = f"{first.label} and {second.label} are mounted at one path."
                advice = "Choose another path, or remove one of them."
            else:
                text = f"{second.label} would cover {first.label}, which is mounted before it."
                advice = "Mount one beside the other. What 'bind_mounts' mount, and what has 'shift', is mounted last."
            yield Problem(text=text, advice=advice, devices=frozenset((first.device, second.device)))


def possible_points(disks: Iterable[Mapping[str, str]], paths: Iterable[str]) -> set[str]:
    """Return the paths on the host at which something may be mounted in one of some disks, before that is planned."""
    inner = {normalised(path) for path in paths}
    found: set[str] = set()
    for keys in disks:
        mount = _mount_of("", keys, {})
        below = [path for path in inner if is_below(path, mount.path) and path != mount.path]
        found |= {_point(mount, path) for path in below if mount.source and mount.path != ROOT}
    return found


def _point(outer: Mount, path: str) -> str:
    return posixpath.join(outer.source, path[len(outer.path) :].lstrip("/"))


def points(mounts: Sequence[Mount]) -> Iterator[tuple[Mount, Mount, str]]:
    """Yield each mount in a directory of the host, the mount of that directory, and its mount point there.

    Nothing can make a mount point in a directory of the host: at that moment root in the container is nobody there.
    """
    for number, inner in enumerate(mounts):
        outer = next((one for one in reversed(mounts[:number]) if is_below(inner.path, one.path)), None)
        if outer is not None and outer.source and outer.path not in (ROOT, inner.path):
            yield inner, outer, _point(outer, inner.path)


def _without_point(mounts: Sequence[Mount], absent: Collection[str]) -> Iterator[Problem]:
    for mount in mounts:
        if mount.hider is not None:
            yield Problem(
                text=f"{mount.label} is below {mount.hider.label}, which raw.lxc mounts over its mount point.",
                advice="Mount it elsewhere. With Incus 7.0 'tmpfs' are devices, which come before what is below them.",
                devices=frozenset((mount.device, mount.hider.device)),
            )
    for inner, outer, point in points(mounts):
        if point in absent:
            yield Problem(
                text=f"{inner.label} is below {outer.label}, and the host has no {point} to mount it at.",
                advice="Make it on the host first.",
                devices=frozenset((inner.device, outer.device)),
            )


def _without_store(mounts: Sequence[Mount]) -> Iterator[Problem]:
    if not any(is_below(STORE, mount.path) and mount.path != ROOT for mount in mounts):
        yield Problem(
            text=f"nothing is mounted at {STORE}, so it would have no system.",
            advice="Use a store profile of inx.fleet.inx_store_mount, and do not remove its device.",
            devices=frozenset(),
        )


def hides_when_live(before: Sequence[Mount], after: Sequence[Mount], changed: Iterable[str]) -> frozenset[str]:
    """Return those of the changed devices that a running container takes at its next start only.

    Incus unmounts and mounts what changes, and leaves what stays: an outer mount would come over an inner one, or take
    it along. The store itself is in use by every process. ``before`` and ``after`` are all mounts; ``changed`` are the
    devices that are added, removed or mounted again.
    """
    moving = wanted = frozenset(changed)
    while unsafe := _unsafe_to_move(before, after, moving):
        # What waits stays as it is, and may be what another one would hide.
        moving -= unsafe
    return wanted - moving


def _unsafe_to_move(before: Sequence[Mount], after: Sequence[Mount], moving: frozenset[str]) -> frozenset[str]:
    """Return those of the moving devices that would hide what stays, or what moves with them, or take its place."""
    staying = [mount for mount in before if mount.device not in moving]
    # Lines of raw.lxc are written at once, and wait without a trace.
    known = {(mount.device, mount.path, mount.source) for mount in before}
    waiting = (mount for mount in after if mount.device not in moving and mount.device != RAW_LXC)
    awaited = [mount.path for mount in waiting if (mount.device, mount.path, mount.source) not in known]
    had_store = any(mount.path == STORE for mount in before)

    def is_unsafe(mount: Mount, side: Sequence[Mount]) -> bool:
        # Of those that move together, the one with the lesser path comes first, and goes last.
        first = [other for other in side if other.device in moving and other.text < mount.text]
        below = (is_below(other.path, mount.path) and other.path != mount.path for other in (*staying, *first))
        # Incus takes no second device at a path that one that waits still has.
        is_taken = any(other.path == mount.path and other.device != RAW_LXC for other in staying)
        # Its mount point is to be in what comes there.
        is_early = side is after and any(is_below(mount.path, path) for path in awaited)
        return is_taken or is_early or any(below) or (mount.path == STORE and had_store)

    return frozenset(
        mount.device
        for side in (before, after)
        for mount in side
        if mount.device in moving and mount.path != ROOT and is_unsafe(mount, side)
    )


def loses_points(before: Sequence[Mount], changed: Collection[str], files: Collection[str]) -> frozenset[str]:
    """Return those of the changed devices whose mount points are deleted by a server that does that.

    Incus before 6.15 deletes them when it unmounts (internal/server/instance/drivers/driver_lxc.go,
    deviceHandleMounts): a file that was there below, or an empty directory, on the host as well. ``files`` are paths
    of the host that are files.
    """
    in_host = {inner.device for inner, _outer, _point in points(before)}
    unmounted = [mount for mount in before if mount.device in changed]
    return frozenset(mount.device for mount in unmounted if mount.source in files or mount.device in in_host)


def remounted(before: Devices, after: Devices) -> frozenset[str]:
    """Return the disks that are added, removed or mounted again between two states of all devices."""

    def mounted(devices: Devices, name: str) -> dict[str, str] | None:
        keys = devices.get(name, {})
        if keys.get("type") != "disk":
            return None
        return {key: value for key, value in keys.items() if not key.startswith(_KEPT_MOUNTED)}

    return frozenset(name for name in {**before, **after} if mounted(before, name) != mounted(after, name))
