# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volatile root disks, tmpfs and persistent volumes, as they are declared, and the names that Incus has for them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from ..errors import FleetError
from ..paths import SECRETS_TARGET
from ..values import Value, byte_count
from .mount_tree import is_below, normalised

#: What becomes of the root when the container is started.
VolatileRoot: TypeAlias = Literal["keep", "rebuild", "tmpfs"]

# What devices and mount entries of the collection begin with: all else is somebody else's.
TMPFS_DEVICE = "inx-tmpfs-"
PERSIST_DEVICE = "inx-persist-"
TMPFS_ENTRY = "lxc.mount.entry=inx-tmpfs "


# Created in every container, or the collection's own mounts.
_TAKEN = (
    "/dev",
    "/proc",
    "/sys",
    "/run",
    "/nix/store",
    "/nix/var/nix/daemon-socket",
    "/nix/var/nix/db",
    "/nix/var/nix/profiles",
    SECRETS_TARGET,
)
#: What no path that is declared may hold.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_IDS = "/var/lib/nixos"
_MODE = re.compile(r"[0-7]{4}\Z")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9./]+\Z")
_LONGEST_SLUG = 40


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """A path in the container with a file system of its own."""

    prefix: ClassVar[str]
    path: str

    @property
    def device(self) -> str:
        """Return the name of its device."""
        return self.prefix + slug(self.path)


@dataclass(frozen=True, kw_only=True)
class _Made(Mounted):
    """One whose file system is made for it."""

    size: str | None = None
    mode: str = "0755"


@dataclass(frozen=True, kw_only=True)
class Tmpfs(_Made):
    """A path that is emptied at every start."""

    prefix = TMPFS_DEVICE

    @property
    def keys(self) -> dict[str, Value]:
        """Return its device, on a server that has such devices."""
        return {
            "type": "disk",
            "source": "tmpfs:",
            "path": self.path,
            "initial.mode": self.mode,
            "size": self.size,
        }

    @property
    def entry(self) -> str:
        """Return its line of raw.lxc, on a server without such devices."""
        # As in fstab.
        target = self.path.lstrip("/").replace("\\", r"\134").replace(" ", r"\040")
        size = "" if self.size is None else f",size={byte_count(self.size)}"
        return f"{TMPFS_ENTRY}{target} tmpfs mode={self.mode}{size},create=dir 0 0"


@dataclass(frozen=True, kw_only=True)
class Persist(_Made):
    """A path that is kept in a volume, whatever becomes of the root."""

    prefix = PERSIST_DEVICE
    pool: str | None = None

    def volume(self, container: str) -> str:
        """Return the name of its volume. It contains liblxc's name: the next container of that name finds it."""
        return f"{container}_{slug(self.path)}"


@dataclass(frozen=True, kw_only=True)
class Volatile:
    """``root`` and ``persist`` are None when they are not declared: what is there stays as it is."""

    root: VolatileRoot | None = None
    tmpfs: tuple[Tmpfs, ...] = ()
    persist: tuple[Persist, ...] | None = None
    delete_volumes: bool = False

    @property
    def mounts(self) -> tuple[Mounted, ...]:
        """Return all paths with a file system of their own."""
        return (*self.tmpfs, *(self.persist or ()))


def warn_of_ids(name: str, volatile: Volatile, kept: Iterable[str]) -> list[str]:
    """Return a warning when users get other ids than the owners of persistent files; ``kept`` are paths that stay.

    NixOS notes the ids that it gives in /var/lib/nixos (nixpkgs: nixos/modules/config/update-users-groups.pl).
    """
    paths = [entry.path for entry in volatile.persist or ()]
    if volatile.root != "rebuild" or not paths or any(is_below(_IDS, path) for path in (*paths, *kept)):
        return []
    return [
        f"{name}: each start empties {_IDS}, where NixOS notes the ids of its users. What is in {paths[0]} may get "
        f"another owner. Add this to 'persist': {{path: {_IDS}}}"
    ]


def volatile_from(params: Mapping[str, Any], name: str) -> Volatile:
    """Make a Volatile of the parameters of inx_container; raises FleetError for what cannot be."""
    root: VolatileRoot | None = params["volatile_root"]
    tmpfs = tuple(Tmpfs(**_made_from(entry, f"{name}: tmpfs")) for entry in params["tmpfs"] or ())
    if tmpfs and root not in ("rebuild", "tmpfs"):
        raise FleetError(f"{name}: 'tmpfs' is given without 'volatile_root'.", "Declare 'volatile_root: tmpfs'.")
    if root == "tmpfs" and not tmpfs:
        raise FleetError(f"{name}: 'volatile_root: tmpfs' has no paths.", "Name them in 'tmpfs'.")
    if root == "rebuild" and params["ephemeral"]:
        raise FleetError(
            f"{name}: an ephemeral container is deleted by its stop, so its root is never rebuilt.",
            "Keep 'ephemeral' or 'volatile_root: rebuild'.",
        )
    persist = [
        Persist(**_made_from(entry, f"{name}: persist"), pool=entry["pool"]) for entry in params["persist"] or ()
    ]
    return Volatile(
        root=root,
        tmpfs=tmpfs,
        persist=None if params["persist"] is None else tuple(persist),
        delete_volumes=params["delete_volumes"],
    )


def _made_from(entry: Mapping[str, Any], what: str) -> dict[str, Any]:
    return {
        "path": mount_path(entry["path"], what),
        "size": _size_from(entry["size"], what),
        "mode": _mode_from(entry["mode"], what),
    }


def mount_path(text: str, what: str) -> str:
    """Return a path in the container at which something can be mounted, without its last slashes.

    Raise FleetError for any other.
    """
    path = text.rstrip("/")
    parts = path.split("/")[1:]
    if not path.startswith("/") or any(part in ("", ".", "..") for part in parts) or UNPRINTABLE.search(path):
        raise FleetError(f"{what}: {text!r} is not a path below /.", "Write it absolute and plain, as /var/lib/db.")
    resolved = normalised(path)
    for taken in _TAKEN:
        if is_below(resolved, taken):
            raise FleetError(f"{what}: {taken} is created in every container, or shared.", "Choose another path.")
        if is_below(taken, resolved):
            raise FleetError(f"{what}: a mount at {text} would hide {taken}.", "Choose another path.")
    return path


def _size_from(text: str | None, what: str) -> str | None:
    if text is not None and not byte_count(text):
        raise FleetError(f"{what}: {text!r} is not a size.", "Write it as Incus does, for example 512MiB.")
    return text


def _mode_from(text: str, what: str) -> str:
    if not _MODE.match(text):
        raise FleetError(f"{what}: {text!r} is not a mode.", 'Write four octal digits in quotes, for example "0755".')
    return text


def check_distinct(mounts: Sequence[Mounted], name: str) -> None:
    """Refuse a path at which two things are declared."""
    paths = [entry.path for entry in mounts]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise FleetError(
            f"{name}: declared twice: {', '.join(twice)}.", "A path has one tmpfs, one volume, or one bind mount."
        )


def slug(path: str) -> str:
    """Return a path as part of a name in Incus. A path that cannot be one gets a digest."""
    plain = path.strip("/").replace("/", "-")
    if _PLAIN_PATH.match(path) and len(plain) <= _LONGEST_SLUG:
        return plain
    digest = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:10]
    return re.sub(r"[^A-Za-z0-9.-]+", "-", plain)[: _LONGEST_SLUG - 11] + "-" + digest
