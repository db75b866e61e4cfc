# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.attached import BindMount
from ansible_collections.inx.fleet.plugins.module_utils.container.claims import Claim, claims, meeting
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.exchange import with_exchange
from ansible_collections.inx.fleet.plugins.module_utils.container.expanded import expanded_now
from ansible_collections.inx.fleet.plugins.module_utils.container.handover import Handovers
from ansible_collections.inx.fleet.plugins.module_utils.container.neighbours import with_refused_members
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.released import note_of
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import ContainerSet
from ansible_collections.inx.fleet.plugins.module_utils.container.set_plan import plan_set
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Plan, Step, Told
from ansible_collections.inx.fleet.plugins.module_utils.container.volatile import Persist, Volatile
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Profile
from ansible_collections.inx.fleet.plugins.module_utils.incus.mounted import Replaced
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import RELEASED
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    NEW,
    after_step,
    declared,
    empty_host,
    with_instance,
)

NAMES = ("c1", "c2", "c3", "c4")
PORTS = ("80/tcp", "81/tcp")
KEYS = {
    "ipv4.address": ("10.1.0.10", "10.1.0.11"),
    "ipv6.address": ("fd42::10",),
    "hwaddr": ("10:66:6a:00:00:01", "10:66:6a:00:00:02"),
    "host_name": ("veth-one",),
}
THINGS = (*PORTS, *(value for values in KEYS.values() for value in values))


class KilledError(Exception):
    """A run that is killed."""


@dataclass(kw_only=True)
class Run:
    """A host on which plans are followed, and what only one container can have there is watched."""

    seen: dict[str, Observed]
    #: The number of steps until it is killed, None for never.
    left: int | None = None
    done: list[str] = field(default_factory=list)
    refuses: Callable[[Step], bool] = lambda step: False

    def do(self, plan: Plan, step: Step) -> Told:
        """Do a step as Incus does, which refuses a claim on what somebody has."""
        if self.left == 0:
            raise KilledError
        self.left = None if self.left is None else self.left - 1
        if self.refuses(step):
            raise FleetError(f"Incus refused {step.summary}.", "")
        name = plan.container.name
        self.seen[name] = after_step(plan.container, step, self.seen[name])
        self.done.append(step.summary)
        self.check()
        return Told()

    def check(self) -> None:
        """Assert that nothing has two holders."""
        held = {name: holding(seen) for name, seen in self.seen.items()}
        for one, other in combinations(held, 2):
            met = meeting(held[one], held[other])
            assert not met, f"{one} and {other} have {set(map(str, met))} after {self.done}"


def holding(seen: Observed) -> frozenset[Claim]:
    """Return what a container holds."""
    instance = seen.instance
    if instance is None:
        return frozenset()
    return claims(expanded_now(instance, seen.profiles).devices, instance.config, runs=instance.is_running)


def keys_of(things: Sequence[str]) -> dict[str, str | None]:
    """Return the keys of a NIC that has some things, None for those that it has not."""
    return {key: next((one for one in values if one in things), None) for key, values in KEYS.items()}


def container(
    name: str, things: Sequence[str], state: str = "started", after: Sequence[str] = (), of_profile: Sequence[str] = ()
) -> Container:
    """Declare a container that has some things of its own, and some of a profile."""
    made = declared(
        name=name,
        system=NEW,
        state=state,
        publish=[one for one in PORTS if one in things],
        devices={"eth0": keys_of(things)},
        profiles=["default", *(["+".join(of_profile)] if of_profile else [])],
    )
    return replace(made, after=tuple(after))


def giving(name: str) -> Profile:
    """Return the profile of this name, which gives the things in it."""
    things = name.split("+")
    keys = {key: value for key, value in keys_of(things).items() if value is not None}
    nic = {"eth0": {"type": "nic", "network": "incusbr0", **keys}} if keys else {}
    ports = (one.partition("/")[0] for one in PORTS if one in things)
    proxy = {"type": "proxy", "connect": "tcp:127.0.0.1:80"}
    proxies = {f"p{port}": {**proxy, "listen": f"tcp:0.0.0.0:{port}"} for port in ports}
    return Profile(name=name, devices={**nic, **proxies})


