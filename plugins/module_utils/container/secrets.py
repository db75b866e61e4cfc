# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets of a container: as they are declared, as they are on the host, and what changes. Pure.

Nothing here shows a content: what is compared are keyed hashes, and what is reported are names.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import FleetError
from ..nix.accounts import Account
from ..paths import SECRETS_TARGET
from ..redaction import HIDDEN_NEW, HIDDEN_OLD
from ..text import UNPRINTABLE
from .mount_tree import is_below, normalised

#: systemd takes a credential below 1 MiB. At rest the files of a container are one, in base64.
TOTAL_SIZE = 700_000
LARGEST_NUMBER = 500

#: The options of one, as an argument spec.
SECRET_OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "content": {"type": "str", "no_log": True},
    "encoding": {"type": "str", "choices": ["text", "base64"], "default": "text"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0400"},
    "path": {"type": "str"},
    "units": {"type": "list", "elements": "str"},
    "reload": {"type": "bool", "default": False},
    "optional": {"type": "bool", "default": False},
}

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\Z")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,250}\Z")
_KIND = re.compile(r"\.(service|socket|target|timer|path|mount|slice)\Z")
_MODE = re.compile(r"0?[0-7]{3}\Z")
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,60}\$?\Z")
#: Incus gives a container this many ids, if it is not isolated.
LARGEST_ID = 1_000_000_000
# In each of them the container has a file system of its own that it mounts itself, or nothing that lasts.
_VOLATILE = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/run")  # noqa: S108 - to refuse them


@dataclass(frozen=True, kw_only=True)
class Secret:
    """One declared secret. ``path`` is None for its place in the directory of secrets."""

    name: str
    content: bytes = field(repr=False)
    owner: str = "root"
    group: str = "root"
    mode: int = 0o400
    path: str | None = None
    units: tuple[str, ...] = ()
    reload: bool = False

    @property
    def accounts(self) -> tuple[Account, Account]:
        """Return the user and the group that it is to belong to."""
        return ("user", self.owner), ("group", self.group)


@dataclass(frozen=True, kw_only=True)
class SecretFile:
    """A file in the directory of a container: the keyed hash of its content, and what it belongs to in there."""

    digest: str
    uid: int
    gid: int
    mode: int


@dataclass(frozen=True, kw_only=True)
class Due:
    """A unit that is to be restarted or reloaded, unless it has been started since, in microseconds of uptime."""

    since: int
    reload: bool = False


@dataclass(frozen=True, kw_only=True)
class SecretNotes:
    """What the host remembers of a container's secrets, beside the files: nothing of it is a secret."""

    #: The ids that names had when the container ran last.
    ids: Mapping[Account, int] = field(default_factory=dict)
    #: Links in the container to secrets, by their paths.
    links: Mapping[str, str] = field(default_factory=dict)
    due: Mapping[str, Due] = field(default_factory=dict)
    #: Mark of what is encrypted at rest, empty if nothing is.
    sealed: str = ""


@dataclass(frozen=True, kw_only=True)
class SecretsSeen:
    """What the host has of a container's secrets. ``key`` is that of its hashes, empty until it has one."""

    key: bytes = field(default=b"", repr=False)
    files: Mapping[str, SecretFile] = field(default_factory=dict)
    notes: SecretNotes = field(default_factory=SecretNotes)
    #: Whether the host has anything of it, be it an empty directory.
    is_kept: bool = False
    #: The ids of its running system, by name; None if that does not run, or cannot be read.
    ids: Mapping[Account, int] | None = None
    #: Whether the running container sees the directory; None if it does not run here.
    is_mounted: bool | None = None
    #: Whether the host puts back at boot what is kept at rest.
    is_restored: bool = True
    #: Links that the running container has lost, or that something else has taken the place of.
    lost_links: frozenset[str] = frozenset()
    blocked_links: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class SecretsChange:
    """What is to change, in words: names of secrets with what becomes of them, None for "not there"."""

    before: Mapping[str, str | None] = field(default_factory=dict)
    after: Mapping[str, str | None] = field(default_factory=dict)
    units: Mapping[str, bool] = field(default_factory=dict)
    #: Whether what is encrypted at rest, or a link, is to change.
    others: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.after or self.others)

    @property
    def summary(self) -> str:
        """Return what changes, by name."""
        return ", ".join([*(_verb(name, self.before[name], new) for name, new in self.after.items()), *self.others])


def _verb(name: str, old: str | None, new: str | None) -> str:
    if new is None:
        return f"secret {name} removed"
    return f"secret {name} {'added' if old is None else 'changed'}"


# What is declared


