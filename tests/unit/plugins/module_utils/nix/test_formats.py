# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Samples of what nix prints, each as that version has it; which program wrote it is said with each."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.formats import system_from, valid_paths_from
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System

THERE = "/nix/store/av6vy3x0317ww10m5k5n4x5xxb537r6y-source"
GONE = "/nix/store/cijwnkpcjbr4v1fdjpwcz3dflaf98kjc-source"
ENTRY = {"narHash": "sha256-C2p4AAi1gC3xPKW8DkjFc+d/gfKQVkjK5VKUvOscgJo=", "narSize": 1200, "references": []}
PATH_INFO = {
    "2.18, as it was read then": [{**ENTRY, "path": THERE, "valid": True}, {"path": GONE, "valid": False}],
    "2.19 to 2.26, printed by 2.26.3": {THERE: {**ENTRY, "ca": None}, GONE: None},
    "2.33 to 2.36, --json-format 1, by its source": {
        THERE: {**ENTRY, "version": 1, "storeDir": "/nix/store"},
        GONE: None,
    },
    "2.33 to 2.36, --json-format 2, by its source": {
        "version": 2,
        "storeDir": "/nix/store",
        "info": {THERE.rpartition("/")[2]: {**ENTRY, "version": 2}, GONE.rpartition("/")[2]: None},
    },
    "2.35 and 2.36, --json-format 3, by its source": {
        "version": 3,
        "storeDir": "/nix/store",
        "info": {THERE.rpartition("/")[2]: {**ENTRY, "version": 3}, GONE.rpartition("/")[2]: None},
    },
}
BUILD = {
    "2.18 to 2.36, printed by 2.26.3": {"drvPath": f"{THERE}.drv", "outputs": {"out": THERE}},
    "base names, as newer formats have them (made up)": {
        "drvPath": f"{THERE}.drv".rpartition("/")[2],
        "outputs": {"out": THERE.rpartition("/")[2]},
    },
}


@pytest.mark.parametrize("answer", PATH_INFO.values(), ids=PATH_INFO.keys())
def test_which_paths_are_valid(answer: Any) -> None:
    assert valid_paths_from(answer) == {THERE}


@pytest.mark.parametrize("entry", BUILD.values(), ids=BUILD.keys())
def test_which_system_it_is(entry: dict[str, Any]) -> None:
    assert system_from(entry, "web") == System(path=THERE, derivation=f"{THERE}.drv")


@pytest.mark.parametrize("outputs", [{"out": None}, {}, None])
def test_a_system_without_a_path_before_its_build(outputs: Any) -> None:
    with pytest.raises(FleetError, match="web: nix does not know its store path"):
        system_from({"drvPath": f"{THERE}.drv", "outputs": outputs}, "web")


def test_a_system_of_another_kind() -> None:
    path = THERE.replace("source", "darwin-system-25.05.abcdef")
    with pytest.raises(FleetError, match="web is a system of macOS"):
        system_from({"drvPath": f"{path}.drv", "outputs": {"out": path}}, "web")
