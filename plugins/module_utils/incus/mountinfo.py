# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what a process sees mounted (proc(5), /proc/PID/mountinfo)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Space, tab, newline and backslash are written as octal numbers.
_ESCAPED = re.compile(r"\\([0-7]{3})")
_FIELDS = 5


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A mount: what of which file system is at a path. A root that was deleted ends in "//deleted"."""

    path: str
    device: str
    root: str
    #: Its file system, such as "ext4".
    kind: str


def read_mountinfo(process: int | str) -> str:
    """Return the text for a process, by its number or as "self". Raises OSError if it may not be read."""
    return Path(f"/proc/{process}/mountinfo").read_text(errors="surrogateescape")


def mounts_in(mountinfo: str) -> list[Mount]:
    """Return the mounts in the text of a mountinfo file, in their order."""
    # The type comes after a dash that ends the optional fields.
    lines = (line.partition(" - ") for line in mountinfo.splitlines())
    fields = ((first.split(" "), rest) for first, _dash, rest in lines)
    return [
        Mount(path=_plain(one[4]), device=one[2], root=_plain(one[3]), kind=rest.partition(" ")[0])
        for one, rest in fields
        if len(one) >= _FIELDS
    ]


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda code: chr(int(code[1], 8)), text)


def nearest(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """Return the mount that a path is in; None if no mount has it. Of several at one path the last one is seen."""
    above = [mount for mount in mounts if _is_below(path, mount.path)]
    return max(enumerate(above), key=lambda found: (len(found[1].path), found[0]))[1] if above else None


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")
