# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.nix import profiles as generations
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import (
    Generations,
    make_profile,
    read_generations,
    remove_profile,
    remove_tree,
    replace_link,
)


def store_path(number: int) -> str:
    return f"/nix/store/{number:032}-system"


def test_a_profile_that_is_not_there_has_no_directory(tmp_path: Path) -> None:
    assert read_generations(str(tmp_path / "web")) == Generations(directory=False)


def test_generations_are_read_in_their_order_of_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        (tmp_path / f"system-{number}-link").symlink_to(store_path(number))
    (tmp_path / "system").symlink_to("system-9-link")
    (tmp_path / "other-1-link").symlink_to("/nix/store/other")
    found = read_generations(str(tmp_path))
    assert list(found.paths.items()) == [(number, store_path(number)) for number in (2, 9, 10)]
    assert found.current == 9
    assert found.system == store_path(9)


def test_a_generation_that_leads_elsewhere_is_none(tmp_path: Path) -> None:
    (tmp_path / "system-1-link").symlink_to("/nix/store/../../etc")
    assert read_generations(str(tmp_path)).paths == {}


def test_a_current_link_that_leads_elsewhere_is_no_generation(tmp_path: Path) -> None:
    (tmp_path / "system").symlink_to("/etc")
    assert read_generations(str(tmp_path)).current is None


def test_a_current_generation_that_is_gone_is_no_system(tmp_path: Path) -> None:
    (tmp_path / "system").symlink_to("system-3-link")
    assert read_generations(str(tmp_path)).system is None


def test_a_link_that_a_killed_run_left_half_made_goes_with_the_next_one(tmp_path: Path) -> None:
    half_made = tmp_path / f".system.{'0' * 16}"
    half_made.symlink_to("system-1-link")
    (tmp_path / f".file.{'0' * 16}").write_text("somebody's own", encoding="ascii")
    replace_link(str(tmp_path), "system", "system-2-link")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".file.{'0' * 16}", "system"]
    assert (tmp_path / "system").readlink() == Path("system-2-link")


def test_a_directory_deeper_than_there_are_descriptors_is_removed(tmp_path: Path) -> None:
    top, here = tmp_path / "web", os.getcwd()
    top.mkdir()
    os.chdir(top)
    try:
        for _level in range(1500):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    remove_profile(str(top))
    assert not top.exists()


def test_no_link_is_followed_when_a_directory_is_removed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("kept")
    (tmp_path / "web" / "below").mkdir(parents=True)
    (tmp_path / "web" / "below" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "web" / "link").symlink_to("../kept")
    (tmp_path / "web" / "file").write_text("gone")
    remove_tree(str(tmp_path / "web"))
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    (tmp_path / "web").symlink_to("kept")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        remove_tree(str(tmp_path / "web"))
    assert (tmp_path / "kept" / "file").exists()


def test_nobody_else_comes_through_to_the_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "PROFILES_DIR", str(tmp_path / "profiles"))
    assert make_profile(str(tmp_path / "profiles" / "web"))
    assert (tmp_path / "profiles").stat().st_mode & 0o777 == 0o750
    (tmp_path / "profiles").chmod(0o775)
    assert not make_profile(str(tmp_path / "profiles" / "web"))
    assert (tmp_path / "profiles").stat().st_mode & 0o777 == 0o770
    assert (tmp_path / "profiles" / "web").stat().st_mode & 0o755 == 0o755