def secrets_from(params: Mapping[str, Any], name: str) -> tuple[Secret, ...] | None:
    """Return the declared secrets, None if none are declared. Raise FleetError for what cannot be one."""
    if params["secrets"] is None:
        return None
    found = [_secret_from(entry, name) for entry in params["secrets"]]
    secrets = tuple(secret for secret in found if secret is not None)
    names = [entry["name"] for entry in params["secrets"]]
    _check_distinct(names, f"{name}: secrets: declared twice", "A name belongs to one secret.")
    paths = [normalised(secret.path) for secret in secrets if secret.path is not None]
    _check_distinct(paths, f"{name}: secrets: two have the path", "Give each a path of its own.")
    for path in paths:
        for other in paths:
            if path != other and is_below(path, other):
                raise FleetError(
                    f"{name}: secrets: {other} is a secret, and {path} is below it.", "Choose another path."
                )
    if len(secrets) > LARGEST_NUMBER or sum(len(secret.content) for secret in secrets) > TOTAL_SIZE:
        raise FleetError(
            f"{name}: secrets: they are more than {LARGEST_NUMBER}, or larger than {TOTAL_SIZE} bytes together.",
            "Secrets are keys and passwords. Use 'bind_mounts' or 'persist' for files.",
        )
    return secrets


def _check_distinct(words: Sequence[str], problem: str, advice: str) -> None:
    twice = sorted({word for word in words if words.count(word) > 1})
    if twice:
        raise FleetError(f"{problem}: {', '.join(twice)}.", advice)


def _secret_from(entry: Mapping[str, Any], container: str) -> Secret | None:
    """Return a secret, None for one that is optional and has no content."""
    name = entry["name"]
    what = f"{container}: secret {name!r}"
    if not _NAME.match(name):
        raise FleetError(f"{what}: this is not a name.", "Use letters, digits, dots, dashes and underscores.")
    content = _content_from(entry, what)
    if not content:
        if entry["optional"]:
            return None
        raise FleetError(
            f"{what} has no content.", "Give 'content', or declare 'optional: true' for one that may be left out."
        )
    return Secret(
        name=name,
        content=content,
        owner=_account_from(entry["owner"], f"{what}: owner"),
        group=_account_from(entry["group"], f"{what}: group"),
        mode=_mode_from(entry["mode"], what),
        path=_path_from(entry["path"], name, what),
        units=tuple(dict.fromkeys(_unit_from(unit, what) for unit in entry["units"] or ())),
        reload=entry["reload"],
    )


def _content_from(entry: Mapping[str, Any], what: str) -> bytes:
    text = entry["content"] or ""
    if entry["encoding"] != "base64":
        encoded: bytes = text.encode(errors="surrogateescape")
        return encoded
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        problem = FleetError(f"{what}: its content is not base64.", "Encode it with the filter b64encode.")
    # Not from the error, whose text may have a part of it.
    raise problem


def _account_from(text: str, what: str) -> str:
    if not _ACCOUNT.match(text) or (text.isdecimal() and int(text) >= LARGEST_ID):
        raise FleetError(f"{what}: {text!r} is not a name of the container's system.", "Give a name, or a number.")
    return text


def _mode_from(text: str, what: str) -> int:
    if not _MODE.match(text):
        raise FleetError(f"{what}: {text!r} is not a mode.", 'Write four octal digits in quotes, for example "0440".')
    return int(text, 8)


def _unit_from(text: str, what: str) -> str:
    if not _UNIT.match(text) or text.startswith("-"):
        raise FleetError(f"{what}: {text!r} is not the name of a unit.", "Write it as nginx.service.")
    return text if _KIND.search(text) else f"{text}.service"


def _path_from(text: str | None, name: str, what: str) -> str | None:
    if text is None:
        return None
    parts = text.split("/")[1:]
    if not text.startswith("/") or any(part in ("", ".", "..") for part in parts) or UNPRINTABLE.search(text):
        raise FleetError(f"{what}: {text!r} is not the path of a file below /.", "Write it absolute, as /etc/app/key.")
    if len(parts) == 1:
        # The likely ones, such as /etc, would keep a new container from booting.
        raise FleetError(f"{what}: {text} is not in a directory.", "Choose one, as in /etc/app/key.")
    if text == f"{SECRETS_TARGET}/{name}":
        return None
    for taken, why in ((SECRETS_TARGET, "has each secret by its name"), ("/nix", "has nothing that is secret")):
        if is_below(text, taken):
            raise FleetError(f"{what}: {text} is in {taken}, which {why}.", "Leave 'path' out, or choose another.")
    for taken in _VOLATILE:
        if is_below(text, taken):
            raise FleetError(
                f"{what}: {text} is in {taken}, which the container mounts or empties at each start.",
                f"Leave 'path' out, for {SECRETS_TARGET}/{name}, or choose another.",
            )
    return text


def check_paths(container: str, secrets: Iterable[Secret], mounts: Iterable[str], seen: SecretsSeen) -> None:
    """Raise FleetError for a secret whose path is in something that is mounted, or has a file of somebody else."""
    places = [place.rstrip("/") for place in mounts if place.rstrip("/")]
    for secret in secrets:
        path = secret.path
        if path is None:
            continue
        over = [place for place in places if is_below(normalised(path), place) or is_below(place, normalised(path))]
        if over:
            raise FleetError(
                f"{container}: the path {path} of the secret {secret.name!r} is over the mount at {over[0]}.",
                f"Leave 'path' out, for {SECRETS_TARGET}/{secret.name}, or choose another.",
            )
        if path in seen.blocked_links:
            raise FleetError(
                f"{container}: there is something at {path}, which is to be the secret {secret.name!r}.",
                "Move it away, or choose another 'path'.",
            )


