# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.filter.drift import drift
from ansible_collections.inx.fleet.plugins.plugin_utils.drift import junit

UPDATE = {"action": "update", "summary": "web: update description", "before": {"description": ""}, "after": {}}
SETTINGS = {"action": "settings", "summary": "write the settings of Nix", "before": {}, "after": {}}


def container(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "web", "failed": False, "error": None, "steps": list(steps), "restart_required": False, **more}


def found(*containers: dict[str, Any], **variables: Any) -> dict[str, Any]:
    """Report on one host."""
    return drift(["metal1"], {"metal1": {"__inx_run": {"containers": list(containers)}, **variables}})


def test_what_is_as_declared_is_clean() -> None:
    report = found(container(status="Running", generation=3), inx_host_run={"steps": []})
    assert report["clean"] and report["problems"] == []
    (host,) = report["hosts"]
    assert (host["state"], host["containers"][0]["state"]) == ("clean", "clean")
    assert (host["containers"][0]["status"], host["containers"][0]["generation"]) == ("Running", 3)


@pytest.mark.parametrize(
    ("report", "problem", "state"),
    [
        (found(container(UPDATE)), "web on metal1 would change: update description", "clean"),
        (found(container(restart_required=True)), "web on metal1 waits for a restart", "clean"),
        (found(container(failed=True, error="No\nroom.")), "web on metal1 failed: No room.", "clean"),
        (found(inx_host_run={"steps": [SETTINGS]}), "metal1 would change: write the settings of Nix", "drifted"),
        (found(__inx_error="It cannot be."), "metal1 failed: It cannot be.", "failed"),
        (found(__inx_reached={"unreachable": True}), "metal1 was not reached", "unreachable"),
    ],
)
def test_each_thing_that_is_not_as_declared_is_a_problem(report: dict[str, Any], problem: str, state: str) -> None:
    assert not report["clean"]
    assert report["problems"] == [problem]
    assert report["hosts"][0]["state"] == state


RUN = {"time": "T", "finished": True, "failed": False, "log": "/var/log/inx-fleet/x"}


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (None, ""),
        (RUN, " (last changed by a run at T)"),
        ({**RUN, "failed": True}, " (the last run failed at T, see /var/log/inx-fleet/x on the host)"),
        (
            {**RUN, "failed": True, "finished": False},
            " (the last run was interrupted at T, see /var/log/inx-fleet/x on the host)",
        ),
        ({**RUN, "finished": False}, " (a run is changing it)"),
    ],
)
def test_since_when_something_is_not_as_declared(run: dict[str, Any] | None, told: str) -> None:
    report = found(container(UPDATE, last_run=run), inx_host_run={"steps": [SETTINGS], "last_run": run})
    assert report["problems"] == [
        f"metal1 would change: write the settings of Nix{told}",
        f"web on metal1 would change: update description{told}",
    ]
    assert report["hosts"][0]["containers"][0]["last_run"] == run
    assert found(container(last_run=run))["clean"]


def test_the_error_of_a_container_is_said_once() -> None:
    report = found(container(failed=True, error="No room."), __inx_error="1 of 1 containers failed: web No room.")
    assert report["problems"] == ["web on metal1 failed: No room."]


def test_a_host_that_was_not_come_to_has_nothing_to_compare() -> None:
    assert drift(["metal1"], {"metal1": {"__inx_run": {"skipped": True}}})["clean"]


def test_junit_has_a_case_for_each_host_and_container() -> None:
    report = drift(
        ["metal1", "metal2"],
        {
            "metal1": {"__inx_run": {"containers": [container(UPDATE), container(name="db")]}},
            "metal2": {"__inx_reached": {"unreachable": True}},
        },
    )
    suites = ElementTree.fromstring(junit(report))  # noqa: S314 - it is our own
    assert [(one.get("name"), one.get("tests"), one.get("failures"), one.get("errors")) for one in suites] == [
        ("metal1", "3", "1", "0"),
        ("metal2", "1", "0", "1"),
    ]
    cases = {case.get("name"): [problem.get("message") for problem in case] for case in suites.iter("testcase")}
    assert cases == {
        "metal1": [],
        "web on metal1": ["would change: update description"],
        "db on metal1": [],
        "metal2": ["was not reached"],
    }


@given(st.text(st.characters(exclude_categories=[]), max_size=60))
def test_whatever_a_container_says_is_xml_and_harmless_to_a_terminal(text: str) -> None:
    step = {"action": "update", "summary": f"web: {text}", "before": {"description": text}, "after": {}}
    report = found(container(step, failed=True, error=text), inx_host_run={"steps": [{**step, "summary": text}]})
    for line in report["problems"]:
        assert line.replace("\t", "").isprintable()
    for element in ElementTree.fromstring(junit(report)).iter():  # noqa: S314 - it is our own
        assert all(value.replace("\t", "").isprintable() for value in element.attrib.values())
