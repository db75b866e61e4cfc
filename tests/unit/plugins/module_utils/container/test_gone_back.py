# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a failed start or switch is told as, and what is noted about the system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TypeAlias

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container import rollback
from ansible_collections.inx.fleet.plugins.module_utils.container.apply import apply_step
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, Health
from ansible_collections.inx.fleet.plugins.module_utils.container.ends import Host
from ansible_collections.inx.fleet.plugins.module_utils.container.notes import Notes
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.errors import (
    DegradedError,
    FleetError,
    RefusedError,
    cleaning_up,
)
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generation
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import ACTIVATING, FAILED, HEALTHY
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, OLD

GONE = FleetError("Could not update web: Incus says: not found.", "See the log.")
WEB = Container(name="web", health=Health())
START = Step(action="start", container="web", summary="", before={"status": "Stopped"}, after={"system": OLD})


@dataclass
class FailingIncus:
    """An Incus whose starts fail; ``gone`` says that the instance is deleted by that, as an ephemeral one is."""

    gone: bool = False
    instances: dict[str, Instance] = field(default_factory=lambda: {"web": Instance(name="web")})

    def instance(self, name: str) -> Instance | None:
        return self.instances.get(name)

    def set_state(self, name: str, action: str, *_arguments: object, **_options: object) -> None:
        if self.gone:
            self.instances.clear()
        raise RefusedError("Incus says: no init.", "See the log.")

    @property
    def server(self) -> SimpleNamespace:
        return SimpleNamespace(member=None)

    def runs_commands(self, name: str) -> bool:
        return False


Make: TypeAlias = Callable[[FailingIncus], Notes]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """What makes the notes of a run."""
    return lambda incus: Notes(incus, str(tmp_path / "notes"))  # type: ignore[arg-type]


def failed_start(incus: FailingIncus, notes: Notes, fallback: Generation | None) -> FleetError:
    plan = Plan(container=WEB, steps=(START,), fallback=fallback)
    with pytest.raises(FleetError) as raised:
        apply_step(Host(incus=incus, nix=None, notes=notes), plan, START)  # type: ignore[arg-type]
    return raised.value


def test_what_a_clean_up_fails_with_comes_after_the_cause() -> None:
    cause = FleetError("The start failed.", "See the log.")
    with cleaning_up(cause, "Starting it again"):
        raise GONE
    with cleaning_up(cause, "Removing /nix/x"):
        raise OSError(39, "Directory not empty")
    assert str(cause) == (
        "The start failed. Starting it again failed as well: Could not update web: Incus says: not found. "
        "Removing /nix/x failed as well: Directory not empty. See the log."
    )


def test_the_cause_of_a_failed_start_is_told_when_the_instance_is_gone_by_then(make: Make) -> None:
    incus = FailingIncus(gone=True)
    error = failed_start(incus, make(incus), fallback=None)
    assert "Incus says: no init." in error.problem


def test_a_proven_system_is_not_remembered_as_bad_when_it_is_what_the_way_back_leads_to(make: Make) -> None:
    incus = FailingIncus()
    notes = make(incus)
    notes.change(WEB, {HEALTHY: OLD})
    error = failed_start(incus, notes, Generation(number=1, system=OLD))
    assert "This system was healthy before, so web was left as it is" in error.problem
    assert FAILED not in notes.of(WEB)


def test_there_is_no_way_back_from_a_system_to_itself(make: Make) -> None:
    incus = FailingIncus()
    notes = make(incus)
    assert "nothing to roll back to" in failed_start(incus, notes, Generation(number=1, system=OLD)).problem
    assert FAILED not in notes.of(WEB)


def test_a_bad_system_is_left_for_another_one(make: Make) -> None:
    incus = FailingIncus()
    error = failed_start(incus, make(incus), Generation(number=1, system=NEW))
    assert "Going back to generation 1" in error.problem


@pytest.mark.parametrize(("failed", "is_back"), [({"legacy.service"}, True), ({"legacy.service", "x.service"}, False)])
def test_a_container_is_back_when_no_more_is_failed_than_before(
    make: Make, monkeypatch: pytest.MonkeyPatch, *, failed: set[str], is_back: bool
) -> None:
    def degraded(*_arguments: object) -> list[str]:
        raise DegradedError("units failed.", "See the journal.", failed)

    boots: list[str] = []
    monkeypatch.setattr(rollback, "select_generation", lambda *_arguments: None)
    monkeypatch.setattr(rollback, "running_system", lambda *_arguments: NEW)
    monkeypatch.setattr(rollback, "switch", lambda *_arguments: None)
    monkeypatch.setattr(rollback, "verify", degraded)
    monkeypatch.setattr(rollback, "reboot", lambda *_arguments, force: boots.append("web"))
    incus = FailingIncus()
    notes = make(incus)
    notes.change(WEB, {ACTIVATING: NEW})
    host = Host(incus=incus, nix=None, notes=notes)  # type: ignore[arg-type]
    arguments = (host, WEB, Generation(number=1, system=OLD))
    if is_back:
        assert rollback.return_to(*arguments, ["legacy.service"]).units == {"legacy.service"}
        assert ACTIVATING not in notes.of(WEB)
    else:
        with pytest.raises(DegradedError):
            rollback.return_to(*arguments, ["legacy.service"])
    assert boots == ([] if is_back else ["web"])
