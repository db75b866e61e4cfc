# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and addresses on a network that other instances have, in whatever project: Incus lets nobody else have them.

Incus: internal/server/device/nic_bridged.go, checkAddressConflict. A bridge is shared by all projects of a member.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address

from ..errors import FleetError
from ..incus.models import Config, Devices, Instance, Network
from .expanded import expanded
from .observed import Observed
from .rollback import Host
from .steps import Plan

Networks = Callable[[str], "Network | None"]
_ADDRESSES = ("ipv4.address", "ipv6.address")


def with_refused_neighbours(host: Host, plans: Sequence[Plan], before: Mapping[str, Observed]) -> list[Plan]:
    """Return the plans, with errors for those that would give a NIC what another instance has on its network.

    All instances that this user sees are looked at, if a NIC changes at all. Those of the plans are left out: what they
    give up is theirs to give.
    """
    changed = {plan.container.name: _changed_nics(plan, before[plan.container.name]) for plan in plans}
    if not any(changed.values()):
        return list(plans)
    others = _others(host, plans)
    found: dict[str, Network | None] = {}

    def network(name: str) -> Network | None:
        if name not in found:
            found[name] = host.incus.network(name)
        return found[name]

    def checked(plan: Plan) -> Plan:
        name = plan.container.name
        instance = before[name].instance
        config: Config = {} if instance is None else instance.config
        error = next(refusals(name, changed[name], config, others, network), None)
        return plan if error is None else Plan(container=plan.container, error=error)

    return [checked(plan) if changed[plan.container.name] else plan for plan in plans]


def _others(host: Host, plans: Sequence[Plan]) -> list[Instance]:
    """Return the instances on this member that no plan is about; none if this user may not list other projects."""
    project, member = host.incus.project or "default", host.incus.server.member
    planned = {(project, plan.container.name) for plan in plans}
    found: list[Instance] = []
    with suppress(FleetError):
        found = host.incus.instances_everywhere()
    return [one for one in found if one.location in (None, member) and (one.project, one.name) not in planned]


def _changed_nics(plan: Plan, seen: Observed) -> Devices:
    """Return the NICs that steps add or change, as they will be."""
    instance = seen.instance
    devices: dict[str, Mapping[str, str]] = {} if instance is None else dict(instance.devices)
    profiles: Collection[str] = () if instance is None else instance.profiles
    there = expanded(tuple(profiles), seen.profiles, {}, devices).devices
    for step in plan.steps:
        if step.action in ("create", "update"):
            profiles = step.after.get("profiles", profiles)
            for name, keys in (step.after.get("devices") or {}).items():
                devices.pop(name, None)
                devices.update({} if keys is None else {name: keys})
    after = expanded(tuple(profiles), seen.profiles, {}, devices).devices
    return {name: keys for name, keys in after.items() if keys.get("type") == "nic" and keys != there.get(name)}


def refusals(
    name: str, nics: Devices, config: Config, others: Sequence[Instance], network: Networks
) -> Iterator[FleetError]:
    """Yield why a container cannot have its NICs. ``config`` is its own, which says what Incus has given it."""
    for nic, keys in nics.items():
        there = list(_beside(keys, others))
        bridge = _bridge(keys)
        if not there or bridge is None:
            continue
        managed = network(bridge)
        if managed is not None and managed.type != "bridge":
            continue
        if managed is not None and managed.config.get("dns.mode") != "none":
            yield from _same_name(name, bridge, there)
        yield from _same_addresses(name, {**keys, **_given_hwaddr(nic, config, keys)}, bridge, there)


def _beside(keys: Mapping[str, str], others: Sequence[Instance]) -> Iterator[tuple[Instance, Mapping[str, str]]]:
    """Yield the NICs of other instances on the same bridge and VLAN, with what Incus has given them."""
    for one in others:
        for nic, other in one.expanded_devices.items():
            on_bridge = other.get("type") == "nic" and _bridge(other) == _bridge(keys)
            if on_bridge and other.get("vlan") == keys.get("vlan"):
                yield one, {**other, **_given_hwaddr(nic, one.config, other)}


def _bridge(keys: Mapping[str, str]) -> str | None:
    return keys.get("network") or (keys.get("parent") if keys.get("nictype") == "bridged" else None)


def _given_hwaddr(nic: str, config: Config, keys: Mapping[str, str]) -> dict[str, str]:
    hwaddr = keys.get("hwaddr") or config.get(f"volatile.{nic}.hwaddr")
    return {} if hwaddr is None else {"hwaddr": hwaddr}


def _same_name(name: str, bridge: str, there: Sequence[tuple[Instance, Mapping[str, str]]]) -> Iterator[FleetError]:
    for one, _keys in there:
        if one.name.lower() == name.lower():
            yield FleetError(
                f"{name}: on the network {bridge!r} the instance {one.name!r} of the project {one.project!r} has this "
                "name already.",
                "Choose another name or another network, or set 'dns.mode' of the network to none.",
            )


def _same_addresses(
    name: str, keys: Mapping[str, str], bridge: str, there: Sequence[tuple[Instance, Mapping[str, str]]]
) -> Iterator[FleetError]:
    for one, other in there:
        for key in ("hwaddr", *_ADDRESSES):
            wanted = _address(key, keys.get(key))
            if wanted is not None and wanted == _address(key, other.get(key)):
                yield FleetError(
                    f"{name}: on the network {bridge!r} the instance {one.name!r} of the project {one.project!r} has "
                    f"the {key} {keys[key]} already.",
                    "Choose another one, or take it away there first.",
                )


def _address(key: str, text: str | None) -> str | None:
    """Return an address in one spelling, None if it is none."""
    if text is None or key == "hwaddr":
        return None if text is None else text.lower()
    try:
        return str(ip_address(text.partition("/")[0]))
    except ValueError:
        return None
