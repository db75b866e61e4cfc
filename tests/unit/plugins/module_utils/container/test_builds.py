# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial

from ansible_collections.inx.fleet.plugins.module_utils.container.builds import Builds
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.schedule import run_jobs
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.command import Nix, Wanted
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System

BUILD = Step(action="build", container="", summary="", before={}, after={})


class FakeNix(Nix):
    """nix whose copies from a store hang until they are let go, and then fail (simulated)."""

    def build(self, wanted: Sequence[Wanted]) -> dict[System, FleetError]:
        """Build at once, or copy at last."""
        if wanted[0][0].copy_from is None:
            return {}
        assert LET_GO.wait(60)
        return {system: FleetError(f"{system.path} is nowhere", "Wait.") for system, _options in wanted}


LET_GO = threading.Event()


def plan(name: str, copy_from: str | None = None, steps: tuple[Step, ...] = (BUILD,)) -> Plan:
    return Plan(container=Container(name=name), system=System(path=name, copy_from=copy_from), steps=steps)


def test_a_store_that_hangs_holds_up_only_those_that_need_it() -> None:
    plans = [plan("far", "ssh-ng://far"), plan("near"), plan("there", steps=()), plan("close")]
    builds = Builds(FakeNix(command="nix"), plans)
    order: list[str] = []

    def work(name: str) -> None:
        order.append(name)
        if len(order) == 3:
            LET_GO.set()

    jobs = {one.container.name: partial(work, one.container.name) for one in plans}
    # With one worker, which no build takes.
    run_jobs(jobs, {name: builds.before(name) for name in jobs}, 1, beside=builds.jobs)
    assert sorted(order[:3]) == ["close", "near", "there"]
    assert order[3] == "far"
    assert [str(builds.error_of(one)) for one in plans] == ["far is nowhere Wait.", "None", "None", "None"]
    # Those that are called the same way are built together.
    assert len(builds.jobs) == 2
