# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.gcroots import renames
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.renames import record_identities, recorded_identities
from ansible_collections.inx.fleet.plugins.module_utils.names import lxc_name, lxc_name_parts


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "inx-fleet" / "record.json"
    monkeypatch.setattr(renames, "_FILE", str(path))
    return path


def test_what_is_recorded_is_read_again(file: Path) -> None:
    assert recorded_identities() == {}
    record_identities({})
    assert not file.exists()
    record_identities({"web": "1", "shop_web": "2"})
    assert recorded_identities() == {"web": "1", "shop_web": "2"}
    record_identities({"web": "1"})
    assert recorded_identities() == {"web": "1"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"web": 1}', "\udcff"])
def test_what_is_no_record_tells_nothing(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert recorded_identities() == {}


@pytest.mark.parametrize("parts", [("default", "web"), ("shop", "web"), ("a_b", "web-1")])
def test_the_name_that_liblxc_has_is_taken_apart(parts: tuple[str, str]) -> None:
    assert lxc_name_parts(lxc_name(*parts)) == parts
