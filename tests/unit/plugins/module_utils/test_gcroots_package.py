# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.gcroots_package import plan_package, write_package


def write(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    write_package(str(directory), plan_package(str(directory)))


def test_what_is_written_is_a_package_that_runs(tmp_path: Path) -> None:
    write(tmp_path / "lib" / "inx_fleet")
    program = "import sys; sys.argv[1:] = ['--help']; from inx_fleet.gcroots_command import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "lib", capture_output=True, text=True, check=True
    )
    assert "sync" in done.stdout


def test_a_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    write(tmp_path)
    change = plan_package(str(tmp_path))
    assert (change.written, change.removed) == ({}, ())


def test_what_differs_is_written_and_what_is_of_an_older_version_goes(tmp_path: Path) -> None:
    write(tmp_path)
    good = (tmp_path / "errors.py").read_bytes()
    (tmp_path / "errors.py").write_bytes(good + b"#")
    (tmp_path / "text.py").unlink()
    (tmp_path / "older.py").touch()
    (tmp_path / "broken.py").symlink_to("nowhere")
    (tmp_path / "left.new").touch()
    (tmp_path / "values.py").chmod(0o600)
    (tmp_path / "notes").touch()
    change = plan_package(str(tmp_path))
    assert sorted(change.written) == ["errors.py", "text.py", "values.py"]
    assert change.removed == ("broken.py", "left.new", "older.py")
    write_package(str(tmp_path), change)
    assert (tmp_path / "errors.py").read_bytes() == good
    assert (tmp_path / "text.py").exists()
    assert not (tmp_path / "older.py").exists()
    assert (tmp_path / "notes").exists()
    change = plan_package(str(tmp_path))
    assert (change.written, change.removed) == ({}, ())


def test_a_look_writes_nothing(tmp_path: Path) -> None:
    assert plan_package(str(tmp_path / "lib")).written
    assert not (tmp_path / "lib").exists()


def test_a_directory_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FleetError, match=r"file/lib cannot be read: Not a directory\. See what is in its place"):
        plan_package(str(tmp_path / "file" / "lib"))
