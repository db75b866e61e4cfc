# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration that a running container was started with, which Incus writes for liblxc at every start."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Incus: internal/server/instance/drivers/driver_lxc.go, startCommon: saved when it is complete, raw.lxc at its end.
_RUN = "/run/incus"
_DEVICE = re.compile(r"lxc\.mount\.entry = /var/lib/incus/devices/")
_OF_INCUS = re.compile(r"(lxc\.mount\.entry = |lxc\.environment = (NVIDIA_|CREDENTIALS_DIRECTORY=))")
_KINDS = {"lxc.prlimit.": "limits.kernel.", "lxc.sysctl.": "linux.sysctl."}
_ENVIRONMENT = "lxc.environment"
_LARGEST = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """Some of the config of an instance at its last start: what a key is not in was not set then.

    ``raw_lxc`` are the lines of that key, with the white space around "=" folded.
    """

    config: Mapping[str, str] = field(default_factory=dict)
    raw_lxc: frozenset[str] = frozenset()

    def knows(self, key: str, value: str | None) -> bool:
        """Return whether it tells a key's value, and could tell this one."""
        # What liblxc quotes is not taken apart.
        return key.startswith(("limits.kernel.", "linux.sysctl.", "environment.")) and not set(value or "") & set(
            '"\\\n'
        )


def start_config_from(text: str) -> StartConfig:
    """Return what a configuration of liblxc says that Incus has written."""
    lines = text.splitlines()
    last = max((number for number, line in enumerate(lines) if _DEVICE.match(line)), default=len(lines))
    own = (line for line in lines[last + 1 :] if not _OF_INCUS.match(line))
    return StartConfig(
        config=dict(_config(lines[:last])), raw_lxc=frozenset(folded(line) for line in own if line.strip())
    )


def _config(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        key, _sign, value = (part.strip() for part in line.partition("="))
        if key == _ENVIRONMENT and not _OF_INCUS.match(line):
            name, _sign, text = value.removeprefix('"').removesuffix('"').partition("=")
            yield f"environment.{name}", text
        for prefix, kind in _KINDS.items():
            if key.startswith(prefix):
                yield kind + key.removeprefix(prefix), value


def folded(line: str) -> str:
    """Return a line of such a configuration without the white space around "="."""
    key, sign, value = line.partition("=")
    return f"{key.strip()}{sign}{value.strip()}"


def read_start_config(lxc: str) -> StartConfig | None:
    """Return what a running container was started with, by liblxc's name for it; None when that cannot be read."""
    try:
        with Path(_RUN, lxc, "lxc.conf").open(errors="surrogateescape") as file:
            return start_config_from(file.read(_LARGEST))
    except OSError:
        return None
