# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.pruning import Pruned
from ansible_collections.inx.fleet.plugins.module_utils.container.unused import Unused
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.garbage import Collected
from ansible_collections.inx.fleet.plugins.module_utils.paths import PROFILES_DIR
from ansible_collections.inx.fleet.plugins.modules import inx_generations
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import OLD
from ansible_collections.inx.fleet.tests.unit.plugins.running import Call, Run


@pytest.fixture
def prune(run: Run) -> Call:
    run.replace(inx_generations, "connect", "incus")
    return run.replace(inx_generations, "prune", ([], []))


@pytest.mark.parametrize("check", [False, True])
def test_old_generations_go(run: Run, prune: Call, check: bool) -> None:
    prune.answer = ([Pruned(container="web", project="shop", generations={1: OLD})], ["db is busy"])
    result = run(inx_generations, project="shop", keep=3, older_than="30d", check=check, diff=True)
    assert (result["failed"], result["changed"], result["warned"]) == (False, True, ["db is busy"])
    assert result["pruned"] == [{"container": "web", "project": "shop", "generations": [1]}]
    assert result["diff"] == {"before": f"shop/web: generation 1, {OLD}\n", "after": ""}
    incus, project, rule = prune.arguments
    assert (incus, project, rule.keep, prune.options) == ("incus", "shop", 3, {"check": check})


def test_directories_that_nobody_uses_go_on_request(run: Run, prune: Call) -> None:
    directory = f"{PROFILES_DIR}/shop_web"
    unused = Unused(path=directory, container="web", project="shop", system=OLD)
    remove = run.replace(inx_generations, "remove_unused", ([unused], ["db stays"]))
    assert not run(inx_generations)["changed"]
    assert remove.count == 0
    # In check mode it is there yet, and what goes as a whole is told once.
    prune.answer = ([Pruned(container="web", project="shop", generations={1: OLD})], [])
    result = run(inx_generations, project="shop", unused=True, check=True, diff=True)
    assert (result["changed"], result["pruned"], result["warned"]) == (True, [], ["db stays"])
    assert result["removed"] == [{"path": directory, "container": "web", "project": "shop", "system": OLD}]
    assert result["diff"] == {"before": f"{directory}\n", "after": ""}
    assert (remove.arguments, remove.options) == (("incus", "shop"), {"check": True})


def test_all_projects_or_the_default_one(run: Run, prune: Call) -> None:
    assert not run(inx_generations)["changed"]
    assert prune.arguments[1] == "default"
    run(inx_generations, all_projects=True)
    assert prune.arguments[1] is None


def test_null_is_the_default_of_an_option(run: Run, prune: Call) -> None:
    assert not run(inx_generations, keep=None, older_than=None)["failed"]
    assert prune.arguments[2].keep == 5


@pytest.mark.parametrize("parameters", [{"older_than": "30"}, {"keep": 0}, {"keep": "many"}])
def test_a_rule_that_is_not_one_is_refused(run: Run, prune: Call, parameters: dict[str, Any]) -> None:
    assert run(inx_generations, **parameters)["failed"]
    assert prune.count == 0


@pytest.fixture
def collect(run: Run, prune: Call) -> Call:
    run.replace(inx_generations, "find_nix", "/bin/nix")
    return run.replace(inx_generations, "collect_garbage", Collected(paths=3, freed="1.00 MiB"))


def test_garbage_is_collected_on_request(run: Run, collect: Call) -> None:
    assert "collected" not in run(inx_generations)
    result = run(inx_generations, collect_garbage=True)
    assert (result["changed"], result["collected"]) == (True, {"paths": 3, "freed": "1.00 MiB"})
    assert collect.arguments[0].command == "/bin/nix"


def test_collection_that_deletes_nothing_is_no_change(run: Run, collect: Call) -> None:
    collect.answer = Collected(paths=0, freed="0.00 MiB")
    assert not run(inx_generations, collect_garbage=True)["changed"]


def test_nothing_is_collected_in_check_mode(run: Run, collect: Call) -> None:
    assert "collected" not in run(inx_generations, collect_garbage=True, check=True)
    assert collect.count == 0


def test_collection_that_fails_says_what_was_removed_before_it(run: Run, prune: Call, collect: Call) -> None:
    prune.answer = ([Pruned(container="web", project="shop", generations={1: OLD})], [])
    collect.answer = FleetError("The garbage collection failed.", "Run again.")
    result = run(inx_generations, collect_garbage=True)
    assert (result["failed"], result["changed"], len(result["pruned"])) == (True, True, 1)
    assert result["msg"].startswith("The garbage collection failed. Run again.")
