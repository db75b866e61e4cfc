# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The systems that sequences declare, built once in all their versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import host
import sequences

_FIRST = sequences.GOOD[0]
_PATHS: dict[tuple[str, str], str] = {}


def build() -> None:
    """Build all versions. A sequence then takes no more of nix than its declarations do."""
    for version in (*sequences.GOOD, *sequences.ILL):
        declare(dict.fromkeys(sequences.SYSTEMS, version))
        _PATHS.update({(name, version): host.built(name) for name in sequences.SYSTEMS})


def declare(versions: Mapping[str, str]) -> None:
    """Give the systems of the flake these versions, the first one to those that are not named."""
    declared = {
        name: {"version": version, "packages": {"hello": "2.10"}}
        for name, version in {"default": _FIRST, **versions}.items()
    }
    Path(host.FLAKE, "versions.json").write_text(json.dumps(declared), encoding="utf-8")


def paths(versions: Mapping[str, str]) -> dict[str, str]:
    """Return the store path of each system in these versions."""
    return {name: _PATHS[name, versions.get(name, _FIRST)] for name in sequences.SYSTEMS}
