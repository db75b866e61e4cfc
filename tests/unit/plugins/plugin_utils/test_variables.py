# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.inx.fleet.plugins.plugin_utils.variables import (
    OF_MODULES,
    OF_PLAYBOOKS,
    OF_PLUGINS,
    ROLES,
    misspelled,
    of_roles,
)
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.info.answers import entry, one

PLAYBOOKS = Path(__file__).resolve().parents[4] / "playbooks"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("inx_container", "inx_containers"),
        ("inx_containers_default", "inx_containers_defaults"),
        ("inx_container_defaults", "inx_containers_defaults"),
        ("inx_ony", "inx_only"),
        ("inx_host_nix_setting", "inx_host_nix_settings"),
        ("inx_hosts_network", "inx_host_network"),
        ("inx_targets", "inx_target"),
        ("inx_progres", "inx_progress"),
        ("inxcontainers", "inx_containers"),
        ("inx_host_netwrok", "inx_host_network"),
        ("inx_container_of_web", "inx_containers_of_web"),
    ],
)
def test_a_misspelled_variable_is_found(name: str, meant: str) -> None:
    assert misspelled([name]) == {name: meant}


@pytest.mark.parametrize("name", ["inx_lab", "inx_incus_version", "inx_containers_of_web", "inx_config", "any", "inx"])
def test_other_variables_are_left_alone(name: str) -> None:
    assert misspelled([name]) == {}


def test_those_of_the_collection_are_known() -> None:
    assert misspelled([*of_roles(), *OF_PLAYBOOKS, *OF_MODULES, *OF_PLUGINS]) == {}
    specs = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in ROLES.glob("*/meta/argument_specs.yml")]
    entries = [entry for spec in specs for entry in spec["argument_specs"].values()]
    assert of_roles() == {name for entry in entries for name in entry["options"]}
    assert "inx_containers_only" in of_roles()


def test_the_variables_of_the_playbooks_are_those_in_their_comments() -> None:
    texts = [path.read_text(encoding="utf-8") for path in PLAYBOOKS.glob("*.yml")]
    documented = {name for text in texts for name in re.findall(r"^#   (inx_\w+) ", text, re.MULTILINE)}
    assert documented == OF_PLAYBOOKS


def test_the_variables_of_the_inventory_are_known() -> None:
    assert {f"inx_{key}" for key in one(entry("web"))} - OF_PLUGINS == set()
