# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.host.declaration import Declared, HostDeclaration
from ansible_collections.inx.fleet.plugins.module_utils.host.objects import differences
from ansible_collections.inx.fleet.plugins.module_utils.host.observed import Held, IncusState
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Profile
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.host.model import SERVER, provisioned

ROOT = {"type": "disk", "path": "/", "pool": "default"}


def incus(devices: Mapping[str, Mapping[str, str]], *networks: Held) -> IncusState:
    """Return an Incus that was set up by the role, with these devices in its default profile."""
    state = provisioned().incus
    assert state is not None
    profiles = {**state.profiles, "default": Profile(name="default", devices={"root": ROOT, **devices})}
    return replace(state, networks={held.name: held for held in networks}, profiles=profiles)


def changes(
    state: IncusState, pool: Declared | None = None, network: Declared | None = None
) -> list[tuple[str, object]]:
    declared = HostDeclaration(pool=pool or Declared(), network=network or Declared())
    return [(entry.name, entry.after) for entry in differences(declared, state)]


BRIDGE = Held(name="br1", kind="bridge", config={"ipv4.nat": "false", "ipv6.address": "none"})
OTHER = Held(name="br2", kind="bridge")
UNMANAGED = Held(name="host0", kind="physical", is_managed=False)
ON_BRIDGE = {"eth0": {"type": "nic", "network": "br1"}}
ON_HOST = {"nic7": {"type": "nic", "nictype": "macvlan", "parent": "host0"}}


@pytest.mark.parametrize(
    ("state", "network", "expected"),
    [
        (incus(ON_BRIDGE, BRIDGE), Declared(), []),
        (incus(ON_HOST, BRIDGE, UNMANAGED), Declared(), []),
        (incus(ON_BRIDGE, BRIDGE), Declared(config={"ipv4.nat": "false", "ipv4.address": "auto"}), []),
        (incus(ON_BRIDGE, BRIDGE), Declared(config={"ipv4.nat": "true"}), [("br1", {"config": {"ipv4.nat": "true"}})]),
        # The nic keeps its name, and what it has besides.
        (
            incus({"wan": {"type": "nic", "network": "br1", "name": "wan0", "mtu": "1400"}}, BRIDGE, OTHER),
            Declared(name="br2"),
            [("default", {"devices": {"wan": {"type": "nic", "network": "br2", "name": "wan0", "mtu": "1400"}}})],
        ),
        # The only bridge, and no other kind of network.
        (
            incus({}, BRIDGE, Held(name="lan", kind="macvlan")),
            Declared(),
            [("default", {"devices": {"eth0": {"type": "nic", "network": "br1", "name": "eth0"}}})],
        ),
    ],
)
def test_networks(state: IncusState, network: Declared, expected: list[tuple[str, object]]) -> None:
    assert changes(state, network=network) == expected


def test_a_nic_on_an_interface_of_the_host_is_not_moved() -> None:
    with pytest.raises(FleetError, match=r"incus profile device remove default nic7"):
        changes(incus(ON_HOST, BRIDGE), network=Declared(name="br1"))


@pytest.mark.parametrize(
    ("pool", "network", "message"),
    [
        (Declared(kind="btrfs"), Declared(), "'default' has the driver 'dir', and 'btrfs' is declared"),
        (Declared(), Declared(kind="macvlan"), "'br1' is of the type 'bridge', and 'macvlan' is declared"),
        (Declared(), Declared(name="host0"), "host0 is an interface of this host that Incus does not manage"),
    ],
)
def test_what_cannot_become_another_kind_is_refused(pool: Declared, network: Declared, message: str) -> None:
    with pytest.raises(FleetError, match=message):
        changes(incus(ON_BRIDGE, BRIDGE, UNMANAGED), pool, network)


def test_keys_of_single_members_are_left_out_in_a_cluster() -> None:
    declared = Declared(config={"source": "/dev/sdb", "rsync.bwlimit": "10MiB"})
    state = incus(ON_BRIDGE, BRIDGE)
    clustered = replace(state, pools={"default": Held(name="default", kind="dir", is_clustered=True)})
    assert changes(clustered, declared) == [("default", {"config": {"rsync.bwlimit": "10MiB"}})]
    assert changes(state, declared) == [("default", {"config": {"rsync.bwlimit": "10MiB", "source": "/dev/sdb"}})]


def test_the_only_pool_is_used_and_one_of_two_is_not_guessed() -> None:
    one, two = Held(name="a", kind="zfs"), Held(name="b", kind="dir")
    state = IncusState(server=SERVER, pools={"a": one}, profiles={"default": Profile(name="default")})
    root = {"type": "disk", "path": "/"}
    assert changes(state)[1] == ("default", {"devices": {"root": {**root, "pool": "a"}, "eth0": _NIC}})
    several = replace(state, pools={"a": one, "b": two})
    assert changes(several)[0] == ("default", {"driver": "dir", "config": {}})


_NIC = {"type": "nic", "name": "eth0", "network": "incusbr0"}


def test_the_default_profile_is_not_the_one_of_the_store() -> None:
    declared = HostDeclaration()
    with pytest.raises(FleetError, match="cannot be shared by Incus' default profile"):
        differences(replace(declared, store=replace(declared.store, name="default")), incus({}))
