# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell what of a host a container claims, so that no other can have it. Pure.

Tried on Incus 6.0 and 7.0: an address or a MAC address is refused while another instance has it in its configuration,
and all else is free while that one is stopped. A device that cannot start is taken away from a running container, and a
second NIC with the same ``host_name`` takes the first one away without a word (7.0).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..incus.addresses import plain_address
from ..incus.models import Config, Devices

Kind: TypeAlias = Literal["port", "ipv4.address", "ipv6.address", "hwaddr", "host_name", "parent", "device"]
#: What is taken from a NIC by a change of that key alone, so that the interface stays.
KEYS_ALONE = frozenset(("ipv4.address", "ipv6.address"))
#: What the place of a custom volume begins with.
VOLUME = "the volume"
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104
_HOST_BINDS = ("", "host")
# What is in no configuration, or in that of each, belongs to nobody.
_NO_ADDRESS = ("", "none")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One thing on a host. ``where`` is a network, a protocol with its port, a pool or a kind of device.

    ``device`` is the device that claims it. One that ``is_shared`` may have several holders: it only passes from one to
    another in an order, so that no two write at the same time.
    """

    kind: Kind
    where: str
    what: str
    device: str
    is_shared: bool = False

    def meets(self, other: Claim) -> bool:
        """Return whether it is the same thing, or a part of it."""
        if (self.kind, self.where) != (other.kind, other.where):
            return False
        both = {self.what, other.what}
        return len(both) == 1 or (self.kind == "port" and not both.isdisjoint(_EVERYWHERE))

    def __str__(self) -> str:
        """Return it as users know it."""
        if self.kind == "port":
            return f"the port {self.where} at {self.what}"
        if self.kind in ("parent", "device"):
            return f"{self.where} {self.what}"
        return f"the {self.kind} {self.what}"


def claims(devices: Devices, config: Config, *, runs: bool) -> frozenset[Claim]:
    """Return what an instance claims by its expanded devices. Its config has the MAC addresses that Incus made."""
    return frozenset(claim for name, keys in devices.items() for claim in _of_device(name, keys, config, runs))


def meeting(some: Iterable[Claim], others: Iterable[Claim]) -> frozenset[Claim]:
    """Return those claims that meet one of the others."""
    found = tuple(others)
    return frozenset(claim for claim in some if any(claim.meets(other) for other in found))


def _of_device(name: str, keys: Mapping[str, str], config: Config, runs: bool) -> Iterator[Claim]:
    kind = keys.get("type")
    if kind in ("nic", "infiniband"):
        yield from _of_nic(name, keys, config, runs)
    elif kind == "proxy" and runs:
        yield from _of_proxy(name, keys)
    elif kind == "disk" and runs and keys.get("pool") and keys.get("source"):
        yield Claim(kind="device", where=f"{VOLUME} {keys['pool']}", what=keys["source"], device=name, is_shared=True)
    elif kind in ("unix-char", "unix-block", "unix-hotplug", "usb", "gpu") and runs:
        # Incus gives one to as many as ask for it. Parts of a GPU (mig) are not shared.
        what = " ".join(f"{key}={keys[key]}" for key in sorted(keys) if key in _IDENTIFYING)
        yield Claim(kind="device", where=kind, what=what, device=name, is_shared=keys.get("gputype") != "mig")


#: Keys that tell which device of the host is meant. Incus: doc/reference/devices_usb, _gpu, _unix_char.
_IDENTIFYING = frozenset(
    {"source", "major", "minor", "vendorid", "productid", "serial", "busnum", "devnum", "pci", "id"}
    | {"mig.uuid", "mig.gi", "mig.ci"}
)


def _of_nic(name: str, keys: Mapping[str, str], config: Config, runs: bool) -> Iterator[Claim]:
    network = network_of(keys)
    given = {"hwaddr": config.get(f"volatile.{name}.hwaddr", ""), **keys}
    kinds: tuple[Kind, ...] = ("ipv4.address", "ipv6.address", "hwaddr")
    for kind in kinds:
        for text in given.get(kind, "").split(","):
            what = _address(kind, text.strip())
            if network and what not in _NO_ADDRESS:
                yield Claim(kind=kind, where=network, what=what, device=name)
    if runs and keys.get("host_name"):
        yield Claim(kind="host_name", where="", what=keys["host_name"], device=name)
    if runs and keys.get("parent") and keys.get("nictype") in ("physical", "sriov"):
        # Of SR-IOV there is one for each virtual function: they pass from one to another, too.
        shared, vlan = keys["nictype"] == "sriov", keys.get("vlan")
        what = keys["parent"] if vlan is None else f"{keys['parent']}.{vlan}"
        yield Claim(kind="parent", where="the network interface", what=what, device=name, is_shared=shared)


def network_of(keys: Mapping[str, str]) -> str:
    """Return the network of a NIC on which addresses are unique, with its VLAN; "" if there is none."""
    nictype = keys.get("nictype")
    name = keys.get("network") or (keys.get("parent") if nictype == "bridged" else None)
    if name is None and nictype in ("routed", "ipvlan"):
        return nictype
    vlan = keys.get("vlan")
    return name or "" if vlan is None else f"{name} vlan {vlan}"


def _of_proxy(name: str, keys: Mapping[str, str]) -> Iterator[Claim]:
    if keys.get("bind", "") not in _HOST_BINDS:
        return
    protocol, _sign, place = keys.get("listen", "").partition(":")
    if protocol == "unix":
        yield Claim(kind="port", where="unix", what=place, device=name)
        return
    address, _sign, ports = place.rpartition(":")
    for port in _ports(ports):
        yield Claim(kind="port", where=f"{port}/{protocol}", what=address.strip("[]") or _EVERYWHERE[0], device=name)


def _ports(text: str) -> Iterator[int]:
    """Yield the ports of a list such as 80,90-100."""
    for part in text.split(","):
        first, _sign, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            yield from range(int(first), int(last or first) + 1)


def _address(kind: Kind, text: str) -> str:
    """Return an address in one spelling, "" if it is none."""
    return text.lower() if kind == "hwaddr" else plain_address(text)