def plans_of(containers: Sequence[Container], seen: Mapping[str, Observed]) -> list[Plan]:
    """Return the plans of a set."""
    found = plan_set(ContainerSet(containers=tuple(containers)), dict.fromkeys(NAMES, BUILT), seen)
    return with_exchange(with_refused_members(found, seen), seen)


def follow(run: Run, plans: Sequence[Plan], choose: Callable[[Sequence[str]], str] = min) -> Handovers:
    """Follow plans in some order that the schedule allows."""
    handovers = Handovers(plans, run.do)
    places = {plan.container.name: 0 for plan in plans}
    by_name = {plan.container.name: plan for plan in plans}
    while places:
        ready = [name for name in places if places.keys().isdisjoint(by_name[name].container.after)]
        name = choose(ready)
        plan, place = by_name[name], places[name]
        if place == len(plan.steps):
            del places[name]
            continue
        step = plan.steps[place]
        places[name] += 1
        if place < plan.head or step.claims_from:
            handovers.settle(plan)
            if name in handovers.errors:
                del places[name]
                continue
            assert all(map(handovers.has_released, step.claims_from)), step
        if place >= plan.head:
            run.do(plan, step)
    return handovers


def assert_declared(containers: Sequence[Container], seen: Mapping[str, Observed]) -> None:
    """Assert that a second run changes nothing."""
    again = [(plan.error, plan.steps) for plan in plans_of(containers, seen)]
    assert again == [(None, ())] * len(containers)


def new_run(*containers: Container) -> Run:
    """Return a host without containers, with the profiles that these are to have."""
    names = {name for one in containers for name in one.profiles or () if name != "default"}
    host = empty_host()
    host = replace(host, profiles={**host.profiles, **{name: giving(name) for name in names}})
    return Run(seen=dict.fromkeys(NAMES, host))


@st.composite
def sets(draw: st.DrawFn) -> list[list[Container]]:
    """Draw containers between which things are shared out, in some order, three times."""
    # Their NICs are never declared, so that they are always the profiles'.
    undeclared = draw(st.sets(st.sampled_from(NAMES)))
    return [draw(one_set(undeclared)) for _number in range(3)]


@st.composite
def one_set(draw: st.DrawFn, undeclared: Collection[str]) -> list[Container]:
    owner = {thing: draw(st.sampled_from((*NAMES, None))) for thing in THINGS}
    states = {name: draw(st.sampled_from(("started", "started", "stopped", "absent"))) for name in NAMES}
    order = draw(st.permutations(NAMES))
    found = []
    for name in NAMES:
        earlier = order[: order.index(name)]
        others = [one for one in earlier if states[one] == "started" and draw(st.booleans())]
        things = [thing for thing, of in owner.items() if of == name]
        has_profiles_nic = name in undeclared or draw(st.booleans())
        of_profile = [one for one in things if (draw(st.booleans()) if one in PORTS else has_profiles_nic)]
        own = [one for one in things if one not in of_profile]
        made = container(name, own, states[name], others, of_profile)
        nic: dict[str, Any] = {} if name in undeclared else {"eth0": {}}
        found.append(replace(made, devices=nic) if has_profiles_nic else made)
    return found


