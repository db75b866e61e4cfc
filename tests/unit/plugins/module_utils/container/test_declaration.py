# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import declared_containers
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Health
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import File, Flake, StorePath
from ansible_collections.inx.fleet.plugins.module_utils.values import same_value, value_text
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import declared


def test_an_attribute_defaults_to_the_name() -> None:
    assert declared(flake="/etc/nixos").source == Flake(reference="/etc/nixos", attribute="web")


def test_a_flake_may_name_its_attribute() -> None:
    source = declared(flake="github:example/systems#shop").source
    assert source == Flake(reference="github:example/systems", attribute="shop")
    assert source.installable == ('github:example/systems#nixosConfigurations."shop".config.system.build.toplevel')


def test_the_other_sources() -> None:
    assert declared(file="/etc/c.nix", attribute="a.b").source == File(path="/etc/c.nix", attribute="a.b")
    path = "/nix/store/00000000000000000000000000000000-nixos-system-web"
    assert declared(system=path).source == StorePath(path=path)


@pytest.mark.parametrize("name", ["a", "web", "Web-1", "1a", "a" * 63])
def test_names_that_incus_takes(name: str) -> None:
    assert declared(name=name).name == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "12", "a_b", "a.b", "a/b", "a" * 64, "a\n", "ä", "a b"])
def test_names_that_incus_refuses(name: str) -> None:
    with pytest.raises(FleetError, match="is not a name that Incus takes"):
        declared(name=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flake": "--help"}, "is not a flake reference"),
        ({"flake": "#web"}, "is not a flake reference"),
        ({"flake": "/a#"}, "is not a name in nixosConfigurations"),
        ({"flake": '/a#b".x'}, "is not a name in nixosConfigurations"),
        ({"flake": "/a#${x}"}, "is not a name in nixosConfigurations"),
        ({"flake": "./a"}, "is relative"),
        ({"flake": "/a\n--option"}, "is not a flake reference"),
        ({"file": "a.nix"}, "is not an absolute path"),
        ({"file": "/a.nix", "attribute": "--option"}, "is not an attribute path"),
        ({"system": "/nix/store"}, "is not a store path"),
        ({"system": "/nix/store/00000000000000000000000000000000-a/b"}, "is not a store path"),
        ({"nix_options": {"--option": "x"}}, "is not a setting"),
        ({"nix_options": {"cores": "1\nx = y"}}, "is not a setting"),
        ({"override_inputs": {"--x": "y"}}, "is not an input"),
        ({"override_inputs": {"x": "--y"}}, "is not an input"),
        ({"override_inputs": {"nixpkgs": None}}, "'nixpkgs': None is not an input"),
        ({"override_inputs": {"nixpkgs": ["/a"]}}, "is not an input"),
        ({"nix_options": {"cores": None}}, "'cores' has a value that is not a text"),
        ({"nix_options": {"cores": {"a": 1}}}, "'cores' has a value that is not a text"),
        ({"nix_options": {"substituters": ["/a", ["/b"]]}}, "a list of them"),
        ({"nix_options": {"substituters": ["/a", "/b\nx = y"]}}, "is not a setting"),
        ({"config": {"volatile.uuid": "1"}}, "belongs to Incus"),
        ({"config": {"user.a": ["1"]}}, "not a text, number or boolean"),
        ({"config": {"boot.autostart": "false"}, "autostart": True}, "different things"),
        ({"devices": {"nixprofiles": {}}}, "made by this module"),
        ({"devices": {"data": "disk"}}, "must be a dictionary"),
        ({"devices": {"data": {"path": ["/a"]}}}, "not a text, number or boolean"),
        ({"ephemeral": True, "state": "stopped"}, "ephemeral"),
        ({"root_size": "4 gigs"}, "web: root_size: '4 gigs' is not a size"),
        ({"config": {"limits.memory": "4 gigs"}}, "web: config key 'limits.memory': '4 gigs' is not a size"),
        ({"health": {"command": ["curl -f http://a"]}}, r"web: health: command: .*\['curl', '-f', 'http://a'\]"),
        ({"health": {"command": ["sh -c 'a", "b'"]}}, r"\['sh', '-c', 'a,b'\]"),
        ({"health": {"command": ["it's a"]}}, "is one text"),
        ({"health": {"command": ["curl -f 'http://a/?b&c'"]}}, r"list: \['curl', '-f', 'http://a/\?b&c'\]"),
        ({"health": {"command": ["a | b $C"]}}, r"list: \['/bin/sh', '-c', 'a \| b \$C'\]"),
        ({"devices": {"eth0": {"hwaddr": 41135085296}}}, 'in quotes: "52:54:00:12:34:56"'),
        ({"publish": ["484822"]}, r"YAML reads an unquoted 8080:22 .*\"8080:22/tcp\""),
        ({"wait_timeout": 0}, "number of seconds"),
        ({"move_timeout": 0}, "number of seconds"),
        ({"stop_timeout": -1}, "number of seconds"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(FleetError, match=message):
        declared(**options)


def test_settings_of_nix_are_written_as_in_nix_conf() -> None:
    settings = {"substituters": ["https://a", "https://b"], "max-jobs": 0, "keep-going": True, "builders": "", "x": []}
    assert dict(declared(nix_options=settings).nix.settings) == {
        "substituters": "https://a https://b",
        "max-jobs": "0",
        "keep-going": "true",
        "builders": "",
        "x": "",
    }


def test_containers_of_two_projects_have_two_profile_directories() -> None:
    assert declared().profile_dir == "/nix/var/nix/profiles/inx-container/web"
    assert declared(project="shop").profile_dir == "/nix/var/nix/profiles/inx-container/shop_web"


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, "true"),
        (True, "1"),
        (True, "on"),
        (False, "false"),
        (False, ""),
        (5, "5"),
        ("5", "5"),
        ("2GiB", "2048MiB"),
        ("1GB", "1000MB"),
        ("1024B", "1KiB"),
        (None, None),
        (None, ""),
        ("", None),
    ],
)
def test_values_that_are_the_same(value: Any, stored: str | None) -> None:
    assert same_value(value, stored)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, "false"),
        (True, None),
        (False, None),
        ("1GiB", "1GB"),
        ("5", "05"),
        (None, "x"),
        ("x", None),
        ("true", "1"),
    ],
)
def test_values_that_differ(value: Any, stored: str | None) -> None:
    assert not same_value(value, stored)


