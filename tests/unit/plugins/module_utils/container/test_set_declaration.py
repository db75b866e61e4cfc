# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, Health
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import container_set_from
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import SET, declared


@pytest.mark.parametrize(("text", "number"), [(None, None), ("2", 2), ("25%", 1), ("50%", 2), ("1%", 1), ("100%", 4)])
def test_a_share_of_the_set_is_at_least_one(text: str | None, number: int | None) -> None:
    containers = [Container(name=f"c{number}") for number in range(4)]
    assert container_set_from({**SET, "max_unavailable": text}, containers).max_unavailable == number


def test_those_that_are_chosen_come_after_no_other() -> None:
    containers = [Container(name="web-1", after=("db", "web-2")), Container(name="web-2"), Container(name="db")]
    chosen = container_set_from({**SET, "only": ["web-*"]}, containers).containers
    assert [(container.name, container.after) for container in chosen] == [("web-1", ("web-2",)), ("web-2", ())]


def test_a_circle_of_containers_is_told() -> None:
    containers = [Container(name="a", after=("b",)), Container(name="b", after=("a",))]
    with pytest.raises(FleetError, match="a dependency cycle"):
        container_set_from(SET, containers)


def test_nothing_comes_after_what_nobody_waits_for() -> None:
    database = declared(name="db", flake="/etc/nixos", wait=False)
    with pytest.raises(FleetError, match="nobody waits until db is up"):
        container_set_from(SET, [Container(name="web", after=("db",)), database])
    container_set_from(SET, [Container(name="web", after=("db",)), replace(database, health=Health())])
