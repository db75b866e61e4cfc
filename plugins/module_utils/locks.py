# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks on directories. The kernel releases them with their process, so that none is ever stale."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import FleetError
from .waiting import poll

# For what is held while a few names are changed, and longer only by a process that was stopped.
_PATIENCE = 60


def take_lock(descriptor: int, kind: int, timeout: float, problem: str) -> None:
    """Lock an open file or directory. Raises FleetError with the ``problem`` when others hold it for too long."""
    if not poll(lambda: try_lock(descriptor, kind), time.monotonic() + timeout):
        raise FleetError(f"{problem} for more than {timeout:.0f} s.", "Try again later.")


def try_lock(descriptor: int, kind: int) -> bool:
    """Lock an open file or directory unless somebody else holds it, and return whether it is locked."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_directory(path: str, dir_fd: int | None = None) -> int:
    """Return a descriptor of a directory that is not a link. Raises OSError when there is none."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)


@contextmanager
def locked_directory(path: str) -> Iterator[None]:
    """Hold a directory while a few names in or below it are changed."""
    descriptor = open_directory(path)
    try:
        take_lock(descriptor, fcntl.LOCK_EX, _PATIENCE, f"Another process holds {path}")
        yield
    finally:
        os.close(descriptor)
