# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.ends import Host
from ansible_collections.inx.fleet.plugins.module_utils.container.neighbours import with_refused_neighbours
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import Plan
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance, Network
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, after, declared, empty_host

BUILT = System(path=NEW, built=True)
BRIDGE = Network(name="incusbr0", type="bridge")


def other(name: str = "web", project: str = "shop", location: str | None = None, **keys: str) -> Instance:
    """Return an instance on the bridge."""
    nic = {"type": "nic", "network": "incusbr0", **keys}
    devices = {"eth0": {key: value for key, value in nic.items() if value}}
    config = {"volatile.eth0.hwaddr": "10:66:6A:00:00:01"}
    return Instance(name=name, project=project, location=location, config=config, expanded_devices=devices)


def planned(observed: Observed | None = None, **options: Any) -> tuple[Plan, Observed]:
    """Return the plan for a container called web, and what it was made of."""
    seen = observed or empty_host()
    return plan_container(declared(system=NEW, **options), BUILT, seen), seen


def refused(plan: Plan, seen: Observed, *others: Instance, network: Network | None = BRIDGE) -> str:
    """Return the error for a plan among other instances, "" if there is none."""
    incus = SimpleNamespace(
        project="default",
        server=SimpleNamespace(member=None),
        instances_everywhere=lambda: list(others),
        network=lambda name: network,
    )
    (found,) = with_refused_neighbours(cast(Host, SimpleNamespace(incus=incus)), [plan], {"web": seen})
    assert found == plan or not found.steps
    return "" if found.error is None else str(found.error)


def test_a_name_that_another_project_has_on_the_network_is_refused() -> None:
    plan, seen = planned()
    assert "'web' of the project 'shop' has this name already" in refused(plan, seen, other())
    assert "'WEB' of the project 'shop' has this name" in refused(plan, seen, other("WEB"))


@pytest.mark.parametrize(
    ("others", "network"),
    [
        ([other("db")], BRIDGE),
        ([other(vlan="7")], BRIDGE),
        ([other(network="lan")], BRIDGE),
        ([other(network="", nictype="bridged", parent="br0")], BRIDGE),
        ([other(location="two")], BRIDGE),
        ([other(project="default")], BRIDGE),
        ([other()], replace(BRIDGE, config={"dns.mode": "none"})),
        ([other()], replace(BRIDGE, type="ovn")),
    ],
)
def test_what_is_not_beside_it_on_a_bridge_with_names_is_let_be(others: list[Instance], network: Network) -> None:
    plan, seen = planned()
    assert refused(plan, seen, *others, network=network) == ""


def test_a_bridge_that_incus_does_not_manage_has_no_names() -> None:
    plan, seen = planned()
    assert refused(plan, seen, other(), network=None) == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [("hwaddr", "10:66:6a:00:00:01"), ("ipv4.address", "10.55.0.20"), ("ipv6.address", "fd42::20")],
)
def test_addresses_that_another_instance_has_are_refused(key: str, value: str) -> None:
    plan, seen = planned(devices={"eth0": {key: value.replace("fd42::", "fd42:0::")}})
    holder = other("db", **{"ipv4.address": "10.55.0.20", "ipv6.address": "fd42::20"})
    assert f"the {key} {value} already" in refused(plan, seen, holder)
    assert "'db' of the project 'default'" in refused(plan, seen, replace(holder, project="default"))


def test_who_may_not_list_other_projects_is_told_by_incus_alone() -> None:
    def refuse() -> list[Instance]:
        raise FleetError("Could not list the instances of all projects.", "")

    plan, seen = planned()
    server = SimpleNamespace(member=None)
    incus = SimpleNamespace(project="default", server=server, instances_everywhere=refuse)
    host = cast(Host, SimpleNamespace(incus=incus))
    assert with_refused_neighbours(host, [plan], {"web": seen}) == [plan]


def test_only_what_changes_is_looked_at() -> None:
    plan, seen = planned()
    there = after(plan, seen)
    unchanged, _seen = planned(there)
    assert refused(unchanged, there, other()) == ""
    changed, _seen = planned(there, devices={"eth0": {"mtu": "1400"}})
    assert "has this name already" in refused(changed, there, other())
    masked, _seen = planned(there, devices={"eth0": None})
    assert refused(masked, there, other()) == ""
