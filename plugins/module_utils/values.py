# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values as declared, and as Incus stores them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

#: A value as declared; ``None`` means "this key must not be there".
Value: TypeAlias = str | bool | int | float | None

_TRUE = frozenset(("true", "1", "yes", "on"))
_FALSE = frozenset(("false", "0", "no", "off", ""))
# Incus: shared/units/units.go, ParseByteSizeString.
_UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "PB": 10**15,
    "EB": 10**18,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "PiB": 2**50,
    "EiB": 2**60,
}
_SIZE = re.compile(r"(\d+)(" + "|".join(_UNITS) + r")?\Z")


def value_text(value: Value) -> str:
    """Return a declared value as Incus stores it: always text, booleans in lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    return str(value)


def same_value(declared: Value, stored: str | None) -> bool:
    """Return whether what Incus stores is what was declared.

    A boolean equals any of Incus's words for it, and two byte sizes are equal
    when they mean the same number of bytes ("2GiB" and "2048MiB").
    """
    if declared is None or stored is None:
        return (declared is None or declared == "") and not stored
    if isinstance(declared, bool):
        return stored.lower() in (_TRUE if declared else _FALSE)
    text = value_text(declared)
    return text == stored or _same_size(text, stored)


def _same_size(first: str, second: str) -> bool:
    has_unit = not (first.isdecimal() and second.isdecimal())
    return has_unit and byte_count(first) is not None and byte_count(first) == byte_count(second)


def byte_count(size: str) -> int | None:
    """Return the bytes of a size such as "2GiB", None when Incus would not accept it as a size."""
    match = _SIZE.match(size)
    return None if match is None else int(match[1]) * _UNITS[match[2] or "B"]


def combined(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Dictionaries are combined key by key; anything else that is given takes the place of its default."""
    result = {**defaults, **given}
    for key, value in given.items():
        if isinstance(value, Mapping) and isinstance(defaults.get(key), Mapping):
            result[key] = combined(defaults[key], value)
    return result


def present(value: Any) -> Any:
    """Return a side of a diff without what is not there: a key that comes or goes is a line that comes or goes."""
    if isinstance(value, Mapping):
        return {key: present(entry) for key, entry in value.items() if entry is not None}
    return value


def base_60(number: int, parts: int) -> str:
    """Return the text of so many parts that YAML 1.1 reads as this number: 8080:22 without quotes is 484822."""
    digits: list[str] = []
    for _part in range(parts - 1):
        number, digit = divmod(number, 60)
        digits.insert(0, f"{digit:02d}")
    return ":".join([str(number), *digits])
