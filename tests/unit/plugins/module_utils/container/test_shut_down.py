# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A container that Incus stops because it is shut down itself has no bad system."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.health import running_instance
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError, UnhealthyError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.tests.unit.plugins.running import Clock

POWER = "volatile.last_state.power"
RUNS = Instance(name="web", status="Running")
ENDED = Instance(name="web", status="Stopped", config={POWER: "STOPPED"})
TO_RUN = Instance(name="web", status="Stopped", config={POWER: "RUNNING"})
AWAY = FleetError("Could not look at web: the connection to Incus failed.", "")


def incus_with(*sights: Instance | FleetError | None) -> Any:
    """Return an Incus that shows one after another; the last one again and again."""
    left = list(sights)

    def instance(_name: str) -> Instance | None:
        sight = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(sight, FleetError):
            raise sight
        return sight

    return SimpleNamespace(instance=instance, project="default")


def test_one_that_runs_is_returned() -> None:
    assert running_instance(incus_with(RUNS), "web") is RUNS


@pytest.mark.parametrize(
    "sights",
    [
        (ENDED,),
        (None,),
        # Its stop is not done: liblxc calls it stopped before Incus has noted anything.
        (TO_RUN, TO_RUN, ENDED),
    ],
)
def test_one_that_has_ended_by_itself_is_ill(clock: Clock, sights: tuple[Instance | None, ...]) -> None:
    with pytest.raises(UnhealthyError, match="stopped by itself"):
        running_instance(incus_with(*sights), "web")
    assert clock.now() < 106


@pytest.mark.parametrize(
    "sights",
    [
        (TO_RUN,),
        # It notes that it is to run after it has stopped it.
        (ENDED, ENDED, ENDED, TO_RUN),
        (ENDED, AWAY),
    ],
)
def test_one_that_incus_has_stopped_for_its_own_end_is_not(
    clock: Clock, sights: tuple[Instance | FleetError, ...]
) -> None:
    with pytest.raises(FleetError, match=r"Incus was shut down|connection to Incus failed") as raised:
        running_instance(incus_with(*sights), "web")
    assert not isinstance(raised.value, UnhealthyError)
    assert clock.now() < 106
