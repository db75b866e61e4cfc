# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.incus.addresses import (
    addresses_from,
    addresses_of,
    first,
    local_addresses,
    ordered,
)


def seen(*addresses: str, host_name: str = "") -> dict[str, Any]:
    return {"host_name": host_name, "addresses": [{"address": one, "scope": "global"} for one in addresses]}


def instance(network: dict[str, Any] | None, devices: dict[str, Any], **config: str) -> dict[str, Any]:
    keys = {key.replace("__", "."): value for key, value in config.items()}
    return {
        "config": keys,
        "expanded_config": keys,
        "expanded_devices": devices,
        "state": {"network": network},
    }


INSIDE = {
    "lo": seen("10.9.9.9"),
    "docker0": seen("172.17.0.1"),
    "wg0": seen("10.8.0.1"),
    # The number of its other end, in a container of this container, is that of another interface of the host.
    "veth7": seen("10.7.0.1", host_name="veth-of-db"),
}


@pytest.mark.parametrize(
    ("found", "keys", "config"),
    [
        ({"eth0": seen("10.0.0.2", host_name="veth1")}, {}, {"volatile__eth0__name": "eth0"}),
        ({"lan": seen("10.0.0.2", host_name="veth1")}, {"name": "lan"}, {}),
        ({"enp1s0": seen("10.0.0.2")}, {"nictype": "physical", "name": "enp1s0"}, {}),
        # Renamed by root in the container.
        (
            {"uplink": seen("10.0.0.2", host_name="veth1")},
            {},
            {"volatile__eth0__name": "eth0", "volatile__eth0__host_name": "veth1"},
        ),
    ],
)
def test_addresses_are_those_of_its_nics(found: dict[str, Any], keys: dict[str, str], config: dict[str, str]) -> None:
    entry = instance({**INSIDE, **found}, {"eth0": {"type": "nic", **keys}}, **config)
    assert addresses_from(entry) == {next(iter(found)): ("10.0.0.2",)}


def test_without_a_nic_there_are_none() -> None:
    assert addresses_from(instance(INSIDE, {"eth0": {"type": "none", "name": "docker0"}})) == {}
    assert addresses_from(instance(None, {})) == {}
    assert addresses_from({}) == {}


def test_an_interface_that_liblxc_makes_counts_by_its_other_end() -> None:
    network = {"docker0": seen("172.17.0.1"), "lan": seen("10.0.0.2", host_name="vethX")}
    assert addresses_from(instance(network, {}, raw__lxc="lxc.net.0.type = veth")) == {"lan": ("10.0.0.2",)}


def test_a_family_comes_first() -> None:
    found = {"eth0": ("fd00::1", "10.0.0.2", "fd00::2"), "eth1": ("10.0.1.2",), "eth2": ("fd00:1::1",)}
    assert ordered(found, "ipv4")["eth0"] == ["10.0.0.2", "fd00::1", "fd00::2"]
    assert ordered(found, "ipv6")["eth0"] == ["fd00::1", "fd00::2", "10.0.0.2"]
    assert (first(found, "ipv4"), first(found, "ipv6")) == ("10.0.0.2", "fd00::1")
    assert (first({"eth1": ("10.0.1.2",)}, "ipv6"), first({}, "ipv6")) == ("10.0.1.2", None)


TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.55.0.0/24 2 0 2
        |-- 10.55.0.0
           /24 link UNICAST
        |-- 10.55.0.20
           /32 host LOCAL
        |-- 10.55.0.255
           /32 link BROADCAST
"""
INET6 = """00000000000000000000000000000001 01 80 10 80       lo
fd0000000000000000000000000000020 nonsense
fd000000000000000000000000000020 05 40 00 80     eth0
"""


def test_all_addresses_are_read_from_the_kernel() -> None:
    assert local_addresses(TRIE, INET6) == {"10.55.0.20", "::1", "fd00::20"}
    assert "127.0.0.1" in (addresses_of(os.getpid()) or ())
    assert addresses_of(0) is None and addresses_of(2**30) is None
