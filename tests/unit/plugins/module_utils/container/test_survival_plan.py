# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lets an instance or its files survive is written before what ends it, whatever is declared and seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, Health, State
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.container.volatile import Persist, Tmpfs, Volatile
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generations
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import StorePath, System
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import (
    ACTIVATING,
    FAILED,
    HEALTHY,
    MOVING,
    VOLATILE_ROOT,
)
from ansible_collections.inx.fleet.plugins.module_utils.values import same_value
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    NEW,
    OLD,
    WEB,
    after,
    empty_host,
    with_instance,
)

PROTECTION = "security.protection.delete"
SCRATCH = Volatile(root="tmpfs", tmpfs=(Tmpfs(path="/scratch"),))

STATES: list[State] = ["started", "stopped", "restarted", "present", "absent"]
VOLATILES = st.builds(
    Volatile,
    root=st.sampled_from([None, "keep", "rebuild", "tmpfs"]),
    tmpfs=st.sampled_from([(), (Tmpfs(path="/scratch"),)]),
    persist=st.sampled_from([None, (), (Persist(path="/var/lib/db"),)]),
)
DECLARED = st.builds(
    Container,
    name=st.just("web"),
    state=st.sampled_from(STATES),
    source=st.sampled_from([StorePath(path=NEW), None]),
    activation=st.sampled_from(["switch", "boot", "test"]),
    config=st.dictionaries(
        st.sampled_from([PROTECTION, "user.a", "limits.memory"]), st.sampled_from([None, True, "1"]), max_size=2
    ),
    ephemeral=st.sampled_from([None, True, False]),
    volatile=VOLATILES,
    health=st.sampled_from([None, Health(), Health(retry_failed=True)]),
)
HOSTS = st.builds(replace, st.just(empty_host()), has_tmpfs_devices=st.booleans(), has_snapshots=st.booleans())


@st.composite
def seen(draw: st.DrawFn) -> Observed:
    """A container that an earlier declaration has made, in any condition, here or at another member."""
    host = draw(HOSTS)
    earlier = replace(draw(DECLARED), state="started", source=StorePath(path=OLD))
    ephemeral = earlier.volatile.root != "rebuild" and earlier.ephemeral is True
    earlier = replace(earlier, ephemeral=ephemeral)
    host = after(plan_container(earlier, System(path=OLD, built=True), host), host)
    assert host.instance is not None
    status = draw(st.sampled_from(["Running", "Stopped", "Frozen"]))
    config = dict(host.instance.config)
    notes = draw(st.dictionaries(st.sampled_from([ACTIVATING, HEALTHY, FAILED]), st.sampled_from([OLD, NEW])))
    if status == "Stopped" and draw(st.booleans()):
        config[MOVING] = "true"
    runs = None if status == "Stopped" else draw(st.sampled_from([OLD, NEW, None]))
    instance = replace(host.instance, status=status, running_system=runs, config=config, notes=notes)
    host = replace(host, instance=instance)
    if draw(st.booleans()):
        return replace(
            host,
            instance=replace(instance, location="A", running_system=None),
            member="B",
            generations=Generations(directory=False),
        )
    member = draw(st.sampled_from([None, "B"]))
    return replace(host, instance=replace(instance, location=member), member=member)


def followed(plan: Plan, host: Observed) -> Iterator[tuple[Step, Observed]]:
    """Each step with what there is when its turn has come."""
    for step in plan.steps:
        yield step, host
        host = after(replace(plan, steps=(step,)), host)


def planned(declared: Container, host: Observed) -> Plan:
    """The plan, or one without steps for what is refused."""
    declared = replace(declared, target=host.member)
    wanted = None if declared.source is None else BUILT
    try:
        return plan_container(declared, wanted, host)
    except FleetError as error:
        return Plan(container=declared, error=error)


@given(declared=DECLARED, host=seen())
def test_nothing_ephemeral_is_stopped_but_by_absent(declared: Container, host: Observed) -> None:
    for step, there in followed(planned(declared, host), host):
        assert there.instance is not None
        if step.action in ("stop", "move") and there.instance.is_running and declared.state != "absent":
            assert not there.instance.ephemeral
        if step.action == "rebuild":
            assert not there.instance.ephemeral


@given(declared=DECLARED, host=seen())
def test_what_is_to_be_protected_is_protected_before_it_is_stopped_moved_or_emptied(
    declared: Container, host: Observed
) -> None:
    wanted = declared.config.get(PROTECTION)
    for step, there in followed(planned(declared, host), host):
        assert there.instance is not None
        if step.action in ("stop", "move", "restart", "rebuild") and wanted is not None and declared.state != "absent":
            assert same_value(True, there.instance.config.get(PROTECTION))


