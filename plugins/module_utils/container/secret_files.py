# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep the secrets of containers on the host: in memory, and encrypted at rest.

In memory each container has a directory, in a file system that only root may enter and that is never swapped out. What
outlasts a reboot is beside it: one encrypted file for each container, which inx-secrets.service puts back into memory
before Incus starts, and notes that have no secret in them.
"""

from __future__ import annotations

import base64
import json
import os
import secrets as random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ..errors import FleetError
from ..host.commands import ask, run
from ..incus.idmapped import unshiftable
from ..locks import locked_directory
from ..nix.accounts import Account
from ..paths import SECRETS_AT_REST, SECRETS_DIR
from .restore_secrets import OPTIONS, SEALED, SOURCE
from .secrets import Due, Secret, SecretFile, SecretNotes, SecretsSeen, digest, file_of, seal_mark
from .secrets_at_boot import is_ready, make_ready

NOTES = "notes.json"
# Not names of a container or a secret: what is hidden is left out of both.
_KEY = ".key"
_OWNERS = ".owners"
_KEY_SIZE = 32


def seal_name(lxc: str) -> str:
    """Return the name that is encrypted with the secrets of a container: no other file can take the place of its."""
    return f"inx-secrets-{lxc}"


class SecretFiles:
    """The secrets on a host, by what liblxc calls their containers."""

    def __init__(self, memory: str = SECRETS_DIR, at_rest: str = SECRETS_AT_REST) -> None:
        self._memory = memory
        self._at_rest = at_rest

    # Looking

    def look(self, lxc: str) -> SecretsSeen:
        """Return what the host has for a container. Raise FleetError if it cannot be read."""
        with _explained():
            key = self._key()
            directory = f"{self._memory}/{lxc}"
            files = {name: _file_at(f"{directory}/{name}", lxc, name, key) for name in _names_in(directory)}
            kept = os.path.isdir(directory) or os.path.isdir(f"{self._at_rest}/{lxc}")
            return SecretsSeen(key=key, files=files, notes=self._notes(lxc), is_kept=kept, is_restored=is_ready())

    def kept(self) -> frozenset[str]:
        """Return the containers of which the host has anything; none for a user who may not look."""
        with suppress(PermissionError):
            return frozenset((*_names_in(self._memory), *_names_in(self._at_rest)))
        return frozenset()

    def _key(self) -> bytes:
        with suppress(FileNotFoundError):
            return Path(self._at_rest, _KEY).read_bytes()
        return b""

    def _notes(self, lxc: str) -> SecretNotes:
        with suppress(FileNotFoundError):
            return notes_from(Path(self._at_rest, lxc, NOTES).read_text(encoding="utf-8"), _boot())
        return SecretNotes()

    # Changing

    def write(
        self, lxc: str, secrets: Sequence[Secret], seen: SecretsSeen, notes: SecretNotes, *, at_rest: bool
    ) -> str:
        """Bring the files of a container to what is declared, and return the mark of what is kept at rest.

        What is kept at rest comes first: if that cannot be, nothing has changed.
        """
        with _explained():
            _make_directory(self._at_rest)
            # Several containers and runs may be the first at the same time.
            with locked_directory(self._at_rest):
                if at_rest:
                    make_ready()
                self._make_memory()
                seen = replace(seen, key=self._made_key())
            _make_directory(f"{self._at_rest}/{lxc}")
            wanted = {secret.name: file_of(secret, lxc, seen) for secret in secrets}
            sealed = self._seal(lxc, secrets, wanted, seen) if at_rest and secrets else self._unseal(lxc)
            self._note(lxc, replace(notes, sealed=sealed))
            self._write_files(lxc, secrets, wanted, seen.key)
            return sealed

    def note(self, lxc: str, notes: SecretNotes) -> None:
        """Remember something of a container's secrets."""
        with _explained():
            self._note(lxc, notes)

    def remove(self, lxc: str) -> None:
        """Remove all that the host has of a container's secrets. What is encrypted goes first: it would come back."""
        with _explained():
            for directory in (f"{self._at_rest}/{lxc}", f"{self._memory}/{lxc}"):
                for name in sorted(_names_in(directory, others=True), key=lambda name: name == NOTES):
                    os.unlink(f"{directory}/{name}")
                with suppress(FileNotFoundError):
                    os.rmdir(directory)

    def _made_key(self) -> bytes:
        key = self._key()
        if not key:
            key = random.token_bytes(_KEY_SIZE)
            _replace_file(f"{self._at_rest}/{_KEY}", key, lasts=True)
        return key

    def _note(self, lxc: str, notes: SecretNotes) -> None:
        _replace_file(f"{self._at_rest}/{lxc}/{NOTES}", notes_text(notes, _boot()).encode(), lasts=True)

    def _seal(self, lxc: str, secrets: Sequence[Secret], wanted: Mapping[str, SecretFile], seen: SecretsSeen) -> str:
        mark = seal_mark(seen.key, wanted)
        path = f"{self._at_rest}/{lxc}/{SEALED}"
        # What was not restored could not be decrypted, perhaps: the key of the host may be another one now.
        is_restored = wanted.keys() <= seen.files.keys()
        if mark != seen.notes.sealed or not is_restored or not os.path.exists(path):
            _replace_file(path, encrypted(seal_name(lxc), sealed_text(secrets, wanted)), lasts=True)
        return mark

    def _unseal(self, lxc: str) -> str:
        with suppress(FileNotFoundError):
            os.unlink(f"{self._at_rest}/{lxc}/{SEALED}")
        return ""

    def _make_memory(self) -> None:
        """Mount the file system of secrets, unless that was done in this boot."""
        if not os.path.ismount(self._memory):
            _make_directory(os.path.dirname(self._memory), 0o755)
            _make_directory(self._memory)
            mount_memory(self._memory)
        if unshiftable([self._memory]):
            raise FleetError(
                "Secrets need a kernel that mounts a tmpfs with shifted ids.", "Use Linux 6.3 or newer on the host."
            )

    def _write_files(self, lxc: str, secrets: Sequence[Secret], wanted: Mapping[str, SecretFile], key: bytes) -> None:
        directory = f"{self._memory}/{lxc}"
        # Open to the users in there: the directory above is closed to those of the host.
        _make_directory(directory, 0o755)
        # nix/container.nix reads it in the container.
        owners = "".join(f"{secret.name} {secret.owner} {secret.group}\n" for secret in secrets).encode()
        _replace_file(f"{directory}/{_OWNERS}", owners, SecretFile(digest="", uid=0, gid=0, mode=0o444))
        for secret in secrets:
            path, file = f"{directory}/{secret.name}", wanted[secret.name]
            if not os.path.exists(path) or _file_at(path, lxc, secret.name, key) != file:
                _replace_file(path, secret.content, file)
        for name in set(_names_in(directory, others=True)) - {*wanted, _OWNERS}:
            os.unlink(f"{directory}/{name}")


