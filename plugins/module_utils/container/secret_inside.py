# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What secrets need inside a container: the ids of their owners, and links at paths of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..errors import ConflictError, FleetError, LateError
from ..incus.client import Incus
from ..incus.models import Instance
from ..incus.mountinfo import mounts_in, read_mountinfo
from ..nix.accounts import Account
from ..paths import SECRETS_TARGET
from .secrets import LARGEST_ID

# Root in a container writes what it likes there.
_ID = re.compile(r"[0-9]{1,10}\Z")
_DATABASES = {"user": "/etc/passwd", "group": "/etc/group"}


def read_ids(incus: Incus, name: str) -> dict[Account, int] | None:
    """Return the ids of a running container's users and groups; None while they cannot be read."""
    found = incus.read_files(name, *_DATABASES.values())
    if found is None or all(text is None for text in found):
        return None
    ids: dict[Account, int] = {}
    for kind, text in zip(_DATABASES, found, strict=True):
        account = "user" if kind == "user" else "group"
        ids.update({(account, one): number for one, number in _entries(text or b"")})  # type: ignore[misc]
    return ids


def _entries(text: bytes) -> Iterator[tuple[str, int]]:
    """Yield the names and ids in a passwd(5) or group(5), the first entry of each name."""
    seen = set[str]()
    for line in text.decode(errors="replace").splitlines():
        name, *rest = line.split(":")
        if name and name not in seen and len(rest) > 1 and _ID.match(rest[1]) and int(rest[1]) < LARGEST_ID:
            seen.add(name)
            yield name, int(rest[1])


def is_mounted(instance: Instance) -> bool | None:
    """Return whether a running container sees the directory of its secrets; None if that cannot be told."""
    if not instance.is_running or instance.pid <= 0:
        return None
    try:
        return any(mount.path == SECRETS_TARGET for mount in mounts_in(read_mountinfo(instance.pid)))
    except OSError:
        return None


def look_at_links(incus: Incus, name: str, links: Mapping[str, str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return which links a running container has lost, and where something else is."""
    found = incus.links_of(name, *links) if links else None
    if found is None:
        return frozenset(), frozenset()
    targets = dict(zip(links, found, strict=True))
    lost = {path for path, target in targets.items() if target != target_of(links[path])}
    return frozenset(lost), frozenset(path for path in lost if not is_ours(targets[path]) and targets[path] is not None)


def target_of(secret: str) -> str:
    """Return where the link to a secret leads."""
    return f"{SECRETS_TARGET}/{secret}"


def is_ours(target: str | None) -> bool:
    """Return whether a link leads to a secret."""
    return target is not None and target.startswith(f"{SECRETS_TARGET}/")


def make_links(incus: Incus, name: str, wanted: Mapping[str, str], noted: Mapping[str, str]) -> None:
    """Make the links of a container, and remove those that it is not to have any more.

    New ones come first: if one cannot be made, nothing has changed.
    """
    for path in sorted(wanted, key=lambda path: path in noted):
        if path in noted and noted[path] != wanted[path]:
            incus.remove_link(name, path, target_of(noted[path]))
        with _advised(wanted[path]):
            incus.make_link(name, path, target_of(wanted[path]))
    for path, secret in noted.items():
        if path not in wanted:
            incus.remove_link(name, path, target_of(secret))


@contextmanager
def _advised(secret: str) -> Iterator[None]:
    """Say what to do about a link that Incus cannot make, as in the store or below a file."""
    try:
        yield
    except (ConflictError, LateError):
        raise
    except FleetError as error:
        raise FleetError(
            error.problem, f"Choose another 'path' for the secret {secret!r}, or leave it out for {target_of(secret)}."
        ) from error
