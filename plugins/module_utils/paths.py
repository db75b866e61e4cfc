# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths on the host that several packages use, and store paths."""

from __future__ import annotations

import re

from .names import lxc_name

#: The virtual environment in which the modules look for pylxd. The role inx.fleet.host and the NixOS module make it.
VENV = "/opt/inx-fleet"
INTERPRETER = f"{VENV}/bin/python"
#: Where else a host has a Python: Debian, NixOS, and a Nix profile of root.
SYSTEM_INTERPRETERS = (
    "/usr/bin/python3",
    "/run/current-system/sw/bin/python3",
    "/nix/var/nix/profiles/default/bin/python3",
)
PROFILES_DIR = "/nix/var/nix/profiles/inx-container"
STORE_PROFILE = "inx-container"
STORE_DIR = "/nix/store"
DAEMON_SOCKET_DIR = "/nix/var/nix/daemon-socket"
DB_DIR = "/nix/var/nix/db"
LOCALTIME = "/etc/localtime"
#: Where a host has the secrets of its containers: in memory, and beside it what outlasts a reboot, encrypted.
SECRETS_DIR = "/run/inx-fleet/secrets"
SECRETS_AT_REST = "/var/lib/inx-fleet/secrets"
#: Where a container has its own. Not in /run, which NixOS mounts at each start.
SECRETS_TARGET = "/inx/secrets"
# Nix: src/libstore/path.cc, checkName: at most 211 characters of this alphabet.
STORE_PATH = re.compile(r"/nix/store/[0-9abcdfghijklmnpqrsvwxyz]{32}-[A-Za-z0-9+\-_?=][A-Za-z0-9+\-._?=]{0,210}\Z")
_STORE_OBJECT = re.compile(STORE_PATH.pattern.removesuffix(r"\Z") + r"(?=/|\Z)")


def profile_dir(project: str, name: str) -> str:
    """Return the directory on the host that holds the Nix profile of a container."""
    return f"{PROFILES_DIR}/{lxc_name(project, name)}"


def store_object(path: str) -> str | None:
    """Return the store path that contains ``path`` by its text, None when it is outside of the store."""
    match = _STORE_OBJECT.match(path)
    return match[0] if match else None
