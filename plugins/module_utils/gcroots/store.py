# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories of GC roots on the host, and locks on them.

A root for the link PATH of a container is the symlink
``/nix/var/nix/gcroots/inx-fleet/CONTAINER/PATH``, straight into the store. Its
place is the record of where the link is: the two cannot disagree, and
``nix-store --query --roots`` names the container and its link.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from ..errors import FleetError
from ..locks import open_directory, take_lock, try_lock
from ..paths import store_object
from ..waiting import poll
from .plan import Change

STATE_DIR = "/nix/var/nix"
AUTO_DIR = f"{STATE_DIR}/gcroots/auto"
ROOTS_DIR = f"{STATE_DIR}/gcroots/inx-fleet"
# One name is enough under the lock, and what a killed run leaves there is written over.
_NEW = f"{ROOTS_DIR}/.new"
# A root's place is below ROOTS_DIR as its link's is below the container's root. Beyond PATH_MAX (4096) neither we nor
# Nix could read it again.
_MAX_DEPTH = 100
_MAX_LENGTH = 3000
# What a running collection may take to answer, in seconds.
_COLLECTOR_TIMEOUT = 30
# A collection of Nix 2.26 aborts when a connection is over before its thread for it is noted (std::terminate).
_COLLECTOR_LINGER = 0.1
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Nix names a link by the hash of its text (src/libstore/local-store.cc, addIndirectRoot).
_AUTO_NAME = re.compile(r"[0-9abcdfghijklmnpqrsvwxyz]{32}\Z")


def auto_links(names: Collection[str] | None = None) -> Iterator[str]:
    """Yield the paths to which the links of gcroots/auto point: of all, or of the named links."""
    try:
        with os.scandir(AUTO_DIR) as entries:
            found = (entry.name for entry in entries) if names is None else iter(names)
            for name in found:
                path = _auto_link(name)
                if path is not None:
                    yield path
    except FileNotFoundError:
        return


def _auto_link(name: str) -> str | None:
    if not is_auto_name(name):
        return None
    with suppress(OSError):
        path = os.readlink(f"{AUTO_DIR}/{name}")
        if is_plain(path) and store_object(path) is None:
            return path
    return None


def is_auto_name(name: str) -> bool:
    """Return whether a name in gcroots/auto is that of a finished link."""
    return _AUTO_NAME.match(name) is not None


def is_plain(path: str) -> bool:
    """Return whether a path is absolute, without "", "." and "..", as Nix writes it, and not too long or deep."""
    parts = path[1:].split("/")
    fits = len(parts) <= _MAX_DEPTH and len(os.fsencode(path)) <= _MAX_LENGTH
    return path.startswith("/") and fits and "\0" not in path and not {"", ".", ".."} & set(parts)


@contextmanager
def locked_roots(timeout: float) -> Iterator[None]:
    """Hold the directory of the roots for this process alone; it is made if it is missing.

    Raises FleetError when another sync holds it for longer than ``timeout`` seconds.
    """
    try:
        os.makedirs(ROOTS_DIR, mode=0o755, exist_ok=True)
        descriptor = open_directory(ROOTS_DIR)
    except OSError as error:
        raise FleetError(f"{ROOTS_DIR} cannot be used: {error.strerror}.", "Become root.") from error
    try:
        take_lock(descriptor, fcntl.LOCK_EX, timeout, f"Another sync holds {ROOTS_DIR}")
        yield
    finally:
        # Closing is not enough: a child that the kernel cannot end yet may hold a copy.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def kept_roots() -> dict[str, dict[str, str]]:
    """Return the existing roots: container -> path inside it -> store path."""
    try:
        with os.scandir(ROOTS_DIR) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return {}
    return {name: roots_of(name) for name in names}


def roots_of(container: str) -> dict[str, str]:
    """Return the roots of one container: path inside it -> store path."""
    return dict(_links_below(f"{ROOTS_DIR}/{container}"))


