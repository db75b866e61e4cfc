# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files in the root disk of a container that the next rebuild erases, and that nothing writes anew."""

from __future__ import annotations

import os
import posixpath
import time
from bisect import insort
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..incus.root_walk import Bounds, File, files_on_disk
from ..incus.rootfs import read_file
from ..text import shown

#: How many files are listed.
FILES_SHOWN = 20
# What is looked at in each container.
_MOST_NAMES = 250_000
_SECONDS = 10.0
# Empty at each start, or for what lasts no longer.
_LEFT_OUT = frozenset(("/dev", "/proc", "/run", "/sys", "/tmp"))  # noqa: S108 - in the container
# What links to these is made at each activation, or leads to what is not on the disk.
_MADE = ("/dev/", "/etc/static/", "/nix/", "/proc/", "/run/")
# The files that NixOS copies there instead of linking them (nixpkgs: nixos/modules/system/etc/setup-etc.pl).
_COPIED = "/etc/.clean"
# Written at each activation (the same; nixos/modules/config/update-users-groups.pl), or with each update of a system
# (systemd-update-done.service(8)).
_WRITTEN = frozenset(
    (
        *(_COPIED, "/etc/NIXOS", "/etc/.updated", "/var/.updated"),
        *("/etc/group", "/etc/passwd", "/etc/shadow", "/etc/subgid", "/etc/subuid"),
    )
)


@dataclass(frozen=True, kw_only=True)
class VolatileFiles:
    """How many files the next rebuild erases, what they take of the disk, and the first of them by path.

    If it is not complete, there was too much to look at, and there may be more.
    """

    number: int
    bytes: int
    paths: tuple[str, ...]
    complete: bool


def look_for_files(disk: str, deadline: float) -> VolatileFiles:
    """Return what the next rebuild erases of the root disk at a path of this host, as far as is seen until then.

    Raises OSError if the disk is not there, or if it may not be read.
    """
    root = os.open(disk, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        bounds = Bounds(names=_MOST_NAMES, deadline=min(deadline, time.monotonic() + _SECONDS))
        copied = copied_in(read_file(root, _COPIED) or b"")
        return summed(files_on_disk(root, _LEFT_OUT, bounds), copied, bounds)
    finally:
        os.close(root)


def copied_in(text: bytes) -> frozenset[str]:
    """Return the paths in the list of files that NixOS has copied."""
    return frozenset(f"/etc/{os.fsdecode(line)}" for line in text.splitlines())


def summed(files: Iterable[File], copied: Collection[str], bounds: Bounds) -> VolatileFiles:
    """Sum up the files that nothing writes anew. However many there are, the first alone are kept."""
    number = size = 0
    first: list[str] = []
    for file in files:
        if is_written_anew(file, copied):
            continue
        number, size = number + 1, size + file.size
        if len(first) < FILES_SHOWN or file.path < first[-1]:
            insort(first, file.path)
            del first[FILES_SHOWN:]
    return VolatileFiles(number=number, bytes=size, paths=tuple(map(shown, first)), complete=not bounds.reached)


def is_written_anew(file: File, copied: Collection[str]) -> bool:
    """Return whether an activation makes a file, as far as its path and its target tell."""
    if file.target is None:
        return file.path in _WRITTEN or file.path in copied
    # Two slashes at its beginning would stay.
    target = posixpath.normpath(posixpath.join(posixpath.dirname(file.path), file.target)).lstrip("/")
    return f"/{target}/".startswith(_MADE)