@settings(max_examples=100, deadline=None, phases=[Phase.generate])
@given(
    all_sets=sets(),
    random=st.randoms(use_true_random=False),
    killed=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), min_size=1, max_size=4),
    last=st.integers(0, 2),
)
def test_nothing_has_two_holders_in_any_order_nor_after_kills(
    all_sets: list[list[Container]], random: Random, killed: list[tuple[int, int]], last: int
) -> None:
    first, wanted = all_sets[0], all_sets[last]
    run = new_run(*chain(*all_sets))
    for plan in plans_of(first, run.seen):
        for step in plan.steps:
            run.do(plan, step)
    assert_declared(first, run.seen)
    # What a killed run left is not in the way of what is declared next, which may be what was declared before.
    for number, left in killed:
        run.left = left
        with suppress(KilledError):
            follow(run, plans_of(all_sets[number], run.seen), random.choice)
    run.left = None
    plans = plans_of(wanted, run.seen)
    assert [plan.error for plan in plans] == [None] * len(wanted)
    follow(run, plans, random.choice)
    assert_declared(wanted, run.seen)
    assert all(seen.instance is None or RELEASED not in seen.instance.config for seen in run.seen.values())
    fresh = new_run(*wanted)
    follow(fresh, plans_of(wanted, fresh.seen))
    assert [holding(run.seen[name]) for name in NAMES] == [holding(fresh.seen[name]) for name in NAMES]


def converged(*containers: Container, then: Sequence[Container] = ()) -> Run:
    """Return a host with these containers, and the profiles of those that are declared then."""
    run = new_run(*containers, *then)
    follow(run, plans_of(containers, run.seen))
    return run


def shown(plans: Sequence[Plan]) -> dict[str, list[str]]:
    """Return the steps by container, those of heads in capitals."""
    return {
        plan.container.name: [
            step.summary.upper() if number < plan.head else step.summary for number, step in enumerate(plan.steps)
        ]
        for plan in plans
    }


def test_a_swap_changes_both_at_once_and_keeps_the_interfaces() -> None:
    run = converged(container("c1", ["10.1.0.10"]), container("c2", ["10.1.0.11"]))
    plans = plans_of([container("c1", ["10.1.0.11"], after=["c2"]), container("c2", ["10.1.0.10"])], run.seen)
    assert shown(plans) == {
        "c1": ["C1: RELEASE DEVICE ETH0", "C1: CLAIM DEVICE ETH0"],
        "c2": ["C2: RELEASE DEVICE ETH0", "C2: CLAIM DEVICE ETH0"],
    }
    assert [plan.steps[0].after["devices"]["eth0"] for plan in plans] == [{"network": "incusbr0", "type": "nic"}] * 2
    run.done.clear()
    follow(run, plans)
    assert [text.split()[1] for text in run.done] == ["release", "release", "claim", "claim"]


def test_a_mac_address_is_swapped_without_the_device() -> None:
    one, two = KEYS["hwaddr"]
    run = converged(container("c1", [one]), container("c2", [two]))
    plans = plans_of([container("c1", [two]), container("c2", [one])], run.seen)
    assert [plan.steps[0].after["devices"]["eth0"] for plan in plans] == [{"type": "none"}] * 2


def test_what_ends_gives_before_its_turn() -> None:
    run = converged(container("c1", ["80/tcp"]), container("c2", []))
    second = [container("c1", [], "absent", ["c2"]), container("c2", ["80/tcp"])]
    plans = plans_of(second, run.seen)
    assert (plans[0].head, plans[0].steps[0].action) == (1, "stop")
    run.done.clear()
    follow(run, plans)
    assert [text.partition(" device")[0] for text in run.done[:2]] == ["c1: stop", "c2: claim"]


def test_a_claim_on_what_one_keeps_is_refused() -> None:
    run = converged(container("c1", ["80/tcp"]), container("c2", []))
    kept, refused = plans_of([container("c1", ["80/tcp"]), container("c2", ["80/tcp"])], run.seen)
    assert (kept.error, refused.steps) == (None, ())
    assert "c2: the port 80/tcp at 0.0.0.0 is held by c1, which keeps it." in str(refused.error)


def test_one_that_cannot_be_planned_keeps_what_it_has() -> None:
    run = converged(container("c1", ["80/tcp"]), container("c2", []))
    broken = replace(container("c1", []), profiles=("nobody-made-this",))
    plans = plans_of([broken, container("c2", ["80/tcp"])], run.seen)
    assert all(not plan.steps for plan in plans)
    assert "Fix c1 first." in str(plans[1].error)


