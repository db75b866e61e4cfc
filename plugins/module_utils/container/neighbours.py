# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuse what another container has that only one can have: names and addresses on a network, ports, interfaces.

Incus: internal/server/device/nic_bridged.go, checkAddressConflict. A bridge is shared by all projects of a member.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from ..errors import FleetError
from ..incus.models import Devices, Instance, Network
from .claims import Claim, claims, meeting, network_of
from .ends import Host
from .exchange import devices_after, held_after, newly_held
from .held_back import with_held_back
from .observed import Observed
from .steps import Plan

Networks = Callable[[str], "Network | None"]
_ON_NETWORK = ("ipv4.address", "ipv6.address", "hwaddr")


def with_refused_neighbours(host: Host, plans: Sequence[Plan], before: Mapping[str, Observed]) -> list[Plan]:
    """Return the plans, with errors for those that claim what somebody else has, and for those that wait for them.

    All instances that this user sees are looked at, if anything is claimed at all. What those of the plans give up is
    theirs to give, if their own plans have no error.
    """
    changed = {plan.container.name: _changed_nics(plan, before[plan.container.name]) for plan in plans}
    new = {plan.container.name: newly_held(plan, before[plan.container.name]) for plan in plans}
    if not any(changed.values()) and not any(new.values()):
        return with_held_back(plans)
    others = _others(host, plans)
    found: dict[str, Network | None] = {}

    def network(name: str) -> Network | None:
        if name not in found:
            found[name] = host.incus.network(name)
        return found[name]

    def checked(plan: Plan) -> Plan:
        name = plan.container.name
        error = next(refusals(name, changed[name], new[name], others, network), None)
        return plan if error is None else Plan(container=plan.container, error=error)

    return with_refused_members([checked(plan) for plan in plans], before)


def with_refused_members(plans: Sequence[Plan], before: Mapping[str, Observed]) -> list[Plan]:
    """Return the plans, with errors for those that claim what another of them keeps. One error may lead to others."""
    found = with_held_back(plans)
    while True:
        kept = {plan.container.name: held_after(plan, before[plan.container.name]) for plan in found}
        errors = {plan.container.name: _kept_by_others(plan, before, kept, found) for plan in found}
        if not any(errors.values()):
            return found
        refused = (
            plan if error is None else Plan(container=plan.container, error=error)
            for plan, error in zip(found, errors.values(), strict=True)
        )
        found = with_held_back(list(refused))


def _kept_by_others(
    plan: Plan, before: Mapping[str, Observed], kept: Mapping[str, Collection[Claim]], plans: Sequence[Plan]
) -> FleetError | None:
    name = plan.container.name
    new = [claim for claim in newly_held(plan, before[name]) if not claim.is_shared]
    for other in plans if new else ():
        met = sorted(map(str, meeting(new, kept[other.container.name]))) if other.container.name != name else []
        if met:
            keeps = other.container.name
            advice = f"Fix {keeps} first." if other.error is not None else f"Declare another, or take it from {keeps}."
            return FleetError(f"{name}: {met[0]} is held by {keeps}, which keeps it.", advice)
    return None


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
    there, after = devices_after((), seen), devices_after(plan.steps, seen)
    return {name: keys for name, keys in after.items() if keys.get("type") == "nic" and keys != there.get(name)}


def refusals(
    name: str, nics: Devices, new: Collection[Claim], others: Sequence[Instance], network: Networks
) -> Iterator[FleetError]:
    """Yield why a container cannot have its changed NICs, or what it newly claims."""

    def is_bridge(bridge: str) -> bool:
        managed = network(bridge)
        return managed is None or managed.type == "bridge"

    for keys in nics.values():
        bridge = _bridge(keys)
        there = list(_beside(keys, others))
        if bridge is not None and there and is_bridge(bridge):
            managed = network(bridge)
            if managed is not None and managed.config.get("dns.mode") != "none":
                yield from _same_name(name, bridge, there)
    for one in others:
        held = claims(one.expanded_devices, one.config, runs=one.is_running)
        for claim in sorted(meeting((claim for claim in new if not claim.is_shared), held), key=str):
            if claim.kind not in _ON_NETWORK or is_bridge(claim.where.partition(" ")[0]):
                yield _held_outside(name, claim, one)


def _beside(keys: Mapping[str, str], others: Sequence[Instance]) -> Iterator[Instance]:
    """Yield other instances with a NIC on the same bridge and VLAN."""
    for one in others:
        nics = (other for other in one.expanded_devices.values() if other.get("type") == "nic")
        if any(network_of(other) == network_of(keys) for other in nics):
            yield one


def _bridge(keys: Mapping[str, str]) -> str | None:
    return keys.get("network") or (keys.get("parent") if keys.get("nictype") == "bridged" else None)


def _same_name(name: str, bridge: str, there: Sequence[Instance]) -> Iterator[FleetError]:
    for one in there:
        if one.name.lower() == name.lower():
            yield FleetError(
                f"{name}: on the network {bridge!r} the instance {one.name!r} of the project {one.project!r} has this "
                "name already.",
                "Choose another name or another network, or set 'dns.mode' of the network to none.",
            )


def _held_outside(name: str, claim: Claim, one: Instance) -> FleetError:
    where = f"on the network {claim.where!r} " if claim.kind in _ON_NETWORK else ""
    return FleetError(
        f"{name}: {where}the instance {one.name!r} of the project {one.project!r} has {claim} already.",
        "Choose another one, or take it away there first.",
    )
