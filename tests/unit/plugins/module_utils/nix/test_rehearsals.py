# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a rehearsal."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.nix import profiles, rehearsals
from ansible_collections.inx.fleet.plugins.module_utils.nix.rehearsals import Rehearsal

ONE = Rehearsal(
    container="web", project="shop", twin="web-r", network="inxr-0", volumes=(("fast", "a"), ("slow", "b")), turn=1
)


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (profiles, rehearsals):
        monkeypatch.setattr(module, "PROFILES_DIR", str(tmp_path))


def test_a_record_is_read_as_it_was_written() -> None:
    assert rehearsals.read_rehearsal("shop", "web") is None
    rehearsals.write_rehearsal(ONE)
    assert rehearsals.read_rehearsal("shop", "web") == ONE
    assert rehearsals.read_rehearsal("default", "web") is None
    assert rehearsals.twins() == {"shop_web-r"}
    rehearsals.remove_record(ONE)
    rehearsals.remove_record(ONE)
    assert rehearsals.twins() == frozenset()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"container": "web", "volumes": 1}'])
def test_what_is_not_whole_says_nothing(tmp_path: Path, text: str) -> None:
    rehearsals.write_rehearsal(ONE)
    (record,) = tmp_path.iterdir()
    record.write_text(text)
    assert rehearsals.read_rehearsal("shop", "web") is None
    assert rehearsals.rehearsals() == []
