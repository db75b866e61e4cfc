# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect garbage."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import FleetError
from .process import NixCommand

#: A collection is never ended by this collection of Ansible in a day: the next one would begin anew.
TIMEOUT = 86_400
# What nix says at the end (Nix: src/libcmd/legacy.cc, PrintFreed).
_SAID = re.compile(r"^(\d+) store paths deleted, (.+) freed$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The number of store paths that were deleted, and what that freed, in nix's words."""

    paths: int
    freed: str


def collect_garbage(nix: NixCommand) -> Collected:
    """Delete everything that no GC root keeps."""
    answer = nix.run(["store", "gc"], "The garbage collection failed", told=True)
    return collected_from(f"{answer.text}\n{answer.said}")


def collected_from(text: str) -> Collected:
    """Return what nix says that it did. Raise FleetError if it does not say it."""
    found = _SAID.search(text)
    if found is None:
        raise FleetError("nix does not say what the garbage collection deleted.", "Run 'nix store gc' on the host.")
    return Collected(paths=int(found[1]), freed=found[2])
