# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.rebuilds import has_volatile_root
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.incus.root_walk import Bounds, File
from ansible_collections.inx.fleet.plugins.module_utils.info.volatile_files import (
    copied_in,
    is_written_anew,
    look_for_files,
    summed,
)


def bounds() -> Bounds:
    return Bounds(names=1, deadline=0)


def file(path: str, target: str | None = None) -> File:
    return File(path=path, size=4096, target=target)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/etc/motd", "/etc/static/motd"),
        ("/etc/static", "/nix/store/x-etc/etc"),
        ("/bin/sh", "/nix/store/x-bash/bin/sh"),
        ("/usr/bin/env", "//nix/store/x/bin/env"),
        ("/var/run", "/run"),
        ("/var/lock", "../run/lock"),
        ("/etc/mtab", "../../../proc/mounts"),
        ("/etc/passwd", None),
        ("/etc/shadow", None),
        ("/etc/.clean", None),
        ("/var/.updated", None),
        ("/etc/ssh/copied", None),
    ],
)
def test_what_an_activation_makes_does_not_count(path: str, target: str | None) -> None:
    assert is_written_anew(file(path, target), copied_in(b"ssh/copied\n"))


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/etc/motd", None),
        ("/etc/static/motd", None),
        ("/nix/own", None),
        ("/root/passwd", None),
        ("/srv/link", "/srv/file"),
        ("/srv/link", "nix/store/x"),
        ("/srv/link", "/nixos/store"),
        ("/srv/link", "/running"),
        ("/srv/link", ""),
        ("/etc/passwd", "/srv/passwd"),
    ],
)
def test_all_else_counts(path: str, target: str | None) -> None:
    assert not is_written_anew(file(path, target), copied_in(b"ssh/copied\n"))


def test_the_list_of_copies_may_be_anything() -> None:
    assert copied_in(b"") == frozenset()
    assert copied_in(b"a\n\xff\n") == {"/etc/a", "/etc/\udcff"}


def test_files_are_summed_and_the_first_are_listed_by_path() -> None:
    files = [file(f"/srv/{number:03}") for number in reversed(range(100))]
    found = summed([*files, file("/bin/sh", "/nix/store/x")], (), bounds())
    assert (found.number, found.bytes) == (100, 409_600)
    assert found.paths == tuple(f"/srv/{number:03}" for number in range(20))
    assert found.complete


def test_paths_are_harmless_to_show() -> None:
    found = summed([file("/srv/\x1b[31m"), file("/srv/\udcff")], (), bounds())
    assert found.paths == ("/srv/\\x1b[31m", "/srv/\\udcff")


def test_a_walk_that_ended_early_is_told() -> None:
    ended = bounds()
    ended.reached = True
    assert not summed([], (), ended).complete


def test_a_disk_is_read(tmp_path: Path) -> None:
    for name in ("etc", "tmp", "run", "srv"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "left").write_text("x")
    (tmp_path / "etc" / "copied").write_text("x")
    (tmp_path / "etc" / ".clean").write_text("copied\n")
    (tmp_path / "etc" / "linked").symlink_to("/etc/static/linked")
    found = look_for_files(str(tmp_path), time.monotonic() + 60)
    assert (found.number, found.paths, found.complete) == (2, ("/etc/left", "/srv/left"), True)
    assert found.bytes >= 2


def test_a_list_of_copies_elsewhere_is_not_read(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "etc").mkdir(parents=True)
    (tmp_path / "list").write_text("left\n")
    (disk / "etc" / ".clean").symlink_to(tmp_path / "list")
    (disk / "etc" / "left").touch()
    assert "/etc/left" in look_for_files(str(disk), time.monotonic() + 60).paths


def test_a_disk_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for path in (tmp_path / "gone", tmp_path / "link"):
        with pytest.raises(OSError, match=os.strerror(2) + "|" + os.strerror(20) + "|" + os.strerror(40)):
            look_for_files(str(path), time.monotonic() + 60)


def test_only_some_roots_are_rebuilt() -> None:
    assert has_volatile_root(Instance(name="web", config={"user.inx.volatile_root": "rebuild"}))
    assert not has_volatile_root(Instance(name="web"))
