# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path as FilePath

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.host import observation
from ansible_collections.inx.fleet.plugins.module_utils.host.observation import nix_kind, read_release
from ansible_collections.inx.fleet.plugins.module_utils.host.observed import Packages, Release, Unit
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.host.model import DEBIAN_NIX, UP

NO_UNITS = {"nix-daemon.service": Unit(), "nix-daemon.socket": Unit()}
UNITS = {"nix-daemon.service": UP, "nix-daemon.socket": UP}
DEBIAN = "{ path=/usr/bin/nix-daemon ; argv[]=nix-daemon --daemon ; }"
UPSTREAM = "{ path=/nix/var/nix/profiles/default/bin/nix-daemon ; argv[]=nix-daemon --daemon ; }"
DETERMINATE = "{ path=/usr/local/bin/determinate-nixd ; argv[]=determinate-nixd --nix-bin /nix/bin daemon ; }"


@pytest.mark.parametrize(
    ("packages", "units", "daemon", "kind"),
    [
        (Packages(), NO_UNITS, "", "absent"),
        (DEBIAN_NIX, UNITS, DEBIAN, "debian"),
        (DEBIAN_NIX, NO_UNITS, "", "absent"),
        (Packages(), UNITS, UPSTREAM, "other"),
        (Packages(), UNITS, DETERMINATE, "other"),
        # Installed beside Debian's, and it is the one that serves.
        (DEBIAN_NIX, UNITS, UPSTREAM, "other"),
    ],
)
def test_whose_nix_it_is(packages: Packages, units: dict[str, Unit], daemon: str, kind: str) -> None:
    assert nix_kind(packages, units, daemon, has_program=False) == kind


def test_programs_of_nix_without_a_unit() -> None:
    assert nix_kind(Packages(), NO_UNITS, "", has_program=True) == "without daemon"
    assert nix_kind(DEBIAN_NIX, NO_UNITS, "", has_program=True) == "absent"


def test_the_release_is_read(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "os-release"
    monkeypatch.setattr(observation, "_OS_RELEASE", (str(tmp_path / "missing"), str(file)))
    assert read_release() == Release(id="")
    file.write_text(
        'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n', "utf-8"
    )
    assert read_release() == Release(id="debian", version="13", codename="trixie", name="Debian GNU/Linux 13 (trixie)")
