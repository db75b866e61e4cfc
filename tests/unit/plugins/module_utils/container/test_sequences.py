# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random sequences of declarations, whose plans are followed in a model (model.py).

What a real host makes of the same sequences is seen by the integration target faults_sequences.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import (
    CONTAINER_OPTIONS,
    MEMBER_OPTIONS,
    container_set,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import ContainerSet
from ansible_collections.inx.fleet.plugins.module_utils.container.set_plan import plan_set
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Plan
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Pool, Profile
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import StorePath, System
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import ACTIVATING, FAILED
from ansible_collections.inx.fleet.tests.integration.harness import sequences
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.container.model import Model
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    DEFAULT_PROFILE,
    SET,
    STORE_PROFILE,
    empty_host,
)

_SET = {**SET, "defaults": {}, "secret_config": {}}
_DISRUPTIVE = frozenset(("stop", "start", "restart", "rebuild", "delete", "create"))


def new_model(*, has_tmpfs_devices: bool) -> Model:
    """Return a host that has what the sequences refer to, as Incus 6.0 or 7.0."""
    disk = {"type": "disk", "source": sequences.SHARED, "path": "/mnt/extra", "readonly": "true"}
    extra = Profile(name=sequences.EXTRA_PROFILE, config={"user.extra": "1"}, devices={"extra": disk})
    store = {"nixstore": STORE_PROFILE.devices["nixstore"]}
    other = Profile(name=sequences.OTHER_STORE_PROFILE, devices=store)
    host = empty_host(DEFAULT_PROFILE, STORE_PROFILE, extra, other)
    pools = {"default": Pool(driver="dir")}
    return Model(host=replace(host, has_tmpfs_devices=has_tmpfs_devices, pool_details=pools))


def store_path(attribute: str, version: str) -> str:
    """Return a store path for a version of a system."""
    digest = hashlib.sha256(f"{attribute} {version}".encode()).hexdigest().translate(str.maketrans("e", "g"))
    return f"/nix/store/{digest[:32]}-nixos-system-{attribute}-{version}"


def with_store_paths(step: sequences.Step, versions: Mapping[str, str]) -> list[sequences.Entry]:
    """Return the declared entries, with store paths for what stands for some."""
    return [
        {**entry, "system": store_path(entry["system"][1:], versions[entry["system"][1:]])}
        if "system" in entry
        else entry
        for entry in step["containers"]
    ]


def given_set(step: sequences.Step, versions: Mapping[str, str]) -> ContainerSet:
    """Return the set that a step declares; FleetError when it is refused."""
    options = {key: value for key, value in step.items() if key in _SET}
    entries = [
        {**dict.fromkeys(MEMBER_OPTIONS), **entry, "after": entry.get("after")}
        for entry in with_store_paths(step, versions)
    ]
    return container_set({**_SET, **options, "project": "default", "containers": entries})


def system_of(model: Model, container: Container, versions: Mapping[str, str]) -> System | FleetError | None:
    """Return the system of a container as nix would evaluate it."""
    source = container.source
    if source is None:
        return None
    if isinstance(source, StorePath):
        return System(path=source.path, built=source.path in model.store)
    attribute = source.attribute.partition(".")[0]
    if attribute not in versions:
        return FleetError(f"There is no attribute {source.attribute}.", "See 'nix eval'.")
    path = store_path(attribute, versions[attribute])
    return System(path=path, built=path in model.store)


def seen_for(model: Model, container: Container) -> Observed:
    """Return what is seen for a declared container."""
    missing = {entry.source for entry in container.bind_mounts or ()} & {sequences.MISSING}
    return replace(model.observe(container.name), missing=frozenset(missing))


def plans_of(model: Model, declared: ContainerSet, versions: Mapping[str, str]) -> list[Plan]:
    """Return the plans for a set."""
    systems: dict[str, System | FleetError | None] = {
        container.name: system_of(model, container, versions) for container in declared.containers
    }
    systems.update({name: FleetError(why, "") for name, why in declared.build_failures.items()})
    seen = {name: model.observe(name) for name in model.names()} if declared.purge else {}
    seen.update({container.name: seen_for(model, container) for container in declared.containers})
    return plan_set(declared, systems, seen)


