# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, Device
from ansible_collections.inx.fleet.plugins.module_utils.container.in_force import restart_pending, runs_as_host_root
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Plan
from ansible_collections.inx.fleet.plugins.module_utils.incus.config_keys import ConfigKeys, config_keys_from
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance, Profile
from ansible_collections.inx.fleet.plugins.module_utils.incus.start_config import StartConfig, start_config_from
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import PROFILES_LXC, RESTART, RESTART_KEYS
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    WEB,
    after,
    running_host,
    with_instance,
)

INIT = "lxc.init.cmd=/nix/var/nix/profiles/system/init"
STARTED = "2026-11-23T10:00:00Z"
UNPRIVILEGED = '[{"Isuid":true,"Isgid":false,"Hostid":1000000,"Nsid":0,"Maprange":1000000000}]'
MAPS_ROOT = '[{"Isuid":true,"Isgid":false,"Hostid":0,"Nsid":1000,"Maprange":1}]'
UNMAPPED: dict[str, str] = {"type": "disk", "source": "/opt", "path": "/opt"}
ALLOWED = replace(WEB, allow_privileged=True)


def host(*profiles: Profile, started: StartConfig | None = None, **config: str) -> Observed:
    """Return the host with a container that runs, was started at STARTED, and has this config besides."""
    seen = running_host()
    assert seen.instance is not None
    names = ("default", *(profile.name for profile in profiles), "inx-container")
    config = {**seen.instance.config, **{key.replace("__", "."): value for key, value in config.items()}}
    seen = with_instance(seen, config=config, profiles=names, last_started=STARTED)
    return replace(seen, profiles={**seen.profiles, **{one.name: one for one in profiles}}, started=started)


def with_idmap(observed: Observed, current: str, following: str) -> Observed:
    assert observed.instance is not None
    notes = {"volatile.idmap.current": current, "volatile.idmap.next": following}
    return with_instance(observed, config={**observed.instance.config, **notes})


def planned(declared: Container, observed: Observed) -> Plan:
    return plan_container(declared, BUILT, observed)


def done(declared: Container, observed: Observed) -> Observed:
    """Return the host after a run, with what the run has noted."""
    plan = planned(declared, observed)
    now = after(plan, observed)
    notes = {key: value for step in plan.steps for key, value in step.notes.items()}
    assert now.instance is not None
    return with_instance(now, notes={**now.instance.notes, **notes, **({RESTART: "2027"} if notes else {})})


@pytest.mark.parametrize(
    "key",
    [
        "limits.kernel.nofile", "linux.sysctl.net.ipv4.ip_forward", "environment.A", "nvidia.runtime", "raw.seccomp",
        "security.syscalls.intercept.mknod", "security.idmap.isolated", "security.guestapi.images",
    ],
)  # fmt: skip
def test_what_takes_a_start_is_named_and_forgotten_when_it_is_unset(key: str) -> None:
    first = host()
    on = replace(WEB, config={key: "1"})
    plan = planned(on, first)
    assert plan.restart_required
    assert f"config {key}" in plan.warnings[0]
    second = done(on, first)
    assert planned(on, second).restart_required
    assert second.instance is not None and restart_pending(second.instance)
    third = done(replace(WEB, config={key: None}), second)
    assert not planned(WEB, third).restart_required
    assert third.instance is not None and not restart_pending(third.instance)
    assert not planned(on, with_instance(second, last_started="2028-01-01T00:00:00Z")).restart_required


@pytest.mark.parametrize("key", ["limits.memory", "user.a", "boot.autostart", "security.guestapi", "raw.apparmor"])
def test_what_takes_no_start(key: str) -> None:
    assert not planned(replace(WEB, config={key: "1"}), host()).restart_required


def test_a_profile_that_goes_takes_a_start_too() -> None:
    priv = Profile(name="priv", config={"security.privileged": "true"})
    running = with_idmap(host(priv), "[]", "[]")
    assert not planned(ALLOWED, running).restart_required
    plan = planned(replace(WEB, profiles=("default", "inx-container")), running)
    assert plan.restart_required
    assert "config security.privileged" in plan.warnings[0]
    assert "was started privileged" in plan.warnings[1]
    # By hand, in the profile: the same, and nothing else to do.
    edited = replace(
        with_idmap(running, "[]", UNPRIVILEGED), profiles={**running.profiles, "priv": Profile(name="priv")}
    )
    plan = planned(WEB, edited)
    assert (plan.steps, plan.restart_required) == ((), True)
    assert "was started privileged" in plan.warnings[1]
    # At the next start it is over.
    assert planned(WEB, with_idmap(edited, UNPRIVILEGED, UNPRIVILEGED)).warnings == ()


