# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Walk over the files of a container's root disk, which the container may change meanwhile, and in any way.

No link is followed and no mount is entered, so that the walk stays on that disk. It opens one directory at a time, and
ends at a number of names or at a time, whatever is there.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from .rootfs import open_on_disk

# A mount, or something else since its directory was read.
_PASSED_OVER = frozenset((errno.EXDEV, errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
# What is known of its length is in blocks of this size, however large the blocks of the disk are (stat(2)).
_BLOCK = 512


@dataclass(kw_only=True)
class Bounds:
    """How many names a walk looks at, and until when. ``reached`` is set if it did not look at everything."""

    names: int
    deadline: float
    reached: bool = False

    def allow(self) -> bool:
        """Return whether another name may be looked at, and count it."""
        self.names -= 1
        is_within = self.names >= 0 and time.monotonic() < self.deadline
        self.reached |= not is_within
        return is_within


@dataclass(frozen=True, kw_only=True)
class File:
    """A file, or a link if it has a ``target``. ``size`` is what it takes of the disk, once for all names of it."""

    path: str
    size: int
    target: str | None = None


@dataclass(frozen=True)
class _Directory:
    """A directory that is to be read. With its name alone, so that long paths take no memory."""

    above: _Directory | None
    name: str

    @property
    def path(self) -> str:
        names: list[str] = []
        found: _Directory | None = self
        while found is not None:
            names.append(found.name)
            found = found.above
        return "/".join(reversed(names))


def files_on_disk(root: int, left_out: Collection[str], bounds: Bounds) -> Iterator[File]:
    """Yield the files and links below the directory ``root``, except for those in directories that are left out.

    Sockets, devices and FIFOs hold nothing and are left out, too. Paths begin with a slash.
    """
    seen: set[tuple[int, int]] = set()
    pending = [_Directory(None, "")]
    while pending:
        directory = pending.pop()
        path = directory.path
        try:
            opened = open_on_disk(root, f".{path}", to_list=True)
        except OSError as error:
            bounds.reached |= error.errno not in _PASSED_OVER
            continue
        try:
            with os.scandir(opened) as entries:
                for entry in entries:
                    if not bounds.allow():
                        return
                    there = f"{path}/{entry.name}"
                    if not entry.is_dir(follow_symlinks=False):
                        file = _file(opened, entry.name, there, seen)
                        if file is not None:
                            yield file
                    elif there not in left_out:
                        pending.append(_Directory(directory, entry.name))
        except OSError:
            bounds.reached = True
        finally:
            os.close(opened)


def _file(directory: int, name: str, path: str, seen: set[tuple[int, int]]) -> File | None:
    """Return a file or a link by its name in a directory; None for anything else, or if it is gone or a mount."""
    try:
        opened = open_on_disk(directory, name, to_list=False)
    except OSError:
        return None
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISLNK(found.st_mode):
            return None
        target = os.readlink("", dir_fd=opened) if stat.S_ISLNK(found.st_mode) else None
    finally:
        os.close(opened)
    is_counted = found.st_nlink > 1 and (found.st_dev, found.st_ino) in seen
    if found.st_nlink > 1:
        seen.add((found.st_dev, found.st_ino))
    return File(path=path, size=0 if is_counted else found.st_blocks * _BLOCK, target=target)
