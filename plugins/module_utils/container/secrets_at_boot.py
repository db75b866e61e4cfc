# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install inx-secrets.service, which puts secrets back into memory before Incus starts its containers.

On NixOS the module nix/host.nix of the collection has it.
"""

from __future__ import annotations

import os
import sys
from importlib.resources import files

from ..errors import FleetError
from ..gcroots.files import File, explained, installed, replace_file
from ..host.commands import run
from ..paths import INTERPRETER, SECRETS_AT_REST, SECRETS_DIR

UNIT = "inx-secrets.service"
_UNITS = "/etc/systemd/system"
_PROGRAM = "/usr/local/sbin/inx-secrets"
_IS_NIXOS = "/etc/NIXOS"
_WANTED_BY = ("incus.service", "multi-user.target")

_SERVICE = f"""# Managed by the collection inx.fleet
[Unit]
Description=Secrets of containers
Documentation=man:systemd-creds(1)
RequiresMountsFor={SECRETS_AT_REST}
Before=incus.service incus-startup.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={_PROGRAM} {SECRETS_DIR} {SECRETS_AT_REST}

[Install]
WantedBy={" ".join(_WANTED_BY)}
"""


def is_ready() -> bool:
    """Return whether the unit is there, enabled, and of this version."""
    if os.path.exists(_IS_NIXOS):
        return os.path.exists(f"{_UNITS}/{UNIT}")
    links = all(os.path.islink(f"{_UNITS}/{unit}.wants/{UNIT}") for unit in _WANTED_BY)
    return links and all(installed(path) == file for path, file in _files().items())


def make_ready() -> None:
    """Install the unit and its program. Raise FleetError if that is up to the configuration of the host."""
    if is_ready():
        return
    if os.path.exists(_IS_NIXOS):
        raise FleetError(
            f"This host has no {UNIT}, which puts secrets back at boot.",
            "Import nix/host.nix of the collection with inx.host.enable, or declare 'secrets_at_rest: false'.",
        )
    with explained("written"):
        for path, file in _files().items():
            replace_file(path, file)
    run(["systemctl", "enable", "--quiet", UNIT], f"enable {UNIT}")


def _files() -> dict[str, File]:
    source = files(__package__ or "").joinpath("restore_secrets.py").read_bytes()
    # Any Python of the host does: the program takes its standard library alone.
    python = INTERPRETER if os.path.exists(INTERPRETER) else sys.executable
    program = File(content=f"#!{python}\n".encode() + source, mode=0o755)
    return {_PROGRAM: program, f"{_UNITS}/{UNIT}": File(content=_SERVICE.encode())}