@pytest.mark.parametrize(("current", "privileged"), [("[]", False), (UNPRIVILEGED, True)])
def test_disks_whose_owners_would_be_mapped_otherwise_wait_with_the_privilege(current: str, privileged: bool) -> None:
    """Incus maps them by the config: it fails, having unmounted others, or shows files that nobody owns."""
    running = with_idmap(host(security__privileged=str(not privileged).lower()), current, current)
    mapped: dict[str, str | bool] = {"type": "disk", "source": "/srv", "path": "/srv", "shift": True}
    more: dict[str, Device | None] = {"data": mapped, "own": UNMAPPED}
    declared = replace(ALLOWED, config={"security.privileged": privileged}, devices=more)
    first = planned(declared, running)
    assert [sorted(step.after["devices"]) for step in first.steps if step.action == "update"] == [["own"]]
    assert first.restart_required
    assert "device data" in first.warnings[0]
    # The next run has nothing to do, and says so again; a restart brings it.
    second = planned(declared, after(first, running))
    assert [step.action for step in second.steps] == []
    assert "device data" in second.warnings[0]
    restarted = planned(replace(declared, state="restarted"), running)
    (update,) = [step for step in restarted.steps if "data" in step.after.get("devices", {})]
    assert restarted.steps.index(update) > [step.action for step in restarted.steps].index("stop")
    # Without another privilege they come at once.
    same = planned(replace(declared, config={}), running)
    assert [sorted(step.after["devices"]) for step in same.steps if step.action == "update"] == [["data", "own"]]


@pytest.mark.parametrize(
    ("current", "expected"), [("[]", True), (MAPS_ROOT, True), (UNPRIVILEGED, False), ("{", False), (None, False)]
)
def test_who_is_root_of_the_host(current: str | None, expected: bool) -> None:
    config = {} if current is None else {"volatile.idmap.current": current}
    assert runs_as_host_root(Instance(name="web", status="Running", config=config)) == expected
    assert not runs_as_host_root(Instance(name="web", status="Stopped", config=config))


def test_other_user_ids_wait_until_incus_says_that_they_are_in_force() -> None:
    isolated = host(security__idmap__isolated="true")
    waits = with_idmap(isolated, UNPRIVILEGED, MAPS_ROOT)
    assert "config security.idmap.isolated" in planned(WEB, waits).warnings[0]
    assert not planned(WEB, with_idmap(isolated, MAPS_ROOT, MAPS_ROOT)).restart_required


CONF = """\
lxc.environment = CREDENTIALS_DIRECTORY=/dev/.incus-systemd-credentials
lxc.environment = A=1
lxc.environment = "B=b c"
lxc.prlimit.nofile = 1000:2000
lxc.sysctl.net.ipv4.ip_forward = 1
lxc.mount.entry = /var/lib/incus/devices/web/disk.nixstore.nix-store nix/store none ro,bind 0 0
lxc.mount.entry = tmpfs srv tmpfs size=1 0 0
lxc.environment = RAW=1
# a word
lxc.init.cmd=/nix/var/nix/profiles/system/init
"""


def test_what_incus_wrote_at_the_start_is_read() -> None:
    start = start_config_from(CONF)
    assert start.config == {
        "environment.A": "1", "environment.B": "b c", "limits.kernel.nofile": "1000:2000",
        "linux.sysctl.net.ipv4.ip_forward": "1",
    }  # fmt: skip
    assert start.raw_lxc == {"lxc.environment=RAW=1", "# a word", INIT}


@pytest.mark.parametrize(
    ("config", "waits"),
    [
        ({}, ["environment.A", "environment.B", "limits.kernel.nofile", "linux.sysctl.net.ipv4.ip_forward", "raw.lxc"]),
        ({"environment__A": "2"}, ["environment.A"]),
        ({"limits__kernel__core": "1"}, ["limits.kernel.core"]),
        ({"raw__lxc": f"lxc.environment = RAW=2\n{INIT}"}, ["raw.lxc"]),
        ({"environment__C": 'quoted "x"'}, []),
    ],
)
def test_what_was_changed_by_hand_is_seen(config: dict[str, str], waits: list[str]) -> None:
    right = {
        "environment__A": "1", "environment__B": "b c", "limits__kernel__nofile": "1000:2000",
        "linux__sysctl__net__ipv4__ip_forward": "1", "raw__lxc": f"lxc.environment=RAW=1\n{INIT}",
    }  # fmt: skip
    running = host(started=start_config_from(CONF), **({**right, **config} if config else {}))
    plan = planned(WEB, running)
    assert plan.restart_required == bool(waits)
    for key in waits:
        assert f"config {key}" in plan.warnings[0]
    assert not planned(WEB, host(started=start_config_from(CONF), **right)).restart_required


def test_marks_of_secrets_are_not_kept() -> None:
    declared = replace(WEB, config={"nvidia.require.cuda": "s3cret"}, secrets=frozenset(("nvidia.require.cuda",)))
    running = done(declared, done(declared, host()))
    assert running.instance is not None
    changed = done(replace(declared, config={"nvidia.require.cuda": "other"}), running)
    assert changed.instance is not None
    assert changed.instance.notes[RESTART_KEYS] in (
        f"{STARTED} nvidia.require.cuda=-",
        f"{STARTED} nvidia.require.cuda=?",
    )