def _links_below(top: str) -> Iterator[tuple[str, str]]:
    directories = [""]
    while directories:
        inside = directories.pop()
        # Without the lock, as in check mode, another sync may remove what was listed.
        with suppress(FileNotFoundError), os.scandir(top + inside) as entries:
            for entry in entries:
                path = f"{inside}/{entry.name}"
                if entry.is_symlink():
                    with suppress(FileNotFoundError):
                        yield path, os.readlink(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    directories.append(path)


def in_store(paths: Collection[str]) -> set[str]:
    """Return the store paths that exist. Nix skips a root to a path that exists and is not valid."""
    return {path for path in paths if os.path.lexists(path)}


def remove_left() -> None:
    """Remove what runs that were killed have left: a root that is in no place yet, and directories without roots."""
    with suppress(FileNotFoundError):
        os.unlink(_NEW)
    _is_emptied(ROOTS_DIR)


def _is_emptied(directory: str) -> bool:
    """Remove the empty directories below one; whether nothing is left in it."""
    with os.scandir(directory) as entries:
        found = [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
    empty = [is_directory and _is_emptied(path) for path, is_directory in found]
    for (path, _is_directory), nothing in zip(found, empty, strict=True):
        if nothing:
            os.rmdir(path)
    return all(empty)


def apply_changes(changes: Sequence[Change], *, stops: bool = False) -> tuple[list[Change], list[str]]:
    """Make, move and remove roots; under locked_roots. Returns what was done, and what could not be.

    With ``stops`` nothing is done after the first one that could not be. A garbage collection that is running
    learns of each new root before it is made, so that it deletes nothing that a root has been promised for.
    """
    done: list[Change] = []
    problems: list[str] = []
    with _collector_informed([change.after for change in changes if change.after is not None]):
        for change in changes:
            try:
                _apply(change)
            except OSError as error:
                problems.append(f"{change.container}: the root of {change.path!r} was not changed: {error.strerror}.")
                if stops:
                    break
            else:
                done.append(change)
    return done, problems


def _apply(change: Change) -> None:
    place = f"{ROOTS_DIR}/{change.container}{change.path}"
    if change.after is None:
        with suppress(FileNotFoundError):
            os.unlink(place)
        _remove_empty_parents(place)
        return
    with suppress(FileNotFoundError):
        os.unlink(_NEW)
    os.symlink(change.after, _NEW)
    with _directory_of(change) as directory:
        os.rename(_NEW, os.path.basename(place), dst_dir_fd=directory)


@contextmanager
def _directory_of(change: Change) -> Iterator[int]:
    """Open the directory of a root, making what is missing of it, and following no link on the way.

    A directory of the container may be where it had a link into the store before:
    to follow that root would be to write into the store.
    """
    descriptor = os.open(ROOTS_DIR, _DIRECTORY)
    try:
        for part in (change.container, *change.path[1:].split("/")[:-1]):
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=descriptor)
            below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_empty_parents(place: str) -> None:
    parent = os.path.dirname(place)
    while parent != ROOTS_DIR:
        try:
            os.rmdir(parent)
        except OSError:
            return
        parent = os.path.dirname(parent)


@contextmanager
def _collector_informed(paths: Sequence[str]) -> Iterator[None]:
    """Keep a collection from starting while roots are made, or tell the one that runs about them.

    This is what Nix itself does for a temporary root (src/libstore/gc.cc,
    addTempRoot): a shared lock on gc.lock if no collection holds it, else the path
    and a newline to the collector's socket, answered with "1".
    """
    if not paths:
        yield
        return
    descriptor = os.open(f"{STATE_DIR}/gc.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    collector: socket.socket | None = None
    try:
        if not try_lock(descriptor, fcntl.LOCK_SH):
            collector = _tell_collector(descriptor, paths)
        yield
    finally:
        if collector is not None:
            time.sleep(_COLLECTOR_LINGER)
            collector.close()
        os.close(descriptor)


def _tell_collector(lock: int, paths: Sequence[str]) -> socket.socket | None:
    """Tell the running collection, and return the connection to it.

    When it is over before it has answered, hold the next one off instead: that one knows nothing of what was told.
    """
    told: list[socket.socket] = []

    def is_safe() -> bool:
        with suppress(OSError):
            told.append(_told_collector(paths))
        return bool(told) or try_lock(lock, fcntl.LOCK_SH)

    if not poll(is_safe, time.monotonic() + _COLLECTOR_TIMEOUT):
        raise FleetError(
            f"Another process holds {STATE_DIR}/gc.lock and takes no roots.", "See which process it is with 'lsof'."
        )
    return told[0] if told else None


def _told_collector(paths: Sequence[str]) -> socket.socket:
    collector = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        collector.settimeout(10)
        collector.connect(f"{STATE_DIR}/gc-socket/socket")
        for path in paths:
            collector.sendall(path.encode() + b"\n")
            if collector.recv(1) != b"1":
                raise ConnectionResetError
    except BaseException:
        collector.close()
        raise
    return collector
