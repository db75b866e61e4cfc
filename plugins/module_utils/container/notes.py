# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remember what runs have learned of a container, in a file on the host.

The files are beside the Nix profiles: what they say is about the generations there and goes with them, whoever may
write the one may write the other, /nix/var is writable on NixOS as well, and a container sees no more than its own
directory. A file names the instance that it is about. So a copy, or another instance that gets the name, has no memory
that is not its own, and a restored snapshot does not bring an old one back.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from ..errors import FleetError
from ..incus.client import Incus
from ..incus.models import Config, Instance
from ..names import lxc_name
from ..nix.profiles import explained, make_profiles_dir
from ..paths import PROFILES_DIR, profile_dir
from ..stored_keys import FAILED, STORED_FAILED, STORED_NOTES
from .declaration import Container
from .kind import PROFILES_DEVICE

#: Not a container's name, and Nix skips files that are not links.
NOTES_DIR = f"{PROFILES_DIR}/.notes"


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """What is remembered of one instance; ``is_kept`` says whether its file has it."""

    identity: str
    notes: Config
    is_kept: bool = True


def parsed(text: str) -> Remembered | None:
    """Return what a file remembers, and of which instance; None if it says nothing."""
    try:
        found = json.loads(text)
        return Remembered(
            identity=str(found["uuid"]), notes={str(key): str(one) for key, one in found["notes"].items()}
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def remembered(instance: Instance, directory: str = NOTES_DIR) -> Remembered:
    """Return what the host remembers of an instance; without a file, what an earlier release has noted on it.

    Raises FleetError when the file cannot be read.
    """
    path = _path(directory, instance.project, instance.name)
    try:
        with open(path, encoding="utf-8") as file:
            found = parsed(file.read())
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise FleetError(f"{path} cannot be read: {error.strerror}.", "Become root.") from error
    if found is None:
        return Remembered(identity=instance.identity, notes=carried(instance), is_kept=False)
    return found if found.identity == instance.identity else Remembered(identity=instance.identity, notes={})


def carried(instance: Instance) -> dict[str, str]:
    """Return what is noted on an instance. A copy has the notes of what it was copied from, and its profile as well."""
    if instance.devices.get(PROFILES_DEVICE, {}).get("source") != profile_dir(instance.project, instance.name):
        return {}
    return {note: instance.config[key] for key, note in STORED_NOTES.items() if instance.config.get(key)}


class Notes:
    """What one run knows of what is remembered, and changes of it. Only who holds a container's lock changes it."""

    def __init__(self, incus: Incus, directory: str = NOTES_DIR) -> None:
        self._incus = incus
        self._directory = directory
        self._known: dict[str, Remembered] = {}

    def with_notes(self, instance: Instance) -> Instance:
        """Return an instance with what is remembered of it."""
        if instance.location == self._incus.server.member:
            found = remembered(instance, self._directory)
        else:
            # A file here would be of the time before it moved away.
            found = Remembered(identity=instance.identity, notes=carried(instance), is_kept=False)
        self._known[lxc_name(instance.project, instance.name)] = found
        return replace(instance, notes=found.notes)

    def of(self, container: Container) -> Config:
        """Return what is remembered of a container."""
        found = self._look(container)
        return {} if found is None else found.notes

    def change(self, container: Container, changes: Config, unless: Config | None = None) -> None:
        """Change what is remembered; an empty value is forgotten. Nothing is done if all of ``unless`` is remembered.

        What was noted on the instance alone is in the file after any change, be it empty.
        """
        found = self._look(container)
        if found is None or (unless is not None and found.notes.items() >= unless.items()):
            return
        notes = {key: value for key, value in {**found.notes, **changes}.items() if value}
        if notes == found.notes and found.is_kept:
            return
        _write(_path(self._directory, container.project, container.name), found.identity, notes)
        self._known[lxc_name(container.project, container.name)] = replace(found, notes=notes, is_kept=True)
        if self._incus.server.member is not None and notes.get(FAILED) != found.notes.get(FAILED):
            self._incus.note(container.name, {STORED_FAILED: notes.get(FAILED, "")})

    def forget(self, container: Container) -> None:
        """Remove what is remembered of a container, which is to go."""
        path = _path(self._directory, container.project, container.name)
        self._known.pop(lxc_name(container.project, container.name), None)
        with explained(path):
            for name in (_unfinished(path), path):
                with suppress(FileNotFoundError):
                    os.unlink(name)

    def _look(self, container: Container) -> Remembered | None:
        """Return what is known of a container, None without an instance. Read it from Incus the first time."""
        lxc = lxc_name(container.project, container.name)
        if lxc not in self._known:
            instance = self._incus.instance(container.name)
            if instance is None:
                return None
            self._known[lxc] = remembered(instance, self._directory)
        return self._known[lxc]


def _path(directory: str, project: str, name: str) -> str:
    return f"{directory}/{lxc_name(project, name)}.json"


def _unfinished(path: str) -> str:
    """Return the name under which a file is written: one is enough for who holds the container."""
    return f"{path}.new"


def _write(path: str, identity: str, notes: Mapping[str, str]) -> None:
    """Replace a file in one moment. It is on the disk before it has its name: one of the two is always there."""
    unfinished = _unfinished(path)
    with explained(path):
        mode = _make_directory(os.path.dirname(path))
        # Of a run that was killed, and of another user maybe.
        with suppress(FileNotFoundError):
            os.unlink(unfinished)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, mode)
            json.dump({"uuid": identity, "notes": notes}, file, sort_keys=True)
            file.write("\n")
            file.flush()
            os.fsync(descriptor)
        os.replace(unfinished, path)


def _make_directory(path: str) -> int:
    """Make the directory of the files, and return their mode: for root, and for a group that may write profiles."""
    parent = os.path.dirname(path)
    if parent == PROFILES_DIR:
        make_profiles_dir()
    shared = os.stat(parent).st_mode & stat.S_IWGRP
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
        if shared:
            os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | stat.S_IRWXG)  # noqa: S103 - they may write profiles
    return 0o660 if shared else 0o600
