# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Temporary GC roots for what a run has evaluated, while it waits, builds and applies.

A directory with links for each run that goes on: all below /nix/var/nix/profiles is a root.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from ..errors import FleetError
from ..locks import locked_directory, open_directory
from ..paths import PROFILES_DIR
from .profiles import make_profiles_dir
from .sources import System

_RUN = ".run-"


def lost(systems: Collection[System]) -> bool:
    """Return whether the derivation of a system that is not built was collected."""
    return any(
        system.derivation is not None and not os.path.lexists(system.derivation) and not os.path.lexists(system.path)
        for system in systems
    )


@contextmanager
def kept(systems: Collection[System]) -> Iterator[None]:
    """Keep systems and their derivations from the garbage collector, those too that are not built yet.

    A link to a path that is not valid is not a root, and becomes one with the end of the build
    (Nix: src/libstore/gc.cc, findRoots); until then nix itself keeps what it builds.
    What runs that were killed have kept is given up. Raises FleetError when this user may not make roots.
    """
    paths = {path for system in systems for path in (system.path, system.derivation) if path is not None}
    if not paths:
        # Who may not write there has left nothing there either.
        with suppress(OSError), locked_directory(PROFILES_DIR):
            _remove_left()
        yield
        return
    try:
        directory, lock = _own_directory()
    except OSError as error:
        raise FleetError(
            f"{PROFILES_DIR} cannot be written: {error.strerror}.",
            "Become root, or a member of the group that owns it.",
        ) from error
    try:
        for path in paths:
            os.symlink(path, f"{directory}/{os.path.basename(path)}")
        yield
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _own_directory() -> tuple[str, int]:
    """Return a new directory, and the lock that shows that its run is alive."""
    make_profiles_dir()
    with locked_directory(PROFILES_DIR):
        _remove_left()
        directory = tempfile.mkdtemp(prefix=_RUN, dir=PROFILES_DIR)
        return directory, _locked(directory)


def _remove_left() -> None:
    """Remove the directories of runs that were killed, under the lock on all of them."""
    with os.scandir(PROFILES_DIR) as entries:
        for entry in entries:
            if entry.name.startswith(_RUN):
                # Another user's cannot be removed, and is left to that user.
                with suppress(OSError):
                    os.close(_locked(entry.path))
                    shutil.rmtree(entry.path)


def _locked(directory: str) -> int:
    """Return a locked descriptor of a directory. Raises OSError when another process holds it."""
    descriptor = open_directory(directory)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
