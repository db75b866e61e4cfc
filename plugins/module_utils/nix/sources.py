# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sources of systems and options of nix, as they are declared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..errors import FleetError
from ..paths import STORE_PATH
from ..text import UNPRINTABLE
from ..values import value_text

_NIX_SETTING = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
# Nix: src/libstore/store-api.cc, openStore; what is a path or a word there is a store of this host.
_STORE_URL = re.compile(r"[a-z0-9+.-]+://[^\s\x00-\x1f\x7f]+\Z")
# ssh would take a host that begins so for an option.
_DASHED_HOST = re.compile(r"[a-z0-9+.-]+://([^/@]*@)?-")
# Nix: src/libflake/flakeref.cc; a path without a slash in front is one from where nix is called.
_RELATIVE_URL = re.compile(r"(path|([a-z]+\+)?file):(?!/)")
# What only the daemon's own configuration can say: a client that sends it has no effect.
_OF_THE_DAEMON = ("trusted-users", "allowed-users")


@dataclass(frozen=True, kw_only=True)
class NixOptions:
    """How nix is to be called; equal options let containers share one evaluation."""

    override_inputs: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    impure: bool = False
    accept_flake_config: bool = False
    builders: str | None = None


@dataclass(frozen=True, kw_only=True)
class Flake:
    """``nixosConfigurations."attribute"`` of the flake at ``reference``."""

    reference: str
    attribute: str

    @property
    def installable(self) -> str:
        """Return the argument for ``nix build``."""
        return f'{self.reference}#nixosConfigurations."{self.attribute}".config.system.build.toplevel'


@dataclass(frozen=True, kw_only=True)
class File:
    """``attribute`` of the Nix expression in ``path``, for those without flakes."""

    path: str
    attribute: str

    @property
    def installable(self) -> str:
        """Return the argument for ``nix build --file PATH``."""
        return self.attribute


@dataclass(frozen=True, kw_only=True)
class StorePath:
    """A system that is in the store already, that ``copy_from`` has, or a substituter."""

    path: str
    copy_from: str | None = None


Source: TypeAlias = Flake | File | StorePath
#: A source, and how nix is called for it.
Declared: TypeAlias = tuple[Source, NixOptions]


def source_from(params: Mapping[str, Any], name: str) -> Source | None:
    """Return the source that the parameters name, of which they have one at the most, or None."""
    if params["flake"] is not None:
        return _flake_from(params["flake"], name)
    if params["file"] is not None:
        return _file_from(params["file"], params["attribute"], name)
    if params["system"] is not None:
        return _store_path_from(params["system"], params["copy_from"], name)
    return None


def _flake_from(text: str, name: str) -> Flake:
    reference, hash_sign, attribute = text.partition("#")
    advice = "Write REF or REF#ATTR, for example /etc/nixos#web or github:owner/repo#web."
    if not reference or UNPRINTABLE.search(text) or " " in text or reference.startswith("-"):
        raise FleetError(f"{name}: {text!r} is not a flake reference.", advice)
    if reference.startswith((".", "~")) or _RELATIVE_URL.match(reference):
        raise FleetError(
            f"{name}: the flake reference {text!r} is relative, and the module has no directory to start from.",
            "Give the absolute path that the flake has on the host.",
        )
    if hash_sign and (not attribute or any(char in attribute for char in '#"\\$^')):
        raise FleetError(f"{name}: {attribute!r} is not a name in nixosConfigurations.", advice)
    return Flake(reference=reference, attribute=attribute or name)


def _file_from(path: str, attribute: str | None, name: str) -> File:
    if not path.startswith("/") or UNPRINTABLE.search(path):
        raise FleetError(f"{name}: file {path!r} is not an absolute path.", "Give the path that it has on the host.")
    attribute = attribute or "config.system.build.toplevel"
    if attribute.startswith("-") or UNPRINTABLE.search(attribute) or " " in attribute or "^" in attribute:
        raise FleetError(f"{name}: {attribute!r} is not an attribute path.", "Write it as nix does: a.b.c")
    return File(path=path, attribute=attribute)


