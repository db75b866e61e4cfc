# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Order of changes around the stop of an ephemeral instance, so that it survives. Pure.

Pure, as the plan that it serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..stored_keys import RELEASED
from ..values import same_value
from .desired import Change

# Incus: doc/config_options.txt; each of them keeps an instance, or its files, from something.
_PROTECTION = "security.protection."
# Incus validates them against each other, and lines of raw.lxc mount what a device does on newer versions.
_TOGETHER = ("devices", "profiles")
_RAW = "raw."


def saving(differs: Change) -> tuple[Change, Change]:
    """Split off what lets an instance survive: that it is permanent, and that it is protected."""

    def saves(part: str, key: str) -> bool:
        new = differs.after[part]
        if part == "ephemeral":
            return new is False
        return part == "config" and key.startswith(_PROTECTION) and same_value(True, new[key] or "")

    return _split(differs, saves)


def around_stop(differs: Change, *, late: bool) -> tuple[Change, Change]:
    """Split a change into what is written before a stop, and what is written after it.

    Only after it: that the instance is ephemeral, since a stop would delete it then; and with ``late`` its devices,
    because Incus takes some of them only while it is stopped, with what is noted of them.
    """

    def waits(part: str, key: str) -> bool:
        if part == "ephemeral":
            return differs.after[part] is True
        return late and (part in _TOGETHER or key.startswith(_RAW) or key == RELEASED)

    return _split(differs, lambda part, key: not waits(part, key))


def _split(differs: Change, is_first: Callable[[str, str], bool]) -> tuple[Change, Change]:
    """Split a change by its parts, and its configuration by its keys."""

    def side(found: Mapping[str, Any], chosen: bool) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for part, value in found.items():
            if part == "config":
                kept = {key: entry for key, entry in value.items() if is_first(part, key) is chosen}
                if kept:
                    result[part] = kept
            elif is_first(part, "") is chosen:
                result[part] = value
        return result

    first = Change(before=side(differs.before, True), after=side(differs.after, True), notes=differs.notes)
    return first, Change(before=side(differs.before, False), after=side(differs.after, False))
