# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that the collection installs on a host: how they are found, and written in one step each."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import FleetError

#: Added to the name of a file until it is whole.
UNFINISHED = ".new"
MODE = 0o644


@dataclass(frozen=True, kw_only=True)
class File:
    """What a file holds, and its permissions; it belongs to the user and the group that install it."""

    content: bytes
    mode: int = MODE


def installed(path: str) -> File | None:
    """Return a file, None when it is missing, not a regular file, or owned by another user."""
    with explained("read"):
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode) or not is_mine(found):
            return None
        return File(content=Path(path).read_bytes(), mode=found.st_mode & 0o7777)


def is_mine(found: os.stat_result) -> bool:
    return (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())


def replace_file(path: str, file: File) -> None:
    """Write a file in one step. Its directory exists."""
    unfinished = Path(path + UNFINISHED)
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode), "wb") as handle:
        # A directory may give its group to what is made in it: Debian's /usr/local/sbin does.
        os.fchown(handle.fileno(), os.geteuid(), os.getegid())
        os.fchmod(handle.fileno(), file.mode)
        handle.write(file.content)
    unfinished.replace(path)


@contextmanager
def explained(done: str) -> Iterator[None]:
    """Turn an OSError into a FleetError: which file cannot be ``done`` what to."""
    try:
        yield
    except OSError as error:
        advice = "Run this as root." if isinstance(error, PermissionError) else "See what is in its place."
        raise FleetError(f"{error.filename} cannot be {done}: {error.strerror}.", advice) from error