# What is done by hand to the configuration.
_SETTING = ("set a key", "unset a key")


class Follower:
    """Follows a sequence in a model, and asserts what holds after each declaration."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.versions: Mapping[str, str] = dict.fromkeys(sequences.SYSTEMS, sequences.GOOD[0])
        self.ran: list[tuple[sequences.Step, dict[str, Any]]] = []

    def do(self, step: sequences.Step) -> None:
        """Do one step of a sequence."""
        if step["do"] == "versions":
            self.versions = step["versions"]
        elif step["do"] == "declare":
            self._declare(step)
        elif step["do"] != "sync roots":
            self.model.by_hand(step["do"], step["name"])
            if step["do"] in _SETTING:
                # What is set by hand stays, whatever is declared.
                for _earlier, left in self.ran:
                    left.pop(step["name"], None)

    def _declare(self, step: sequences.Step) -> None:
        model = self.model
        try:
            declared = given_set(step, self.versions)
            plans = plans_of(model, declared, self.versions)
        except FleetError:
            return
        ill = {plan.container.name for plan in plans if not self._apply(plan)}
        model.write()
        for plan in plans_of(model, replace(declared, purge=False), self.versions):
            first = next(one for one in plans if one.container.name == plan.container.name)
            self._assert_repeated(plan, first, is_ill=plan.container.name in ill)
        if step["project"] == "default":
            self._compare(step, plans)

    def _apply(self, plan: Plan) -> bool:
        model, name = self.model, plan.container.name
        before, data, written = model.observe(name), model.data.get(name), dict(model.written)
        old = None if data is None else replace(data)
        is_done = model.apply(plan)
        if not is_done:
            return False
        actions = {step.action for step in plan.steps}
        after = model.observe(name)
        if before.instance is not None and old is not None:
            if after.instance is None:
                assert "delete" in actions, f"{name} is gone by {plan.steps}"
            elif not actions & {"rebuild", "delete"}:
                assert model.data[name].root == old.root, f"its root is emptied by {plan.steps}"
            if before.instance.is_running and not actions & _DISRUPTIVE:
                assert after.instance is not None and after.instance.is_running, f"it is stopped by {plan.steps}"
                assert model.data[name].boots == old.boots, f"it is booted by {plan.steps}"
        gone = {place for place in written if model.written.get(place) != written[place]}
        may_go = plan.container.state == "absent" and plan.container.volatile.delete_volumes
        assert may_go or not gone, f"{gone} are lost by {plan.steps}"
        return True

    def _assert_repeated(self, plan: Plan, first: Plan, *, is_ill: bool) -> None:
        container = plan.container
        if is_ill:
            self._assert_gone_back(plan, first)
        elif container.state == "restarted" or container.generation == "previous":
            pass
        else:
            assert (plan.error is None) == (first.error is None), f"{plan.error} after {first.steps}"
            assert first.error is not None or not plan.steps, f"{plan.steps} after {first.steps}"

    def _assert_gone_back(self, plan: Plan, first: Plan) -> None:
        """Assert that a system which was tried and is bad is remembered, and is not tried again."""
        health, container = first.container.health, first.container
        assert health is not None
        if first.twin is not None:
            # The container was left as it was, and the rest of what is declared is for this run.
            assert health.retry_failed or plan.error is not None, f"{plan.steps} after a rehearsal that failed"
            return
        if first.fallback is None or not health.rollback:
            return
        instance = self.model.observe(container.name).instance
        assert instance is not None
        assert instance.running_system == first.fallback.system
        if instance.notes.get(ACTIVATING) == first.fallback.system:
            # A start booted what is bad before the declared system had its turn: there is nothing else to go back to.
            return
        assert first.fallback.system not in instance.notes[FAILED].split(), "it went back to a system that is bad"
        if not health.retry_failed and container.generation is None and container.state != "restarted":
            assert plan.error is not None and not plan.steps, f"{plan.steps} after going back"

    def _compare(self, step: sequences.Step, plans: Sequence[Plan]) -> None:
        """Compare with what the same declaration left the last time, if all since then declare the same keys."""
        # What waits for a restart is not there yet.
        is_over = not any(plan.error or plan.restart_required for plan in plans)
        now = {name: settled(self.model, name) for name in self.model.names()} if is_over else {}
        since = [number for number, (earlier, _left) in enumerate(self.ran) if earlier == step]
        if since and step["containers"] and now:
            number = since[-1]
            between = [earlier for earlier, _left in self.ran[number + 1 :]]
            earlier = self.ran[number][1]
            if earlier and between and all(same_keys(step, other) for other in between):
                for entry in step["containers"]:
                    name = entry["name"]
                    if name in earlier and name in now and entry.get("state") != "present":
                        assert now[name] == earlier[name], f"there and back: {earlier[name]} became {now[name]}"
        self.ran.append((step, now))


def same_keys(step: sequences.Step, other: sequences.Step) -> bool:
    """Return whether two steps declare the same keys of the same containers."""
    sides = [[sorted(_keys(entry)) for entry in one["containers"]] for one in (step, other)]
    return sides[0] == sides[1]


def _keys(entry: sequences.Entry) -> set[str]:
    source = {"flake", "file", "attribute", "system", "copy_from", "after"}
    below = {key: entry[key] if key in ("config", "devices") else ("",) for key in set(entry) - source}
    return {f"{key} {name}" for key, names in below.items() for name in names}


def settled(model: Model, name: str) -> dict[str, Any]:
    """Return what of a container should be the same whenever the same is declared."""
    instance = model.observe(name).instance
    assert instance is not None
    return {
        "config": instance.config,
        "devices": instance.devices,
        "profiles": instance.profiles,
        "description": instance.description,
        "ephemeral": instance.ephemeral,
        "status": instance.status,
    }


def wrong(steps: Sequence[sequences.Step], *, has_tmpfs_devices: bool) -> str:
    """Return what is wrong with a sequence, nothing if it holds."""
    follower = Follower(new_model(has_tmpfs_devices=has_tmpfs_devices))
    try:
        for step in steps:
            follower.do(step)
    except AssertionError as error:
        return str(error) or repr(error)
    return ""


@pytest.mark.parametrize("has_tmpfs_devices", [False, True], ids=["6.0", "7.0"])
@settings(max_examples=int(os.environ.get("INX_FLEET_SEQUENCES", "150")), deadline=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**63))
def test_sequences_hold_in_a_model(seed: int, has_tmpfs_devices: bool) -> None:
    steps = sequences.sequence(sequences.Seeded(str(seed)))
    said = wrong(steps, has_tmpfs_devices=has_tmpfs_devices)
    while said:
        smaller = ((one, wrong(one, has_tmpfs_devices=has_tmpfs_devices)) for one in sequences.smaller(steps))
        fewer = next((found for found in smaller if found[1][:20] == said[:20]), None)
        if fewer is None:
            pytest.fail(f"seed {seed}, at its smallest {json.dumps(steps)}: {said}")
        steps, said = fewer


def test_every_option_of_a_container_is_generated() -> None:
    assert set(MEMBER_OPTIONS) - sequences.keys_of_families() == {"after"}
    assert set(CONTAINER_OPTIONS) <= sequences.keys_of_families()


def test_the_same_seed_makes_the_same_sequence() -> None:
    first, second = (sequences.sequence(sequences.Seeded("1-2")) for _each in range(2))
    assert first == second
    assert first != sequences.sequence(sequences.Seeded("1-3"))


def test_a_sequence_that_fails_gets_smaller_and_still_fails() -> None:
    def fails(steps: Sequence[sequences.Step]) -> bool:
        entries = [entry for step in steps if step["do"] == "declare" for entry in step["containers"]]
        return any("flake" in entry and "config" in entry for entry in entries)

    seeds = (sequences.sequence(sequences.Seeded(f"small-{number}")) for number in range(100))
    steps = next(one for one in seeds if fails(one))
    while (fewer := next((one for one in sequences.smaller(steps) if fails(one)), None)) is not None:
        steps = fewer
    assert [step["do"] for step in steps] == ["declare"]
    assert len(steps[0]["containers"]) == 1
    assert set(steps[0]["containers"][0]) == {"name", "flake", "config"}
