# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin, over hosts whose answers are simulated."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.template import trust_as_template

from ansible_collections.inx.fleet.plugins.inventory import inx
from ansible_collections.inx.fleet.plugins.inventory.inx import InventoryModule
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.info.answers import answer, entry

WEB = entry("web", expanded_config={"user.role": "shop"}, description="{{ 1 + 1 }}")
DB = entry("db", project="shop", status="Stopped")
DEFAULTS: dict[str, Any] = {
    "hosts": ["all"],
    "hostname": None,
    "query": None,
    "connection": "exec",
    "address_family": "ipv4",
    "sudo": False,
    "timeout": 30,
    "unreachable": "warn",
    "cache": False,
    "strict": True,
    "compose": {},
    "groups": {},
    "keyed_groups": [],
    "use_extra_vars": False,
    "leading_separator": True,
}


def _from_a_file(value: Any) -> Any:
    """Return options as Ansible reads them from a file, whose texts may be templates."""
    if isinstance(value, dict):
        return {key: _from_a_file(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_from_a_file(entry) for entry in value]
    return trust_as_template(value) if isinstance(value, str) else value


class Tried(InventoryModule):
    """The plugin with options of the test's own: Ansible's loader is not there to read them."""

    def __init__(self, answers: dict[str, str | AnsibleError], **options: Any) -> None:
        super().__init__()
        self.answers, self.options, self.asked = answers, {**DEFAULTS, **_from_a_file(options)}, list[str]()
        self.warned: list[str] = []
        self.display = self
        self._cache: dict[str, Any] = {}

    def warning(self, text: str) -> None:
        self.warned.append(text)

    def get_option(self, option: str, hostvars: Any = None) -> Any:
        return self.options[option]

    def get_cache_key(self, path: str) -> str:
        return path

    def _read_config_data(self, path: str) -> dict[str, Any]:
        return {}

    def _open(self, host: str) -> Any:
        return host

    def _ask_one(self, connection: Any) -> str:
        self.asked.append(connection)
        said = self.answers[connection]
        if isinstance(said, AnsibleError):
            raise said
        return said


def hosts(*names: str) -> InventoryData:
    """Return an inventory in which an earlier source has these hosts, in the group metal."""
    inventory = InventoryData()
    inventory.add_group("metal")
    for name in names:
        inventory.add_host(name, "metal")
    return inventory


def parsed(plugin: Tried, inventory: InventoryData, *, cache: bool = True) -> InventoryData:
    plugin.parse(inventory, DataLoader(), "/etc/inx.yml", cache=cache)
    inventory.reconcile_inventory()
    return inventory


def containers(inventory: InventoryData) -> list[str]:
    """Return the names of the containers that the inventory has."""
    return sorted(host.name for host in inventory.groups["inx"].get_hosts()) if "inx" in inventory.groups else []


def test_containers_of_all_hosts_are_hosts() -> None:
    plugin = Tried({"m1": answer(WEB, DB), "m2": answer(WEB)})
    inventory = parsed(plugin, hosts("m1", "m2"))
    assert containers(inventory) == ["db.shop.m1", "web.m1", "web.m2"]
    variables = inventory.hosts["web.m1"].get_vars()
    assert (variables["inx_name"], variables["inx_host"], variables["inx_status"]) == ("web", "m1", "Running")
    assert variables["inx_description"] == "{{ 1 + 1 }}"
    assert variables["ansible_connection"] == "inx.fleet.incus"
    assert (variables["ansible_incus_host"], variables["ansible_incus_instance"]) == ("m1", "web")
    groups = {group.name for group in inventory.hosts["db.shop.m1"].get_groups()}
    assert {"inx", "inx_host_m1", "inx_project_shop", "inx_state_stopped"} <= groups


def test_only_the_wanted_hosts_are_asked_and_no_container() -> None:
    plugin = Tried({"m1": answer(WEB)}, hosts=["m1", "metal*", "web.m1"])
    inventory = hosts("m1", "x2")
    inventory.add_host("web.m1", inventory.add_group("inx"))
    with pytest.raises(SystemExit, match=r"inx\.yml: hosts: 'metal\*' is neither a host nor a group"):
        parsed(plugin, inventory)
    plugin.options["hosts"] = ["m*", "web.m1"]
    with pytest.raises(AnsibleParserError, match=r"there is a host 'web\.m1' already"):
        parsed(plugin, inventory)
    assert plugin.asked == ["m1"]


def test_an_inventory_without_hosts_before_it_is_refused() -> None:
    for options in ({}, {"hosts": ["metal"]}):
        with pytest.raises(SystemExit, match="the inventory has no host before this file"):
            parsed(Tried({}, **options), InventoryData())


def test_a_query_and_a_name_of_the_users_own() -> None:
    options = {"query": "[?status=='Running']", "hostname": "inx_name ~ '-' ~ inx_config['user.role']"}
    assert containers(parsed(Tried({"m1": answer(WEB, DB)}, **options), hosts("m1"))) == ["web-shop"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query": "[?"}, "query"),
        ({"hostname": "inx_nothing"}, "hostname: 'inx_nothing' for db of m1 fails"),
        ({"hostname": "'a b'"}, "gives 'a b'"),
        ({"hostname": "'same'"}, "same"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleParserError, match=message):
        parsed(Tried({"m1": answer(WEB, entry("db"))}, **options), hosts("m1"))


def test_without_jmespath_a_query_ends_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inx, "JMESPATH_IMPORT_ERROR", ImportError("no jmespath"))
    plugin = Tried({"m1": answer(WEB)}, query="[]")
    with pytest.raises(SystemExit, match="jmespath"):
        parsed(plugin, hosts("m1"))
    assert plugin.asked == []


def test_the_ways_into_a_container() -> None:
    addresses = {"eth0": {"addresses": [{"family": "inet", "address": "10.0.0.2", "scope": "global"}]}}
    there = entry("web", state={"network": addresses}, expanded_devices={"eth0": {"type": "nic", "name": "eth0"}})
    for way, expected in (("address", {"ansible_host": "10.0.0.2"}), ("none", {})):
        inventory = parsed(Tried({"m1": answer(there)}, connection=way), hosts("m1"))
        variables = inventory.hosts["web.m1"].get_vars()
        assert {key: value for key, value in variables.items() if key.startswith("ansible_")} == expected


def test_variables_and_groups_of_the_users_own() -> None:
    inventory = parsed(
        Tried(
            {"m1": answer(WEB)},
            compose={"role": "inx_config['user.role']"},
            groups={"shop": "role == 'shop'"},
            keyed_groups=[{"key": "inx_name", "prefix": "named"}],
        ),
        hosts("m1"),
    )
    assert inventory.hosts["web.m1"].get_vars()["role"] == "shop"
    assert {"shop", "named_web"} <= {group.name for group in inventory.hosts["web.m1"].get_groups()}


def test_a_host_that_does_not_answer_is_warned_of_or_refuses_all() -> None:
    answers = {"m1": answer(WEB), "m2": AnsibleError("no route\nto host")}
    plugin = Tried(answers)
    assert containers(parsed(plugin, hosts("m1", "m2"))) == ["web.m1"]
    assert plugin.warned == ["The containers of a host are missing from the inventory. m2: no route to host"]
    with pytest.raises(AnsibleParserError, match=r"The containers of these hosts are not known\. m2: no route"):
        parsed(Tried(answers, unreachable="fail"), hosts("m1", "m2"))


def test_the_cache_spares_hosts_and_stands_in_for_them() -> None:
    plugin = Tried({"m1": answer(WEB)}, cache=True)
    parsed(plugin, hosts("m1"))
    assert containers(parsed(plugin, hosts("m1"))) == ["web.m1"]
    assert plugin.asked == ["m1"]
    plugin.answers["m1"] = AnsibleError("no route")
    # As with --flush-cache: the host is asked, and what it said before is better than nothing.
    assert containers(parsed(plugin, hosts("m1"), cache=False)) == ["web.m1"]
    assert plugin.warned == ["The containers of a host come from the cache. m1: no route"]


def test_a_cache_of_another_version_is_replaced() -> None:
    plugin = Tried({"m1": answer(WEB)}, cache=True)
    plugin._cache["/etc/inx.yml"] = {"hosts": {"m1": [{"name": "with secrets"}]}}
    assert containers(parsed(plugin, hosts("m1"))) == ["web.m1"]
    assert plugin._cache["/etc/inx.yml"]["version"] == inx._CACHE_VERSION


@pytest.mark.parametrize(
    ("path", "is_one"),
    [("/a/inx.yml", True), ("/a/shop.inx.yaml", True), ("/a/inx.yml~", False), ("/a/hosts.yml", False)],
)
def test_the_names_of_its_files(path: str, is_one: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.plugins.inventory.BaseInventoryPlugin.verify_file", lambda *_arguments: True)
    assert Tried({}).verify_file(path) == is_one
