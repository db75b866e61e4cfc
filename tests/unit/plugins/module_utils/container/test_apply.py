# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container import apply
from ansible_collections.inx.fleet.plugins.module_utils.container.apply import apply_step, patched, updated
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, Health
from ansible_collections.inx.fleet.plugins.module_utils.container.rollback import Host
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Action, Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.errors import (
    ConflictError,
    FleetError,
    LateError,
    NotTriedError,
)
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance, Server
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import ACTIVATING, MOVING, RESTART, RESTART_KEYS
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, OLD

BODY: dict[str, Any] = {
    "config": {"a": "1", "volatile.x": "y"},
    "devices": {"d": {"type": "disk"}},
    "profiles": ["default"],
}


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
    with pytest.raises(ConflictError, match="changed by something else"):
        patched(BODY, before, after)


@pytest.mark.parametrize("notes", [{}, {RESTART_KEYS: "2026-11-23T10:00:00Z raw.idmap=-"}])
def test_an_update_notes_when_it_takes_a_restart(notes: dict[str, str]) -> None:
    before, after = {"config": {"raw.idmap": None}}, {"config": {"raw.idmap": "1"}}
    step = Step(action="update", container="web", summary="", before=before, after=after, notes=notes)
    written = updated(BODY, step, 1_795_428_900.25)["config"]
    assert written["raw.idmap"] == "1"
    assert written.get(RESTART) == ("2026-11-23T10:15:00.250000Z" if notes else None)
    assert written.get(RESTART_KEYS) == notes.get(RESTART_KEYS)
    assert RESTART not in BODY["config"]


@dataclass
class RefusingIncus:
    """It takes no update and no rebuild, and keeps what else it was asked for."""

    error: FleetError
    asked: list[tuple[str, ...]] = field(default_factory=list)
    server: Server = field(
        default_factory=lambda: Server(name="", version="", extensions=frozenset(), idmapped_mounts=True)
    )

    def rebuild_instance(self, name: str) -> None:
        raise self.error

    def note(self, name: str, notes: dict[str, str]) -> None:
        self.asked.append(("note", name, *notes))

    def update_instance(self, name: str, change: object) -> None:
        raise self.error

    def delete_volume(self, pool: str, name: str) -> None:
        self.asked.append(("delete", pool, name))

    def set_state(self, name: str, action: str) -> None:
        self.asked.append((action, name))


def refused_update(error: FleetError) -> list[tuple[str, ...]]:
    """What is done about it, when a new volume was made and the container was stopped for it."""
    volumes = {"default/web_new": None, "default/web_old": {"size": "1GiB"}}
    steps = (
        Step(action="volume", container="web", summary="", before={"volumes": volumes}, after={"volumes": volumes}),
        Step(action="stop", container="web", summary=""),
        Step(action="update", container="web", summary="", before={"config": {}}, after={"config": {}}),
        Step(action="start", container="web", summary=""),
    )
    incus = RefusingIncus(error)
    plan = Plan(container=Container(name="web", state="restarted"), steps=steps)
    with pytest.raises(type(error)):
        apply_step(Host(incus=incus, nix=None), plan, steps[2])  # type: ignore[arg-type]
    return incus.asked


def test_after_an_update_that_is_refused_it_runs_on_and_no_new_volume_is_left() -> None:
    assert refused_update(FleetError("no.such.key", "Fix it.")) == [("delete", "default", "web_new"), ("start", "web")]


def test_an_update_that_goes_on_is_left_alone() -> None:
    assert refused_update(LateError("it is not done", "Wait.")) == []


