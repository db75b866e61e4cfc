# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.nix import set_marks
from ansible_collections.inx.fleet.plugins.module_utils.paths import PROFILES_DIR


@pytest.mark.parametrize(
    ("directory", "project", "name"),
    [
        ("web", "default", "web"),
        ("web", "other", None),
        ("other_web", "other", "web"),
        ("other_web", "default", None),
        ("my_other_web", "my_other", "web"),
        ("my_other_web", "other", None),
    ],
)
def test_a_directory_is_of_one_container_of_one_project(directory: str, project: str, name: str | None) -> None:
    assert set_marks.container_of(f"{PROFILES_DIR}/{directory}", project) == name


def test_directories_are_found_by_their_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Any user may set an attribute of this kind, and not every file system of a test has the other one.
    marks: dict[str, bytes] = {}
    monkeypatch.setattr(set_marks, "PROFILES_DIR", str(tmp_path))
    monkeypatch.setattr("os.setxattr", lambda path, key, value: marks.update({path: value}))
    monkeypatch.setattr("os.getxattr", lambda path, key: marks.get(path, b""))
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / ".lock-a").touch()
    set_marks.mark_set(f"{tmp_path}/a", "main")
    set_marks.mark_set(f"{tmp_path}/b", "other")
    set_marks.mark_set(f"{tmp_path}/c", None)
    assert set_marks.marked_directories("main") == {f"{tmp_path}/a"}


def test_without_a_directory_nothing_is_marked() -> None:
    set_marks.mark_set("/nowhere", "main")
