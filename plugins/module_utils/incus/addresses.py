# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Global addresses of an instance on the NICs that Incus made, and all addresses that it has.

Those of others, such as docker0 or wg0 inside the container, lead nowhere from outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from ..text import shown

Addresses: TypeAlias = Mapping[str, Sequence[str]]

#: Families by their names as options have them.
VERSIONS = {"ipv4": 4, "ipv6": 6}
#: The types of devices that are interfaces in a container.
NIC_TYPES = ("nic", "infiniband")
# Linux: net/ipv4/fib_trie.c, fib_trie_seq_show: a leaf, and below it what it is. net/ipv6/addrconf.c, if6_seq_show.
_LOCAL = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL\b")
_INET6 = re.compile(r"[0-9a-f]{32} ")
# Of a container, and of each interface. More are of no use.
_INTERFACES = 100
_ADDRESSES = 100


def addresses_from(entry: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the addresses by interface from an entry of GET /1.0/instances?recursion=2, a bounded number of them."""
    network = (entry.get("state") or {}).get("network") or {}
    names, host_names = _interfaces_of_devices(entry)
    # Incus knows nothing of interfaces that liblxc makes, but which interface of the host is their other end.
    has_own = "lxc.net." in (entry.get("expanded_config") or {}).get("raw.lxc", "")
    made = (
        (interface, seen)
        for interface, seen in network.items()
        # By either name: root in the container can rename it, and a physical one has no other end on the host.
        if interface in names or (seen.get("host_name") or "") in host_names or (has_own and seen.get("host_name"))
    )
    found = {
        shown(str(interface)): tuple(islice(_global_addresses(seen), _ADDRESSES))
        for interface, seen in islice(made, _INTERFACES)
    }
    return {interface: addresses for interface, addresses in sorted(found.items()) if addresses}


def _interfaces_of_devices(entry: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Return the names of the interfaces of devices, in the container and on the host.

    Incus keeps the one in volatile.DEVICE.name if the device does not set it, and the other in
    volatile.DEVICE.host_name.
    """
    config = entry.get("config") or {}
    devices = {**(entry.get("devices") or {}), **(entry.get("expanded_devices") or {})}
    nics = {name: keys for name, keys in devices.items() if keys.get("type") in NIC_TYPES}
    inside = {keys.get("name") or config.get(f"volatile.{name}.name", "") for name, keys in nics.items()}
    outside = {config.get(f"volatile.{name}.host_name", "") for name in nics}
    return inside - {""}, outside - {""}


def _global_addresses(seen: Mapping[str, Any]) -> Iterator[str]:
    for entry in seen.get("addresses") or ():
        if entry.get("scope") == "global":
            with suppress(ValueError):
                yield str(ip_address(entry.get("address")))


def addresses_of(pid: int) -> frozenset[str] | None:
    """Return all addresses in the network of a process, which costs Incus no request; None if they cannot be read."""
    if pid <= 0:
        return None
    try:
        trie, inet6 = (Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii") for name in ("fib_trie", "if_inet6"))
    except (OSError, ValueError):
        return None
    return local_addresses(trie, inet6)


def local_addresses(trie: str, inet6: str) -> frozenset[str]:
    """Return the addresses in the texts of /proc/PID/net/fib_trie and if_inet6."""
    return frozenset(_LOCAL.findall(trie)) | {
        str(IPv6Address(int(line[:32], 16))) for line in inet6.splitlines() if _INET6.match(line)
    }


def ordered(addresses: Addresses, family: str) -> dict[str, list[str]]:
    """Return the addresses by interface, those of a family first."""
    return {
        interface: sorted(found, key=lambda address: not is_of(address, family))
        for interface, found in addresses.items()
    }


def first(addresses: Addresses, family: str) -> str | None:
    """Return an address, of the family if there is one."""
    every = [address for found in addresses.values() for address in found]
    return min(every, key=lambda address: not is_of(address, family), default=None)


def plain_address(text: str) -> str:
    """Return an address, with or without its prefix, in one spelling; "" if it is none."""
    try:
        return str(ip_address(text.partition("/")[0]))
    except ValueError:
        return ""


def is_of(address: str, family: str) -> bool:
    """Return whether an address is of a family."""
    return ip_address(address).version == VERSIONS[family]
