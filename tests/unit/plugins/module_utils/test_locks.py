# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the real file system, with real locks."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.locks import locked_directory, open_directory, take_lock
from ansible_collections.inx.fleet.plugins.module_utils.nix import temporary_roots
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System

SYSTEM = System(path="/nix/store/00000000000000000000000000000000-a")


def test_who_waits_too_long_is_told_for_what(tmp_path: Path) -> None:
    with locked_directory(str(tmp_path)):
        descriptor = open_directory(str(tmp_path))
        with pytest.raises(FleetError, match="Somebody has it for more than 0 s"):
            take_lock(descriptor, fcntl.LOCK_EX, 0.1, "Somebody has it")
        os.close(descriptor)
    with locked_directory(str(tmp_path)):
        pass


@pytest.mark.parametrize("systems", [[SYSTEM], []])
def test_what_a_killed_run_kept_is_given_up(
    systems: list[System], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary_roots, "PROFILES_DIR", str(tmp_path))
    # It makes that of the host, which is not for tests.
    monkeypatch.setattr(temporary_roots, "make_profiles_dir", lambda: None)
    (tmp_path / ".run-killed").mkdir()
    (tmp_path / ".run-killed" / "a").symlink_to(SYSTEM.path)
    (tmp_path / ".run-goes-on").mkdir()
    (tmp_path / "web").mkdir()
    with locked_directory(str(tmp_path / ".run-goes-on")), temporary_roots.kept(systems):
        names = {path.name for path in tmp_path.iterdir()}
        assert {".run-goes-on", "web"} <= names
        assert ".run-killed" not in names
        assert len(names) == 2 + len(systems)
    assert {path.name for path in tmp_path.iterdir()} == {".run-goes-on", "web"}


def test_who_keeps_nothing_needs_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary_roots, "PROFILES_DIR", str(tmp_path / "none"))
    with temporary_roots.kept([]):
        pass
    assert not (tmp_path / "none").exists()
