# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.modules import inx_gcroots_command
from ansible_collections.inx.fleet.tests.unit.plugins.running import Run


@pytest.fixture
def parameters(tmp_path: Path) -> dict[str, Any]:
    unit = {"path": str(tmp_path / "inx-gcroots.service"), "content": "[Unit]\n"}
    return {"path": str(tmp_path / "lib"), "files": [unit]}


def test_the_command_is_written_once(run: Run, parameters: dict[str, Any], tmp_path: Path) -> None:
    unit = tmp_path / "inx-gcroots.service"
    result = run(inx_gcroots_command, **parameters, diff=True)
    assert (result["failed"], result["changed"], result["removed"]) == (False, True, [])
    assert str(unit) in result["written"]
    assert any(path.endswith("gcroots/command.py") for path in result["written"])
    assert result["diff"]
    assert (unit.read_text(encoding="utf-8"), stat.S_IMODE(unit.stat().st_mode)) == ("[Unit]\n", 0o644)
    again = run(inx_gcroots_command, **parameters)
    assert (again["changed"], again["written"]) == (False, [])


def test_check_mode_writes_nothing(run: Run, parameters: dict[str, Any], tmp_path: Path) -> None:
    result = run(inx_gcroots_command, **parameters, check=True)
    assert (result["changed"], list(tmp_path.iterdir())) == (True, [])


@pytest.mark.parametrize("mode", ["644", "0999", "u=rw"])
def test_a_mode_that_is_not_one_is_refused(run: Run, parameters: dict[str, Any], tmp_path: Path, mode: str) -> None:
    parameters["files"][0]["mode"] = mode
    result = run(inx_gcroots_command, **parameters)
    assert f"The mode '{mode}'" in result["msg"]
    assert list(tmp_path.iterdir()) == []
