# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Profile
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    DEFAULT_PROFILE,
    NEW,
    STORE_PROFILE,
    after,
    declared,
    empty_host,
)

BUILT = System(path=NEW, built=True)
POOLS = frozenset(("default", "fast"))
MASK = {"type": "none"}
ROOT = {"type": "disk", "path": "/", "pool": "default"}


def made(observed: Observed, **options: Any) -> Observed:
    """Return a host on which something has been declared; a second run would do nothing."""
    container = declared(system=NEW, **options)
    now = after(plan_container(container, BUILT, observed), observed)
    assert not [step for step in plan_container(container, BUILT, now).steps if step.action == "update"]
    return now


def devices(observed: Observed, **options: Any) -> dict[str, dict[str, str]]:
    """The instance's own devices when something has been declared."""
    now = made(observed, **options)
    assert now.instance is not None
    return {name: dict(keys) for name, keys in now.instance.devices.items()}


def with_profile(observed: Observed, **changed: dict[str, str] | None) -> Observed:
    """Return a host whose default profile has other devices."""
    found = {**DEFAULT_PROFILE.devices, **changed}
    profile = Profile(name="default", devices={name: keys for name, keys in found.items() if keys is not None})
    return replace(observed, profiles={"default": profile, STORE_PROFILE.name: STORE_PROFILE})


@pytest.mark.parametrize("first", [None, {"ipv4.address": "10.55.0.20"}, {"type": "nic", "network": "lan"}])
def test_null_masks_a_device_of_the_profiles_and_nothing_brings_it_back(first: dict[str, str] | None) -> None:
    there = made(empty_host(), devices={} if first is None else {"eth0": first})
    assert devices(empty_host(), devices={"eth0": None})["eth0"] == MASK
    assert devices(there, devices={"eth0": None})["eth0"] == MASK
    masked = made(there, devices={"eth0": None})
    assert "eth0" not in devices(masked, devices={"eth0": {}})
    assert devices(masked, devices={"eth0": {"mtu": "1400"}})["eth0"] == {
        **DEFAULT_PROFILE.devices["eth0"],
        "mtu": "1400",
    }


def test_null_removes_what_no_profile_has() -> None:
    proxy = {"type": "proxy", "listen": "tcp:127.0.0.1:1", "connect": "tcp:127.0.0.1:1"}
    there = made(empty_host(), devices={"web": proxy, "eth0": None})
    assert "web" not in devices(there, devices={"web": None})
    assert "eth0" not in devices(with_profile(there, eth0=None), devices={"eth0": None})
    assert "eth0" not in devices(with_profile(there, eth0=MASK), devices={"eth0": None})


def test_addresses_are_not_waited_for_without_an_interface() -> None:
    wait = {"wait_for": ["system", "addresses"]}
    made(empty_host(), **wait)
    made(empty_host(), **wait, devices={"eth0": None, "eth1": {"type": "nic", "network": "lan"}})
    made(empty_host(), **wait, devices={"eth0": None}, config={"raw.lxc": "lxc.net.0.type = empty"})
    with pytest.raises(FleetError, match="would have no network interface"):
        made(empty_host(), **wait, devices={"eth0": None})
    made(empty_host(), **wait, wait=False, devices={"eth0": None})


def test_the_store_is_not_masked() -> None:
    with pytest.raises(FleetError, match="nothing is mounted at /nix/store"):
        devices(empty_host(), devices={"nixstore": None})


@pytest.mark.parametrize("keys", [{}, {"ipv4.address": "10.55.0.20"}])
def test_a_device_without_a_type_is_refused_once_the_profile_has_dropped_it(keys: dict[str, str]) -> None:
    there = made(empty_host(), devices={"eth0": keys})
    with pytest.raises(FleetError, match="'eth0' has no type, and no profile has a device"):
        made(with_profile(there, eth0=None), devices={"eth0": keys})
    with pytest.raises(FleetError, match="'eth0' has no type, and no profile has a device"):
        made(with_profile(there, eth0=MASK), devices={"eth0": keys})


def test_a_device_without_a_type_takes_the_profiles_other_type() -> None:
    disk = {"type": "disk", "source": "/srv", "path": "/srv"}
    there = made(empty_host(), devices={"eth0": {"mtu": "1400"}})
    assert devices(with_profile(there, eth0=disk), devices={"eth0": {"readonly": True}})["eth0"] == {
        **disk,
        "readonly": "true",
    }


@pytest.mark.parametrize("name", ["root", "disk0"])
def test_without_profiles_a_declared_root_disk_is_the_root_disk(name: str) -> None:
    host = replace(empty_host(), pools=POOLS)
    volume = {"path": "/data", "pool": None, "size": None, "mode": "0755"}
    found = devices(host, profiles=[], devices={name: ROOT}, root_size="5GiB", persist=[volume])
    assert found[name] == {**ROOT, "size": "5GiB"}
    assert [keys["pool"] for keys in found.values() if keys.get("path") == "/data"] == ["default"]
    assert [one for one, keys in found.items() if keys.get("path") == "/"] == [name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": {"disk0": ROOT}}, "would have 2 root disks: the devices root, disk0"),
        ({"devices": {"root": None}}, "'root' is its root disk, and declared as null"),
        ({"devices": {"root": {"pool": "fast"}}}, "its root disk is in the pool 'default', and 'fast' is declared"),
        ({"storage_pool": "fast"}, "its root disk is in the pool 'default', and 'fast' is declared"),
        ({"profiles": []}, "no root disk in a storage pool"),
    ],
)
def test_a_container_keeps_its_one_root_disk(options: dict[str, Any], message: str) -> None:
    there = replace(made(empty_host()), pools=POOLS)
    with pytest.raises(FleetError, match=message):
        made(there, **options)


def test_another_profile_does_not_move_the_root_disk() -> None:
    there = replace(made(empty_host()), pools=POOLS)
    other = Profile(name="other", devices={"root": {**ROOT, "pool": "fast"}})
    with pytest.raises(FleetError, match="its root disk is in the pool 'default', and 'fast' is declared"):
        made(replace(there, profiles={**there.profiles, "other": other}), profiles=["other"])


def test_a_masked_root_disk_leaves_room_for_one_of_another_name() -> None:
    found = devices(replace(empty_host(), pools=POOLS), devices={"root": None, "disk0": {**ROOT, "pool": "fast"}})
    assert found["root"] == MASK
    assert found["disk0"]["pool"] == "fast"
