# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.gcroots.plan import Change
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.sync import Report, Scope
from ansible_collections.inx.fleet.plugins.modules import inx_gcroot
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, OLD
from ansible_collections.inx.fleet.tests.unit.plugins.running import Call, Run

MOVED = Change(action="move", container="web", path="/root/result", before=OLD, after=NEW, reason="it moved")
FLEET = SimpleNamespace(names=frozenset(("web", "shop_db")))


@pytest.fixture
def calls(run: Run) -> dict[str, Call]:
    run.replace(inx_gcroot, "connect", SimpleNamespace(fleet=lambda: FLEET))
    return {name: run.replace(inx_gcroot, name, Report()) for name in ("sync", "root_one", "forget_root")}


@pytest.mark.parametrize("check", [False, True])
def test_all_containers_or_some_are_synced(run: Run, calls: dict[str, Call], check: bool) -> None:
    result = run(inx_gcroot, scan=["/root"], max_roots=7, check=check)
    assert (result["failed"], result["changed"], result["complete"]) == (False, False, True)
    _ask, limits, scope = calls["sync"].arguments
    assert (limits.max_roots, scope, calls["sync"].options) == (7, Scope(scan=["/root"]), {"check": check})
    run(inx_gcroot, containers=["db"], project="shop")
    assert calls["sync"].arguments[2].only == ["shop_db"]


@pytest.mark.parametrize(("state", "call", "place"), [("present", "root_one", 2), ("absent", "forget_root", 1)])
def test_one_link_is_rooted_or_forgotten(run: Run, calls: dict[str, Call], state: str, call: str, place: int) -> None:
    run(inx_gcroot, state=state, containers=["web"], path="/root/result", check=True)
    assert calls[call].arguments[place:] == ("web", "/root/result")
    assert calls[call].options == {"check": True}
    assert sum(one.count for one in calls.values()) == 1


def test_what_changed_is_returned(run: Run, calls: dict[str, Call]) -> None:
    calls["sync"].answer = Report(
        changes=(MOVED,), removed=("a loop",), problems=("db is slow",), links=3, containers=2
    )
    result = run(inx_gcroot, diff=True)
    assert (result["changed"], result["links"], result["containers"]) == (True, 3, 2)
    assert result["changes"][0]["action"] == "move"
    assert result["diff"] == {"before": f"web:/root/result -> {OLD}\n", "after": f"web:/root/result -> {NEW}\n"}
    assert result["warned"] == ["a loop", "db is slow"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"state": "present"}, "state is present but all of the following are missing: containers, path"),
        ({"state": "absent", "containers": ["web"]}, "state is absent but all of the following are missing: path"),
        ({"path": "/root/result"}, "'path' goes with the states"),
        ({"state": "present", "containers": ["web", "db"], "path": "/a"}, "Name it in 'containers', alone"),
        ({"scan": ["root"]}, "'root' is not an absolute path"),
        ({"timeout": 0}, "timeout is 0, but it is a number from 1"),
        ({"containers": ["-x"]}, "is not a name that Incus takes"),
        ({"containers": ["gone"]}, "Unknown containers: gone."),
    ],
)
def test_what_is_refused_changes_nothing(
    run: Run, calls: dict[str, Call], parameters: dict[str, Any], message: str
) -> None:
    result = run(inx_gcroot, **parameters)
    assert result["failed"]
    assert message in result["msg"]
    assert not sum(call.count for call in calls.values())


def test_the_root_of_a_container_that_is_gone_can_be_forgotten(run: Run, calls: dict[str, Call]) -> None:
    run(inx_gcroot, state="absent", containers=["gone"], path="/root/result")
    assert calls["forget_root"].count == 1
