# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mounts of the host below a root disk or a volume. Incus would delete their contents."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress

from ..errors import FleetError
from .mountinfo import mounts_in, read_mountinfo

# Incus: internal/server/storage/drivers/volume.go. Below the directory of a pool, wherever that is.
_CONTAINERS = "/containers/"
_VOLUMES = "/custom/"
# The root disk of a container is mounted above this one, if it is a file system of its own.
_ROOT = "rootfs"


def mount_points(mountinfo: str) -> frozenset[str]:
    """Return the mount points in the text of a mountinfo file that may be below a root disk or a volume."""
    points = (mount.path for mount in mounts_in(mountinfo))
    return frozenset(point for point in points if _CONTAINERS in point or _VOLUMES in point)


def host_mount_points(server_pid: int) -> frozenset[str]:
    """Return those of the host, and of the mount namespace that Incus is in."""
    found: frozenset[str] = frozenset()
    for process in ("1", "self", str(server_pid)):
        with suppress(OSError):
            found |= mount_points(read_mountinfo(process))
    return found


def check_root(name: str, lxc: str, points: Collection[str]) -> None:
    """Raise FleetError if something is mounted in the root of a container. ``lxc`` is liblxc's name for it."""
    _check(name, "its root disk", points, f"{_CONTAINERS}{lxc}/{_ROOT}", is_itself=True)


def check_volumes(name: str, project: str, volumes: Iterable[str], points: Collection[str]) -> None:
    """Raise FleetError if something is mounted in one of a container's volumes, which are named POOL/NAME."""
    for place in volumes:
        volume = place.partition("/")[2]
        # A project without volumes of its own has them in the default one.
        for owner in (project, "default"):
            _check(name, f"its volume {place}", points, f"{_VOLUMES}{owner}_{volume}", is_itself=False)


def _check(name: str, what: str, points: Collection[str], directory: str, *, is_itself: bool) -> None:
    """Raise FleetError if a mount is below a directory, or at it."""
    found = sorted(point for point in points if f"{directory}/" in point or (is_itself and point.endswith(directory)))
    if found:
        raise FleetError(
            f"{name}: the host has {', '.join(found)} mounted in {what}. Incus would delete what is in there as well.",
            f"Unmount it on the host first: umount '{found[-1]}'",
        )
