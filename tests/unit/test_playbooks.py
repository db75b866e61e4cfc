# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's own playbooks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = sorted((Path(__file__).resolve().parents[2] / "playbooks").glob("*.yml"))


def variables(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the variables of each play, role and task."""
    if isinstance(node, dict):
        yield from [node["vars"]] if "vars" in node else []
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
        yield from variables(child)


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_selection_is_given_as_a_whole(playbook: Path) -> None:
    """The names alone would be joined by the containers that tags in the inventory select, to be destroyed, too."""
    for found in variables(yaml.safe_load(playbook.read_text(encoding="utf-8"))):
        assert ("inx_containers_only" in found) == ("inx_containers_only_tags" in found)


def read(name: str) -> list[dict[str, Any]]:
    """Return the plays of a playbook of the collection."""
    plays: list[dict[str, Any]] = yaml.safe_load(
        next(path for path in PLAYBOOKS if path.stem == name).read_text("utf-8")
    )
    return plays


def blocks(play: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tasks of the only block of a play."""
    (block,) = play["tasks"]
    tasks: list[dict[str, Any]] = block["block"]
    return tasks


def test_each_half_of_site_is_a_tag_and_a_playbook_that_does_the_same() -> None:
    (select, both), (chosen, containers), (hosts, host) = read("site"), read("containers"), read("host")
    halves = {entry.pop("tags"): entry for entry in blocks(both)}
    assert (blocks(host), blocks(containers)) == ([halves["host"]], [halves["containers"]])
    assert select["hosts"] == chosen["hosts"] == hosts["hosts"]
    assert both["hosts"] == containers["hosts"] == host["hosts"]
    # Whichever half is run, a selection holds.
    for task in select["tasks"]:
        assert task.pop("tags") == "always"
    assert select["tasks"][0]["ansible.builtin.include_role"].pop("apply") == {"tags": "always"}
    assert select["tasks"] == chosen["tasks"] == hosts["tasks"]


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_selection_is_refused_as_a_whole_or_made_by_the_first_play(playbook: Path) -> None:
    plays = yaml.safe_load(playbook.read_text(encoding="utf-8"))
    if playbook.stem == "collect_garbage":
        rejected = next(task for task in blocks(plays[0]) if task["name"] == "Reject a selection of containers")
        assert rejected["ansible.builtin.assert"]["that"] == "inx_only is undefined and inx_only_tags is undefined"
        return
    select, work, *_report = plays
    (task,) = [task for task in select["tasks"] if task["name"] == "Select the containers"]
    role = task.get("ansible.builtin.include_role") or task["ansible.builtin.import_role"]
    assert (role["name"], role["tasks_from"]) == ("inx.fleet.containers", "choose")
    assert task["vars"] == {
        "inx_containers_only": "{{ inx_only | default(none) }}",
        "inx_containers_only_tags": "{{ inx_only_tags | default(none) }}",
    }
    assert "__inx_selected" in work["hosts"]


# The playbook drift ends with a report of its own.
@pytest.mark.parametrize("playbook", [path for path in PLAYBOOKS if path.stem != "drift"], ids=lambda path: path.stem)
def test_a_playbook_ends_with_its_summary_also_after_a_failure(playbook: Path) -> None:
    (block,) = yaml.safe_load(playbook.read_text(encoding="utf-8"))[-1]["tasks"]
    assert [task["ansible.builtin.import_tasks"] for task in block["always"]] == ["tasks/summarize.yml"]


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_no_play_gathers_facts(playbook: Path) -> None:
    assert all(not play["gather_facts"] for play in yaml.safe_load(playbook.read_text(encoding="utf-8")))
