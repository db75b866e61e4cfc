# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import stat
from dataclasses import replace

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.host.declaration import HostDeclaration
from ansible_collections.inx.fleet.plugins.module_utils.host.managed import (
    GCROOTS_PATH,
    GCROOTS_SERVICE,
    NIX_GC_SERVICE,
)
from ansible_collections.inx.fleet.plugins.module_utils.host.nixos import lacking_lines
from ansible_collections.inx.fleet.plugins.module_utils.host.observed import Observed, Path, Release
from ansible_collections.inx.fleet.plugins.module_utils.paths import DAEMON_SOCKET_DIR, PROFILES_DIR, STORE_DIR
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.host.model import UP, provisioned

DEFAULTS = HostDeclaration()
BARE = Observed(release=Release(id="nixos"))
READY = Observed(
    release=Release(id="nixos"),
    has_python_packages=True,
    has_incus=True,
    units={GCROOTS_PATH: UP},
    commands={
        GCROOTS_SERVICE: " { path=/bin/inx-gcroots ; argv[]=/bin/inx-gcroots watch --max-roots 10000 ; }",
        NIX_GC_SERVICE: "{ argv[]=/bin/inx-gcroots sync --max-roots 10000 ; } { argv[]=/bin/gc ; }",
    },
    paths={
        STORE_DIR: Path(kind=stat.S_IFDIR),
        f"{DAEMON_SOCKET_DIR}/socket": Path(kind=stat.S_IFSOCK),
        PROFILES_DIR: Path(kind=stat.S_IFDIR, mode=0o2770, group="incus-admin"),
    },
    incus=provisioned().incus,
    nix_settings={"experimental-features": "flakes nix-command", "trusted-users": "root"},
)


def test_a_host_that_has_all_lacks_nothing() -> None:
    assert lacking_lines(DEFAULTS, READY) == ""


def test_a_bare_host_lacks_all() -> None:
    lines = lacking_lines(DEFAULTS, BARE)
    for line in (
        "virtualisation.incus.enable = true;",
        'nix.settings.extra-experimental-features = [ "nix-command" "flakes" ];',
        "inx.host.enable = true;",
        f'systemd.tmpfiles.rules = [ "d {PROFILES_DIR} 2770 root incus-admin -" ];',
    ):
        assert line in lines
    preseed = json.loads(lines.partition("builtins.fromJSON ''")[2].partition("'';")[0])
    assert [entry["name"] for entry in preseed["profiles"]] == ["default", "inx-container"]
    assert [entry["driver"] for entry in preseed["storage_pools"]] == ["dir"]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"cores": "7"}, "nix.settings.cores = 7;"),
        ({"sandbox": "relaxed"}, 'nix.settings.sandbox = "relaxed";'),
        ({"auto-optimise-store": "true"}, "nix.settings.auto-optimise-store = true;"),
        ({"trusted-users": "root @wheel"}, 'nix.settings.trusted-users = [ "root" "@wheel" ];'),
        ({"trusted-users": "root"}, ""),
        ({"access-tokens": "github.com=hunter22"}, 'nix.settings.access-tokens = "********";'),
    ],
)
def test_settings_have_the_types_of_nixos(settings: dict[str, str], line: str) -> None:
    assert lacking_lines(replace(DEFAULTS, nix_settings=settings), READY) == line


def test_units_with_another_limit_are_not_those_that_are_declared() -> None:
    lines = lacking_lines(replace(DEFAULTS, gcroots_max=7), READY)
    assert lines.splitlines()[-1] == "inx.host.gcroots.maxRoots = 7;"
    assert lacking_lines(replace(DEFAULTS, gcroots_max=7, gcroots=False), READY) == ""
