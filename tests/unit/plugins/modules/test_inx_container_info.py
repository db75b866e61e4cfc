# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.unused import Unused
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.info.facts import Seen
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generations
from ansible_collections.inx.fleet.plugins.modules import inx_container_info
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, OLD
from ansible_collections.inx.fleet.tests.unit.plugins.running import Call, Run

TWO = Generations(paths={1: OLD, 2: NEW}, current=2, made={1: 0.0, 2: 1.0})
WEB = Seen(instance=Instance(name="web"), generations=TWO, roots={})


@pytest.fixture
def connect(run: Run) -> Call:
    return run.replace(inx_container_info, "connect", "incus")


@pytest.fixture
def look(run: Run, connect: Call) -> Call:
    run.replace(inx_container_info, "unused_profiles", None)
    run.replace(inx_container_info, "try_unused", ([], []))
    run.replace(inx_container_info, "without_container", [])
    return run.replace(inx_container_info, "look", ([WEB], ["db cannot be read"]))


def test_containers_are_returned(run: Run, connect: Call, look: Call) -> None:
    result = run(inx_container_info, names=["web"], check=True)
    assert (result["failed"], result["changed"], result["warned"]) == (False, False, ["db cannot be read"])
    assert [container["name"] for container in result["containers"]] == ["web"]
    assert look.arguments == ("incus", {"web"}, [])
    assert "result" not in result


def test_all_projects_are_looked_at_if_asked_for(run: Run, connect: Call, look: Call) -> None:
    run(inx_container_info)
    assert look.arguments == ("incus", None, [])
    run(inx_container_info, all_projects=True, names=[])
    assert connect.arguments[1] is True
    run(inx_container_info, names=[])
    assert connect.arguments[1] is False


@pytest.mark.parametrize(("everywhere", "project"), [(False, "shop"), (True, None)])
def test_directories_that_nobody_uses_are_returned(run: Run, look: Call, everywhere: bool, project: str | None) -> None:
    found = Unused(path="/p/db", container="db", project="shop", system=None)
    unused = run.replace(inx_container_info, "unused_profiles", [found])
    result = run(inx_container_info, project="shop", all_projects=everywhere)
    assert result["unused_profiles"] == [{"path": "/p/db", "container": "db", "project": "shop", "system": None}]
    assert unused.arguments == ("incus", project)
    unused.answer = None
    assert run(inx_container_info)["unused_profiles"] is None
    assert "unused_profiles" not in run(inx_container_info, names=["web"])


def test_volumes_that_nobody_uses_are_returned(run: Run, look: Call) -> None:
    run.replace(inx_container_info, "try_unused", (["volume"], ["a pool is broken"]))
    gone = run.replace(inx_container_info, "without_container", [{"name": "db_srv"}])
    result = run(inx_container_info, project="shop")
    assert result["unused_volumes"] == [{"name": "db_srv"}]
    assert gone.arguments == (["volume"], "incus", "shop")
    assert result["warned"] == ["a pool is broken", "db cannot be read"]
    assert "unused_volumes" not in run(inx_container_info, names=["web"])


def test_a_query_has_a_result_of_its_own(run: Run, look: Call) -> None:
    assert run(inx_container_info, query="[].name")["result"] == ["web"]


def test_packages_are_compared_only_if_asked_for(run: Run, look: Call) -> None:
    run.replace(inx_container_info, "find_nix", "nix")
    compare = run.replace(inx_container_info, "compare", {(OLD, NEW): ["hello: 2.10 → 2.12"]})
    (web,) = run(inx_container_info)["containers"]
    assert compare.count == 0
    (web,) = run(inx_container_info, packages=True)["containers"]
    assert [generation["packages"] for generation in web["generations"]] == [None, ["hello: 2.10 → 2.12"]]


@pytest.mark.parametrize(
    ("parameters", "message"), [({"query": "[?"}, "query"), ({"names": ["-x"]}, "is not a name that Incus takes")]
)
def test_what_is_wrong_is_refused_before_the_look(
    run: Run, look: Call, parameters: dict[str, Any], message: str
) -> None:
    result = run(inx_container_info, **parameters)
    assert (result["failed"], look.count) == (True, 0)
    assert message in result["msg"]


def test_an_incus_that_does_not_answer_fails_it(run: Run, look: Call) -> None:
    look.answer = FleetError("Incus is away.", "Start it.")
    assert run(inx_container_info)["msg"] == "Incus is away. Start it."


def test_storage_is_looked_at_only_if_asked_for(run: Run, look: Call) -> None:
    storage = run.replace(inx_container_info, "storage", {"pools": None, "store": {"used": 1, "total": 2}})
    assert "storage" not in run(inx_container_info)
    assert storage.count == 0
    assert run(inx_container_info, storage=True)["storage"] == storage.answer
