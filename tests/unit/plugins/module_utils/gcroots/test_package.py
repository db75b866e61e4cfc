# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.gcroots import package
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.files import File
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.package import (
    Change,
    differences,
    plan_command,
    write_command,
)

UNIT = File(content=b"[Service]\n")
SCRIPT = File(content=b"#!/bin/true\n", mode=0o755)


def install(top: Path) -> Change:
    """What was changed to have the package in lib/inx_fleet, with a unit and a script beside it."""
    change = plan(top)
    write_command(change)
    return change


def plan(top: Path) -> Change:
    beside = {str(top / "units" / "a.service"): UNIT, str(top / "bin" / "a"): SCRIPT}
    return plan_command(str(top / "lib" / "inx_fleet"), beside)


def names(change: Change) -> list[str]:
    return sorted(Path(path).name for path in change.written)


def test_what_is_written_is_a_package_that_runs(tmp_path: Path) -> None:
    install(tmp_path)
    program = "import sys; sys.argv[1:] = ['--help']; from inx_fleet.gcroots.command import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "lib", capture_output=True, text=True, check=True
    )
    assert "sync" in done.stdout
    assert (tmp_path / "units" / "a.service").read_bytes() == UNIT.content
    assert (tmp_path / "bin" / "a").stat().st_mode & 0o7777 == SCRIPT.mode


def test_a_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    install(tmp_path)
    change = plan(tmp_path)
    assert not change
    assert differences(change, ()) == []


def test_what_differs_is_written_and_what_is_of_an_older_version_goes(tmp_path: Path) -> None:
    install(tmp_path)
    package = tmp_path / "lib" / "inx_fleet"
    good = (package / "errors.py").read_bytes()
    (package / "errors.py").write_bytes(good + b"#")
    (package / "text.py").unlink()
    (package / "older.py").touch()
    (package / "broken.py").symlink_to("nowhere")
    (package / "left.new").touch()
    (package / "locks.py").chmod(0o600)
    (package / "notes").touch()
    (tmp_path / "bin" / "a").chmod(0o644)
    (tmp_path / "units" / "b.service").touch()
    change = install(tmp_path)
    assert names(change) == ["a", "errors.py", "locks.py", "text.py"]
    assert [Path(path).name for path in change.removed] == ["broken.py", "left.new", "older.py"]
    assert (package / "errors.py").read_bytes() == good
    assert (package / "text.py").exists()
    assert not (package / "older.py").exists()
    assert (package / "notes").exists()
    assert (tmp_path / "units" / "b.service").exists()
    assert not plan(tmp_path).written


def test_a_link_in_place_of_a_file_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    install(tmp_path)
    unit = tmp_path / "units" / "a.service"
    unit.replace(tmp_path / "elsewhere")
    unit.symlink_to(tmp_path / "elsewhere")
    assert names(install(tmp_path)) == ["a.service"]
    assert not unit.is_symlink()
    assert (tmp_path / "elsewhere").read_bytes() == UNIT.content


def test_the_difference_has_the_texts_of_units_and_the_names_of_programs(tmp_path: Path) -> None:
    install(tmp_path)
    unit, program = tmp_path / "units" / "a.service", tmp_path / "lib" / "inx_fleet" / "errors.py"
    unit.write_text("[Unit]\n")
    program.write_text("")
    shown = differences(plan(tmp_path), [str(unit)])
    assert shown == [
        {"before_header": str(unit), "after_header": str(unit), "before": "[Unit]\n", "after": "[Service]\n"},
        {"prepared": f"write {program}\n"},
    ]


def test_a_difference_in_permissions_is_told(tmp_path: Path) -> None:
    install(tmp_path)
    script = tmp_path / "bin" / "a"
    script.chmod(0o777)
    assert differences(plan(tmp_path), [str(script)]) == [{"prepared": f"permissions of {script}\n"}]


def test_a_directory_that_is_open_to_others_is_closed(tmp_path: Path) -> None:
    install(tmp_path)
    package = tmp_path / "lib" / "inx_fleet"
    package.chmod(0o777)
    change = install(tmp_path)
    assert (names(change), change.opened) == ([], (str(package),))
    assert differences(change, ()) == [{"prepared": f"close {package}\n"}]
    assert package.stat().st_mode & 0o7777 == 0o755
    assert not plan(tmp_path)


def test_directories_are_made_so_that_all_can_read_them(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        install(tmp_path)
    finally:
        os.umask(before)
    for made in ("lib/inx_fleet", "units", "bin"):
        assert (tmp_path / made).stat().st_mode & 0o7777 == 0o755


def test_a_look_writes_nothing(tmp_path: Path) -> None:
    assert plan(tmp_path).written
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FleetError, match=r"file/lib cannot be read: Not a directory\. See what is in its place"):
        plan_command(str(tmp_path / "file" / "lib"), {})


def test_the_imports_of_all_files_are_found() -> None:
    top = Path(package.__file__).parents[1]
    for path in top.rglob("*.py"):
        name = path.relative_to(top).as_posix()
        here = name.split("/")[:-1]
        found = set()
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and node.level:
                parts = [*here[: len(here) - node.level + 1], *filter(None, (node.module or "").split("."))]
                found |= {"/".join(parts) + ".py", *("/".join([*parts, alias.name]) + ".py" for alias in node.names)}
        assert found <= set(package._imported(name, path.read_bytes())), name
