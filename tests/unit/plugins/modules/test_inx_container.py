# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import Flake
from ansible_collections.inx.fleet.plugins.modules import inx_container
from ansible_collections.inx.fleet.tests.unit.plugins.modules.outcomes import SECRET, unchanged, updated
from ansible_collections.inx.fleet.tests.unit.plugins.running import Call, Run


@pytest.fixture
def converge(run: Run) -> Call:
    run.replace(inx_container, "open_host")
    return run.replace(inx_container, "converge", [unchanged("web")])


@pytest.mark.parametrize("check", [False, True])
def test_one_container_is_converged(run: Run, converge: Call, check: bool) -> None:
    result = run(inx_container, name="web", project="shop", flake="/etc/nixos", lock_timeout=5, check=check)
    (container,) = converge.arguments[1].containers
    assert (container.name, container.source) == ("web", Flake(reference="/etc/nixos", attribute="web"))
    assert (converge.arguments[1].project, converge.arguments[1].name) == ("shop", None)
    assert converge.options == {"check": check, "diff": False, "build": False, "lock_timeout": 5}
    assert (result["failed"], result["changed"], result["steps"]) == (False, False, [])
    assert result["container"]["status"] == "Absent"


def test_what_was_done_is_returned_without_secrets(run: Run, converge: Call) -> None:
    converge.answer = [updated("web", warnings=("web: beware",))]
    result = run(inx_container, name="web", diff=True)
    assert (result["changed"], [step["action"] for step in result["steps"]]) == (True, ["update"])
    assert result["diff"]["before_header"] == "web"
    assert result["warned"] == ["web: beware"]
    assert SECRET not in json.dumps(result)
    assert "diff" not in run(inx_container, name="web")


def test_a_failure_comes_with_what_was_done(run: Run, converge: Call) -> None:
    converge.answer = [updated("web", error=FleetError("web: no init.", "See the log."))]
    result = run(inx_container, name="web")
    assert result["failed"]
    assert result["msg"] == f"web: no init. See the log.\nThe log of the run: {result['log']}"
    assert Path(result["log"]).exists()
    assert [step["action"] for step in result["steps"]] == ["update"]


def test_what_is_refused_is_not_tried(run: Run, converge: Call) -> None:
    result = run(inx_container, name="-web")
    assert "is not a name that Incus takes" in result["msg"]
    assert "mutually exclusive" in run(inx_container, name="web", flake="/a", file="/b")["msg"]
    assert converge.count == 0


def test_without_pylxd_it_says_how_to_get_it(run: Run, converge: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = "ansible_collections.inx.fleet.plugins.module_utils.arguments.options"
    monkeypatch.setattr(f"{arguments}.PYLXD_IMPORT_ERROR", ImportError("no pylxd"))
    monkeypatch.setattr(f"{arguments}.INTERPRETER", "/nowhere/bin/python")
    result = run(inx_container, name="web")
    assert "The role inx.fleet.host installs it in /nowhere/bin." in result["msg"]
    assert converge.count == 0
