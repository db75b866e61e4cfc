# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container import apply
from ansible_collections.inx.fleet.plugins.module_utils.container.apply import apply_step, patched
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, Health
from ansible_collections.inx.fleet.plugins.module_utils.container.ends import Host
from ansible_collections.inx.fleet.plugins.module_utils.container.notes import Notes
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Action, Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.errors import (
    ConflictError,
    FleetError,
    LateError,
    NotTriedError,
)
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance, Server
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import (
    ACTIVATING,
    HEALTHY,
    MOVING,
    RESTART,
    RESTART_KEYS,
)
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


def host_of(incus: object, directory: Path = Path("/nonexistent")) -> Host:
    """Return a host with that Incus, and its notes in a directory."""
    return Host(incus=incus, nix=None, notes=Notes(incus, str(directory / "notes")))  # type: ignore[arg-type]


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
        apply_step(host_of(incus), plan, steps[2])
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
        apply_step(host_of(incus), Plan(container=Container(name="web"), steps=steps), failing)
    assert incus.asked == expected


class KilledAtOnceError(Exception):
    """What ends a run in the middle of a step."""


@dataclass
class LookingIncus:
    """It has one instance, and takes or refuses updates of it."""

    found: Instance = field(default_factory=lambda: Instance(name="web", config={"volatile.uuid": "1"}))
    refuses: FleetError | None = None
    server: Server = field(
        default_factory=lambda: Server(name="", version="", extensions=frozenset(), idmapped_mounts=True)
    )

    def instance(self, _name: str) -> Instance:
        return self.found

    def update_instance(self, _name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        if self.refuses is not None:
            raise self.refuses
        body = {"config": dict(self.found.config), "devices": {}, "profiles": []}
        self.found = replace(self.found, config=change(body)["config"])


def noted(directory: Path) -> dict[str, str]:
    """Return what the host remembers of web."""
    file = directory / "notes" / "web.json"
    return dict(json.loads(file.read_text())["notes"]) if file.exists() else {}


@pytest.mark.parametrize("refuses", [None, FleetError("no", "Fix it.")])
def test_an_update_is_remembered_before_it_is_made_when_it_takes_a_restart(
    tmp_path: Path, refuses: FleetError | None
) -> None:
    before, after = {"config": {"raw.idmap": None}}, {"config": {"raw.idmap": "1"}}
    notes = {RESTART_KEYS: "2026-11-23T10:00:00Z raw.idmap=-"}
    step = Step(action="update", container="web", summary="", before=before, after=after, notes=notes)
    incus = LookingIncus(refuses=refuses)
    with suppress(FleetError):
        apply_step(host_of(incus, tmp_path), Plan(container=Container(name="web"), steps=(step,)), step)
    assert noted(tmp_path).keys() == {RESTART, RESTART_KEYS}
    assert incus.found.config.get("raw.idmap") == (None if refuses else "1")


@pytest.mark.parametrize("refuses", [None, FleetError("no", "Fix it.")])
def test_notes_of_an_earlier_release_are_in_the_file_before_they_leave_the_instance(
    tmp_path: Path, refuses: FleetError | None
) -> None:
    devices = {"nixprofiles": {"source": "/nix/var/nix/profiles/inx-container/web"}}
    config = {"volatile.uuid": "1", "user.inx.healthy": NEW, "user.inx.set": "main"}
    incus = LookingIncus(found=Instance(name="web", config=config, devices=devices), refuses=refuses)
    before, after = {"config": {"user.inx.healthy": NEW}}, {"config": {"user.inx.healthy": None}}
    step = Step(action="update", container="web", summary="", before=before, after=after)
    with suppress(FleetError):
        apply_step(host_of(incus, tmp_path), Plan(container=Container(name="web"), steps=(step,)), step)
    assert noted(tmp_path) == {HEALTHY: NEW}
    assert incus.found.config == (config if refuses else {"volatile.uuid": "1", "user.inx.set": "main"})


@pytest.mark.parametrize(
    ("health", "last", "expected"),
    [(Health(), "activate", {ACTIVATING: NEW}), (Health(), None, {}), (None, "activate", {})],
)
def test_a_system_is_on_trial_before_a_reboot_could_boot_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    health: Health | None,
    last: Action | None,
    expected: dict[str, str],
) -> None:
    def killed(*_arguments: Any) -> None:
        raise KilledAtOnceError

    monkeypatch.setattr(apply, "make_profile", lambda _directory: None)
    monkeypatch.setattr(apply, "mark_set", lambda _directory, _name: None)
    monkeypatch.setattr(apply, "add_generation", killed)
    record = Step(action="record", container="web", summary="", before={}, after={"generation": 2, "system": NEW})
    steps = (record,) if last is None else (record, Step(action=last, container="web", summary=""))
    plan = Plan(container=Container(name="web", health=health), steps=steps)
    with pytest.raises(KilledAtOnceError):
        apply_step(host_of(LookingIncus(), tmp_path), plan, record)
    assert noted(tmp_path) == expected


@dataclass
class SwitchingIncus(LookingIncus):
    """One in which commands of others run, beside a switch."""

    def runs_commands(self, _name: str) -> bool:
        return True

    def await_commands(self, _name: str, _timeout: int) -> None:
        pass


@pytest.mark.parametrize(("goes_on", "expected"), [(True, NEW), (False, OLD)])
def test_only_a_switch_that_goes_on_keeps_its_system_on_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, goes_on: bool, expected: str
) -> None:
    def refused(*_arguments: Any) -> list[str]:
        raise NotTriedError("It was not tried.", "Run again.", goes_on=goes_on)

    monkeypatch.setattr(apply, "can_switch", lambda _system: True)
    monkeypatch.setattr(apply, "await_boot", lambda *_arguments: None)
    monkeypatch.setattr(apply, "switch_and_verify", refused)
    # The step before has put it on trial, and this is what the plan found.
    host = host_of(SwitchingIncus(), tmp_path)
    host.notes.change(Container(name="web"), {ACTIVATING: NEW})
    after = {"running_system": NEW, "activation": "switch"}
    step = Step(action="activate", container="web", summary="", before={"activating": OLD}, after=after)
    plan = Plan(container=Container(name="web", health=Health()), steps=(step,))
    with pytest.raises(NotTriedError):
        apply_step(host, plan, step)
    assert noted(tmp_path) == {ACTIVATING: expected}
