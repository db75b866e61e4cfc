# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration revisions of systems: what ``nixos-version --configuration-revision`` of each would print.

A system names its own in that program alone (nixpkgs: nixos/modules/installer/tools/nixos-version.sh), as a line of
JSON. The program is read, not run: who can build in a container can put any program there.
"""

from __future__ import annotations

import json
import os
import stat

from ..paths import STORE_DIR
from ..text import shown

_PROGRAM = "sw/bin/nixos-version"
_KEY = "configurationRevision"
_LONGEST_PROGRAM = 64 * 1024
_LONGEST = 100


def configuration_revision(system: str) -> str | None:
    """Return the ``system.configurationRevision`` of a system in the store, None if it has none or is not there."""
    # Links of a hostile system may lead out of the store.
    path = os.path.realpath(f"{system}/{_PROGRAM}")
    if not path.startswith(f"{STORE_DIR}/"):
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return revision_in(os.read(descriptor, _LONGEST_PROGRAM).decode(errors="replace"))
    finally:
        os.close(descriptor)


def revision_in(program: str) -> str | None:
    """Return the configuration revision in the text of the program nixos-version."""
    for line in program.splitlines():
        if line.startswith("{") and _KEY in line:
            try:
                return revision_from(json.loads(line).get(_KEY))
            except (ValueError, RecursionError):
                continue
    return None


def revision_from(found: object) -> str | None:
    """Return a revision that can be shown, None if it is not one."""
    return shown(found[:_LONGEST]) if isinstance(found, str) and found.strip() else None
