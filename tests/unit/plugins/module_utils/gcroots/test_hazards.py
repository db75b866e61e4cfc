# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the real file system, with the directories of Nix moved into a temporary one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.gcroots import hazards as gc_hazards
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.hazards import remove_hazards

NAME = "0123456789abcdfghijklmnpqrsvwxyz"
STORE_PATH = "/nix/store/00000000000000000000000000000000-a"
LONG = "a" * 300


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for part, constant in (("auto", "AUTO_DIR"), ("profiles", "PROFILES_DIR")):
        (tmp_path / part).mkdir()
        monkeypatch.setattr(gc_hazards, constant, str(tmp_path / part))
    (tmp_path / "profiles" / "web").mkdir()
    return tmp_path


def test_links_that_nix_can_look_at_stay(state: Path) -> None:
    (state / "auto" / NAME).symlink_to("/root/not-there/result")
    for name, target in {"system": "system-1-link", "system-1-link": STORE_PATH, "loop": "loop"}.items():
        (state / "profiles" / "web" / name).symlink_to(target)
    (state / "profiles" / "web" / "per-user" / "root").mkdir(parents=True)
    assert list(remove_hazards(None, check=False)) == []
    assert len(os.listdir(state / "profiles" / "web")) == 4


def test_a_host_without_any_profile_has_no_hazards(state: Path) -> None:
    (state / "profiles" / "web").rmdir()
    (state / "profiles").rmdir()
    assert list(remove_hazards(None, check=False)) == []


@pytest.mark.parametrize(
    "target", [f"/opt/{LONG}/x", "b/" * 2040, "loop/x"], ids=["a long name", "a long path", "a circle"]
)
def test_links_that_end_a_collection_with_an_error_go(state: Path, target: str) -> None:
    (state / "profiles" / "web" / "loop").symlink_to("loop")
    (state / "profiles" / "web" / "x").symlink_to(target)
    assert len(list(remove_hazards(None, check=True))) == 1
    assert len(os.listdir(state / "profiles" / "web")) == 2
    assert len(list(remove_hazards(None, check=False))) == 1
    assert os.listdir(state / "profiles" / "web") == ["loop"]


def test_a_link_of_the_daemon_with_an_impossible_text_goes(state: Path) -> None:
    (state / "auto" / NAME).symlink_to(f"/opt/{LONG}")
    (state / "auto" / "not-a-name").symlink_to(f"/opt/{LONG}")
    said = list(remove_hazards([NAME, "z" * 32], check=False))
    assert len(said) == 1
    assert "was removed" in said[0]
    assert os.listdir(state / "auto") == ["not-a-name"]


def test_directories_too_deep_for_a_path_go_and_the_rest_stays(state: Path) -> None:
    here = os.getcwd()
    os.chdir(state / "profiles" / "web")
    try:
        for _level in range(1200):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(here)
    (state / "profiles" / "web" / "system").symlink_to(STORE_PATH)
    said = list(remove_hazards(None, check=False))
    assert [line for line in said if "too deep" in line]
    assert list(remove_hazards(None, check=False)) == []
    assert (state / "profiles" / "web" / "system").is_symlink()


def test_names_are_told_without_what_a_terminal_would_act_on(state: Path) -> None:
    (state / "profiles" / "web" / "\x1b[31m\nred").symlink_to(f"/{LONG}")
    said = list(remove_hazards(None, check=False))
    assert "\\x1b[31m\\nred" in said[0]
