# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.attached import BindMount
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.mount_sources import (
    required_sources,
    shifted_sources,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.observation import _with_paths
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    OLD,
    WEB,
    actions,
    empty_host,
    running_host,
    with_instance,
)

DATA = BindMount(source="/srv/data", path="/data")
WITH_DATA = replace(WEB, bind_mounts=(DATA,))


def gone(seen: Observed, *sources: str) -> Observed:
    return replace(seen, missing=frozenset(sources or (DATA.source,)))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"bind_mounts": (DATA, replace(DATA, path="/b", required=False))}, {DATA.device: "/srv/data"}),
        ({"devices": {"d": {"type": "disk", "source": "/srv/d", "path": "/d"}}}, {"d": "/srv/d"}),
        ({"devices": {"d": {"type": "disk", "source": "/srv/d", "path": "/d", "required": False}}}, {}),
        ({"devices": {"d": {"type": "disk", "source": "volume", "pool": "p", "path": "/d"}}}, {}),
        ({"devices": {"d": {"readonly": True}, "e": None}}, {}),
    ],
)
def test_which_sources_are_needed(options: dict[str, Any], expected: dict[str, str]) -> None:
    assert required_sources(replace(WEB, **options)) == expected


@pytest.mark.parametrize(
    ("declared", "seen"),
    [
        pytest.param(WITH_DATA, empty_host(), id="created"),
        pytest.param(replace(WITH_DATA, state="stopped"), empty_host(), id="created and not started"),
        pytest.param(WITH_DATA, running_host(WEB), id="added"),
        pytest.param(WITH_DATA, running_host(replace(WEB, bind_mounts=(replace(DATA, source="/o"),))), id="changed"),
        pytest.param(replace(WITH_DATA, state="restarted"), running_host(WITH_DATA), id="restarted"),
        pytest.param(WITH_DATA, with_instance(running_host(WITH_DATA), status="Stopped"), id="started"),
    ],
)
def test_what_needs_a_source_is_refused(declared: Container, seen: Observed) -> None:
    with pytest.raises(FleetError, match="the host has no /srv/data to mount"):
        plan_container(declared, BUILT, gone(seen))


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (WITH_DATA, ["record", "activate"]),
        (replace(WITH_DATA, activation="boot"), ["record"]),
        (replace(WITH_DATA, description="new"), ["update", "record", "activate"]),
        (replace(WITH_DATA, state="stopped"), ["record", "stop"]),
    ],
)
def test_what_runs_is_changed_without_its_source(declared: Container, expected: list[str]) -> None:
    plan = plan_container(declared, BUILT, gone(running_host(WITH_DATA, OLD)))
    assert actions(plan) == expected
    assert [text for text in plan.warnings if "cannot be started again: the host has no /srv/data" in text]


def test_what_is_not_needed_holds_nothing_up() -> None:
    optional = replace(WEB, bind_mounts=(replace(DATA, required=False),))
    assert actions(plan_container(optional, BUILT, empty_host())) == ["create", "record", "start"]
    assert actions(plan_container(replace(WITH_DATA, state="absent"), None, gone(running_host(WITH_DATA)))) == [
        *("stop", "forget", "delete")
    ]
    # A mount that is not declared any more goes without its source.
    without = replace(WEB, bind_mounts=())
    assert actions(plan_container(without, BUILT, running_host(WITH_DATA))) == ["update"]


def test_whether_a_source_is_needed_can_be_changed() -> None:
    optional = replace(WEB, bind_mounts=(replace(DATA, required=False),))
    (step,) = plan_container(optional, BUILT, running_host(WITH_DATA)).steps
    assert step.after["devices"][DATA.device]["required"] == "false"
    (step,) = plan_container(WITH_DATA, BUILT, running_host(optional)).steps
    assert "required" not in step.after["devices"][DATA.device]


def test_nothing_needs_a_mount_point_in_what_is_not_there(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for outer, absent in ((here, {f"{here}/inner"}), (tmp_path / "gone", set[str]())):
        mounts = (
            BindMount(source=str(outer), path="/data", required=False),
            BindMount(source=str(here), path="/data/inner"),
        )
        seen = _with_paths(empty_host(), replace(WEB, bind_mounts=mounts))
        assert seen.absent_points == frozenset(absent)
        assert not seen.missing


STORED = {DATA.device: {"type": "disk", "source": "/srv/data", "path": "/data", "readonly": "true", "shift": "true"}}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"bind_mounts": (DATA,)}, {DATA.device: "/srv/data"}),
        ({"bind_mounts": (replace(DATA, shift=False),)}, {}),
        ({"devices": {"d": {"type": "disk", "source": "/srv/d", "path": "/d", "shift": True}}}, {"d": "/srv/d"}),
        ({"devices": {"d": {"type": "disk", "source": "/srv/d", "path": "/d"}}}, {}),
    ],
)
def test_which_sources_are_shifted(options: dict[str, Any], expected: dict[str, str]) -> None:
    declared = replace(WEB, **options)
    assert shifted_sources(declared, None) == expected
    host = with_instance(running_host(), devices=STORED)
    assert host.instance is not None
    there = {name: source for name, source in expected.items() if name != DATA.device}
    assert shifted_sources(declared, host.instance) == there


@pytest.mark.parametrize("seen", [empty_host(), running_host()])
def test_a_file_system_that_cannot_be_shifted_is_refused_unless_it_need_not_be(seen: Observed) -> None:
    seen = replace(seen, unshiftable=frozenset([DATA.source]))
    with pytest.raises(FleetError, match="file system of /srv/data cannot be mounted with shifted ids"):
        plan_container(WITH_DATA, BUILT, seen)
    plan = plan_container(replace(WEB, bind_mounts=(replace(DATA, shift=False),)), BUILT, seen)
    (step,) = [step for step in plan.steps if step.action in ("create", "update")]
    assert step.after["devices"][DATA.device].get("shift") is None
    assert plan_container(replace(WITH_DATA, allow_privileged=True), BUILT, seen).steps
