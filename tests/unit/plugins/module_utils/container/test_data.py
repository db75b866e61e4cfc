# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults while snapshots are taken that a real host does not show on request."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.data import (
    Data,
    begin_restoration,
    config_after,
    finish_restoration,
    take,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.notes import Notes
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.client import Incus
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import RESTORING, TAKEN, TAKING
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import declared

FUTURE = "inx-1-21000101T000000Z"


class FaultyIncus:
    """An Incus that takes snapshots, and refuses some requests."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.status = "Running"
        self.sets = {FUTURE}

    def instance(self, name: str) -> Instance:
        return Instance(name=name, status=self.status)

    def set_state(self, name: str, action: str) -> None:
        self._refuse(action)
        self.status = {"freeze": "Frozen", "unfreeze": "Running"}[action]

    def snapshots(self, name: str) -> frozenset[str]:
        return frozenset(self.sets)

    def volume_snapshots(self, place: tuple[str, str]) -> frozenset[str]:
        return frozenset()

    def take_snapshot(self, name: str, snapshot: str) -> None:
        self._refuse("snapshot")
        self.sets.add(snapshot)

    def delete_snapshot(self, name: str, snapshot: str) -> None:
        self.sets.discard(snapshot)

    def await_snapshots(self, name: str, places: object) -> None:
        """Have nothing to wait for."""

    def _refuse(self, action: str) -> None:
        if action in self.refused:
            raise FleetError(f"{action} was refused.", "Run again.")


class KeptNotes:
    """Notes of one container, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def of(self, container: object) -> dict[str, str]:
        return self.kept

    def change(self, container: object, changes: dict[str, str]) -> None:
        self.kept = {key: value for key, value in {**self.kept, **changes}.items() if value}


def data(incus: FaultyIncus, notes: KeptNotes) -> Data:
    made = declared(system=f"/nix/store/{1:032}-nixos-system-web-1", snapshots={})
    return Data(
        incus=cast(Incus, incus), notes=cast(Notes, notes), container=made, covers_root=True, volumes=()
    )


def test_what_cannot_be_unfrozen_is_left_to_the_next_run() -> None:
    incus, notes = FaultyIncus("unfreeze"), KeptNotes()
    with pytest.raises(FleetError, match="unfreeze was refused"):
        take(data(incus, notes), 1, "/nix/store/y")
    assert incus.status == "Frozen"
    assert notes.kept[TAKING] in incus.sets
    incus.refused = ()
    incus.status = "Running"
    take(data(incus, notes), 1, "/nix/store/y")
    assert len(incus.sets) == 2
    assert TAKING not in notes.kept


@pytest.mark.parametrize("refused", ["freeze", "snapshot"])
def test_nothing_is_left_of_a_set_that_fails(refused: str) -> None:
    incus, notes = FaultyIncus(refused), KeptNotes()
    with pytest.raises(FleetError, match=f"{refused} was refused"):
        take(data(incus, notes), 1, "/nix/store/y")
    assert (incus.status, incus.sets, notes.kept) == ("Running", {FUTURE}, {})


def test_what_cannot_be_kept_is_not_replaced_and_no_run_goes_on_with_it() -> None:
    incus, notes = FaultyIncus("snapshot"), KeptNotes()
    incus.status = "Stopped"
    begin_restoration(data(incus, notes), FUTURE, 2)
    assert notes.kept[RESTORING] == f"{FUTURE} inx-2-21000101T000001Z"
    with pytest.raises(FleetError, match="snapshot was refused"):
        finish_restoration(data(incus, notes), None)
    assert (incus.sets, notes.kept) == ({FUTURE}, {})


def test_a_set_comes_after_all_others_also_when_the_clock_goes_back() -> None:
    incus, notes = FaultyIncus(), KeptNotes()
    told = take(data(incus, notes), 1, "/nix/store/y")
    assert told["name"] == "inx-1-21000101T000001Z"
    assert notes.kept == {TAKEN: "inx-1-21000101T000001Z /nix/store/y"}


def test_what_is_superseded_goes_once_there_is_a_newer_set() -> None:
    incus, notes = FaultyIncus("snapshot"), KeptNotes()
    with pytest.raises(FleetError):
        take(data(incus, notes), 1, "/nix/store/y", FUTURE)
    assert incus.sets == {FUTURE}
    incus.refused = ()
    told = take(data(incus, notes), 1, "/nix/store/y", FUTURE)
    assert (incus.sets, notes.kept) == ({told["name"]}, {TAKEN: f"{told['name']} /nix/store/y"})


def test_a_copy_keeps_its_identity_when_a_snapshot_of_its_origin_is_restored() -> None:
    restored: dict[str, Any] = {"volatile.uuid": "origin", "volatile.idmap.base": "1", "user.x": "old"}
    saved = {"volatile.uuid": "copy", "volatile.eth0.hwaddr": "a", "volatile.idmap.base": "2", "user.x": "new"}
    assert config_after(restored, saved) == {
        "volatile.uuid": "copy",
        "volatile.eth0.hwaddr": "a",
        "volatile.idmap.base": "1",
        "user.x": "new",
    }