def test_the_server_tells_which_keys_wait() -> None:
    answer: dict[str, Any] = {
        "configs": {
            "instance": {
                "a": {"keys": [{"security.new": {"liveupdate": "no", "condition": "container"}}]},
                "b": {"keys": [{"raw.lxc": {"liveupdate": "yes"}}, {"raw.qemu": {"liveupdate": "no"}}]},
                "c": {"keys": [{"security.csm": {"liveupdate": "no", "condition": "virtual machine"}}, {"odd": {}}]},
            }
        }
    }
    keys = config_keys_from(answer)
    assert keys.wait("security.new") and not keys.wait("raw.lxc") and not keys.wait("security.csm")
    assert ConfigKeys().wait("raw.lxc") and not ConfigKeys().wait("security.new")
    assert config_keys_from({}) == ConfigKeys()


# A profile's raw.lxc


def lxc_of(observed: Observed) -> str:
    assert observed.instance is not None
    return observed.instance.config["raw.lxc"]


def test_a_profiles_lines_of_raw_lxc_are_kept_and_follow_the_profile() -> None:
    profile = Profile(name="lxc", config={"raw.lxc": "lxc.environment = P=1\nlxc.init.cmd = /sbin/init"})
    declared = replace(WEB, profiles=("default", "lxc"))
    first = done(declared, host(profile, raw__lxc=f"lxc.environment=MINE=1\n{INIT}"))
    assert lxc_of(first) == f"lxc.environment=P=1\nlxc.environment=MINE=1\n{INIT}"
    assert planned(declared, first).steps == ()
    edited = replace(first, profiles={**first.profiles, "lxc": Profile(name="lxc", config={"raw.lxc": "lxc.a=2"})})
    second = done(declared, edited)
    assert lxc_of(second) == f"lxc.a=2\nlxc.environment=MINE=1\n{INIT}"
    third = done(replace(WEB, profiles=("default",)), second)
    assert lxc_of(third) == f"lxc.environment=MINE=1\n{INIT}"
    assert third.instance is not None and PROFILES_LXC not in third.instance.config
    own = replace(declared, config={"raw.lxc": "lxc.b=3"})
    assert lxc_of(done(own, second)) == f"lxc.a=2\nlxc.b=3\n{INIT}"


# Static addresses


def nic(**keys: str) -> Container:
    return replace(WEB, devices={"eth0": {"type": "nic", "network": "incusbr0", **keys}})


def with_addresses(observed: Observed, *addresses: str) -> Observed:
    return replace(observed, addresses=frozenset(addresses))


@pytest.mark.parametrize(
    ("key", "old", "new"), [("ipv4.address", "10.55.0.20", "10.55.0.21"), ("ipv6.address", "fd00::20", "FD00::21")]
)
def test_a_static_address_is_not_in_force_before_the_container_has_it(key: str, old: str, new: str) -> None:
    first = with_addresses(done(nic(**{key: old}), host()), old)
    assert not planned(nic(**{key: old}), first).restart_required
    plan = planned(nic(**{key: new}), first)
    assert plan.restart_required
    assert f"device eth0 ({key})" in plan.warnings[0]
    second = with_addresses(done(nic(**{key: new}), first), old)
    assert planned(nic(**{key: new}), second).restart_required
    assert second.instance is not None and restart_pending(second.instance)
    # Its lease has run out, or it was started again.
    assert not planned(nic(**{key: new}), with_addresses(second, new.lower())).restart_required
    leased = with_instance(second, addresses={"eth0": (new.lower(),)})
    assert leased.instance is not None and not restart_pending(leased.instance)
    assert not planned(nic(**{key: new}), with_instance(second, last_started="2028-01-01T00:00:00Z")).restart_required
    # It is as it was.
    third = with_addresses(done(nic(**{key: old}), second), old)
    assert not planned(nic(**{key: old}), third).restart_required


@pytest.mark.parametrize(
    "keys",
    [
        {"ipv4.address": "10.55.0.21", "hwaddr": "00:16:3e:00:00:01"},
        {"ipv4.address": "none"},
        {"limits.ingress": "1Mbit", "ipv4.address": "10.55.0.20"},
    ],
)
def test_what_comes_up_anew_asks_for_its_address(keys: dict[str, str]) -> None:
    first = with_addresses(done(nic(**{"ipv4.address": "10.55.0.20"}), host()), "10.55.0.20")
    assert not planned(nic(**keys), first).restart_required


def test_an_address_that_nobody_can_look_at_is_taken_for_one_in_force() -> None:
    first = done(nic(**{"ipv4.address": "10.55.0.20"}), host())
    assert not planned(nic(**{"ipv4.address": "10.55.0.21"}), first).restart_required
