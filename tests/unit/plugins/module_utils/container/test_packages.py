# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.outcome import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.container.packages import closure_differences
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import StorePath, System
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, OLD, after, empty_host


class _Nix:
    def closure_differences(self, _pairs: Any) -> Any:
        raise FleetError("The systems cannot be compared. nix says:\nerror: database is busy", "Run again.")


def test_systems_that_cannot_be_compared_do_not_hide_what_was_done() -> None:
    old = Container(name="web", source=StorePath(path=OLD), localtime=False)
    host = empty_host()
    host = after(plan_container(old, System(path=OLD, built=True), host), host)
    new = Container(name="web", source=StorePath(path=NEW), localtime=False)
    plan = plan_container(new, System(path=NEW, built=True), host)
    outcome = Outcome(plan=plan, steps=plan.steps, observed=host)
    found = closure_differences(SimpleNamespace(nix=_Nix()), [outcome], {"web": host})  # type: ignore[arg-type]
    assert found == {"web": ("(the systems cannot be compared: error: database is busy)",)}
