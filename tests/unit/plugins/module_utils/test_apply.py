# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.apply import patched, updated
from ansible_collections.inx.fleet.plugins.module_utils.errors import ConflictError
from ansible_collections.inx.fleet.plugins.module_utils.plan import RESTART, Step

BODY = {"config": {"a": "1", "volatile.x": "y"}, "devices": {"d": {"type": "disk"}}, "profiles": ["default"]}


def test_only_the_changed_keys_are_touched() -> None:
    before = {"config": {"a": "1", "b": None}, "profiles": ["default"]}
    after = {"config": {"a": None, "b": "2"}, "profiles": ["default", "p"]}
    assert patched(BODY, before, after) == {
        "config": {"volatile.x": "y", "b": "2"},
        "devices": {"d": {"type": "disk"}},
        "profiles": ["default", "p"],
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"config": {"a": "0"}}, {"config": {"a": "2"}}),
        ({"config": {"a": None}}, {"config": {"a": "2"}}),
        ({"devices": {"d": None}}, {"devices": {"d": {}}}),
        ({"profiles": []}, {"profiles": ["p"]}),
    ],
)
def test_what_somebody_else_changed_meanwhile_is_not_overwritten(before: dict[str, Any], after: dict[str, Any]) -> None:
    with pytest.raises(ConflictError, match="changed by somebody else"):
        patched(BODY, before, after)


@pytest.mark.parametrize(("key", "noted"), [("raw.idmap", True), ("security.privileged", True), ("limits.cpu", False)])
def test_an_update_notes_when_it_takes_a_restart(key: str, noted: bool) -> None:
    before, after = {"config": {key: None}}, {"config": {key: "1"}}
    step = Step(action="update", container="web", summary="", before=before, after=after)
    written = updated(BODY, step, 1_795_428_900.25)["config"]
    assert written[key] == "1"
    assert written.get(RESTART) == ("2026-11-23T10:15:00.250000Z" if noted else None)
    assert RESTART not in BODY["config"]
