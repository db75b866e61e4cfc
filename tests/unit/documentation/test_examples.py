# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples that ansible-doc shows. They are run in the integration target examples_of_docs."""

from __future__ import annotations

import importlib

import pytest
import yaml

from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import INCUS_OPTIONS
from ansible_collections.inx.fleet.tests.unit.documentation.documented import (
    COLLECTION,
    MODULES,
    NAMESPACE,
    argument_spec,
    errors_of_module,
    errors_of_tasks,
)


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_are_tasks_that_the_module_takes(module: str) -> None:
    code = importlib.import_module(f"ansible_collections.inx.fleet.plugins.modules.{module}")
    tasks = yaml.safe_load(code.EXAMPLES)
    assert all(task["name"] for task in tasks)
    assert any(f"{NAMESPACE}{module}" in task for task in tasks)
    assert not list(errors_of_tasks(tasks))


@pytest.mark.parametrize("module", MODULES)
def test_what_no_module_takes_is_found(module: str) -> None:
    assert list(errors_of_module(module, {"nobody_knows_this": 1}))


def test_modules_that_reach_incus_are_in_the_action_group_and_take_its_defaults() -> None:
    runtime = yaml.safe_load((COLLECTION / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    group = runtime["action_groups"]["inx"]
    assert sorted(group) == [module for module in MODULES if "url" in argument_spec(module)]
    assert all(argument_spec(module).keys() >= INCUS_OPTIONS.keys() for module in group)


def test_all_modules_are_run_by_the_same_action_plugin() -> None:
    runtime = yaml.safe_load((COLLECTION / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    routing = runtime["plugin_routing"]["modules"]
    assert sorted([*routing, "inx_container"]) == sorted(MODULES)
    assert all(route == {"action_plugin": "inx.fleet.inx_container"} for route in routing.values())