def mount_memory(path: str) -> None:
    """Mount a tmpfs that only root may enter, and that is not swapped out where the kernel can do that."""
    preferred, plain = (["mount", "-t", "tmpfs", "-o", options, SOURCE, path] for options in OPTIONS)
    if ask(preferred, f"mount {path}")[0] != 0:
        run(plain, f"mount {path}", advice="Run this as root of the host.")


def encrypted(name: str, content: str) -> bytes:
    """Return a text encrypted with the key of the host, and with its TPM if it has one."""
    advice = "See 'man systemd-creds', or declare 'secrets_at_rest: false'."
    command = ["systemd-creds", "encrypt", f"--name={name}", "-", "-"]
    return run(command, "encrypt secrets", advice=advice, given=content).encode()


def sealed_text(secrets: Sequence[Secret], wanted: Mapping[str, SecretFile]) -> str:
    """Return what is encrypted at rest: all files of a container."""
    files = [
        {
            "name": secret.name,
            "content": base64.b64encode(secret.content).decode(),
            "uid": wanted[secret.name].uid,
            "gid": wanted[secret.name].gid,
            "mode": wanted[secret.name].mode,
        }
        for secret in secrets
    ]
    return json.dumps(files)


# Notes


def notes_text(notes: SecretNotes, boot: str) -> str:
    """Return the text of the file of notes. What is due holds for this boot of the host."""
    ids = {f"{kind} {name}": number for (kind, name), number in notes.ids.items()}
    due = {unit: {"since": one.since, "reload": one.reload} for unit, one in notes.due.items()}
    found = {"ids": ids, "links": dict(notes.links), "sealed": notes.sealed, "boot": boot, "due": due}
    return json.dumps(found, sort_keys=True) + "\n"


def notes_from(text: str, boot: str) -> SecretNotes:
    """Return the notes in a text; none if it says nothing."""
    try:
        found = json.loads(text)
        due = found["due"] if found["boot"] == boot else {}
        return SecretNotes(
            ids={_account(words): int(number) for words, number in found["ids"].items()},
            links={str(path): str(name) for path, name in found["links"].items()},
            due={str(unit): Due(since=int(one["since"]), reload=bool(one["reload"])) for unit, one in due.items()},
            sealed=str(found["sealed"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return SecretNotes()


def _account(words: str) -> Account:
    kind, _blank, name = words.partition(" ")
    return ("user" if kind == "user" else "group"), name


def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


# Files


def _names_in(directory: str, *, others: bool = False) -> list[str]:
    """Return the names in a directory, with ``others`` also what is hidden or unfinished."""
    try:
        names = sorted(os.listdir(directory))
        return [name for name in names if others or not (name.startswith(".") or name.endswith(_UNFINISHED))]
    except FileNotFoundError:
        return []


def _file_at(path: str, lxc: str, name: str, key: bytes) -> SecretFile:
    found = os.stat(path)
    content = digest(key, lxc, name, Path(path).read_bytes())
    return SecretFile(digest=content, uid=found.st_uid, gid=found.st_gid, mode=found.st_mode & 0o7777)


#: Never a part of a secret's name, which has no blanks.
_UNFINISHED = " new"


def _make_directory(path: str, mode: int = 0o700) -> None:
    if os.path.isdir(path):
        return
    if not os.path.isdir(os.path.dirname(path)):
        _make_directory(os.path.dirname(path), 0o755)
    with suppress(FileExistsError):
        os.mkdir(path, mode)
        os.chmod(path, mode)


def _replace_file(path: str, content: bytes, owned: SecretFile | None = None, *, lasts: bool = False) -> None:
    """Write a file in one step: nobody sees a part of it, nor with another owner."""
    unfinished = path + _UNFINISHED
    with suppress(FileNotFoundError):
        os.unlink(unfinished)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if owned is not None:
            os.fchown(descriptor, owned.uid, owned.gid)
            os.fchmod(descriptor, owned.mode)
        if lasts:
            os.fsync(descriptor)
    os.replace(unfinished, path)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = "Become root." if isinstance(error, PermissionError) else "See what is in its place."
        raise FleetError(f"Secrets: {error.filename} cannot be used: {error.strerror}.", advice) from error