def test_what_was_released_for_nothing_is_given_back() -> None:
    run = converged(container("c1", ["10.1.0.10"]), container("c2", ["10.1.0.11"]))
    before = dict(run.seen)
    second = [container("c1", ["10.1.0.11"]), container("c2", ["10.1.0.10"])]
    run.refuses = lambda step: step.summary == "c2: release device eth0"
    handovers = follow(run, plans_of(second, run.seen))
    assert run.seen == before
    assert not any(handovers.done.values())
    assert "it claims what c2 did not release" in str(handovers.errors["c1"])
    assert "Incus refused" in str(handovers.errors["c2"])


@pytest.mark.parametrize(
    ("one", "other", "meets"),
    [
        ({"listen": "tcp:0.0.0.0:80"}, {"listen": "tcp:127.0.0.1:80"}, True),
        ({"listen": "tcp:[::]:80"}, {"listen": "tcp:0.0.0.0:80"}, True),
        ({"listen": "tcp:10.0.0.1:80"}, {"listen": "tcp:10.0.0.2:80"}, False),
        ({"listen": "tcp:0.0.0.0:80"}, {"listen": "udp:0.0.0.0:80"}, False),
        ({"listen": "tcp:0.0.0.0:80-90,95"}, {"listen": "tcp:0.0.0.0:85"}, True),
        ({"listen": "tcp:0.0.0.0:80-90"}, {"listen": "tcp:0.0.0.0:95"}, False),
        ({"listen": "tcp:0.0.0.0:80", "bind": "instance"}, {"listen": "tcp:0.0.0.0:80"}, False),
        ({"listen": "unix:/run/x"}, {"listen": "unix:/run/x"}, True),
        ({"listen": "unix:/run/x"}, {"listen": "unix:/run/y"}, False),
    ],
)
def test_ports_meet(one: dict[str, str], other: dict[str, str], meets: bool) -> None:
    sides = [claims({"p": {"type": "proxy", **keys}}, {}, runs=True) for keys in (one, other)]
    assert bool(meeting(*sides)) is meets
    assert not claims({"p": {"type": "proxy", **one}}, {}, runs=False)


@pytest.mark.parametrize(
    ("keys", "running", "stopped"),
    [
        ({"type": "nic", "network": "br", "ipv4.address": "10.0.0.1"}, ["the ipv4.address 10.0.0.1"], 1),
        ({"type": "nic", "network": "br", "ipv4.address": "none"}, [], 0),
        ({"type": "nic", "nictype": "bridged", "parent": "br", "hwaddr": "AA:00"}, ["the hwaddr aa:00"], 1),
        ({"type": "nic", "nictype": "routed", "ipv4.address": "10.0.0.1, 10.0.0.2"}, ["the ipv4.address 10.0.0.1"], 2),
        ({"type": "nic", "network": "br", "host_name": "v0"}, ["the host_name v0"], 0),
        ({"type": "nic", "nictype": "physical", "parent": "e0"}, ["the network interface e0"], 0),
        ({"type": "nic", "nictype": "macvlan", "parent": "e0"}, [], 0),
        ({"type": "nic", "nictype": "sriov", "parent": "e0"}, ["the network interface e0"], 0),
        ({"type": "disk", "pool": "p", "source": "v", "path": "/v"}, ["the volume p v"], 0),
        ({"type": "disk", "pool": "p", "path": "/"}, [], 0),
        ({"type": "disk", "source": "/srv", "path": "/srv"}, [], 0),
        ({"type": "usb", "vendorid": "1", "productid": "2"}, ["usb productid=2 vendorid=1"], 0),
        ({"type": "gpu", "gputype": "mig", "pci": "0"}, ["gpu pci=0"], 0),
    ],
)
def test_devices_claim(keys: dict[str, str], running: list[str], stopped: int) -> None:
    found = claims({"d": keys}, {}, runs=True)
    assert set(running) <= set(map(str, found))
    assert bool(found) is bool(running)
    assert len(claims({"d": keys}, {}, runs=False)) == stopped


