# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.filter.merge_containers import merge_containers
from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import CONTAINER_OPTIONS, declared_containers
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, Health
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import File, Flake, StorePath

PATH = "/nix/store/00000000000000000000000000000000-nixos-system-web"
FLAKE = {"flake": "/etc/nixos"}
FILE = {"file": "/etc/a.nix", "attribute": "a"}
SYSTEM = {"system": PATH, "copy_from": "ssh-ng://a"}


def declared(defaults: dict[str, Any], **own: Any) -> Container:
    secrets = own.pop("shared_secrets", None)
    params = {"containers": [{"name": "web", **own}], "defaults": defaults, "project": "default", "secrets": secrets}
    return declared_containers(params)[0]


@pytest.mark.parametrize("shared", [FLAKE, FILE, SYSTEM, {"generation": "3"}])
@pytest.mark.parametrize(
    ("own", "source", "generation"),
    [
        ({"flake": "/b"}, Flake(reference="/b", attribute="web"), None),
        ({"file": "/b.nix"}, File(path="/b.nix", attribute="config.system.build.toplevel"), None),
        ({"file": "/b.nix", "attribute": "b"}, File(path="/b.nix", attribute="b"), None),
        ({"system": PATH}, StorePath(path=PATH), None),
        ({"system": PATH, "copy_from": "ssh-ng://b"}, StorePath(path=PATH, copy_from="ssh-ng://b"), None),
        ({"generation": "previous"}, None, "previous"),
    ],
)
def test_the_system_is_one_choice(
    shared: dict[str, Any], own: dict[str, Any], source: Any, generation: str | None
) -> None:
    container = declared(shared, **own)
    assert (container.source, container.generation) == (source, generation)


@pytest.mark.parametrize("shared", [FLAKE, FILE, SYSTEM, {"generation": "3"}])
def test_null_takes_the_shared_system_away(shared: dict[str, Any]) -> None:
    container = declared(shared, **{next(iter(shared)): None})
    assert (container.source, container.generation) == (None, None)


def test_a_container_that_is_to_be_absent_shares_no_system() -> None:
    assert declared({"attribute": "a"}, state="absent").state == "absent"
    assert declared({**FILE, "copy_from": "ssh-ng://a"}, state="absent").state == "absent"


def test_what_belongs_to_a_choice_can_be_shared_alone() -> None:
    assert declared({"attribute": "a"}, file="/b.nix").source == File(path="/b.nix", attribute="a")
    assert declared({"copy_from": "ssh-ng://a"}, system=PATH).source == StorePath(path=PATH, copy_from="ssh-ng://a")
    assert declared({"copy_from": "ssh-ng://a"}, **FLAKE).source == Flake(reference="/etc/nixos", attribute="web")
    assert declared(FILE, attribute="b").source == File(path="/etc/a.nix", attribute="b")
    assert declared(SYSTEM, copy_from="ssh-ng://b").source == StorePath(path=PATH, copy_from="ssh-ng://b")


def test_null_unsets_the_shared_health_or_a_part_of_it() -> None:
    shared = {"health": {"command": ["/bin/check"], "timeout": 5}}
    assert declared(shared).health == Health(command=("/bin/check",), timeout=5)
    assert declared(shared, health=None).health is None
    assert declared(shared, health={"command": None}).health == Health(timeout=5)
    assert declared(shared, health={"timeout": None}).health == Health(command=("/bin/check",))
    assert declared(shared, health={}).health == Health(command=("/bin/check",), timeout=5)


def test_health_and_not_waiting_exclude_each_other() -> None:
    assert declared({"health": {}}, wait=False).health is None
    assert declared({"wait": False}, health={}).health == Health()


SHARED: dict[str, Any] = {
    "state": "stopped",
    "keep_generations": 3,
    "override_inputs": {"a": "b"},
    "nix_options": {"cores": 1},
    "impure": True,
    "accept_flake_config": True,
    "builders": "ssh://a",
    "target": "metal1",
    "move_timeout": 5,
    "activation": "boot",
    "config": {"user.a": "1"},
    "devices": {"a": {"type": "none"}},
    "publish": ["80/tcp"],
    "bind_mounts": [{"source": "/srv", "path": "/srv"}],
    "profiles": ["a"],
    "store_profile": "a",
    "storage_pool": "a",
    "root_size": "1GiB",
    "description": "a",
    "ephemeral": False,
    "autostart": True,
    "localtime": False,
    "self_update": True,
    "volatile_root": "rebuild",
    "tmpfs": [{"path": "/a"}],
    "persist": [{"path": "/b"}],
    "delete_volumes": True,
    "snapshots": {"keep": 2},
    "allow_privileged": True,
    "wait_for": ["addresses"],
    "wait_timeout": 5,
    "health": {"degraded": True},
    "rehearse": True,
    "stop_timeout": 5,
    "force": True,
    "secrets_at_rest": False,
    "restart_if_required": True,
    "after": ["db"],
    "tags": ["a"],
}
OF_THE_SYSTEM = {
    "name",
    "flake",
    "file",
    "attribute",
    "system",
    "copy_from",
    "generation",
    "restore_data",
    "secret_config",
    "secrets",
    "wait",
}


