# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks of a running container whose source on the host was replaced since it was mounted.

A mount holds the directory or file itself. If another one takes its place, by a rename or another mount, the container
goes on with the old one. The kernel tells both apart: it says from where in which file system a mount comes.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from .models import Devices, Instance
from .mountinfo import Mount, mounts_in, nearest, read_mountinfo


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """Disks whose source was replaced. Those ``under`` have other mounts of the container below them."""

    disks: frozenset[str] = frozenset()
    under: frozenset[str] = frozenset()


def _place(path: str, mounts: Sequence[Mount]) -> tuple[str, str] | None:
    """Return the file system of a path, and where in it that is; None if no mount has it."""
    mount = nearest(path, mounts)
    if mount is None:
        return None
    return mount.device, posixpath.normpath(posixpath.join(mount.root, posixpath.relpath(path, mount.path)))


def replaced_in(
    devices: Devices, inside: Sequence[Mount], host: Sequence[Mount], real_path: Callable[[str], str | None]
) -> Replaced:
    """Return the disks whose source is another one than what is mounted, by the mounts of container and host.

    ``real_path`` resolves the links in a path of the host, None if it does not exist. What a container has unmounted
    itself is ignored.
    """
    there = {mount.path: mount for mount in inside}

    def is_replaced(keys: Mapping[str, str]) -> bool:
        mounted = there.get(_point(keys))
        source = real_path(keys["source"])
        place = None if source is None else _place(source, host)
        return mounted is not None and place is not None and place != (mounted.device, mounted.root)

    disks = {name: keys for name, keys in devices.items() if _is_of_host(keys) and is_replaced(keys)}
    under = {name for name, keys in disks.items() if any(path.startswith(f"{_point(keys)}/") for path in there)}
    return Replaced(disks=frozenset(disks), under=frozenset(under))


def _point(keys: Mapping[str, str]) -> str:
    """Return where in the container a disk is mounted."""
    return posixpath.normpath(f"/{keys['path'].lstrip('/')}")


def _is_of_host(keys: Mapping[str, str]) -> bool:
    is_disk = keys.get("type") == "disk" and not keys.get("pool")
    return is_disk and bool(keys.get("path")) and keys.get("source", "").startswith("/")


def mounts_of_host(server_pid: int) -> list[Mount]:
    """Return the mounts of the namespace that Incus is in, none if they cannot be seen."""
    with suppress(OSError):
        return mounts_in(read_mountinfo(server_pid if server_pid > 0 else "self"))
    return []


def replaced_sources(instance: Instance, host: Sequence[Mount]) -> Replaced:
    """Return the disks of an instance whose source was replaced; none if it does not run here, or cannot be seen."""
    if not instance.is_running or instance.pid <= 0:
        return Replaced()
    with suppress(OSError):
        return replaced_in(instance.expanded_devices, mounts_in(read_mountinfo(instance.pid)), host, _real_path)
    return Replaced()


def _real_path(path: str) -> str | None:
    return os.path.realpath(path) if os.path.exists(path) else None
