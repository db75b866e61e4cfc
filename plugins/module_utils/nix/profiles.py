# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Nix profile of a container: links ``system -> system-N-link -> store`` (Nix: src/libstore/profiles.cc).

Everything below /nix/var/nix/profiles is a root, so a link is all that a
generation takes. A container with self_update can write the same directory:
links are read and replaced, never followed, and no other file is opened.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from heapq import nlargest

from ..errors import FleetError
from ..locks import locked_directory, open_directory
from ..paths import PROFILES_DIR, store_object

_GENERATION = re.compile(r"system-(\d{1,9})-link\Z")
_HALF_MADE = re.compile(r"\..+\.[0-9a-f]{16}\Z")
_PROFILE = "system"
_TEST = "test"
# A container with self_update can make as many as there are inodes.
_MAX_GENERATIONS = 1000
# More levels than inodes that a container can make in the time that it takes.
_MAX_LEVELS = 1_000_000


def read_generations(profile_dir: str) -> Generations:
    """Return what the profile directory holds, the newest generations if there are very many.

    Raises FleetError when it cannot be read.
    """
    try:
        with os.scandir(profile_dir) as entries:
            found = (int(match[1]) for entry in entries if (match := _GENERATION.match(entry.name)))
            numbers = set(nlargest(_MAX_GENERATIONS, found))
    except FileNotFoundError:
        return Generations(directory=False)
    except OSError as error:
        raise FleetError(f"{profile_dir} cannot be read: {error.strerror}.", "Become root.") from error
    boots = _link(f"{profile_dir}/{_PROFILE}")
    current = _GENERATION.match(os.path.basename(boots))
    if current is not None:
        numbers.add(int(current[1]))
    links = {_name(number): _link(f"{profile_dir}/{_name(number)}") for number in numbers}
    generations = generations_from({**links, _PROFILE: boots})
    lost = frozenset(path for path in generations.paths.values() if is_lost(path))
    tried = _link(f"{profile_dir}/{_TEST}")
    made = _made(profile_dir, generations.paths)
    return replace(generations, lost=lost, tried=tried if store_object(tried) == tried else None, made=made)


def is_lost(path: str) -> bool:
    """Return whether a store path that a profile has is not in the store."""
    return not os.path.lexists(path)


def generations_from(links: Mapping[str, str]) -> Generations:
    """Return what a profile directory holds, from the targets of its links; "" is not a link."""
    paths = {
        int(match[1]): path
        for name, path in links.items()
        if (match := _GENERATION.match(name)) and store_object(path) == path
    }
    current = _GENERATION.match(os.path.basename(links.get(_PROFILE, "")))
    return Generations(paths=dict(sorted(paths.items())), current=int(current[1]) if current else None)


def _made(profile_dir: str, numbers: Iterable[int]) -> dict[int, float]:
    """When generations were made, in seconds since 1970; as nix-env has it, the time of the link."""
    dates: dict[int, float] = {}
    for number in numbers:
        with suppress(OSError):
            dates[number] = os.lstat(f"{profile_dir}/{_name(number)}").st_mtime
    return dates


def add_generation(profile_dir: str, number: int, system: str) -> None:
    """Make ``system`` the generation ``number``, and the current one.

    ``system`` is to be kept from the garbage collector by the caller until then.
    Raises FleetError when another system has that number meanwhile.
    """
    link = f"{profile_dir}/{_name(number)}"
    with explained(profile_dir):
        try:
            os.symlink(system, link)
        except FileExistsError:
            if _link(link) != system:
                raise FleetError(
                    f"{profile_dir} got a generation {number} from something else in the meantime.", "Run again."
                ) from None
    select_generation(profile_dir, number)


def select_generation(profile_dir: str, number: int) -> None:
    """Make the generation ``number`` the current one."""
    replace_link(profile_dir, _PROFILE, _name(number))


def remove_generations(profile_dir: str, numbers: Iterable[int]) -> None:
    """Remove generations; those that are gone already do not matter."""
    with explained(profile_dir):
        for number in numbers:
            with suppress(FileNotFoundError):
                os.unlink(f"{profile_dir}/{_name(number)}")


def link_test(profile_dir: str, system: str) -> None:
    """Root a system that is only tried, and that no generation holds."""
    replace_link(profile_dir, _TEST, system)


def unlink_test(profile_dir: str) -> None:
    """Remove the root of a system that was only tried."""
    with explained(profile_dir), suppress(FileNotFoundError):
        os.unlink(f"{profile_dir}/{_TEST}")


