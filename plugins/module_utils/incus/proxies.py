# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proxy devices that a running container has in its configuration only."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..values import same_value
from .models import Devices

# Incus: internal/server/device/proxy.go: each has a process, and a file with its number as long as it runs.
_DIRECTORY = "/var/lib/incus/devices"
_FILE = "proxy."


def lost_proxies(lxc: str, devices: Devices) -> frozenset[str]:
    """Return the proxies without a process. None, if this user may not look."""
    names = {name for name, keys in devices.items() if keys.get("type") == "proxy" and not _is_in_kernel(keys)}
    if not names:
        return frozenset()
    try:
        found = {file.removeprefix(_FILE) for file in os.listdir(f"{_DIRECTORY}/{lxc}") if file.startswith(_FILE)}
    except OSError:
        return frozenset()
    # In names of files Incus doubles dashes, in some versions.
    return frozenset(name for name in names if not {name, name.replace("-", "--")} & found)


def _is_in_kernel(keys: Mapping[str, str]) -> bool:
    return same_value(True, keys.get("nat", ""))