@pytest.mark.parametrize(
    ("actions", "status", "expected"),
    [
        (("stop", "rebuild", "start"), "Running", [("start", "web")]),
        (("stop", "update", "start"), "Frozen", [("start", "web")]),
        (("move", "update", "start"), "Running", [("start", "web"), ("note", "web", MOVING)]),
        (("move", "rebuild", "start"), "Stopped", []),
        (("stop", "update"), "Running", []),
        (("update", "stop", "start"), "Running", []),
    ],
)
def test_what_ran_runs_on_when_a_step_fails_before_its_start(
    actions: tuple[Action, ...], status: str, expected: list[tuple[str, ...]]
) -> None:
    before = {"status": status, "config": {}}
    steps = tuple(Step(action=one, container="web", summary="", before=before, after={"config": {}}) for one in actions)
    incus = RefusingIncus(FleetError("no", "Fix it."))
    failing = next(step for step in steps if step.action in ("update", "rebuild"))
    with pytest.raises(FleetError):
        apply_step(Host(incus=incus, nix=None), Plan(container=Container(name="web"), steps=steps), failing)  # type: ignore[arg-type]
    assert incus.asked == expected


class KilledAtOnceError(Exception):
    """What ends a run in the middle of a step."""


@dataclass
class NotingIncus:
    """It keeps the notes on an instance."""

    notes: dict[str, str] = field(default_factory=dict)

    def note(self, _name: str, notes: dict[str, str], unless: dict[str, str]) -> None:
        self.notes |= {} if unless.items() <= self.notes.items() else notes


@pytest.mark.parametrize(
    ("health", "last", "noted"),
    [(Health(), "activate", {ACTIVATING: NEW}), (Health(), None, {}), (None, "activate", {})],
)
def test_a_system_is_on_trial_before_a_reboot_could_boot_it(
    monkeypatch: pytest.MonkeyPatch, health: Health | None, last: Action | None, noted: dict[str, str]
) -> None:
    def killed(*_arguments: Any) -> None:
        raise KilledAtOnceError

    monkeypatch.setattr(apply, "make_profile", lambda _directory: None)
    monkeypatch.setattr(apply, "mark_set", lambda _directory, _name: None)
    monkeypatch.setattr(apply, "add_generation", killed)
    record = Step(action="record", container="web", summary="", before={}, after={"generation": 2, "system": NEW})
    steps = (record,) if last is None else (record, Step(action=last, container="web", summary=""))
    incus = NotingIncus()
    plan = Plan(container=Container(name="web", health=health), steps=steps)
    with pytest.raises(KilledAtOnceError):
        apply_step(Host(incus=incus, nix=None), plan, record)  # type: ignore[arg-type]
    assert incus.notes == noted


@dataclass
class SwitchingIncus(NotingIncus):
    """One in which commands of others run, beside a switch."""

    def instance(self, name: str) -> Instance:
        return Instance(name=name, status="Running", config=dict(self.notes))

    def note(self, _name: str, notes: dict[str, str], unless: dict[str, str] | None = None) -> None:
        super().note(_name, notes, unless or {"": ""})

    def runs_commands(self, _name: str) -> bool:
        return True

    def await_commands(self, _name: str, _timeout: int) -> None:
        pass


@pytest.mark.parametrize(("goes_on", "noted"), [(True, NEW), (False, OLD)])
def test_only_a_switch_that_goes_on_keeps_its_system_on_trial(
    monkeypatch: pytest.MonkeyPatch, *, goes_on: bool, noted: str
) -> None:
    def refused(*_arguments: Any) -> list[str]:
        raise NotTriedError("It was not tried.", "Run again.", goes_on=goes_on)

    monkeypatch.setattr(apply, "can_switch", lambda _system: True)
    monkeypatch.setattr(apply, "await_boot", lambda *_arguments: None)
    monkeypatch.setattr(apply, "switch_and_verify", refused)
    # The step before has put it on trial, and this is what the plan found.
    incus = SwitchingIncus({ACTIVATING: NEW})
    after = {"running_system": NEW, "activation": "switch"}
    step = Step(action="activate", container="web", summary="", before={"activating": OLD}, after=after)
    plan = Plan(container=Container(name="web", health=Health()), steps=(step,))
    with pytest.raises(NotTriedError):
        apply_step(Host(incus=incus, nix=None), plan, step)  # type: ignore[arg-type]
    assert incus.notes == {ACTIVATING: noted}
