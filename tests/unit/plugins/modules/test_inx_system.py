# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import Flake
from ansible_collections.inx.fleet.plugins.module_utils.nix.systems import Built
from ansible_collections.inx.fleet.plugins.modules import inx_system
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW
from ansible_collections.inx.fleet.tests.unit.plugins.running import Call, Run

SET = [{"name": "web", "flake": "/etc/nixos", "tags": ["a"]}, {"name": "db", "flake": "/etc/nixos"}, {"name": "kept"}]
BOTH = Built(systems={"web": NEW, "db": NEW}, failed={}, before={}, after={"web": NEW, "db": NEW})
BROKEN = Built(systems={"web": NEW}, failed={"db": FleetError("db: it does not evaluate.", "See above.")})


@pytest.fixture
def build(run: Run) -> Call:
    run.replace(inx_system, "open_nix", "nix")
    return run.replace(inx_system, "build_systems", BOTH)


@pytest.mark.parametrize("check", [False, True])
def test_systems_are_built_and_handed_on(run: Run, build: Call, check: bool) -> None:
    result = run(inx_system, name="metal1", containers=SET, check=check, diff=True)
    assert (result["failed"], result["changed"]) == (False, True)
    assert result["systems"] == {"web": NEW, "db": NEW}
    # As inx_containers takes them, with the system in the place of its source.
    assert result["containers"] == [
        {"name": "web", "tags": ["a"], "system": NEW},
        {"name": "db", "system": NEW},
        {"name": "kept"},
    ]
    assert result["diff"] == {"before": {}, "after": {"web": NEW, "db": NEW}}
    nix, declared, others, _directory = build.arguments
    assert (nix, set(declared), others) == ("nix", {"web", "db"}, set())
    assert declared["web"][0] == Flake(reference="/etc/nixos", attribute="web")
    assert build.options == {"push": None, "check": check, "build": False}


def test_others_than_the_chosen_ones_are_not_built(run: Run, build: Call) -> None:
    run(inx_system, name="metal1", containers=SET, only_tags=["a"])
    _nix, declared, others, _directory = build.arguments
    assert (set(declared), others) == ({"web"}, {"db", "kept"})


def test_a_system_that_fails_fails_all_or_is_returned(run: Run, build: Call) -> None:
    build.answer = BROKEN
    result = run(inx_system, name="metal1", containers=SET)
    assert result["failed"]
    *table, log = result["msg"].splitlines()
    assert table == ["1 of 2 systems failed:", "  db: it does not evaluate. See above."]
    assert log == f"The log of the run: {result['log']}"
    going = run(inx_system, name="metal1", containers=SET, keep_going=True)
    assert (going["failed"], going["build_failures"]) == (False, {"db": "db: it does not evaluate. See above."})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"signing_key": "/srv/key"}, "missing parameter(s) required by 'signing_key': copy_to"),
        ({"copy_to": "cache"}, "is not the URL of a Nix store"),
        (
            {"copy_to": "file:///srv/cache", "signing_key": "/nowhere/key"},
            "The signing key /nowhere/key cannot be read",
        ),
        ({"only": ["nothing"]}, "no declared container is called 'nothing'"),
        (
            {"containers": [{"name": "web", "attribute": "a"}]},
            "web: missing parameter(s) required by 'attribute': file",
        ),
    ],
)
def test_what_is_refused_is_not_built(run: Run, build: Call, parameters: dict[str, Any], message: str) -> None:
    result = run(inx_system, **{"name": "metal1", "containers": SET, **parameters})
    assert message in result["msg"]
    assert build.count == 0
