# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a start was waited for in vain is waited for by the next run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container import health
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, Wait
from ansible_collections.inx.fleet.plugins.module_utils.container.ends import Host
from ansible_collections.inx.fleet.plugins.module_utils.container.health import wait_until_up
from ansible_collections.inx.fleet.plugins.module_utils.container.notes import Notes
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.rollback import proven
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Plan
from ansible_collections.inx.fleet.plugins.module_utils.errors import UnhealthyError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import WAITING
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    NEW,
    declared,
    running_host,
    with_instance,
)


@pytest.mark.parametrize(
    ("options", "status", "expected"),
    [
        ({}, "Running", True),
        ({"state": "present"}, "Running", True),
        ({"state": "restarted"}, "Running", True),
        ({}, "Stopped", True),
        ({"state": "present"}, "Stopped", False),
        ({"state": "present"}, "Frozen", False),
        ({"state": "stopped"}, "Running", False),
        ({"wait": False}, "Running", False),
        ({"wait_for": ["ipv6"]}, "Running", True),
    ],
)
def test_a_run_waits_again_for_what_is_to_run(options: Mapping[str, Any], status: str, expected: bool) -> None:
    host = with_instance(running_host(), status=status, notes={WAITING: "true"})
    wanted = declared(system=NEW, **options)
    assert plan_container(wanted, BUILT, host).awaits is expected
    assert not plan_container(wanted, BUILT, with_instance(host, notes={})).awaits


def test_to_wait_is_no_change() -> None:
    plan = plan_container(declared(system=NEW), BUILT, with_instance(running_host(), notes={WAITING: "true"}))
    assert (plan.awaits, plan.steps) == (True, ())


class Killed(BaseException):
    """What ends a run in the middle of its wait."""


@pytest.mark.parametrize(
    ("conditions", "ends_with", "noted"),
    [
        (("system",), None, False),
        (("system",), UnhealthyError("It has no address.", "Wait."), True),
        (("system",), Killed(), False),
        (("ipv6",), None, False),
        (("ipv6",), UnhealthyError("It has no address.", "Wait."), True),
        (("ipv6",), Killed(), True),
    ],
)
def test_it_is_noted_what_has_not_come(
    tmp_path: Path, conditions: tuple[str, ...], ends_with: BaseException | None, noted: bool
) -> None:
    there = Instance(name="web", config={"volatile.uuid": "1"})
    incus: Any = SimpleNamespace(instance=lambda _name: there, server=SimpleNamespace(member=None))
    notes = Notes(incus, str(tmp_path / "notes"))
    container = Container(name="web", wait=Wait(conditions=conditions))

    def bring_up() -> list[str]:
        if ends_with is not None:
            raise ends_with
        return []

    def start(plan: Plan) -> None:
        proven(Host(incus=incus, nix=None, notes=notes), plan, NEW, bring_up)  # type: ignore[arg-type]

    if ends_with is None:
        start(Plan(container=container))
    else:
        with pytest.raises(type(ends_with)):
            start(Plan(container=container))
    assert (WAITING in notes.of(container)) is noted
    ends_with = None
    start(Plan(container=container, awaits=noted))
    assert WAITING not in notes.of(container)


@pytest.mark.parametrize(
    ("conditions", "addresses", "problem"),
    [
        (("addresses",), (), "it has no address after"),
        (("addresses",), ("fd00::1",), None),
        (("ipv4",), ("fd00::1",), "it has no IPv4 address after"),
        (("ipv6",), ("10.0.0.1",), "it has no IPv6 address after"),
        (("ipv4", "ipv6"), ("10.0.0.1",), "it has no IPv4 address and no IPv6 address after"),
        (("ipv4", "ipv6"), ("10.0.0.1", "fd00::1"), None),
    ],
)
def test_a_family_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, conditions: tuple[str, ...], addresses: tuple[str, ...], problem: str | None
) -> None:
    there = Instance(name="web", status="Running", addresses={"eth0": addresses} if addresses else {})
    incus: Any = SimpleNamespace(instance=lambda _name: there, project="default")
    monkeypatch.setattr(health, "poll", lambda look, *_others, **_options: look())
    container = Container(name="web", wait=replace(Wait(), conditions=conditions))
    if problem is None:
        assert wait_until_up(incus, container, NEW) == []
    else:
        with pytest.raises(UnhealthyError, match=problem):
            wait_until_up(incus, container, NEW)