# What is on the host


def digest(key: bytes, lxc: str, name: str, content: bytes) -> str:
    """Return the keyed hash of a content, which tells nothing to whoever has no key."""
    text = b"\0".join((lxc.encode(), name.encode(), content))
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def seal_mark(key: bytes, files: Mapping[str, SecretFile]) -> str:
    """Return a mark of what is encrypted at rest: another one if any file of it is another."""
    lines = (f"{name} {one.digest} {one.uid} {one.gid} {one.mode:o}" for name, one in sorted(files.items()))
    return hmac.new(key, "\n".join(lines).encode(), hashlib.sha256).hexdigest()


def known_id(account: Account, seen: SecretsSeen) -> int | None:
    """Return the id of a user or group in the container's system, None if that is not known."""
    name = account[1]
    if name.isdecimal():
        return int(name)
    if name == "root":
        return 0
    if seen.ids is not None and account in seen.ids:
        return seen.ids[account]
    return seen.notes.ids.get(account)


def file_of(secret: Secret, lxc: str, seen: SecretsSeen) -> SecretFile:
    """Return the file that a secret is to be. Until an id is known it is that of root."""
    uid, gid = (known_id(account, seen) or 0 for account in secret.accounts)
    return SecretFile(digest=digest(seen.key, lxc, secret.name, secret.content), uid=uid, gid=gid, mode=secret.mode)


def wanted_links(secrets: Iterable[Secret]) -> dict[str, str]:
    """Return the links that the container is to have, by their paths, to the names of secrets."""
    return {secret.path: secret.name for secret in secrets if secret.path is not None}


def named_accounts(secrets: Iterable[Secret]) -> set[Account]:
    """Return the users and groups of secrets whose ids are up to the container's system."""
    found = {account for secret in secrets for account in secret.accounts}
    return {account for account in found if account[1] != "root" and not account[1].isdecimal()}


def unknown_account(secrets: Iterable[Secret], ids: Mapping[Account, int]) -> FleetError | None:
    """Return the error of the first secret whose owner the container's system does not have."""
    for secret in secrets:
        for kind, name in sorted(named_accounts([secret]) - ids.keys()):
            return FleetError(
                f"The secret {secret.name!r} is to belong to the {kind} {name!r}, which the system does not have.",
                f"Declare the {kind} in the system, or give its number.",
            )
    return None


def secrets_change(
    secrets: tuple[Secret, ...] | None, lxc: str, seen: SecretsSeen, *, at_rest: bool, is_unmounted: bool
) -> SecretsChange:
    """Return what is to change on the host, nothing if none are declared.

    ``is_unmounted`` says that the running container does not see the directory that it has in its configuration.
    """
    if secrets is None:
        return SecretsChange()
    wanted = {secret.name: file_of(secret, lxc, seen) for secret in secrets}
    changed = [secret for secret in secrets if seen.files.get(secret.name) != wanted[secret.name]]
    gone = sorted(seen.files.keys() - wanted.keys())
    before: dict[str, str | None] = {one.name: HIDDEN_OLD if one.name in seen.files else None for one in changed}
    after: dict[str, str | None] = {one.name: HIDDEN_NEW for one in changed}
    before.update(dict.fromkeys(gone, HIDDEN_OLD))
    after.update(dict.fromkeys(gone))
    units: dict[str, bool] = {}
    for secret in changed:
        for unit in secret.units:
            units[unit] = units.get(unit, True) and secret.reload
    others = [
        *_others(secrets, wanted, seen, at_rest=at_rest),
        *(["mounted again"] if secrets and is_unmounted else []),
    ]
    return SecretsChange(before=before, after=after, units=units, others=tuple(others))


def _others(
    secrets: tuple[Secret, ...], wanted: Mapping[str, SecretFile], seen: SecretsSeen, *, at_rest: bool
) -> Iterable[str]:
    """Yield what changes beside the files."""
    mark = seal_mark(seen.key, wanted) if at_rest and wanted else ""
    if seen.notes.sealed != mark:
        yield "encrypted at rest" if mark else "no longer kept at rest"
    if mark and not seen.is_restored:
        yield "restored at boot"
    links = wanted_links(secrets)
    new = [path for path in links if seen.notes.links.get(path) != links[path] or path in seen.lost_links]
    gone = [path for path in seen.notes.links if path not in links]
    yield from (f"link {path}" for path in new)
    yield from (f"link {path} removed" for path in gone)
    if not secrets and seen.is_kept and not seen.files and not (seen.notes.sealed or gone):
        yield "directory removed"


def missing_secrets(container: str, expected: Iterable[str], secrets: tuple[Secret, ...] | None) -> FleetError | None:
    """Return the error of a system that expects secrets which are not declared."""
    missing = sorted(set(expected) - {secret.name for secret in secrets or ()})
    if not missing:
        return None
    return FleetError(
        f"{container}: its system expects secrets that have no content: {', '.join(missing)}.",
        "Declare them in 'secrets', or remove them from inx.container.secrets of the system.",
    )
