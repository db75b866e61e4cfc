# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.outcome import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.results import container_result, differences
from ansible_collections.inx.fleet.plugins.module_utils.container.revisions import (
    noted_revision,
    recorded_revisions,
    revisions_of,
    with_revisions,
)
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import REVISIONS
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    NEW,
    OLD,
    WEB,
    running_host,
    with_instance,
)


def outcome_of_an_update() -> Outcome:
    """Return the update from OLD, which was built from the revision "aaa", to NEW, which "bbb" leads to."""
    host = with_instance(running_host(path=OLD), notes=noted_revision({}, OLD, "aaa", {OLD}))
    plan = plan_container(WEB, System(path=NEW, revision="bbb"), host)
    return Outcome(plan=plan, steps=plan.steps, observed=host)


def test_an_update_leads_from_one_revision_to_another() -> None:
    (outcome,) = with_revisions([outcome_of_an_update()])
    result = container_result(outcome)
    assert (result["container"]["revision"], result["container"]["running_revision"]) == ("aaa", "aaa")
    (recorded,) = (step for step in result["steps"] if step["action"] == "record")
    assert (recorded["before"]["revision"], recorded["after"]["revision"]) == ("aaa", "bbb")
    diff = differences(outcome)
    assert (diff["before"]["revision"], diff["after"]["revision"]) == ("aaa", "bbb")


def test_steps_say_nothing_of_revisions_that_nobody_knows() -> None:
    outcome = outcome_of_an_update()
    unknown = replace(outcome, plan=replace(outcome.plan, system=System(path=NEW)))
    (found,) = with_revisions([replace(unknown, observed=with_instance(outcome.observed, notes={}))])
    assert found.revisions == {}
    assert all("revision" not in {**step["before"], **step["after"]} for step in container_result(found)["steps"])


@given(st.text(), st.text())
def test_a_note_keeps_the_revisions_of_kept_systems(first: str, second: str) -> None:
    notes = noted_revision({}, OLD, first, {OLD})
    both = noted_revision(notes, NEW, second, {OLD, NEW})
    found = revisions_of([OLD, NEW, None], both)
    assert found.get(OLD) == ("".join(first.split()) or None)
    assert found.get(NEW) == ("".join(second.split()) or None)
    assert OLD[11:43] not in recorded_revisions(noted_revision(both, NEW, second, {NEW}))


def test_a_note_that_says_nothing() -> None:
    assert recorded_revisions({REVISIONS: "= a b="}) == {}
