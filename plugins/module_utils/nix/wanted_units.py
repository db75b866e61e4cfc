# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read which units the targets of a system start (nixpkgs: nixos/lib/systemd-lib.nix, generateUnits)."""

from __future__ import annotations

import os

_UNITS = "etc/systemd/system"
_DEPENDENCIES = ("wants", "requires", "upholds")
# Every boot reaches them, and every switch starts them again.
_REACHED = (
    "multi-user.target",
    "basic.target",
    "sysinit.target",
    "local-fs.target",
    "remote-fs.target",
    "paths.target",
    "sockets.target",
    "timers.target",
)


def new_units(before: str, after: str) -> frozenset[str]:
    """Return the units that targets of the system ``after`` start, and those of ``before`` do not.

    Nothing is said of a system that is not in the store.
    """
    if not all(os.path.isdir(f"{system}/{_UNITS}") for system in (before, after)):
        return frozenset()
    return wanted_units(after) - wanted_units(before)


def wanted_units(system: str) -> frozenset[str]:
    """Return the units that the targets of a system in the store start."""
    directory, found, targets = f"{system}/{_UNITS}", set[str](), list(_REACHED)
    while targets:
        target = targets.pop()
        wanted = {name for kind in _DEPENDENCIES for name in _names_in(f"{directory}/{target}.{kind}")}
        new = {name for name in wanted - found if not _is_masked(f"{directory}/{name}")}
        found |= new
        targets += [name for name in new if name.endswith(".target")]
    return frozenset(found)


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        # What runs in a container may be a system of its own making.
        return []


def _is_masked(unit: str) -> bool:
    """Return whether a unit is disabled (systemd.services.NAME.enable is false), which a target may still name."""
    return os.path.realpath(unit) == os.devnull
