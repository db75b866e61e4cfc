# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the real file system and kernel, with a directory in the place of a root disk."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.incus.root_walk import Bounds, File, files_on_disk


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "of-the-host").write_text("secret")
    inside = tmp_path / "rootfs"
    (inside / "etc").mkdir(parents=True)
    return inside


def walk(disk: Path, left_out: Collection[str] = (), names: int = 1000) -> tuple[dict[str, File], bool]:
    root = os.open(disk, os.O_RDONLY | os.O_DIRECTORY)
    bounds = Bounds(names=names, deadline=time.monotonic() + 60)
    try:
        return {file.path: file for file in files_on_disk(root, left_out, bounds)}, bounds.reached
    finally:
        os.close(root)


def test_files_and_links_are_found_and_nothing_else(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (disk / "etc" / "motd").write_text("hello")
    (disk / "link").symlink_to("etc/motd")
    (disk / "empty").mkdir()
    os.mkfifo(disk / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        # A socket's path has 107 characters at most.
        monkeypatch.chdir(disk)
        listener.bind("socket")
        found, reached = walk(disk)
    assert {path: file.target for path, file in found.items()} == {"/etc/motd": None, "/link": "etc/motd"}
    assert not reached


def test_what_is_left_out_is_not_looked_at(disk: Path) -> None:
    (disk / "run" / "etc").mkdir(parents=True)
    (disk / "run" / "etc" / "file").touch()
    (disk / "etc" / "run").mkdir()
    (disk / "etc" / "run" / "file").touch()
    assert set(walk(disk, {"/run"})[0]) == {"/etc/run/file"}


def test_links_are_not_followed(disk: Path) -> None:
    (disk / "up").symlink_to("..")
    (disk / "root").symlink_to("/")
    (disk / "loop").symlink_to(".")
    (disk / "etc" / "absolute").symlink_to(disk.parent)
    found, reached = walk(disk)
    assert set(found) == {"/up", "/root", "/loop", "/etc/absolute"}
    assert not reached


def test_a_directory_that_becomes_a_link_is_not_entered(disk: Path) -> None:
    for name in ("a", "b"):
        (disk / name).mkdir()
        (disk / name / "file").touch()
    root = os.open(disk, os.O_RDONLY | os.O_DIRECTORY)
    found = files_on_disk(root, (), Bounds(names=1000, deadline=time.monotonic() + 60))
    paths = [next(found).path]
    other = {"a": "b", "b": "a"}[Path(paths[0]).parent.name]
    (disk / other / "file").unlink()
    (disk / other).rmdir()
    (disk / other).symlink_to(disk.parent)
    paths += [file.path for file in found]
    os.close(root)
    assert len(paths) == 1


def test_names_of_one_file_take_the_disk_once(disk: Path) -> None:
    (disk / "one").write_bytes(b"x" * 100_000)
    os.link(disk / "one", disk / "two")
    found, _reached = walk(disk)
    assert sorted(file.size > 0 for file in found.values()) == [False, True]
    assert sum(file.size for file in found.values()) >= 100_000


def test_a_hole_takes_nothing(disk: Path) -> None:
    with open(disk / "huge", "wb") as file:
        file.truncate(2**40)
    assert walk(disk)[0]["/huge"].size < 2**20


@pytest.mark.parametrize("names", [1, 5, 50])
def test_it_ends_at_a_number_of_names(disk: Path, names: int) -> None:
    for number in range(100):
        (disk / f"file-{number}").touch()
    found, reached = walk(disk, names=names)
    assert reached
    assert len(found) <= names


def test_it_ends_at_a_time(disk: Path) -> None:
    (disk / "file").touch()
    root = os.open(disk, os.O_RDONLY | os.O_DIRECTORY)
    bounds = Bounds(names=1000, deadline=time.monotonic())
    assert not list(files_on_disk(root, (), bounds))
    assert bounds.reached
    os.close(root)


def test_a_name_that_is_not_text_is_found(disk: Path) -> None:
    (Path(os.fsdecode(os.fsencode(disk) + b"/\xff"))).touch()
    assert set(walk(disk)[0]) == {"/\udcff"}


def test_directories_too_deep_for_a_path_are_not_all_read_but_others_are(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("etc", "before", "later"):
        (disk / name).mkdir(exist_ok=True)
        (disk / name / "file").touch()
    # What it changes is restored after the test: others ask where they are.
    monkeypatch.chdir(disk)
    for _level in range(60):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    Path("file").touch()
    found, reached = walk(disk)
    assert (set(found), reached) == ({"/etc/file", "/before/file", "/later/file"}, True)
    # pytest cannot remove it.
    subprocess.run(["rm", "--recursive", disk / ("d" * 200)], check=True)


@pytest.fixture
def mounted(disk: Path) -> Iterator[Path]:
    """Mount a directory and a file of the same file system in a disk, and a tmpfs."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    for name in ("directory", "memory"):
        (disk / name).mkdir()
    (disk / "file").touch()
    for options in (["--bind", str(disk / "etc")], ["-t", "tmpfs", "none"]):
        name = "directory" if "--bind" in options else "memory"
        if subprocess.run(["mount", *options, str(disk / name)], check=False).returncode != 0:
            pytest.skip("root may not mount here")
    subprocess.run(["mount", "--bind", str(disk.parent / "of-the-host"), str(disk / "file")], check=True)
    yield disk
    for name in ("directory", "memory", "file"):
        subprocess.run(["umount", str(disk / name)], check=True)


def test_mounts_are_not_entered(mounted: Path) -> None:
    (mounted / "etc" / "seen-once").touch()
    (mounted / "memory" / "not-on-the-disk").touch()
    found, reached = walk(mounted)
    assert set(found) == {"/etc/seen-once"}
    assert not reached
