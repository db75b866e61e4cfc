# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Resolve flake references, and identify everything that the evaluation depends on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..paths import store_object
from .revisions import revision_from
from .sources import Flake, NixOptions

# Of these, a revision is the same wherever and whenever it is fetched.
_WITH_REVISION = ("git", "github", "gitlab", "sourcehut", "mercurial")
_LOCAL = re.compile(r"((?:path:|git\+file://)?)(/[^?#%]*)(.*)\Z", re.DOTALL)
_NOT_WRITTEN = "not writing modified lock file"
_NOT_LOCKED = re.compile(r"^• (?:Added|Updated) input '([^']+)'", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a flake reference leads to.

    ``reference`` is what is evaluated: by its revision if it has one, and a path as it was copied into the store, at
    ``copy`` (``is_pinned``). Then nix shares what systems have in common. ``identity`` is the same if and only if all
    sources are; None when nix does not tell. ``unlocked`` are the inputs that the lock file lacks, and ``locked`` those
    that it holds where they are. ``revision`` is that of the repository, with "-dirty" if its tree had changes.
    """

    reference: str
    is_pinned: bool = False
    copy: str | None = None
    identity: str | None = None
    unlocked: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()
    revision: str | None = None


def metadata_arguments(reference: str, options: NixOptions) -> list[str]:
    """Return the arguments that make nix tell what a reference leads to. It writes nothing there."""
    arguments = ["flake", "metadata", "--json", "--no-write-lock-file"]
    if options.accept_flake_config:
        arguments.append("--accept-flake-config")
    for name, override in options.override_inputs:
        arguments += ["--override-input", name, override]
    return [*arguments, "--", reference]


def sources_from(reference: str, text: str, said: str, options: NixOptions) -> Sources:
    """Return the sources by what ``nix flake metadata --json`` printed and ``said``."""
    metadata = json.loads(text)
    locked = {key: value for key, value in metadata.get("locked", {}).items() if key != "__final"}
    pinned, copy = _pinned(metadata, locked)
    overridden = {name for name, _reference in options.override_inputs}
    unlocked = tuple(_unlocked(said, overridden))
    return Sources(
        reference=pinned or reference,
        is_pinned=pinned is not None,
        copy=copy,
        identity=_identity(metadata, locked),
        unlocked=unlocked,
        locked=tuple(name for name in _inputs(metadata.get("locks") or {}) if name not in {*overridden, *unlocked}),
        revision=revision_from(locked.get("rev") or locked.get("dirtyRev")),
    )


def _inputs(locks: Mapping[str, Any]) -> list[str]:
    """Return the inputs of the flake itself."""
    root = (locks.get("nodes") or {}).get(locks.get("root")) or {}
    return sorted(root.get("inputs") or {})


def _pinned(metadata: Mapping[str, Any], locked: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return a reference to these very sources, and the store path that it names, as far as there are such."""
    url, kind, path = metadata.get("url"), locked.get("type"), metadata.get("path")
    if not isinstance(url, str):
        return None, None
    if kind == "path" and isinstance(path, str) and store_object(path) == path and "narHash=" in url:
        # With all that the flake can see of it: its times and its hash, and a directory below.
        return f"path:{path}?{url.partition('?')[2]}", path
    if (kind == "tarball" and "narHash" in locked) or (kind in _WITH_REVISION and "rev" in locked):
        return url, None
    return None, None


def _identity(metadata: Mapping[str, Any], locked: Mapping[str, Any]) -> str | None:
    """Return what the sources depend on, as text: the source by its hash, and the inputs by theirs."""
    locks = metadata.get("locks") or {}
    nodes = {name: node for name, node in (locks.get("nodes") or {}).items() if name != locks.get("root")}
    if not (_is_known(locked) or "fingerprint" in metadata) or not all(map(_is_known_input, nodes.values())):
        return None
    parts = [locked, metadata.get("path"), metadata.get("fingerprint"), locks]
    return json.dumps(parts, sort_keys=True)


def _is_known(locked: Mapping[str, Any]) -> bool:
    return "narHash" in locked or "rev" in locked


def _is_known_input(node: Mapping[str, Any]) -> bool:
    locked = node.get("locked") or {}
    # A relative path is part of the flake that names it.
    return _is_known(locked) or (locked.get("type") == "path" and not str(locked.get("path")).startswith("/"))


def _unlocked(said: str, overridden: set[str]) -> Iterator[str]:
    """Yield the inputs that nix has looked up itself, but for those that are overridden: they are in no lock file."""
    if _NOT_WRITTEN in said:
        for name in dict.fromkeys(_NOT_LOCKED.findall(said)):
            if name.split("/")[0] not in overridden and name not in overridden:
                yield name


def lock_warnings(flake: Flake, sources: Sources) -> tuple[str, ...]:
    """Return the warning that inputs of a flake are not locked, if any is not."""
    if not sources.unlocked:
        return ()
    reference, names = without_secrets(flake.reference), ", ".join(sources.unlocked)
    return (
        f"{reference}: the lock file lacks {names}. What is used now may be replaced by a newer one in any run. "
        f"Lock it with 'nix flake lock {reference}', where you keep that flake.",
    )


def without_secrets(reference: str) -> str:
    """Return a reference without the password that its URL may have."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1@", reference)


def without_links(reference: str) -> str:
    """Return a reference to a local flake with symbolic links resolved, which nix does not follow to a flake."""
    found = _LOCAL.match(reference)
    if found is None:
        return reference
    scheme, path, rest = found.groups()
    real = os.path.realpath(path)
    return reference if real == os.path.normpath(path) or not os.path.exists(real) else f"{scheme}{real}{rest}"