#: What some cannot be declared without.
_NEEDED: dict[str, dict[str, Any]] = {"tmpfs": {"volatile_root": "rebuild"}, "rehearse": {"health": {}}}


def test_every_option_is_tried() -> None:
    assert set(SHARED) | OF_THE_SYSTEM == {*CONTAINER_OPTIONS, "after", "tags"}


@pytest.mark.parametrize("option", sorted(SHARED))
def test_null_is_as_if_the_option_were_not_shared(option: str) -> None:
    shared = {option: SHARED[option], **_NEEDED.get(option, {})}
    without = {key: value for key, value in shared.items() if key != option}
    assert declared(shared) != declared({})
    assert declared(shared, **{option: None}) == declared(without)
    assert declared({option: None}) == declared({})


def test_an_empty_list_is_a_value() -> None:
    shared = {"tags": ["a"], "publish": ["80/tcp"], "profiles": ["a"], "after": ["db"], "persist": [{"path": "/b"}]}
    container = declared(shared, tags=[], publish=[], profiles=[], after=[], persist=[])
    assert (container.tags, container.publish, container.profiles, container.after) == ((), (), (), ())
    assert container.volatile.persist == ()


def test_dictionaries_are_combined_and_null_takes_a_key_away() -> None:
    shared = {"nix_options": {"cores": 1, "max-jobs": 2}, "override_inputs": {"a": "b"}}
    nix = declared(shared, nix_options={"cores": None}, override_inputs={"a": None, "c": "d"}).nix
    assert (nix.settings, nix.override_inputs) == ((("max-jobs", "2"),), (("c", "d"),))


def test_null_in_config_and_devices_is_for_incus() -> None:
    container = declared(
        {"config": {"user.a": "1"}, "devices": {"a": {"type": "none"}}}, config={"user.a": None}, devices={"a": None}
    )
    assert (container.config, container.devices) == ({"user.a": None}, {"a": None})


def test_a_config_key_has_one_place() -> None:
    assert declared({"config": {"user.a": "1"}}, secret_config={"user.a": "2"}).secrets == {"user.a"}
    assert declared({"autostart": True}, config={"boot.autostart": False}).config == {"boot.autostart": False}
    assert declared({"config": {"boot.autostart": False}}, autostart=True).config == {"boot.autostart": True}


@pytest.mark.parametrize(
    ("shared", "own", "result"),
    [
        ({"type": "nic", "network": "a", "mtu": 9}, {"mtu": 5}, {"type": "nic", "network": "a", "mtu": 5}),
        ({"type": "nic", "network": "a"}, {"type": "disk", "path": "/a"}, {"type": "disk", "path": "/a"}),
        (
            {"type": "nic", "network": "a"},
            {"nictype": "macvlan", "parent": "b"},
            {"type": "nic", "nictype": "macvlan", "parent": "b"},
        ),
        ({"type": "nic", "nictype": "macvlan", "parent": "b"}, {"network": "a"}, {"type": "nic", "network": "a"}),
        ({"type": "nic"}, None, None),
        (None, {"type": "nic"}, {"type": "nic"}),
    ],
)
def test_a_device_of_another_kind_takes_the_place_of_the_shared_one(shared: Any, own: Any, result: Any) -> None:
    devices = declared({"devices": {"x": shared, "y": {"type": "none"}}}, devices={"x": own}).devices
    assert devices == {"x": result, "y": {"type": "none"}}


def test_a_volatile_root_goes_with_its_paths() -> None:
    shared = {"volatile_root": "tmpfs", "tmpfs": [{"path": "/a"}]}
    assert declared(shared, volatile_root="keep").volatile.tmpfs == ()
    assert declared(shared, tmpfs=[]).volatile.root is None
    assert len(declared(shared, volatile_root="rebuild").volatile.tmpfs) == 1


def test_lists_of_hosts_and_groups_are_merged_the_same_way() -> None:
    group = [{"name": "web", **FLAKE, "health": {"timeout": 5}}]
    host = [{"name": "web", "generation": 3, "health": None}]
    merged = merge_containers([group, host])
    assert merged == [{"name": "web", "generation": 3, "health": None}]
    container = declared({"health": {}, **FLAKE}, **merged[0] | {"generation": "3"})
    assert (container.health, container.source, container.generation) == (None, None, 3)


def test_secrets_are_merged_by_name() -> None:
    shared = [{"name": "a", "content": "YQ==", "encoding": "base64", "owner": "app"}, {"name": "b", "content": "b"}]
    own = [{"name": "c", "content": "c"}, {"name": "a", "content": "own"}]
    secrets = declared({}, secrets=own, shared_secrets=shared).secret_files or ()
    assert {one.name: (one.content, one.owner) for one in secrets} == {
        "a": (b"own", "app"),
        "b": (b"b", "root"),
        "c": (b"c", "root"),
    }
    assert declared({}, secrets=[], shared_secrets=shared).secret_files == ()
    assert declared({}, secrets=None, shared_secrets=shared).secret_files is None
    assert len(declared({}, shared_secrets=shared).secret_files or ()) == 2
