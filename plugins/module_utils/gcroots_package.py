# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command inx-gcroots as a Python package on a host: these very files, as Ansible sends them with a module."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from . import gcroots_command
from .errors import FleetError

_SUFFIX = ".py"
_UNFINISHED = ".new"
_MODE = 0o644


@dataclass(frozen=True, kw_only=True)
class Change:
    """Files to be written, with their sources, and files of an older version that are to go; by name."""

    written: Mapping[str, bytes]
    removed: tuple[str, ...]


def plan_package(directory: str) -> Change:
    """What has to change for a directory to be the package. Raises FleetError when it cannot be read."""
    wanted, found = _sent(), _there(directory)
    return Change(
        written={name: source for name, source in wanted.items() if found.get(name) != source},
        removed=tuple(sorted(found.keys() - wanted.keys())),
    )


def write_package(directory: str, change: Change) -> None:
    """Bring it about, each file in one step: the command may start at any moment. Raises FleetError."""
    with _explained("written"):
        for name, source in change.written.items():
            _replace(Path(directory, name), source)
        for name in change.removed:
            Path(directory, name).unlink(missing_ok=True)


def _sent() -> dict[str, bytes]:
    """What the command imports came along with it (and with it what the module itself needs)."""
    package = files(gcroots_command.__package__)
    return {entry.name: entry.read_bytes() for entry in package.iterdir() if entry.name.endswith(_SUFFIX)}


def _there(directory: str) -> dict[str, bytes | None]:
    """The files that are there; None for what is no file, and for what a run that was killed has left."""
    with _explained("read"):
        try:
            entries = list(Path(directory).iterdir())
        except FileNotFoundError:
            return {}
        found = [path for path in entries if path.suffix in (_SUFFIX, _UNFINISHED)]
        return {path.name: path.read_bytes() if _is_ours(path) else None for path in found}


def _is_ours(path: Path) -> bool:
    return path.suffix == _SUFFIX and path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o777 == _MODE


def _replace(path: Path, source: bytes) -> None:
    unfinished = path.with_suffix(_UNFINISHED)
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as file:
        os.fchmod(file.fileno(), _MODE)
        file.write(source)
    unfinished.replace(path)


@contextmanager
def _explained(done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = "Run this as root." if isinstance(error, PermissionError) else "See what is in its place."
        raise FleetError(f"{error.filename} cannot be {done}: {error.strerror}.", advice) from error
