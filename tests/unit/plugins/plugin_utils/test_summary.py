# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.filter.summary import summary


def step(action: str, summary: str, **sides: Any) -> dict[str, Any]:
    return {"action": action, "summary": f"web: {summary}", "before": {}, "after": {}, **sides}


def recorded(before: int | None, after: int) -> dict[str, Any]:
    return step("record", "record /s as its system", before={"generation": before}, after={"generation": after})


def container(*steps: dict[str, Any], failed: bool = False, **more: Any) -> dict[str, Any]:
    return {"name": "web", "failed": failed, "steps": list(steps), **more}


def lines(*containers: dict[str, Any], check: bool = False, **variables: Any) -> list[str]:
    """Sum up a run on one host, which fails with its containers."""
    run = {"__inx_run": {"containers": list(containers)}} if containers else {}
    active = [] if any(one["failed"] for one in containers) else ["metal1"]
    return summary(["metal1"], {"metal1": {**run, **variables}}, active, check=check)


SWITCH = step("activate", "switch to /s")


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        ((step("build", "build /s"), recorded(4, 5), SWITCH), "web: generation 4 → 5"),
        ((step("create", "create the instance"), recorded(None, 1), step("start", "start")), None),
        ((SWITCH,), "web: switched to /s"),
        ((step("stop", "stop"), step("forget", "remove /p"), step("delete", "delete the instance")), None),
        ((step("update", "update config limits.memory"),), "web: updated config limits.memory"),
        ((step("update", "update a\x1b[2J\nweb: b"),), "web: updated a\\x1b[2J web: b"),
    ],
)
def test_a_container_that_changed(steps: tuple[dict[str, Any], ...], line: str | None) -> None:
    expected = {
        "create": "web: created the instance, generation 1, started",
        "stop": "web removed: stopped, deleted the instance",
    }
    assert lines(container(*steps)) == [line or expected[steps[0]["action"]]]


REVISION = "7b685e95ba7dae3962ef6979210fe296a5c18da0"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("0" * 40, REVISION, " (revision 0000000 → 7b685e9)"),
        ("0" * 40, f"{REVISION}-dirty", " (revision 0000000 → 7b685e9-dirty)"),
        ("v1", "v2", " (revision v1 → v2)"),
        (None, REVISION, " (revision 7b685e9)"),
        (REVISION, REVISION, " (revision 7b685e9)"),
        (REVISION, None, ""),
    ],
)
def test_revisions_of_an_update(before: str | None, after: str | None, told: str) -> None:
    update = recorded(4, 5)
    update["before"]["revision"], update["after"]["revision"] = before, after
    assert lines(container(update)) == [f"web: generation 4 → 5{told}"]


def test_what_has_not_changed_or_was_not_come_to_has_no_line() -> None:
    assert lines(container()) == []
    assert lines(inx_host_run={"changed": False, "steps": []}, __inx_run={"skipped": True}) == []


def test_check_mode_says_what_would_change() -> None:
    assert lines(container(step("stop", "stop")), check=True) == ["web would change: stop"]


def test_a_removal_is_said_to_be_one() -> None:
    steps = (step("stop", "stop"), step("forget", "remove /p"), step("delete", "delete the instance"))
    assert lines(container(*steps), check=True) == ["web would be removed: stop, delete the instance"]
    assert lines(container(steps[0], failed=True)) == ["web failed after: stopped"]


def test_a_container_that_failed() -> None:
    gone_back = step("rollback", "go back to generation 4, /s", before={"generation": 5}, after={"generation": 4})
    failed = container(recorded(4, 5), gone_back, failed=True)
    assert lines(container(failed=True)) == ["web failed, see the error above"]
    assert lines(failed) == ["web failed after: generation 4 → 5, went back to generation 4"]


def test_units_of_secrets_are_named_once() -> None:
    steps = (step("secrets", "secret token changed"), step("restart_units", "restart app.service"))
    done = container(*steps, units={"restarted": ["app.service"]})
    assert lines(done) == ["web: secret token changed, restarted app.service"]
    assert lines(container(*steps), check=True) == ["web would change: secret token changed, restart app.service"]


def test_units_that_a_switch_changed() -> None:
    units = {"restarted": ["nginx.service"], "stopped": [f"u{number}.service" for number in range(7)]}
    assert lines(container(recorded(4, 5), SWITCH, units=units)) == [
        "web: generation 4 → 5, restarted nginx.service, "
        "stopped u0.service, u1.service, u2.service, u3.service, u4.service and 2 more units"
    ]


def test_hosts() -> None:
    prepared = {"inx_host_run": {"steps": [{"summary": "create the storage pool default"}]}}
    web = {"__inx_run": {"containers": [container(recorded(1, 2))]}}
    hostvars = {"metal1": {**prepared, **web}, "metal2": {}, "metal3": web, "metal4": web}
    told = summary(list(hostvars), hostvars, ["metal1", "metal3", "metal4"], batch=["metal1", "metal4"])
    assert told == [
        "metal1: created the storage pool default",
        "web on metal1: generation 1 → 2",
        "metal2 failed, see the error above",
        "web on metal4: generation 1 → 2",
    ]


def test_a_collection_of_garbage() -> None:
    pruned = {
        "pruned": [{"project": "default", "container": "web", "generations": [1, 2]}],
        "removed": [{"path": "/nix/var/nix/profiles/inx-container/db"}],
        "collected": {"paths": 3, "freed": "1.00 MiB"},
    }
    assert lines(__inx_pruned=pruned) == [
        "metal1: removed /nix/var/nix/profiles/inx-container/db, removed generations 1, 2 of default/web, "
        "3 store paths deleted, 1.00 MiB freed"
    ]
    assert lines(__inx_pruned={"pruned": [], "collected": {"paths": 0, "freed": "0.00 MiB"}}) == []
