# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users and groups whose ids a system sets. Those of the others are chosen where the system is activated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

Account: TypeAlias = tuple[Literal["user", "group"], str]

_LARGEST = 4 * 1024 * 1024
# nixpkgs: nixos/modules/config/users-groups.nix, and services/system/userborn.nix: who makes the users has the path.
_FILES = {
    "activate": re.compile(r"(/nix/store/[0-9a-z]{32}-users-groups\.json)\b"),
    "etc/systemd/system/userborn.service": re.compile(r"(/nix/store/[0-9a-z]{32}-userborn\.json)\b"),
}
# nixpkgs: nixos/modules/system/boot/systemd/sysusers.nix
_SYSUSERS = "etc/sysusers.d/00-nixos.conf"
_LINE = re.compile(r"([ug]) (\S+) ([0-9]{1,10})(?::\S+)?(?:\s|\Z)")


def declared_ids(system: str) -> dict[Account, int]:
    """Return the ids that a system in the store sets for users and groups; none if it does not say."""
    found: dict[Account, int] = {}
    for name, reference in _FILES.items():
        match = reference.search(_text(Path(system, name)))
        if match:
            found.update(_in_json(_text(Path(match[1]))))
    found.update(_in_lines(_text(Path(system, _SYSUSERS))))
    return found


def _text(path: Path) -> str:
    with suppress(OSError), path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_LARGEST)
    return ""


def _in_json(text: str) -> Iterator[tuple[Account, int]]:
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        told = json.loads(text)
        for kind, entries, key in (("user", told["users"], "uid"), ("group", told["groups"], "gid")):
            for entry in entries:
                if isinstance(entry.get(key), int):
                    yield ("user" if kind == "user" else "group", str(entry["name"])), entry[key]


def _in_lines(text: str) -> Iterator[tuple[Account, int]]:
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            yield ("user" if match[1] == "u" else "group", match[2]), int(match[3])
