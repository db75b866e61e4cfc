# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.modules import inx_containers
from ansible_collections.inx.fleet.tests.unit.plugins.modules.outcomes import SECRET, unchanged, updated
from ansible_collections.inx.fleet.tests.unit.plugins.running import Call, Run

SET = [{"name": "db"}, {"name": "web", "after": ["db"], "wait": True}]


@pytest.fixture
def converge(run: Run) -> Call:
    run.replace(inx_containers, "open_host")
    return run.replace(inx_containers, "converge", [unchanged("db"), unchanged("web")])


@pytest.mark.parametrize("check", [False, True])
def test_a_set_is_converged(run: Run, converge: Call, check: bool) -> None:
    result = run(inx_containers, containers=SET, defaults={"flake": "/etc/nixos"}, set="shop", check=check)
    declared = converge.arguments[1]
    assert (declared.name, [container.name for container in declared.containers]) == ("shop", ["db", "web"])
    assert {container.source.reference for container in declared.containers} == {"/etc/nixos"}
    assert declared.containers[1].after == ("db",)
    assert converge.options == {"check": check, "diff": False, "build": False, "lock_timeout": 300}
    assert (result["failed"], result["changed"]) == (False, False)
    assert [container["name"] for container in result["containers"]] == ["db", "web"]


def test_what_was_done_is_returned_without_secrets(run: Run, converge: Call) -> None:
    converge.answer = [unchanged("db", warnings=("beware",)), updated("web", warnings=("beware",))]
    result = run(inx_containers, containers=SET, diff=True)
    assert (result["changed"], [entry["changed"] for entry in result["containers"]]) == (True, [False, True])
    assert [difference["before_header"] for difference in result["diff"]] == ["web"]
    # Many share it, and it is reported once.
    assert result["warned"] == ["beware"]
    assert SECRET not in json.dumps(result)


def test_failures_are_listed_beside_all_results(run: Run, converge: Call) -> None:
    converge.answer = [unchanged("db"), updated("web", error=FleetError("web: no init.", "See the log."))]
    result = run(inx_containers, containers=SET)
    assert result["failed"]
    *table, log = result["msg"].splitlines()
    assert table == ["1 of 2 containers failed:", "  web: no init. See the log."]
    assert log == f"The log of the run: {result['log']}"
    assert [entry["failed"] for entry in result["containers"]] == [False, True]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"containers": [{"name": "web", "flake": "/a", "system": "/b"}]}, "web: parameters are mutually exclusive"),
        ({"containers": [{"name": "web", "wait": "maybe"}]}, "web: argument 'wait'"),
        ({"containers": [{"name": "web"}, {"name": "web"}]}, "Declared twice: web."),
        ({"containers": SET, "purge": True, "only": ["web"]}, "'purge' needs the whole set"),
        ({"containers": SET, "defaults": {"secret_config": {}}}, "'secret_config' is among the defaults"),
        ({"containers": SET, "purge_limit": -1}, "purge_limit is -1"),
        ({}, "missing required arguments: containers"),
    ],
)
def test_what_is_refused_is_not_tried(run: Run, converge: Call, parameters: dict[str, Any], message: str) -> None:
    result = run(inx_containers, **parameters)
    assert result["failed"]
    assert message in result["msg"]
    assert converge.count == 0
