# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Record which set the profile directory of a container belongs to, for when its instance is gone.

It is an extended attribute of the directory that goes with it, and that no container can read or write (xattr(7),
"trusted"). Without such attributes, or for a user other than root, nothing is marked or found.
"""

from __future__ import annotations

import os
from contextlib import suppress

from ..names import lxc_name_parts
from ..paths import PROFILES_DIR

_SET = "trusted.inx.set"


def mark_set(profile_dir: str, name: str | None) -> None:
    """Note the set that a profile directory belongs to; None leaves what is noted."""
    if name is not None:
        with suppress(OSError):
            os.setxattr(profile_dir, _SET, name.encode())


def marked_directories(name: str) -> set[str]:
    """Return the profile directories that belong to a set."""
    found: set[str] = set()
    with suppress(OSError), os.scandir(PROFILES_DIR) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False) and os.getxattr(entry.path, _SET) == name.encode():
                    found.add(entry.path)
    return found


def container_of(path: str, project: str) -> str | None:
    """Return the name of the container that a profile directory of a project is for; None if it is another's."""
    owner, name = lxc_name_parts(os.path.basename(path))
    return name if owner == project else None
