# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remove what a container can leave among GC roots that would make a garbage collection fail.

Nix passes over a root that is not there (ENOENT, ENOTDIR) or not to be read (EACCES), and gives up at any other error
(src/libstore/gc.cc, findRoots). The daemon makes a link in gcroots/auto with any text that a client sends, and a
container with self_update writes its profile's directory, in which Nix looks at every link, however deep.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial

from ..nix.profiles import remove_tree
from ..paths import PROFILES_DIR, store_object
from ..text import shown
from .store import AUTO_DIR, is_auto_name

# Nothing on the host changes these two: they are in the text of the path, or in links that lead in a circle.
_HOPELESS = frozenset((errno.ENAMETOOLONG, errno.ELOOP))
# A name takes 255 bytes at most, and a path 4096. Profiles are two directories deep where there are users' own.
_MAX_DEPTH = 8
# Of one profile's directory.
_MAX_ENTRIES = 20_000


def remove_hazards(names: Collection[str] | None, *, check: bool) -> Iterator[str]:
    """Remove what would stop a garbage collection, or with ``check`` only say what that is.

    ``names`` are links of gcroots/auto, None stands for all of them and the profiles of containers.
    """
    yield from _in_auto(names, check=check)
    if names is None:
        for directory in _profile_directories():
            # One that goes meanwhile has nothing in it any more.
            with suppress(FileNotFoundError):
                yield from _in_profile(directory, check=check)


def _profile_directories() -> list[str]:
    """Return the directories of containers' profiles; none before the first container is created."""
    try:
        with os.scandir(PROFILES_DIR) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _in_auto(names: Collection[str] | None, *, check: bool) -> Iterator[str]:
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(AUTO_DIR) if names is None else names):
            if is_auto_name(name) and _leads_to_an_error(AUTO_DIR, name):
                yield _removed(f"{AUTO_DIR}/{name}, a link to no possible path", os.unlink, f"{AUTO_DIR}/{name}", check)


def _in_profile(top: str, *, check: bool) -> Iterator[str]:
    """Look through the directory of one container, which may change it meanwhile; no link in it is followed."""
    entries = 0
    for directory, below, others, descriptor in os.fwalk(top, follow_symlinks=False):
        entries += len(below) + len(others)
        if entries > _MAX_ENTRIES:
            yield f"{top} has more than {_MAX_ENTRIES} entries, and the rest was not looked at."
            return
        # A link to a directory is listed among those below.
        for name in (*below, *others):
            if _leads_to_an_error(directory, name, descriptor):
                what = f"{shown(directory)}/{shown(name)}, a link to no possible path"
                yield _removed(what, partial(os.unlink, dir_fd=descriptor), name, check)
        if directory.count("/") - top.count("/") >= _MAX_DEPTH:
            for name in below:
                what = f"{shown(directory)}/{shown(name)}, a directory too deep"
                yield _removed(what, partial(remove_tree, dir_fd=descriptor), name, check)
            below.clear()


def _removed(what: str, remove: Callable[[str], None], name: str, check: bool) -> str:
    problem = ""
    if not check:
        try:
            remove(name)
        except FileNotFoundError:
            pass
        except OSError as error:
            problem = f", and could not be: {error.strerror}"
    done = "would be removed" if check else "was removed" if not problem else f"is to be removed{problem}"
    return f"{what}, would stop garbage collection: it {done}."


def _leads_to_an_error(directory: str, name: str, descriptor: int | None = None) -> bool:
    """Return whether Nix would fail on a link, and not skip it."""
    try:
        target = os.readlink(name if descriptor is not None else f"{directory}/{name}", dir_fd=descriptor)
    except OSError:
        return False
    path = os.path.normpath(os.path.join(directory, target))
    if store_object(path) is not None:
        return False
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno in _HOPELESS
    return False