@given(declared=DECLARED, host=seen())
def test_a_root_is_emptied_only_as_it_is_declared_and_never_with_snapshots(declared: Container, host: Observed) -> None:
    assert host.instance is not None
    noted = host.instance.config.get(VOLATILE_ROOT) == "rebuild"
    for step, there in followed(planned(declared, host), host):
        assert there.instance is not None
        if step.action == "rebuild":
            assert declared.volatile.root == "rebuild" or (declared.volatile.root is None and noted)
            assert not there.instance.is_running
            assert not host.has_snapshots
        # A restart empties a root that the note says is to be emptied.
        if step.action == "restart" and declared.volatile.root is not None:
            assert there.instance.config.get(VOLATILE_ROOT) != "rebuild"


@given(declared=DECLARED, host=seen())
def test_every_start_of_a_root_that_is_emptied_is_one_of_an_empty_root(declared: Container, host: Observed) -> None:
    plan = planned(declared, host)
    actions = [step.action for step in plan.steps]
    assert host.instance is not None
    root, noted = declared.volatile.root, host.instance.config.get(VOLATILE_ROOT) == "rebuild"
    if "start" in actions and (root == "rebuild" or (root is None and noted)):
        assert actions[actions.index("start") - 1] == "rebuild"


@given(declared=DECLARED, host=seen())
def test_what_ran_runs_and_what_is_declared_is_so_when_a_plan_is_done(declared: Container, host: Observed) -> None:
    plan = planned(declared, host)
    then = after(plan, host).instance
    if not plan.steps or plan.error is not None:
        return
    if declared.state == "absent":
        assert then is None
        return
    assert then is not None
    assert host.instance is not None
    runs = {"started": True, "restarted": True, "stopped": False}.get(
        declared.state, host.instance.is_running or MOVING in host.instance.config
    )
    assert then.is_running == runs
    assert then.location == host.member
    if declared.ephemeral is not None:
        assert then.ephemeral == declared.ephemeral


@given(declared=DECLARED, host=seen())
def test_nothing_that_takes_long_comes_while_it_is_stopped(declared: Container, host: Observed) -> None:
    actions = [step.action for step in planned(declared, host).steps]
    for end in ("stop", "move"):
        if end in actions:
            assert not {"build", "copy", "volume"} & set(actions[actions.index(end) :]) or declared.state == "absent"


def running(declared: Container, **changes: object) -> Observed:
    host = replace(empty_host(), has_tmpfs_devices=True)
    host = after(plan_container(declared, BUILT, host), host)
    return with_instance(host, **changes)


def changed(plan: Plan) -> list[tuple[str, list[str]]]:
    return [(step.action, sorted(step.after) if step.action == "update" else []) for step in plan.steps]


def test_an_ephemeral_one_is_permanent_before_the_stop_that_a_device_waits_for() -> None:
    host = running(replace(WEB, ephemeral=True))
    declared = replace(WEB, ephemeral=False, state="restarted", volatile=SCRATCH)
    assert changed(planned(declared, host)) == [
        ("update", ["ephemeral"]),
        ("stop", []),
        ("update", ["devices"]),
        ("start", []),
    ]


def test_an_ephemeral_one_is_permanent_before_it_is_moved() -> None:
    host = replace(running(replace(WEB, ephemeral=True), location="A"), member="B", generations=Generations())
    declared = replace(WEB, ephemeral=False, config={"user.a": "1", PROTECTION: True})
    assert changed(planned(declared, host)) == [
        ("record", []),
        ("update", ["config", "ephemeral"]),
        ("move", []),
        ("update", ["config"]),
        ("start", []),
    ]


@pytest.mark.parametrize("state", ["started", "stopped", "restarted"])
def test_it_becomes_ephemeral_after_its_stop(state: State) -> None:
    declared = replace(WEB, ephemeral=True, state=state, config={"user.a": "1"}, volatile=SCRATCH)
    steps = {
        "started": [("update", ["config", "ephemeral"])],
        "stopped": [("update", ["config"]), ("stop", []), ("update", ["devices", "ephemeral"])],
        "restarted": [("update", ["config"]), ("stop", []), ("update", ["devices", "ephemeral"]), ("start", [])],
    }
    assert changed(planned(declared, running(WEB))) == steps[state]


def test_a_move_ends_with_an_empty_root_if_that_is_declared() -> None:
    host = replace(running(WEB, location="A"), member="B", generations=Generations())
    declared = replace(WEB, volatile=Volatile(root="rebuild"))
    assert [step.action for step in planned(declared, host).steps] == ["record", "move", "update", "rebuild", "start"]
    refused = planned(declared, replace(host, has_snapshots=True))
    assert refused.steps == ()
    assert "has snapshots" in str(refused.error)
