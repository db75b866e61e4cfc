# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install the command inx-gcroots on a host: this package, and every file of module_utils that it imports.

The script and the units that start it are given beside it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from . import command
from .files import UNFINISHED, File, explained, installed, is_mine, replace_file

_SUFFIX = ".py"
_DIRECTORY_MODE = 0o755
# To parse the sources takes longer than everything else that a run without changes does on a host.
_RELATIVE_IMPORT = re.compile(r"^ *from (\.+)([\w.]*) import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)
_NAME = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Change:
    """Files to write, with what was there before, and files of an older version to remove; by path.

    ``opened`` are the package's directories that others could write to, or not read.
    """

    written: Mapping[str, File]
    before: Mapping[str, bytes]
    removed: tuple[str, ...]
    opened: tuple[str, ...]

    def __bool__(self) -> bool:
        """Return whether there is anything to do."""
        return bool(self.written or self.removed or self.opened)


def plan_command(directory: str, beside: Mapping[str, File]) -> Change:
    """Return what has to change for a directory to be the package, and other files to be as given.

    Raises FleetError when what is there cannot be read.
    """
    package = {os.path.join(directory, name): File(content=source) for name, source in command_sources().items()}
    wanted = {**package, **beside}
    removed = tuple(path for path in _python_files(directory) if path not in wanted)
    found = {path: installed(path) for path in wanted}
    return Change(
        written={path: file for path, file in wanted.items() if found[path] != file},
        before={path: file.content for path, file in found.items() if file is not None},
        removed=removed,
        opened=tuple(path for path in sorted({directory, *map(os.path.dirname, package)}) if not _is_closed(path)),
    )


def write_command(change: Change) -> None:
    """Write and remove files, each in one step: the command may start at any moment. Raises FleetError."""
    with explained("written"):
        missing = {parent for path in change.written if not os.path.exists(parent := os.path.dirname(path))}
        for directory in sorted(missing | set(change.opened)):
            _close(directory)
        for path, file in change.written.items():
            replace_file(path, file)
        for path in change.removed:
            Path(path).unlink(missing_ok=True)


def differences(change: Change, beside: Collection[str]) -> list[dict[str, str]]:
    """Return the change as Ansible's diff: files ``beside`` with their text, files of the package by name.

    A program is not what somebody who reads a diff looks for.
    """
    shown = [_difference(path, change) for path in sorted(change.written) if path in beside]
    package = sorted(path for path in change.written if path not in beside)
    lines = [f"close {path}" for path in change.opened]
    lines += [f"write {path}" for path in package] + [f"remove {path}" for path in change.removed]
    return shown + ([{"prepared": "\n".join([*lines, ""])}] if lines else [])


def _difference(path: str, change: Change) -> dict[str, str]:
    before, after = change.before.get(path, b""), change.written[path].content
    if before == after:
        return {"prepared": f"permissions of {path}\n"}
    return {
        "before_header": path,
        "after_header": path,
        "before": before.decode(errors="replace"),
        "after": after.decode(errors="replace"),
    }


def command_sources() -> dict[str, bytes]:
    """Return the command's source files by their paths in module_utils: its own, and those that it imports.

    They are read as Ansible sends them along with a module, out of an archive too.
    """
    top, _dot, package = str(command.__package__).rpartition(".")
    found: dict[str, bytes] = {}
    wanted = [f"{package}/command{_SUFFIX}"]
    while wanted:
        path = wanted.pop()
        if path in found:
            continue
        found[path] = files(top).joinpath(path).read_bytes()
        wanted += [name for name in _imported(path, found[path]) if files(top).joinpath(name).is_file()]
    return found


def _imported(path: str, source: bytes) -> Iterator[str]:
    """Yield the paths that the relative imports of a file may mean: modules, and packages on the way."""
    here = path.split("/")[:-1]
    if here:
        yield "/".join([*here, f"__init__{_SUFFIX}"])
    for dots, module, several, one in _RELATIVE_IMPORT.findall(source.decode()):
        base = [*here[: len(here) - len(dots) + 1], *module.split(".")]
        parts = [part for part in base if part]
        yield "/".join(parts) + _SUFFIX
        yield from ("/".join([*parts, name]) + _SUFFIX for name in _NAME.findall(several or one))


def _is_closed(directory: str) -> bool:
    """Return whether a directory exists and only its owner can write to it."""
    with explained("read"):
        try:
            found = os.lstat(directory)
        except FileNotFoundError:
            return False
        return is_mine(found) and stat.S_IMODE(found.st_mode) == _DIRECTORY_MODE


def _close(directory: str) -> None:
    """Make a directory, or take one back from others."""
    os.makedirs(directory, exist_ok=True)
    os.chown(directory, os.geteuid(), os.getegid())
    os.chmod(directory, _DIRECTORY_MODE)


def _python_files(directory: str) -> list[str]:
    """Return the Python files that are there, and those that a killed run has left unfinished."""

    def failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    with explained("read"):
        walked = os.walk(directory, onerror=failed)
        found = [os.path.join(top, name) for top, _directories, names in walked for name in names]
    return sorted(path for path in found if path.endswith((_SUFFIX, UNFINISHED)))
