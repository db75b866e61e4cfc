# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two sides of a step as lines that come, go and stay. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.values import present

# Lines around a change that stay.
_CONTEXT = 2
# Matching takes time that grows with the product of both sides.
_MOST_LINES = 500
_GAP = "…"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a difference: it comes (+), goes (-) or stays (a space)."""

    sign: str
    text: str


def difference(before: Any, after: Any) -> list[Line]:
    """Return the lines in which two values differ, with some around them."""
    old, new = (_cut("\n".join(_lines(present(side), "")).split("\n")) for side in (before, after))
    groups = SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(_CONTEXT)
    found: list[Line] = []
    for group in groups:
        found += [Line(sign=" ", text=_GAP)] if found else []
        for kind, old_from, old_to, new_from, new_to in group:
            if kind == "equal":
                found += _signed(" ", old[old_from:old_to])
            else:
                found += [*_signed("-", old[old_from:old_to]), *_signed("+", new[new_from:new_to])]
    return found


def _signed(sign: str, lines: Sequence[str]) -> list[Line]:
    return [Line(sign=sign, text=text) for text in lines]


def _cut(lines: list[str]) -> list[str]:
    """Return the lines of a text without those that are too many; none of an empty text."""
    if lines == [""]:
        return []
    left = len(lines) - _MOST_LINES
    return lines if left <= 0 else [*lines[:_MOST_LINES], f"{_GAP} and {left} more lines"]


def _lines(value: Any, indent: str) -> Iterator[str]:
    """Yield a value in the manner of YAML."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _entry(f"{indent}{key}:", entry, indent)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _entry(f"{indent}-", entry, indent)
    elif value is not None:
        yield from (f"{indent}{line}" for line in str(value).split("\n"))


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, (Mapping, list, tuple)):
        yield head if value else f"{head} {'{}' if isinstance(value, Mapping) else '[]'}"
        yield from _lines(value, f"{indent}  ")
    elif isinstance(value, str) and "\n" in value:
        yield f"{head} |"
        yield from _lines(value.removesuffix("\n"), f"{indent}  ")
    else:
        yield f"{head} {_scalar(value)}".rstrip()


def _scalar(value: Any) -> str:
    if value is None:
        return "none"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
