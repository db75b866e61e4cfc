# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text from other programs, made safe for messages, and commands to paste."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import datetime, timezone

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# A store path takes 250 characters at most, and an error of nix names a few.
_LINE = 2000
_MESSAGE = 100_000
# CSI sequences (colours, cursor) and OSC sequences (titles, links).
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)?")


def plain(text: str) -> str:
    """Return text without terminal escapes."""
    return _ESCAPES.sub("", text)


def tail(text: str, lines: int = 30) -> str:
    """Return the last lines of a text, cut and without characters that a terminal would act on."""
    kept = plain(text).strip().splitlines()[-lines:]
    return "\n".join(shown(line if len(line) <= _LINE else f"{line[:_LINE]} ...") for line in kept)


def quoted(text: str, lines: int = 30) -> str:
    """Return the last lines of a container's output, each marked with a bar, so that none looks like ours."""
    return "\n".join(f"| {line}" for line in tail(text, lines).splitlines())


def message(text: str) -> str:
    """Return a text without characters that a terminal would act on, cut if it is very long."""
    return "\n".join(shown(line) for line in text[:_MESSAGE].split("\n"))


def shown(text: str) -> str:
    """Return a line or a path without characters that a terminal would act on."""
    return "".join(map(_harmless, text))


def _harmless(char: str) -> str:
    if char.isprintable() or char == "\t":
        return char
    return char.encode("unicode_escape", errors="backslashreplace").decode()


def listed(names: Sequence[str], most: int) -> str:
    """Return the first names, and how many there are beside them."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def incus_command(project: str | None, *words: str) -> str:
    """Return a command of Incus as a shell takes it. All that a message suggests is made here.

    ``project`` is the one that it is about, None for what belongs to no project.
    """
    chosen = () if project in (None, "default") else ("--project", str(project))
    return shlex.join(("incus", *chosen, *words))


def utc(seconds: float, precision: str = "seconds") -> str:
    """Return a time in ISO 8601. Texts of one precision sort by time."""
    moment = datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)
    return f"{moment.isoformat(timespec=precision)}Z"