def _store_path_from(path: str, copy_from: str | None, name: str) -> StorePath:
    if not STORE_PATH.match(path):
        raise FleetError(
            f"{name}: system {path!r} is not a store path.",
            "Give a path right below /nix/store, as 'readlink -f result' prints it.",
        )
    if copy_from is not None and not is_store_url(copy_from):
        raise FleetError(
            f"{name}: copy_from {copy_from!r} is not the URL of a Nix store.",
            "Write for example ssh-ng://root@builder.example.org, or https://cache.example.org.",
        )
    return StorePath(path=path, copy_from=copy_from)


def is_store_url(text: str) -> bool:
    """Return whether a text is the URL of a Nix store, with no host that ssh would take for an option."""
    return _STORE_URL.match(text) is not None and _DASHED_HOST.match(text) is None


def nix_options_from(params: Mapping[str, Any]) -> NixOptions:
    settings = tuple(sorted((key, _setting_text(key, value)) for key, value in params["nix_options"].items()))
    for key, value in settings:
        if not _NIX_SETTING.match(key) or UNPRINTABLE.search(value):
            raise FleetError(f"nix_options: {key!r} is not a setting of nix.conf.", "See 'nix config show' for them.")
        if key.removeprefix("extra-") in _OF_THE_DAEMON:
            raise FleetError(f"nix_options: {key!r} is a setting of the daemon.", "Set it in nix.conf on the host.")
    for key, value in params["override_inputs"].items():
        if not (_is_plain_word(key) and isinstance(value, str) and _is_plain_word(value)):
            raise FleetError(
                f"override_inputs: {key!r}: {value!r} is not an input and a flake reference.",
                "Write for example {nixpkgs: github:NixOS/nixpkgs/nixos-25.11}, or leave the input out.",
            )
    if params["builders"] is not None and "\x00" in params["builders"]:
        raise FleetError("builders holds a NUL character.", "Write it as in nix.conf.")
    return NixOptions(
        override_inputs=tuple(sorted(params["override_inputs"].items())),
        settings=settings,
        impure=params["impure"],
        accept_flake_config=params["accept_flake_config"],
        builders=params["builders"],
    )


def _setting_text(name: str, value: Any) -> str:
    """Return a value as nix.conf has it, the elements of a list separated by spaces."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    if any(part is None or isinstance(part, (list, tuple, Mapping)) for part in parts):
        raise FleetError(
            f"nix_options: {name!r} has a value that is not a text, number, boolean or a list of them.",
            'Write it as in nix.conf; "" is a setting without a value.',
        )
    return " ".join(map(value_text, parts))


def _is_plain_word(text: str) -> bool:
    """Return whether nix would not take a text for an option."""
    return text != "" and not text.startswith("-") and not UNPRINTABLE.search(text)


@dataclass(frozen=True, kw_only=True)
class System:
    """A declared system as nix evaluated it.

    ``derivation`` is None for a store path given as such, and ``copy_from`` the store to copy that from, if one is
    given. ``built`` says whether ``path`` is valid in the store now, and ``switches`` whether it can be switched to,
    which is not known before. ``generation`` is its number when it was chosen as a generation that the profile has.
    ``warnings`` are about it and its sources, ``locked_inputs`` are those of its flake that the lock file holds where
    they are, and ``revision`` is the one of its flake. ``expects`` are the secrets that its container is to declare, as
    far as it is in the store.
    """

    path: str
    derivation: str | None = None
    copy_from: str | None = None
    built: bool = False
    switches: bool = True
    generation: int | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)
    locked_inputs: tuple[str, ...] = field(default=(), compare=False)
    revision: str | None = field(default=None, compare=False)
    expects: tuple[str, ...] = field(default=(), compare=False)
