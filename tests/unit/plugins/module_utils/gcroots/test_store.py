# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the real file system, with the directories of Nix moved into a temporary one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.gcroots import store as gcroots_dir
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.plan import Change

A = "/nix/store/00000000000000000000000000000000-a"
B = "/nix/store/11111111111111111111111111111111-b"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    roots = tmp_path / "gcroots" / "inx-fleet"
    roots.mkdir(parents=True)
    (tmp_path / "gcroots" / "auto").mkdir()
    monkeypatch.setattr(gcroots_dir, "STATE_DIR", str(tmp_path))
    monkeypatch.setattr(gcroots_dir, "AUTO_DIR", str(tmp_path / "gcroots" / "auto"))
    monkeypatch.setattr(gcroots_dir, "ROOTS_DIR", str(roots))
    monkeypatch.setattr(gcroots_dir, "_NEW", str(roots / ".new"))
    return tmp_path


def change(path: str, after: str | None, container: str = "web", before: str | None = None) -> Change:
    action = "drop" if after is None else "add"
    return Change(action=action, container=container, path=path, before=before, after=after, reason="")  # type: ignore[arg-type]


def problems(changes: list[Change]) -> list[str]:
    """Make the changes, and return what could not be made. What was done is told apart from it."""
    done, told = gcroots_dir.apply_changes(changes)
    assert len(done) + len(told) == len(changes)
    return told


def test_roots_come_move_and_go_with_their_directories() -> None:
    assert problems([change("/root/w/result", A), change("/root/x", A)]) == []
    assert gcroots_dir.kept_roots() == {"web": {"/root/w/result": A, "/root/x": A}}
    gcroots_dir.apply_changes([change("/root/w/result", B)])
    assert gcroots_dir.kept_roots()["web"]["/root/w/result"] == B
    gcroots_dir.apply_changes([change("/root/w/result", None), change("/root/x", None)])
    assert os.listdir(gcroots_dir.ROOTS_DIR) == []


@pytest.mark.parametrize("path", ["/root/a\nb", "/root/\udcff", "/root/-x", "/root/.new"])
def test_names_of_any_kind_come_back_as_they_are(path: str) -> None:
    gcroots_dir.apply_changes([change(path, A)])
    assert gcroots_dir.kept_roots() == {"web": {path: A}}


def test_no_root_is_followed_on_the_way_to_another(state: Path) -> None:
    store = state / "store"
    store.mkdir()
    gcroots_dir.apply_changes([change("/root/a", str(store))])
    assert len(problems([change("/root/a/b/c", A)])) == 1
    assert list(store.iterdir()) == []


def test_a_root_does_not_take_the_place_of_a_directory_of_roots() -> None:
    gcroots_dir.apply_changes([change("/root/a/b", A)])
    assert len(problems([change("/root/a", B)])) == 1
    assert gcroots_dir.kept_roots() == {"web": {"/root/a/b": A}}


def test_only_links_that_nix_made_to_plain_paths_outside_the_store_are_looked_at(state: Path) -> None:
    auto = state / "gcroots" / "auto"
    deep, long = "/" + "/".join("a" * 101), "/" + "a" * 3000
    for number, target in enumerate(
        ["/root/result", "relative", "/a/../b", "/a//b", "/a/.", "/", A, deep, long, "/x\ny"]
    ):
        (auto / f"{number}".rjust(32, "0")).symlink_to(target)
    (auto / "not-a-hash").symlink_to("/root/other")
    assert sorted(gcroots_dir.auto_links()) == ["/root/result", "/x\ny"]
    assert list(gcroots_dir.auto_links(["0".rjust(32, "0"), "../inx-fleet", "9" * 32])) == ["/root/result"]


def test_two_syncs_do_not_write_at_once() -> None:
    with gcroots_dir.locked_roots(1), pytest.raises(FleetError, match="Another sync"), gcroots_dir.locked_roots(0):
        pass


def test_what_a_killed_sync_left_goes_and_roots_stay() -> None:
    gcroots_dir.apply_changes([change("/root/w/result", A)])
    os.makedirs(f"{gcroots_dir.ROOTS_DIR}/db/root/empty")
    os.makedirs(f"{gcroots_dir.ROOTS_DIR}/web/root/empty")
    os.symlink(B, f"{gcroots_dir.ROOTS_DIR}/.new")
    gcroots_dir.remove_left()
    assert os.listdir(gcroots_dir.ROOTS_DIR) == ["web"]
    assert os.listdir(f"{gcroots_dir.ROOTS_DIR}/web/root") == ["w"]
    assert gcroots_dir.kept_roots() == {"web": {"/root/w/result": A}}