def make_profile(profile_dir: str) -> bool:
    """Make the directory of a profile, or another of links; True when it was not there."""
    with explained(profile_dir):
        if os.path.dirname(profile_dir) == PROFILES_DIR:
            make_profiles_dir()
        try:
            os.makedirs(profile_dir)
        except FileExistsError:
            return False
    return True


def make_profiles_dir() -> None:
    """Make the directory of all profiles, through which nobody else may come; OSError when that cannot be.

    A program that root in a container with self_update leaves in its profile belongs to the host's root, and may be
    set to run as such for whoever starts it (setuid).
    """
    with suppress(FileExistsError):
        os.makedirs(PROFILES_DIR, mode=0o750)
    found = os.stat(PROFILES_DIR)
    if found.st_mode & stat.S_IRWXO and os.geteuid() in (0, found.st_uid):
        os.chmod(PROFILES_DIR, stat.S_IMODE(found.st_mode) & ~stat.S_IRWXO)


def remove_profile(profile_dir: str) -> None:
    """Remove the directory with all that it holds."""
    with explained(profile_dir), suppress(FileNotFoundError):
        remove_tree(profile_dir)


def remove_tree(path: str, *, dir_fd: int | None = None) -> None:
    """Remove a directory that a container may have filled: no link is followed, and no depth is too deep.

    shutil.rmtree holds a descriptor for each level, and fails at a thousand. Here what is below comes up, level by
    level. Raises OSError when somebody fills it as fast.
    """
    top = open_directory(path, dir_fd)
    try:
        for _level in range(_MAX_LEVELS):
            names = os.listdir(top)
            if not names:
                break
            for name in names:
                _remove_entry(top, name)
    finally:
        os.close(top)
    os.rmdir(path, dir_fd=dir_fd)


def _remove_entry(top: int, name: str) -> None:
    """Remove a file, or a directory when what it holds was moved beside it."""
    try:
        os.unlink(name, dir_fd=top)
    except IsADirectoryError:
        directory = open_directory(name, top)
        try:
            for below in os.listdir(directory):
                os.rename(below, f".{secrets.token_hex(16)}", src_dir_fd=directory, dst_dir_fd=top)
        finally:
            os.close(directory)
        os.rmdir(name, dir_fd=top)


def _name(number: int) -> str:
    return f"{_PROFILE}-{number}-link"


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def replace_link(directory: str, name: str, target: str) -> None:
    """Make a link in one moment; nobody ever finds none.

    The lock is beside what a container can write. Under it, links that are half-made are of runs that were killed.
    """
    new = f"{directory}/.{name}.{secrets.token_hex(8)}"
    with explained(directory), locked_directory(os.path.dirname(directory)):
        _remove_half_made(directory)
        os.symlink(target, new)
        try:
            os.replace(new, f"{directory}/{name}")
        except OSError:
            os.unlink(new)
            raise


def remove_half_made(directory: str) -> None:
    """Remove the links that runs which were killed were about to put in their places."""
    with explained(directory), locked_directory(os.path.dirname(directory)):
        _remove_half_made(directory)


def _remove_half_made(directory: str) -> None:
    for name in os.listdir(directory):
        if _HALF_MADE.match(name) and os.path.islink(f"{directory}/{name}"):
            os.unlink(f"{directory}/{name}")


@contextmanager
def explained(directory: str) -> Iterator[None]:
    """Turn an OSError into what the user can do about it."""
    try:
        yield
    except OSError as error:
        raise FleetError(
            f"{directory} cannot be changed: {error.strerror} ({error.filename}).",
            "Become root, or a member of the group that owns it.",
        ) from error


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One generation of a Nix profile."""

    number: int
    system: str


@dataclass(frozen=True, kw_only=True)
class Generations:
    """The Nix profile of a container: generation number to store path, and the current one.

    ``directory`` says whether the directory of the profile is there at all, ``lost`` which of the paths are not in
    the store any more. ``tried`` is a system that is kept in the store because it was activated for a test.
    ``made`` is when they were made, in seconds since 1970.
    """

    directory: bool = True
    paths: Mapping[int, str] = field(default_factory=dict)
    current: int | None = None
    lost: frozenset[str] = frozenset()
    tried: str | None = None
    made: Mapping[int, float] = field(default_factory=dict, compare=False)

    @property
    def system(self) -> str | None:
        """Return the store path that the profile leads to."""
        return None if self.current is None else self.paths.get(self.current)
