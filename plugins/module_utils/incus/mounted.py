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
from collections.abc import Callable, Sequence
from contextlib import suppress

from .models import Devices, Instance
from .mountinfo import Mount, mounts_in, nearest, read_mountinfo


def _place(path: str, mounts: Sequence[Mount]) -> tuple[str, str] | None:
    """Return the file system of a path, and where in it that is; None if no mount has it."""
    mount = nearest(path, mounts)
    if mount is None:
        return None
    return mount.device, posixpath.normpath(posixpath.join(mount.root, posixpath.relpath(path, mount.path)))


def replaced_in(
    devices: Devices, inside: Sequence[Mount], host: Sequence[Mount], real_path: Callable[[str], str | None]
) -> frozenset[str]:
    """Return the disks whose source is another one than what is mounted, by the mounts of container and host.

    ``real_path`` resolves the links in a path of the host, None if it does not exist. What a container has unmounted
    itself is ignored.
    """
    there = {mount.path: mount for mount in inside}

    def is_replaced(keys: dict[str, str]) -> bool:
        mounted = there.get(posixpath.normpath(f"/{keys['path'].lstrip('/')}"))
        source = real_path(keys["source"])
        place = None if source is None else _place(source, host)
        return mounted is not None and place is not None and place != (mounted.device, mounted.root)

    disks = {name: dict(keys) for name, keys in devices.items() if _is_of_host(keys.get("type"), keys.get("pool"))}
    return frozenset(
        name
        for name, keys in disks.items()
        if keys.get("path") and keys.get("source", "").startswith("/") and is_replaced(keys)
    )


def _is_of_host(kind: str | None, pool: str | None) -> bool:
    return kind == "disk" and not pool


def mounts_of_host(server_pid: int) -> list[Mount]:
    """Return the mounts of the namespace that Incus is in, none if they cannot be seen."""
    with suppress(OSError):
        return mounts_in(read_mountinfo(server_pid if server_pid > 0 else "self"))
    return []


def replaced_sources(instance: Instance, host: Sequence[Mount]) -> frozenset[str]:
    """Return the disks of an instance whose source was replaced; none if it does not run here, or cannot be seen."""
    if not instance.is_running or instance.pid <= 0:
        return frozenset()
    with suppress(OSError):
        return replaced_in(instance.expanded_devices, mounts_in(read_mountinfo(instance.pid)), host, _real_path)
    return frozenset()


def _real_path(path: str) -> str | None:
    return os.path.realpath(path) if os.path.exists(path) else None
