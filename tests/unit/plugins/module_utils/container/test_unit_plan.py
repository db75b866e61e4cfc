# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.outcome import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Action, Plan, new_step
from ansible_collections.inx.fleet.plugins.module_utils.container.unit_plan import UnitPlan, plan_units
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError, LateError
from ansible_collections.inx.fleet.plugins.module_utils.incus.client import Execution
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generations
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, OLD


class Incus:
    """It runs commands as it is told, and remembers them."""

    def __init__(self, answer: Execution | FleetError) -> None:
        self._answer = answer
        self.commands: list[tuple[str, Sequence[str]]] = []

    def execute(self, name: str, command: Sequence[str], timeout: int, **_options: object) -> Execution:
        self.commands.append((name, command))
        if isinstance(self._answer, FleetError):
            raise self._answer
        return self._answer


SAYS = Execution(code=0, stdout="", stderr="would restart the following units: hello.service\n")


def planned(
    *actions: Action,
    built: bool = True,
    status: str = "Running",
    error: FleetError | None = None,
    runs: str | None = OLD,
    answer: Execution | FleetError = SAYS,
) -> tuple[UnitPlan | None, Incus]:
    """Return what is said of the units of one container, and the Incus that was asked."""
    after = {"running_system": NEW, "activation": "switch"}
    steps = tuple(new_step(action, "web", action, {"running_system": runs}, after) for action in actions)
    plan = Plan(container=Container(name="web"), system=System(path=NEW, built=built), steps=steps, error=error)
    found = Generations(paths={1: OLD}, current=1) if runs is not None else Generations()
    observed = Observed(instance=Instance(name="web", status=status, running_system=runs), generations=found)
    incus = Incus(answer)
    outcome = Outcome(plan=plan, steps=steps, observed=observed, error=error)
    return plan_units(incus, [outcome], {"web": observed}, 4).get("web"), incus  # type: ignore[arg-type]


def test_a_container_that_is_switched_is_asked() -> None:
    units, incus = planned("record", "activate")
    assert units == UnitPlan(units={"restarted": ("hello.service",)})
    assert incus.commands == [("web", [f"{NEW}/bin/switch-to-configuration", "dry-activate"])]


@pytest.mark.parametrize(
    ("actions", "options", "why"),
    [
        (["build", "record", "activate"], {"built": False}, "build_in_check_mode"),
        (["record", "restart"], {}, "boots the system"),
        (["record", "start"], {"status": "Stopped"}, "boots the system"),
        (["record", "start", "activate"], {"status": "Stopped"}, "boots before"),
        (["record"], {"status": "Stopped"}, "does not run"),
        (["record"], {}, "when the container boots"),
        (["record", "unfreeze", "activate"], {"status": "Frozen"}, "is frozen"),
    ],
)
def test_one_that_cannot_be_asked(actions: list[Action], options: dict[str, bool], why: str) -> None:
    units, incus = planned(*actions, **options)  # type: ignore[arg-type]
    assert units is not None and why in units.unknown and not units.units
    assert incus.commands == []


@pytest.mark.parametrize(
    ("actions", "options"),
    [
        ([], {}),
        (["update"], {"runs": NEW}),
        (["create", "record", "start"], {"runs": None}),
        (["record", "rollback"], {"error": FleetError("It was found unhealthy.", "")}),
    ],
)
def test_there_is_nothing_to_say_without_another_system(actions: list[Action], options: dict[str, str]) -> None:
    units, incus = planned(*actions, **options)  # type: ignore[arg-type]
    assert (units, incus.commands) == (None, [])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Execution(code=1, stdout="", stderr="Pre-switch check 'x' failed\x1b[2J"), "| Pre-switch check 'x' failed"),
        (Execution(code=1, stdout="", stderr="https://user:secret@cache.example.org"), "| https://"),
        (Execution(code=11, stdout="", stderr=""), "Another switch holds its lock"),
        (Execution(code=100, stdout="", stderr=""), "It needs a restart"),
        (LateError("It takes longer than 60 s.", ""), "longer than 60 s"),
        (FleetError("Incus cannot run it.", ""), "cannot run it"),
    ],
)
def test_what_a_container_answers_instead(answer: Execution | FleetError, why: str) -> None:
    units, _incus = planned("activate", answer=answer)
    assert units is not None and why in units.unknown and not units.units
    assert "\x1b" not in units.unknown and "secret" not in units.unknown