def test_a_mac_address_that_incus_made_is_claimed() -> None:
    devices: dict[str, dict[str, Any]] = {"eth0": {"type": "nic", "network": "br"}}
    (found,) = claims(devices, {"volatile.eth0.hwaddr": "10:66:6A:00:00:01"}, runs=False)
    assert str(found) == "the hwaddr 10:66:6a:00:00:01"


def lost_nic(**kept: str) -> tuple[Run, list[Container]]:
    """Return a host on which two containers run, and the first one has lost a NIC."""
    one, two = KEYS["hwaddr"]
    containers = [container("c1", [one]), container("c2", [two])]
    run = converged(*containers)
    config = {"volatile.last_state.power": "RUNNING"}
    for name, more in (("c1", kept), ("c2", {"volatile.eth0.host_name": "veth2"})):
        instance = run.seen[name].instance
        assert instance is not None
        changed = replace(instance, config={**instance.config, **config, **more})
        run.seen[name] = replace(run.seen[name], instance=changed)
    return run, containers


def test_a_nic_that_a_running_container_lost_is_added_again() -> None:
    run, containers = lost_nic()
    plans = plans_of(containers, run.seen)
    assert shown(plans) == {"c1": ["C1: RELEASE DEVICE ETH0", "c1: update device eth0"], "c2": []}
    assert plans[0].steps[0].after["config"] == {"volatile.eth0.host_name": "gone-0"}
    assert plans[0].steps[1].after["devices"]["eth0"]["hwaddr"] == KEYS["hwaddr"][0]
    run, containers = lost_nic(**{"volatile.eth0.host_name": "veth1"})
    assert_declared(containers, run.seen)


def test_a_lost_nic_is_swapped_too() -> None:
    run, _containers = lost_nic()
    one, two = KEYS["hwaddr"]
    plans = plans_of([container("c1", [two]), container("c2", [one])], run.seen)
    assert shown(plans)["c1"] == ["C1: RELEASE DEVICE ETH0", "C1: CLAIM DEVICE ETH0"]
    assert "config" in plans[0].steps[0].after
    assert "config" not in plans[1].steps[0].after


def test_a_restart_brings_a_lost_nic() -> None:
    run, containers = lost_nic()
    restarted = [replace(containers[0], state="restarted"), containers[1]]
    assert [step.action for step in plans_of(restarted, run.seen)[0].steps] == ["restart"]


def test_a_proxy_that_a_running_container_lost_is_added_again() -> None:
    run, containers = lost_nic(**{"volatile.eth0.host_name": "veth1"})
    published = [replace(containers[0], publish=container("c1", ["80/tcp"]).publish), containers[1]]
    follow(run, plans_of(published, run.seen))
    device = "inx-publish-80-tcp"
    run.seen["c1"] = replace(run.seen["c1"], lost_proxies=frozenset((device,)))
    plan, _other = plans_of(published, run.seen)
    assert [step.after for step in plan.steps] == [
        {"devices": {device: None}},
        {"devices": {device: {"type": "proxy", "listen": "tcp:0.0.0.0:80", "connect": "tcp:127.0.0.1:80"}}},
    ]


def test_a_disk_whose_source_was_replaced_is_mounted_anew() -> None:
    run, containers = lost_nic(**{"volatile.eth0.host_name": "veth1"})
    mounted = [replace(containers[0], bind_mounts=(BindMount(source="/srv/x", path="/data"),)), containers[1]]
    follow(run, plans_of(mounted, run.seen))
    device = "inx-bind-data"
    run.seen["c1"] = replace(run.seen["c1"], replaced=Replaced(disks=frozenset((device,))))
    plan, _other = plans_of(mounted, run.seen)
    assert not plan.restart_required
    keys = plan.steps[1].after["devices"][device]
    assert [step.after for step in plan.steps] == [{"devices": {device: None}}, {"devices": {device: keys}}]
    assert keys["source"] == "/srv/x"
    # A change mounts it anew as well, and so does a restart.
    moved = [replace(containers[0], bind_mounts=(BindMount(source="/srv/y", path="/data"),)), containers[1]]
    restarted = [replace(mounted[0], state="restarted"), containers[1]]
    for other, actions in ((moved, ["update"]), (restarted, ["restart"])):
        assert [step.action for step in plans_of(other, run.seen)[0].steps] == actions


