# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.host import units
from ansible_collections.inx.fleet.plugins.module_utils.host.observed import Unit

# systemd 257, systemctl show --timestamp=us+utc.
SHOWN = """ExecMainStartTimestamp=Mon 2026-11-30 06:12:18.722903 UTC
ExecStart={ path=/usr/bin/nix-daemon ; argv[]=nix-daemon --daemon ; ignore_errors=no }
Id=nix-daemon.service
LoadState=loaded
ActiveState=active

Id=incus.socket
LoadState=masked
ActiveState=inactive

Id=inx-gcroots.path
LoadState=not-found
ActiveState=inactive
"""


def test_units_are_read_from_what_systemd_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "run", lambda *_arguments: SHOWN)
    monkeypatch.setattr(units, "ask", lambda *_arguments: (1, "enabled\nmasked\nnot-found\n"))
    names = ("nix-daemon.service", "incus.socket", "inx-gcroots.path")
    found, commands = units.look_at_units(names)
    assert found == {
        "nix-daemon.service": Unit(is_there=True, is_active=True, is_enabled=True, started=1796019138.722903),
        "incus.socket": Unit(is_there=True),
        "inx-gcroots.path": Unit(),
    }
    assert "/usr/bin/nix-daemon" in commands["nix-daemon.service"]
