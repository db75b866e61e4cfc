# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command inx-gcroots as a Python package on a host: these very files, as Ansible sends them with a module."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from . import gcroots_command
from .errors import FleetError

_SUFFIX = ".py"


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
    try:
        os.makedirs(directory, mode=0o755, exist_ok=True)
        for name, source in change.written.items():
            _replace(Path(directory, name), source)
        for name in change.removed:
            Path(directory, name).unlink(missing_ok=True)
    except OSError as error:
        raise FleetError(f"{error.filename} cannot be written: {error.strerror}.", "Run this as root.") from error


def _sent() -> dict[str, bytes]:
    """What the command imports came along with it (and with it what the module itself needs)."""
    package = files(gcroots_command.__package__)
    return {entry.name: entry.read_bytes() for entry in package.iterdir() if entry.name.endswith(_SUFFIX)}


def _there(directory: str) -> dict[str, bytes]:
    try:
        return {path.name: path.read_bytes() for path in Path(directory).iterdir() if path.suffix == _SUFFIX}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise FleetError(f"{error.filename} cannot be read: {error.strerror}.", "Run this as root.") from error


def _replace(path: Path, source: bytes) -> None:
    unfinished = path.with_suffix(".new")
    unfinished.write_bytes(source)
    unfinished.chmod(0o644)
    unfinished.replace(path)
