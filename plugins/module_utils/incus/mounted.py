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
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .models import Devices, Instance

# proc(5): in mountinfo, space, tab, newline and backslash are written as octal numbers.
_ESCAPED = re.compile(r"\\([0-7]{3})")
_FIELDS = 5


@dataclass(frozen=True, kw_only=True)
class _Mount:
    """A mount: what of which file system is at a path. A root that was deleted ends in "//deleted"."""

    path: str
    device: str
    root: str


def _mounts(mountinfo: str) -> list[_Mount]:
    """Return the mounts in the text of a mountinfo file, in their order."""
    lines = (line.split(" ") for line in mountinfo.splitlines())
    return [_Mount(path=_plain(one[4]), device=one[2], root=_plain(one[3])) for one in lines if len(one) >= _FIELDS]


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda code: chr(int(code[1], 8)), text)


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")


def _place(path: str, mounts: Sequence[_Mount]) -> tuple[str, str] | None:
    """Return the file system of a path, and where in it that is; None if no mount has it."""
    above = [mount for mount in mounts if _is_below(path, mount.path)]
    if not above:
        return None
    # Of several at one path the last one is seen.
    nearest = max(enumerate(above), key=lambda found: (len(found[1].path), found[0]))[1]
    return nearest.device, posixpath.normpath(posixpath.join(nearest.root, posixpath.relpath(path, nearest.path)))


def replaced_in(devices: Devices, inside: str, outside: str, real_path: Callable[[str], str | None]) -> frozenset[str]:
    """Return the disks whose source is another one than what is mounted, by the mountinfo of container and host.

    ``real_path`` resolves the links in a path of the host, None if it does not exist. What a container has unmounted
    itself is ignored.
    """
    there = {mount.path: mount for mount in _mounts(inside)}
    host = _mounts(outside)

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


def replaced_sources(instance: Instance, server_pid: int) -> frozenset[str]:
    """Return the disks of an instance whose source was replaced; none if it does not run here, or cannot be seen."""
    if not instance.is_running or instance.pid <= 0:
        return frozenset()
    try:
        inside = _mountinfo(instance.pid)
        outside = _mountinfo(server_pid) if server_pid > 0 else _mountinfo(os.getpid())
    except OSError:
        return frozenset()
    return replaced_in(instance.expanded_devices, inside, outside, _real_path)


def _mountinfo(pid: int) -> str:
    return Path(f"/proc/{pid}/mountinfo").read_text(errors="surrogateescape")


def _real_path(path: str) -> str | None:
    return os.path.realpath(path) if os.path.exists(path) else None
