# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused because Incus does not tell enough of a container; Incus is stood in for."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.converge import _unseen
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import ContainerSet
from ansible_collections.inx.fleet.plugins.module_utils.container.volatile import Volatile
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generations
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import empty_host

GONE = Container(name="web", state="absent")
NOTHING = empty_host()
LEFT = replace(NOTHING, generations=Generations(directory=True))
UNREADABLE = Instance(name="web", status="Error")


def refused(container: Container, seen: Any, answer: Instance | FleetError | None = None) -> list[str]:
    """The reasons, when Incus gives this answer about the one container."""

    def instance(_name: str) -> Instance | None:
        if isinstance(answer, FleetError):
            raise answer
        return answer

    host: Any = SimpleNamespace(incus=SimpleNamespace(instance=instance, server=SimpleNamespace(member=None)))
    found = _unseen(host, ContainerSet(containers=(container,)), {"web": seen})
    return [error.problem for error in found.values()]


def test_what_is_gone_may_lose_what_it_has_left() -> None:
    assert refused(GONE, LEFT) == []


def test_what_incus_does_not_show_keeps_all() -> None:
    assert refused(GONE, LEFT, FleetError("No permission.", "Ask.")) == ["No permission."]
    with_volumes = replace(GONE, volatile=Volatile(delete_volumes=True))
    assert refused(with_volumes, NOTHING, FleetError("No permission.", "Ask.")) == ["No permission."]


def test_what_was_not_listed_and_exists_keeps_all() -> None:
    assert refused(GONE, LEFT, Instance(name="web")) == ["web was created in the meantime."]


def test_nobody_is_asked_about_what_has_left_nothing() -> None:
    assert refused(GONE, NOTHING, FleetError("No permission.", "Ask.")) == []


@pytest.mark.parametrize("state", ["absent", "started", "restarted", "present", "stopped"])
def test_what_incus_cannot_look_at_is_left_alone(state: Any) -> None:
    told = refused(replace(GONE, state=state), replace(LEFT, instance=UNREADABLE))
    assert told == ["Incus cannot look at web, so nothing is known about it."]


def test_what_belongs_to_another_member_is_not_refused_here() -> None:
    elsewhere = replace(GONE, target="metal2")
    assert refused(elsewhere, replace(LEFT, instance=replace(UNREADABLE, location="metal2"))) == []
