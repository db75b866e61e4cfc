# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse the JSON of nix, in the formats of all versions from 2.18 on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import FleetError
from ..paths import STORE_DIR
from .sources import System

# A hash in base 32, and a dash.
_HASH_LENGTH = 33


def valid_paths_from(answer: Any) -> set[str]:
    """Return the valid paths of ``nix path-info --json``.

    It is a list up to 2.18, a dictionary by path from 2.19 on, with null for what is not valid, and from 2.33 on, with
    ``--json-format 2``, that dictionary by base name under "info".
    """
    if isinstance(answer, list):
        return {_path(entry["path"]) for entry in answer if entry.get("valid", True)}
    entries = answer["info"] if "version" in answer and "info" in answer else answer
    return {_path(name) for name, entry in entries.items() if entry is not None}


def system_from(entry: Mapping[str, Any], installable: str) -> System:
    """Return the system of one entry of ``nix build --dry-run --json``.

    Raises FleetError for one whose store path depends on its build.
    """
    path = (entry.get("outputs") or {}).get("out")
    if not path:
        raise FleetError(
            f"{installable}: nix does not know its store path before it is built.",
            "Content-addressed systems are not supported. Turn contentAddressedByDefault off.",
        )
    # nix-darwin: modules/system/default.nix
    if _path(path).removeprefix(f"{STORE_DIR}/")[_HASH_LENGTH:].startswith("darwin-system-"):
        raise FleetError(
            f"{installable} is a system of macOS, made by nix-darwin.",
            "A container runs NixOS. Name a system that nixpkgs.lib.nixosSystem makes.",
        )
    return System(path=_path(path), derivation=_path(entry["drvPath"]))


def _path(text: str) -> str:
    """Return a store path, which newer formats give without the store's directory."""
    return text if text.startswith("/") else f"{STORE_DIR}/{text}"
