# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container import switching
from ansible_collections.inx.fleet.plugins.module_utils.container.booting import started_at, with_running_systems
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, Health
from ansible_collections.inx.fleet.plugins.module_utils.container.switching import Meaning, meaning
from ansible_collections.inx.fleet.plugins.module_utils.errors import (
    DegradedError,
    FleetError,
    NoWorseError,
    UnhealthyError,
)
from ansible_collections.inx.fleet.plugins.module_utils.incus.client import Execution
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance, Server
from ansible_collections.inx.fleet.plugins.module_utils.text import utc
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, OLD


@pytest.mark.parametrize(
    ("code", "was", "now", "right"),
    [
        (0, OLD, NEW, "done"),
        # A check refused, another switch holds the lock, the interface of init is another one.
        (1, OLD, OLD, "untried"),
        (11, OLD, OLD, "untried"),
        (100, OLD, OLD, "untried"),
        # The activation failed, before and after the system was the current one.
        (2, OLD, OLD, "untried"),
        (2, OLD, NEW, "ill"),
        (3, OLD, NEW, "ill"),
        (4, OLD, NEW, "judge"),
        (4, OLD, OLD, "untried"),
        # The newer one ends with 1 for any error of its own, also when it is half done.
        (1, OLD, NEW, "ill"),
        # It was the current one before: nothing was done, or it was done again.
        (1, NEW, NEW, "untried"),
        (100, NEW, NEW, "untried"),
        (2, NEW, NEW, "ill"),
        (4, NEW, NEW, "judge"),
        (-1, OLD, None, "untried"),
        (2, None, NEW, "ill"),
    ],
)
def test_what_is_current_says_whether_it_was_tried(code: int, was: str, now: str, right: Meaning) -> None:
    assert meaning(code, was=was, now=now, system=NEW) == right


LEGACY, HELLO = "legacy.service", "hello.service"


@pytest.mark.parametrize(
    ("was", "before", "after", "error"),
    [
        (OLD, [LEGACY], [LEGACY], NoWorseError),
        (OLD, [LEGACY, HELLO], [LEGACY], NoWorseError),
        (OLD, [LEGACY], [LEGACY, HELLO], UnhealthyError),
        (OLD, [], [LEGACY], UnhealthyError),
        # A run that was killed has switched to it: what has failed is of this system.
        (NEW, [LEGACY], [LEGACY], UnhealthyError),
        # Nobody could say which units.
        (OLD, [LEGACY], [], UnhealthyError),
    ],
)
def test_a_system_is_not_left_for_what_had_failed_before_it(
    monkeypatch: pytest.MonkeyPatch, was: str, before: list[str], after: list[str], error: type[FleetError]
) -> None:
    def degraded(*_arguments: object) -> list[str]:
        raise DegradedError("units failed.", "See the journal.", after)

    runs = iter([was, NEW])
    done = Execution(code=4, stdout="", stderr="warning: the following units failed: legacy.service")
    monkeypatch.setattr(switching, "can_switch", lambda _system: True)
    monkeypatch.setattr(switching, "asks_systemd", lambda _system: True)
    monkeypatch.setattr(switching, "failed_units", lambda *_arguments: before)
    monkeypatch.setattr(switching, "verify", degraded)
    monkeypatch.setattr(switching, "_current", lambda *_arguments: next(runs))
    monkeypatch.setattr(switching, "_run", lambda *_arguments: done)
    with pytest.raises(FleetError) as raised:
        switching.switch_and_verify(None, Container(name="web", health=Health()), NEW, "switch")  # type: ignore[arg-type]
    assert raised.value.__class__ is error
    assert getattr(raised.value, "failed_before", set()) <= set(before)
    assert raised.value.output == {"switch-to-configuration": done.stderr}


@pytest.mark.parametrize("code", [0, 4])
def test_a_switch_tells_which_units_it_changed(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    done = Execution(code=code, stdout="", stderr="restarting the following units: hello.service\n")
    runs = iter([OLD, NEW])
    monkeypatch.setattr(switching, "can_switch", lambda _system: True)
    monkeypatch.setattr(switching, "failed_units", lambda *_arguments: [])
    monkeypatch.setattr(switching, "verify", lambda *_arguments: [])
    monkeypatch.setattr(switching, "_current", lambda *_arguments: next(runs))
    monkeypatch.setattr(switching, "_run", lambda *_arguments: done)
    told = switching.switch_and_verify(None, Container(name="web"), NEW, "switch")  # type: ignore[arg-type]
    assert (told.units, len(told.warnings)) == ({"restarted": ("hello.service",)}, 1 if code else 0)


class BootingIncus:
    """It has a container that says what it runs when it is asked for the third time."""

    server = Server(name="host", version="7.0", extensions=frozenset(), idmapped_mounts=True)

    def __init__(self, instance: Instance | None) -> None:
        self._instance = instance
        self.asked = 0

    def instance(self, name: str) -> Instance | None:
        return self._instance

    def running_system(self, instance: Instance) -> str | None:
        self.asked += 1
        return OLD if self.asked > 2 else None


def started(seconds_ago: float) -> Instance:
    return Instance(name="web", status="Running", last_started=utc(time.time() - seconds_ago))


def test_a_container_that_boots_is_waited_for() -> None:
    incus, instance = BootingIncus(started(1)), started(1)
    seen = with_running_systems(incus, {"web": instance}, {"web": 120})  # type: ignore[arg-type]
    assert seen["web"].running_system == OLD


def test_one_that_is_gone_meanwhile_is_not() -> None:
    incus = BootingIncus(None)
    assert with_running_systems(incus, {"web": started(1)}, {"web": 120}) == {}  # type: ignore[arg-type]
    stopped = BootingIncus(Instance(name="web"))
    seen = with_running_systems(stopped, {"web": started(1)}, {"web": 120})  # type: ignore[arg-type]
    assert (seen["web"].is_running, stopped.asked) == (False, 1)


@pytest.mark.parametrize(("text", "seconds"), [("1970-01-01T00:01:00.123456789Z", 60), ("", 0), ("never", 0)])
def test_a_time_stamp_of_incus(text: str, seconds: float) -> None:
    assert started_at(text) == seconds
