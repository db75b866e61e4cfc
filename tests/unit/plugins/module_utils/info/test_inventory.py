# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.info.inventory import (
    check_unique,
    chosen_by,
    containers_of,
    groups_of,
    look,
    preferring,
    unreadable_in,
)
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.info.answers import answer, entry, one

SYSTEM = "/nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11"


def test_the_system_is_the_one_that_the_profile_leads_to() -> None:
    links = {"shop_web/system": "system-2-link", "shop_web/system-2-link": SYSTEM, "web/system": "system-1-link"}
    facts = one(entry("web", project="shop"), links=links)
    assert (facts["system"], facts["system_name"], facts["generation"]) == (SYSTEM, "nixos-system-web-25.11", 2)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../other", "", f"{SYSTEM}/bin", f"{SYSTEM}\nx"])
def test_a_link_that_leads_elsewhere_is_no_system(target: str) -> None:
    facts = one(entry("web"), links={"web/system": "system-1-link", "web/system-1-link": target})
    assert facts["system"] is None
    assert not [group for group in groups_of(facts) if group.startswith("inx_system")]


def test_other_instances_are_left_out() -> None:
    said = answer(entry("web"), entry("vm", type="virtual-machine"), entry("alpine", profiles=["default"]))
    assert [facts["name"] for facts in containers_of("metal1", said)] == ["web"]


def test_a_member_of_a_cluster_tells_of_its_own() -> None:
    said = answer(entry("web", location="m1"), entry("db", location="m2"), member="m2")
    assert [facts["name"] for facts in containers_of("metal2", said)] == ["db"]


def test_an_address_of_the_chosen_family_comes_first() -> None:
    def seen(*addresses: str) -> dict[str, Any]:
        return {"addresses": [{"address": address, "scope": "global"} for address in addresses]}

    nics = {name: {"type": "nic", "name": name} for name in ("eth0", "eth1")}
    network = {"eth1": seen("10.0.0.9"), "eth0": seen("fd00::1"), "lo": {"addresses": None}}
    facts = one(entry("web", state={"network": network}, expanded_devices=nics))
    assert facts["addresses"] == {"eth0": ["fd00::1"], "eth1": ["10.0.0.9"]}
    assert preferring("ipv4", facts)["address"] == "10.0.0.9"
    assert preferring("ipv6", facts)["address"] == "fd00::1"
    assert preferring("ipv4", one(entry("web", state=None)))["address"] is None


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ("", None),
        ("\n", False),
        ('\n{"uuid": "1", "notes": {"restart_since": "2026-11-23T10:00:01Z"}}\n', True),
        ('\n{"uuid": "2", "notes": {"restart_since": "2026-11-23T10:00:01Z"}}\nnonsense\n', False),
    ],
)
def test_a_restart_is_due_by_what_the_host_remembers(notes: str, expected: bool | None) -> None:
    started = entry("web", config={"volatile.uuid": "1"}, last_used_at="2026-11-23T10:00:00Z")
    assert one(started, notes=notes)["restart_required"] is expected


def test_settings_that_may_hold_secrets_are_not_told() -> None:
    config = {"environment.KEY": "x", "volatile.uuid": "x", "user.role": "front"}
    facts = one(entry("web", config={"user.inx.tags": "a,b", "user.inx.set": "s"}, expanded_config=config))
    assert (facts["config"], facts["tags"], facts["set"]) == ({"user.role": "front"}, ["a", "b"], "s")


def test_what_is_or_was_secret_is_not_in_the_inventory() -> None:
    own = {"user.inx.secret": "user.token user.old"}
    config = {**own, "user.token": "hidden", "user.old": "hidden", "user.role": "front"}
    assert "hidden" not in json.dumps(one(entry("web", config=own, expanded_config=config)))
    assert one(entry("web", config={}, expanded_config=config))["config"] == {"user.role": "front"}


@pytest.mark.parametrize("said", ["", "{}", "{}\0[]", "x\0[]\0", "{}\0{}\0", "[]\0[]\0", '{}\0["web"]\0', "{}\0null\0"])
def test_an_answer_that_is_none(said: str) -> None:
    with pytest.raises(FleetError, match="did not return a list of instances"):
        containers_of("metal1", said)


def test_the_groups() -> None:
    facts = one(entry("web", status="Frozen"), links={"web/system": "system-1-link", "web/system-1-link": SYSTEM})
    expected = [
        "inx",
        "inx_host_metal1",
        "inx_project_default",
        "inx_state_frozen",
        "inx_system_nixos-system-web-25.11",
    ]
    assert list(groups_of(facts)) == expected


def test_a_query_chooses() -> None:
    web, db = one(entry("web")), one(entry("db", status="Stopped"))
    assert chosen_by("[?status=='Stopped']", [web, db]) == [db]
    assert chosen_by("[]", []) == []
    for query in ("[].name", "[0]", "length(@)", "[].{name: name}"):
        with pytest.raises(FleetError, match="does not select from"):
            chosen_by(query, [web, db])


def test_two_containers_of_one_name() -> None:
    facts = [containers_of(host, answer(entry("web")))[0] for host in ("metal1", "metal2")]
    with pytest.raises(FleetError, match="default/web of metal1 and default/web of metal2 would both be called 'web'"):
        check_unique(("web", one) for one in facts)
    check_unique((one["host"], one) for one in facts)


def test_a_host_is_asked_by_one_shell_command(tmp_path: Path) -> None:
    """A simulated incus: what counts here is the shell's part."""
    incus = tmp_path / "incus"
    incus.write_text('#!/bin/sh\n[ "$1" = query ] && echo "\\"$2\\""\n', encoding="utf-8")
    incus.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", look(5)], env=environment, capture_output=True, text=True, check=True)
    server, instances = done.stdout.split("\0")[:2]
    assert (json.loads(server), json.loads(instances)) == ("/1.0", "/1.0/instances?recursion=2&all-projects=true")


def test_an_incus_that_fails_is_a_failed_command(tmp_path: Path) -> None:
    done = subprocess.run(["/bin/sh", "-c", look(5)], env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False)
    assert done.returncode not in (0, None)


def test_what_incus_cannot_look_at_is_named() -> None:
    """Such an entry has no configuration, so nobody can tell whether it is a container of ours."""
    broken = {"name": "db", "status": "Error", "type": "container", "location": "m1"}
    elsewhere = {**broken, "name": "ci", "location": "m2"}
    said = answer(entry("web", location="m1"), broken, elsewhere, member="m1")
    assert unreadable_in(said) == ["db"]
    assert [facts["name"] for facts in containers_of("metal1", said)] == ["web"]