def of_profile(name: str, *things: str, **more: Any) -> Container:
    """Declare a container to which a profile gives all that it has."""
    return replace(container(name, [], of_profile=things, **more), devices={})


def own_devices(run: Run, name: str) -> dict[str, Any]:
    """Return the devices of an instance that its profiles might give as well."""
    instance = run.seen[name].instance
    assert instance is not None
    return {device: dict(keys) for device, keys in instance.devices.items() if device in ("eth0", "p80")}


def note_on(run: Run, name: str) -> str | None:
    """Return the note of what was released."""
    instance = run.seen[name].instance
    assert instance is not None
    return instance.config.get(RELEASED)


def test_what_a_profile_gave_is_released_with_the_profile() -> None:
    first = [of_profile("c1", "10.1.0.10"), of_profile("c2")]
    second = [of_profile("c1", after=["c2"]), of_profile("c2", "10.1.0.10")]
    run = converged(*first, then=second)
    plans = plans_of(second, run.seen)
    assert (plans[0].head, plans[0].steps[0].after["profiles"]) == (1, ["default", "inx-container"])
    follow(run, plans)
    assert_declared(second, run.seen)


ONE, OTHER = ("10.1.0.10", "80/tcp"), ("10.1.0.11", "81/tcp")
FIRST = [of_profile("c1", *ONE), of_profile("c2", *OTHER)]
SWAPPED = [of_profile("c1", *OTHER), of_profile("c2", *ONE, after=["c1"])]


def test_what_profiles_give_is_swapped_by_devices_that_hide_theirs() -> None:
    run = converged(*FIRST, then=SWAPPED)
    plans = plans_of(SWAPPED, run.seen)
    release, claim = plans[0].steps
    assert shown(plans)["c1"] == ["C1: RELEASE DEVICE ETH0, DEVICE P80", "C1: CLAIM DEVICE ETH0, DEVICE P80, PROFILES"]
    assert release.after["devices"] == {"eth0": {"type": "nic", "network": "incusbr0"}, "p80": {"type": "none"}}
    assert claim.after["devices"] == {"eth0": None, "p80": None}
    assert release.after["config"] == claim.before["config"]
    assert claim.after["config"] == {RELEASED: None}
    follow(run, plans)
    assert (own_devices(run, "c1"), note_on(run, "c1")) == ({}, None)


def released_only(then: Sequence[Container] | None = None) -> Run:
    """Return a host on which a run was killed when all was released."""
    run = converged(*FIRST, then=SWAPPED if then is None else then)
    run.left = 2
    with pytest.raises(KilledError):
        follow(run, plans_of(SWAPPED, run.seen))
    run.left = None
    assert own_devices(run, "c1").keys() == own_devices(run, "c2").keys() | {"p80"} == {"eth0", "p80"}
    return run


@pytest.mark.parametrize("then", [FIRST, SWAPPED])
def test_what_hides_devices_of_profiles_is_removed_by_the_next_run(then: list[Container]) -> None:
    run = released_only()
    plans = plans_of(then, run.seen)
    assert [[step.action for step in plan.steps] for plan in plans] == [["update"]] * 2
    follow(run, plans)
    assert_declared(then, run.seen)
    assert (own_devices(run, "c1"), note_on(run, "c1")) == ({}, None)
    assert holding(run.seen["c1"]) == holding(converged(*then).seen["c1"])


