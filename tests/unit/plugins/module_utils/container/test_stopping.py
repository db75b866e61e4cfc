# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How often a container is asked to stop, with a clock and an Incus that are simulated."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.ends import Host
from ansible_collections.inx.fleet.plugins.module_utils.container.rollback import reboot, stop_instance
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance

WEB = Container(name="web", stop_timeout=12)


@dataclass
class Slow:
    """An Incus with a container whose init hears from a moment on, and then takes its time."""

    hears_at: float
    takes: float = 0
    refuses: bool = False
    ephemeral: bool = False
    now: float = 0
    running: bool = True
    asked: list[tuple[str, float, int, bool]] = field(default_factory=list)
    ends_at: float | None = None

    def monotonic(self) -> float:
        return self.now

    def instance(self, name: str) -> Instance:
        return Instance(name=name, status="Running" if self.running else "Stopped", ephemeral=self.ephemeral)

    def set_state(self, name: str, action: str, timeout: int = 0, force: bool = False) -> None:
        self.asked.append((action, self.now, timeout, force))
        if action == "start" or self.refuses:
            if self.refuses:
                raise FleetError("Incus says: no.", "")
            return
        if self.now >= self.hears_at and self.ends_at is None:
            self.ends_at = self.now + self.takes
        if force:
            self.ends_at = self.now
        if self.ends_at is None or self.ends_at > self.now + timeout:
            self.now += timeout
            raise FleetError("Incus says: it did not stop.", "")
        self.now, self.running = self.ends_at, False


def stop(incus: Slow, monkeypatch: pytest.MonkeyPatch, *, force: bool = False) -> list[tuple[float, int]]:
    monkeypatch.setattr(time, "monotonic", incus.monotonic)
    stop_instance(Host(incus=incus, nix=None, notes=None), WEB, "Running", force=force)  # type: ignore[arg-type]
    return [(when, timeout) for _action, when, timeout, _force in incus.asked]


@pytest.mark.parametrize(
    ("incus", "asked"),
    [
        pytest.param(Slow(hears_at=0), [(0, 5)], id="at once"),
        pytest.param(Slow(hears_at=0, takes=4), [(0, 5)], id="asked once while it takes less"),
        pytest.param(Slow(hears_at=3), [(0, 5), (5, 5)], id="it did not hear at first"),
        pytest.param(Slow(hears_at=9), [(0, 5), (5, 5), (10, 2)], id="it hears late"),
        pytest.param(Slow(hears_at=3, takes=6), [(0, 5), (5, 5), (10, 2)], id="it hears, and takes its time"),
    ],
)
def test_a_container_is_asked_until_it_hears(
    incus: Slow, asked: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stop(incus, monkeypatch) == asked
    assert incus.now <= WEB.stop_timeout


def test_one_that_never_hears_runs_on_or_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = Slow(hears_at=99)
    with pytest.raises(FleetError, match="did not stop within 12 s, and runs on"):
        stop(deaf, monkeypatch)
    assert deaf.now == WEB.stop_timeout
    killed = Slow(hears_at=99)
    assert stop(killed, monkeypatch, force=True)[-1] == (12, 12)
    assert killed.asked[-1][3]
    assert not killed.running


def test_a_refusal_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = Slow(hears_at=0, refuses=True)
    with pytest.raises(FleetError, match="Incus says: no"):
        stop(refusing, monkeypatch)
    assert len(refusing.asked) == 1


def test_a_restart_by_incus_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request stops and starts an ephemeral container, which its stop alone would delete."""
    incus = Slow(hears_at=0, takes=8, ephemeral=True)
    monkeypatch.setattr(time, "monotonic", incus.monotonic)
    reboot(Host(incus=incus, nix=None, notes=None), WEB, force=False)  # type: ignore[arg-type]
    assert incus.asked == [("restart", 0, 12, False)]
