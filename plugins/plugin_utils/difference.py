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
    """A line of a difference: it comes (+), goes (-) or stays (a space). ``depth`` is that of its key."""

    sign: str
    text: str
    depth: int = 0


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Line]:
    """Return the lines in which two sides of a step differ, with some around them, and the keys that they are below."""
    return list(_near_changes(list(_walk(present(before), present(after), 0))))


def _walk(before: Mapping[str, Any], after: Mapping[str, Any], depth: int) -> Iterator[Line]:
    """Yield all lines of both sides, key by key. The order of keys is no difference."""
    for key in sorted({**before, **after}, key=str):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _signed(" ", depth, [f"{_indent(depth)}{key}:"])
            yield from _walk(old, new, depth + 1)
        else:
            yield from _matched(
                *([] if key not in side else list(_entry(f"{key}:", side[key], depth)) for side in (before, after)),
                depth=depth,
            )


def _matched(old: Sequence[str], new: Sequence[str], *, depth: int) -> Iterator[Line]:
    """Yield the lines of two texts that belong to one key."""
    old, new = _cut(old), _cut(new)
    for kind, old_from, old_to, new_from, new_to in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            for number in range(old_from, old_to):
                # The first line names the key, which the others are below.
                yield from _signed(" ", depth + (number > 0), [old[number]])
        else:
            yield from _signed("-", depth + 1, old[old_from:old_to])
            yield from _signed("+", depth + 1, new[new_from:new_to])


def _signed(sign: str, depth: int, texts: Sequence[str]) -> Iterator[Line]:
    yield from (Line(sign=sign, text=text, depth=depth) for entry in texts for text in entry.split("\n"))


def _cut(lines: Sequence[str]) -> Sequence[str]:
    left = len(lines) - _MOST_LINES
    return lines if left <= 0 else [*lines[:_MOST_LINES], f"{_GAP} and {left} more lines"]


def _near_changes(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield what is close to a change, or a key above it."""
    kept = {
        near
        for number, line in enumerate(lines)
        if line.sign != " "
        for near in range(max(0, number - _CONTEXT), min(len(lines), number + _CONTEXT + 1))
    }
    above = 0
    for number in reversed(range(len(lines))):
        if number in kept:
            above = lines[number].depth
        elif lines[number].depth < above:
            kept.add(number)
            above = lines[number].depth
    last = -1
    for number in sorted(kept):
        if number > last + 1 and last >= 0:
            yield Line(sign=" ", text=f"{_indent(lines[number].depth)}{_GAP}")
        yield lines[number]
        last = number


def _indent(depth: int) -> str:
    return "  " * depth


def _entry(head: str, value: Any, depth: int) -> Iterator[str]:
    """Yield a value under its key, or an entry of a list, in the manner of YAML."""
    head = f"{_indent(depth)}{head}"
    if isinstance(value, Mapping) and value:
        yield head
        for key, entry in sorted(value.items(), key=lambda item: str(item[0])):
            yield from _entry(f"{key}:", entry, depth + 1)
    elif isinstance(value, (list, tuple)) and value:
        yield head
        for entry in value:
            yield from _entry("-", entry, depth + 1)
    elif isinstance(value, str) and "\n" in value:
        yield f"{head} |"
        yield from (f"{_indent(depth + 1)}{line}" for line in value.removesuffix("\n").split("\n"))
    else:
        yield f"{head} {_scalar(value)}".rstrip()


def _scalar(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "{}"
    return "[]" if isinstance(value, (list, tuple)) else str(value)
