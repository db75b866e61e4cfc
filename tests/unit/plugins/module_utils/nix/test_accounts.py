# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.nix import accounts
from ansible_collections.inx.fleet.plugins.module_utils.nix.accounts import declared_ids

TOLD = json.dumps(
    {
        "users": [{"name": "shop", "uid": 977}, {"name": "chosen", "uid": None}],
        "groups": [{"name": "shop", "gid": 978}, {"name": "chosen", "gid": None}],
    }
)


@pytest.mark.parametrize("name", ["activate", "etc/systemd/system/userborn.service"])
def test_ids_that_a_system_sets_are_in_the_file_that_its_program_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    told = tmp_path / "told.json"
    told.write_text(TOLD)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(f"#!/bin/sh\nmake-users {told} /etc\n")
    # No unit test writes to the store.
    monkeypatch.setattr(accounts, "_FILES", {name: re.compile(f"({re.escape(str(told))})")})
    assert declared_ids(str(tmp_path)) == {("user", "shop"): 977, ("group", "shop"): 978}
    told.write_text('{"users": [1]}')
    assert declared_ids(str(tmp_path)) == {}


def test_the_paths_are_those_of_nixpkgs() -> None:
    store = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz"
    activate, userborn = accounts._FILES.values()
    found = activate.search(f"{store}-perl/bin/perl -w {store}-update-users-groups.pl {store}-users-groups.json\n")
    assert found is not None and found[1] == f"{store}-users-groups.json"
    found = userborn.search(f"ExecStart={store}-userborn/bin/userborn {store}-userborn.json /etc\n")
    assert found is not None and found[1] == f"{store}-userborn.json"


def test_ids_of_sysusers(tmp_path: Path) -> None:
    (tmp_path / "etc/sysusers.d").mkdir(parents=True)
    lines = [
        'u shop 977:shop "A shop" /var/empty /bin/sh',
        "u chosen /var/lib/nixos/uid/chosen:x",
        "g shop 978",
        "m a b",
    ]
    (tmp_path / "etc/sysusers.d/00-nixos.conf").write_text("\n".join(lines))
    assert declared_ids(str(tmp_path)) == {("user", "shop"): 977, ("group", "shop"): 978}


def test_a_system_that_does_not_say_has_none(tmp_path: Path) -> None:
    assert declared_ids(str(tmp_path)) == {}