def test_what_somebody_has_changed_since_a_release_is_kept() -> None:
    run = released_only()
    instance = run.seen["c1"].instance
    assert instance is not None
    eth0 = {"type": "nic", "network": "incusbr0", "mtu": "1400"}
    run.seen["c1"] = with_instance(run.seen["c1"], devices={**instance.devices, "eth0": eth0})
    follow(run, plans_of(SWAPPED, run.seen))
    assert (own_devices(run, "c1"), note_on(run, "c1")) == ({"eth0": eth0}, None)


@pytest.mark.parametrize("note", ["[]", "{", '{"eth0": 1}', "null"])
def test_a_note_that_says_nothing_is_removed(note: str) -> None:
    run = converged(*FIRST)
    instance = run.seen["c1"].instance
    assert instance is not None
    run.seen["c1"] = with_instance(run.seen["c1"], config={**instance.config, RELEASED: note})
    plans = plans_of(FIRST, run.seen)
    assert [step.after for step in plans[0].steps] == [{"config": {RELEASED: None}}]


def test_a_second_release_notes_what_the_first_one_left() -> None:
    third = [of_profile("c1", "81/tcp", "fd42::10"), of_profile("c2", "80/tcp")]
    first = [of_profile("c1", "10.1.0.10", "80/tcp", "fd42::10"), of_profile("c2", *OTHER)]
    run = converged(*first, then=third)
    left = {"eth0": {"type": "nic", "network": "incusbr0"}}
    instance = run.seen["c1"].instance
    assert instance is not None
    devices, config = {**instance.devices, **left}, {**instance.config, RELEASED: note_of(left)}
    run.seen["c1"] = with_instance(run.seen["c1"], devices=devices, config=config)
    plans = plans_of(third, run.seen)
    release = plans[0].steps[0]
    assert release.before["config"] == {RELEASED: note_of(left)}
    assert release.after["config"] == {RELEASED: note_of({**left, "p80": {"type": "none"}})}
    follow(run, plans)
    assert_declared(third, run.seen)
    assert (own_devices(run, "c1"), note_on(run, "c1")) == ({}, None)


def test_what_needs_a_volume_is_claimed_when_it_is_there() -> None:
    persist = (Persist(path="/var/lib/x"),)
    second = [replace(SWAPPED[0], volatile=Volatile(persist=persist)), SWAPPED[1]]
    run = converged(*FIRST, then=second)
    plans = plans_of(second, run.seen)
    steps = shown(plans)["c1"]
    assert [text.split()[1] for text in steps] == ["RELEASE", "volume", "update"]
    follow(run, plans)
    assert_declared(second, run.seen)


def test_a_lost_nic_of_a_profile_is_swapped_too() -> None:
    one, two = KEYS["hwaddr"]
    first, second = [of_profile("c1", one), of_profile("c2", two)], [of_profile("c1", two), of_profile("c2", one)]
    run = converged(*first, then=second)
    for name, more in (("c1", {}), ("c2", {"volatile.eth0.host_name": "veth2"})):
        instance = run.seen[name].instance
        assert instance is not None
        config = {**instance.config, "volatile.last_state.power": "RUNNING", **more}
        run.seen[name] = with_instance(run.seen[name], config=config)
    plans = plans_of(second, run.seen)
    assert plans[0].steps[0].after["config"].keys() == {"volatile.eth0.host_name", RELEASED}
    assert plans[1].steps[0].after["config"].keys() == {RELEASED}
    follow(run, plans)
    assert own_devices(run, "c1") == {}


def test_a_name_on_the_host_goes_without_the_mac_address() -> None:
    first = [of_profile("c1", "veth-one"), of_profile("c2", "80/tcp")]
    second = [of_profile("c1", "80/tcp"), of_profile("c2", "veth-one")]
    run = converged(*first, then=second)
    release = plans_of(second, run.seen)[0].steps[0]
    assert release.after["devices"] == {"eth0": {"type": "nic", "network": "incusbr0"}}