@given(st.one_of(st.booleans(), st.integers(), st.text(), st.none()))
def test_a_value_is_the_same_as_what_is_stored_of_it(value: Any) -> None:
    assert same_value(value, value_text(value))


@given(st.text(min_size=1, max_size=30), st.text(max_size=30))
def test_no_declaration_becomes_an_option_of_nix(reference: str, attribute: str) -> None:
    """What gets through the validation stands after "--" and starts with no dash."""
    try:
        source = declared(flake=f"{reference}#{attribute}").source
    except FleetError:
        return
    assert isinstance(source, Flake)
    assert not source.installable.startswith("-")
    assert source.installable.count('"') == 2 + reference.count('"')


SYSTEM_PATH = "/nix/store/00000000000000000000000000000000-nixos-system-web"


@pytest.mark.parametrize(
    "url", ["ssh-ng://root@build", "https://cache.example.org", "s3://bucket?region=x", "file:///c"]
)
def test_a_system_can_be_copied_from_a_store(url: str) -> None:
    source = declared(system=SYSTEM_PATH, copy_from=url).source
    assert source == StorePath(path=SYSTEM_PATH, copy_from=url)


@pytest.mark.parametrize("url", ["", "build", "root@build", "--option", "ssh-ng://", "ssh://a b", "auto"])
def test_what_is_no_store_to_copy_from(url: str) -> None:
    with pytest.raises(FleetError, match="not the URL of a Nix store"):
        declared(system=SYSTEM_PATH, copy_from=url)


def test_what_is_to_be_absent_needs_no_system() -> None:
    assert declared(state="absent", flake="/etc/nixos", copy_from="ssh-ng://build").source is None


def test_health_of_all_is_not_that_of_one_that_is_not_waited_for() -> None:
    entries = [{"name": "web", "wait": False}, {"name": "db"}, {"name": "own", "wait": False, "health": {}}]
    given = {"defaults": {"health": {"timeout": 9}}, "project": "default"}
    found = declared_containers({**given, "containers": entries[:2]})
    assert [one.health for one in found] == [None, Health(timeout=9)]
    with pytest.raises(FleetError, match="own: 'health' requires 'wait: true'"):
        declared_containers({**given, "containers": entries})
    found = declared_containers({**given, "defaults": {"health": {}, "wait": False}, "containers": [{"name": "db"}]})
    assert found[0].health is None


def test_a_command_that_decides_alone_must_be_there() -> None:
    health = {"command": None, "command_only": True, "timeout": 9, "degraded": False, "rollback": True}
    with pytest.raises(FleetError, match="'command_only' is given without a command"):
        declared(health={**health, "retry_failed": False})


@pytest.mark.parametrize("size", ["", "4GiB", "4096", "1kB", "10 bytes", None])
def test_sizes_that_incus_takes(size: str | None) -> None:
    assert declared(root_size=size).root_size == size
    assert declared(config={"limits.memory": size}).config == {"limits.memory": size}


def test_memory_can_be_a_percentage() -> None:
    assert declared(config={"limits.memory": "50%"}).config == {"limits.memory": "50%"}
