# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cache of evaluations, by everything that they depend on.

A file for each state of a flake, below a directory of root alone; which of them are used last, is seen by their times.
All of it can be removed at any time. What it names may have been collected: who uses it sees whether it is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..errors import FleetError
from ..locks import locked_directory
from ..paths import store_object
from .sources import NixOptions, System

CACHE_DIR = "/var/cache/inx-fleet/evaluations"
# A part of each key: to be raised when the format or the meaning of the files changes.
_FORMAT = 1
_MAX_FILES = 64
_MAX_BYTES = 8 * 2**20
# Settings that say where something comes from or how fast, and not what it is.
_WITHOUT_EFFECT = frozenset(
    (
        "access-tokens",
        "connect-timeout",
        "cores",
        "download-attempts",
        "extra-access-tokens",
        "extra-substituters",
        "extra-trusted-public-keys",
        "fallback",
        "http-connections",
        "keep-going",
        "max-jobs",
        "netrc-file",
        "require-sigs",
        "substituters",
        "tarball-ttl",
        "trusted-public-keys",
        "warn-dirty",
    )
)


@dataclass(frozen=True, kw_only=True)
class EvaluationCache:
    """Systems by key and attribute. A user who has no directory for it goes without."""

    directory: str = CACHE_DIR

    def read(self, key: str) -> dict[str, System]:
        """Return the systems under a key, by attribute, and note that they are used."""
        path = f"{self.directory}/{key}.json"
        if not self._is_own():
            return {}
        try:
            with open(path, "rb") as file:
                systems = systems_from(json.loads(file.read(_MAX_BYTES)))
            os.utime(path)
        except (OSError, ValueError):
            return {}
        return systems

    def add(self, key: str, systems: Mapping[str, System]) -> None:
        """Add systems under a key. An error is ignored: they are evaluated again then."""
        with suppress(OSError, FleetError):
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            if systems and self._is_own():
                with locked_directory(self.directory):
                    self._write(key, {**self.read(key), **systems})
                    self._remove_oldest()

    def _is_own(self) -> bool:
        """Return whether nobody else can write there."""
        try:
            found = os.lstat(self.directory)
        except OSError:
            return False
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077

    def _write(self, key: str, systems: Mapping[str, System]) -> None:
        text = json.dumps({name: [one.derivation, one.path] for name, one in systems.items()})
        descriptor, new = tempfile.mkstemp(prefix=".new-", dir=self.directory)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(new, f"{self.directory}/{key}.json")

    def _remove_oldest(self) -> None:
        """Keep what was used last. Under the lock, a file that is half-made is of a run that was killed."""
        with os.scandir(self.directory) as entries:
            files = sorted(entries, key=lambda entry: entry.stat().st_mtime, reverse=True)
        half_made = [entry for entry in files if not entry.name.endswith(".json")]
        whole = [entry for entry in files if entry.name.endswith(".json")]
        for entry in [*half_made, *whole[_MAX_FILES:]]:
            os.unlink(entry.path)


def systems_from(found: Any) -> dict[str, System]:
    """Return the systems of a file, without what cannot be one."""
    if not isinstance(found, dict):
        return {}
    return {
        name: System(path=entry[1], derivation=entry[0])
        for name, entry in found.items()
        if isinstance(entry, list) and len(entry) == 2 and all(_is_store_path(path) for path in entry)
    }


def _is_store_path(path: Any) -> bool:
    return isinstance(path, str) and store_object(path) == path


def key_of(identity: str, options: NixOptions, surroundings: Iterable[str]) -> str:
    """Return the key of a flake: its sources, how nix is called, and which nix with which configuration it is."""
    settings = [[name, value] for name, value in options.settings if name not in _WITHOUT_EFFECT]
    parts = [_FORMAT, identity, settings, options.accept_flake_config, *surroundings]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def surroundings_of(command: str, environment: Mapping[str, str]) -> list[str]:
    """Return what else the evaluation depends on: the program, and its configuration."""
    program = os.path.realpath(command)
    found = [program]
    with suppress(OSError):
        program_file = os.stat(program)
        found.append(f"{program_file.st_size} {program_file.st_mtime_ns}")
    home = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '')}/.config"
    system = environment.get("NIX_CONF_DIR") or "/etc/nix"
    files = environment.get("NIX_USER_CONF_FILES", f"{home}/nix/nix.conf").split(":")
    with suppress(OSError):
        files += sorted(f"{system}/{name}" for name in os.listdir(system) if name.endswith(".conf"))
    for path in files:
        with suppress(OSError), open(path, encoding="utf-8", errors="surrogateescape") as file:
            found += [path, file.read().encode(errors="surrogateescape").hex()]
    return [*found, environment.get("NIX_CONFIG", "")]
