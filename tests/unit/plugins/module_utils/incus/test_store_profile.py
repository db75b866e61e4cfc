# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat
from dataclasses import replace

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Profile, Server
from ansible_collections.inx.fleet.plugins.module_utils.incus.store_profile import (
    StoreMount,
    check_host,
    check_removal,
    wanted_profile,
    warnings,
)

MINE = {"type": "disk", "source": "/srv", "path": "/srv"}
SHARED = {"type": "disk", "source": "/mine", "path": "/mine", "readonly": "true", "shift": "true"}
SERVER = Server(name="metal1", version="6.0", extensions=frozenset(), idmapped_mounts=True)
#: What a host with Nix has.
FILES = {
    "/nix/store": stat.S_IFDIR,
    "/nix/var/nix/daemon-socket/socket": stat.S_IFSOCK,
    "/nix/var/nix/db": stat.S_IFDIR,
    "/etc/localtime": stat.S_IFREG,
    "/srv": stat.S_IFDIR,
}
ALL = StoreMount(database=True, localtime=True, shared_paths=("/srv",))


def test_the_store_and_the_socket_are_shared_read_only() -> None:
    devices = wanted_profile(StoreMount(), None).devices
    assert {name: keys["path"] for name, keys in devices.items()} == {
        "nixstore": "/nix/store",
        "nixsocket": "/nix/var/nix/daemon-socket",
    }


def test_the_database_is_shared_on_demand_and_stays_until_that_is_ended() -> None:
    made = wanted_profile(StoreMount(database=True), None)
    devices = made.devices
    assert {name: keys["path"] for name, keys in devices.items()} == {
        "nixstore": "/nix/store",
        "nixsocket": "/nix/var/nix/daemon-socket",
        "nixdb": "/nix/var/nix/db",
    }
    assert all(keys["readonly"] == "true" and keys["shift"] == "true" for keys in devices.values())
    assert wanted_profile(StoreMount(), made) == made
    assert "nixdb" not in wanted_profile(StoreMount(database=False), made).devices
    assert "nixdb" not in wanted_profile(StoreMount(exclusive=True), made).devices


def test_a_database_that_nobody_asked_for_is_warned_of() -> None:
    made = wanted_profile(StoreMount(database=True), None)
    assert "block every nix command" in " ".join(warnings(StoreMount(), made))
    assert warnings(StoreMount(database=True), made) == []
    assert warnings(StoreMount(), wanted_profile(StoreMount(), None)) == []


@pytest.mark.parametrize(
    "declared",
    [StoreMount(), StoreMount(daemon=False, localtime=True, self_update=True, shared_paths=("/a",), exclusive=True)],
)
def test_what_is_as_declared_stays_as_it_is(declared: StoreMount) -> None:
    made = wanted_profile(declared, None)
    assert wanted_profile(declared, made) == made


def test_other_spellings_of_the_same_stay() -> None:
    made = wanted_profile(StoreMount(), None)
    spelled = replace(made, devices={**made.devices, "nixstore": {**made.devices["nixstore"], "shift": "1"}})
    assert wanted_profile(StoreMount(), spelled) == spelled


def test_a_store_only_profile_has_no_way_to_the_daemon() -> None:
    made = wanted_profile(StoreMount(), None)
    assert set(wanted_profile(StoreMount(daemon=False), made).devices) == {"nixstore"}


def test_a_device_of_somebody_else_stays_unless_exclusive() -> None:
    found = Profile(name="inx-container", devices={"mine": MINE})
    assert wanted_profile(StoreMount(), found).devices["mine"] == MINE
    assert "mine" not in wanted_profile(StoreMount(exclusive=True), found).devices


def test_a_key_that_was_edited_is_put_right_and_an_unknown_one_stays() -> None:
    made = wanted_profile(StoreMount(), None)
    edited = {**made.devices["nixstore"], "readonly": "false", "propagation": "private"}
    found = replace(made, devices={**made.devices, "nixstore": edited})
    assert wanted_profile(StoreMount(), found).devices["nixstore"] == {**edited, "readonly": "true"}
    assert wanted_profile(StoreMount(exclusive=True), found) == made


def test_a_path_that_is_shared_no_more_goes() -> None:
    made = wanted_profile(StoreMount(shared_paths=("/srv/a", "/srv/b")), None)
    assert "shared-srv-a" not in wanted_profile(StoreMount(shared_paths=("/srv/b",)), made).devices


def test_localtime_that_is_shared_no_more_goes() -> None:
    made = wanted_profile(StoreMount(localtime=True), None)
    assert "localtime" not in wanted_profile(StoreMount(), made).devices


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("shared-mine", {**SHARED, "path": "/theirs"}),
        ("shared-mine", {**SHARED, "readonly": "false"}),
        ("shared-mine", {**SHARED, "shift": "false"}),
        ("shared-mine", {"type": "disk", "source": "/mine", "path": "/mine"}),
        ("shared-other", SHARED),
        ("shared-net", {"type": "nic", "network": "lan"}),
        ("localtime", {**SHARED, "source": "/usr/share/zoneinfo/UTC", "path": "/etc/localtime"}),
        ("localtime", SHARED),
    ],
)
def test_what_is_only_named_like_a_share_stays_unless_exclusive(name: str, keys: dict[str, str]) -> None:
    found = Profile(name="inx-container", devices={name: keys})
    assert wanted_profile(StoreMount(), found).devices[name] == keys
    assert name not in wanted_profile(StoreMount(exclusive=True), found).devices


def test_a_share_in_another_spelling_goes_too() -> None:
    found = Profile(name="inx-container", devices={"shared-mine": {**SHARED, "readonly": "1", "shift": "yes"}})
    assert "shared-mine" not in wanted_profile(StoreMount(), found).devices


@pytest.mark.parametrize("paths", [("/a/b", "/a-b"), ("/a", "/a"), ("/nix/store",)])
def test_paths_that_would_fall_together_are_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(FleetError, match="shared_paths"):
        wanted_profile(StoreMount(shared_paths=paths), None)


def test_a_profile_in_use_is_not_removed() -> None:
    with pytest.raises(FleetError, match="in use by db, web"):
        check_removal(Profile(name="p", used_by=("/1.0/instances/web?project=x", "/1.0/instances/db")))


def test_a_host_that_has_all_of_it() -> None:
    check_host(ALL, SERVER, FILES.__getitem__)


@pytest.mark.parametrize(
    ("lacking", "problem"),
    [
        ("/nix/store", "has no /nix/store"),
        (
            "/nix/var/nix/daemon-socket/socket",
            "/nix/var/nix/daemon-socket/socket, does not exist",
        ),
        ("/nix/var/nix/db", "has no /nix/var/nix/db"),
        ("/etc/localtime", "has no /etc/localtime to share"),
        ("/srv", "has no /srv to share"),
    ],
)
def test_what_a_host_lacks(lacking: str, problem: str) -> None:
    with pytest.raises(FleetError, match=problem):
        check_host(ALL, SERVER, {**FILES, lacking: 0}.__getitem__)


@pytest.mark.parametrize("path", ["/nix/store", "/nix/var/nix/daemon-socket/socket", "/nix/var/nix/db"])
def test_a_file_is_no_store_no_daemon_and_no_database(path: str) -> None:
    with pytest.raises(FleetError, match=path):
        check_host(ALL, SERVER, {**FILES, path: stat.S_IFREG}.__getitem__)


def test_a_kernel_without_idmapped_mounts() -> None:
    with pytest.raises(FleetError, match="no idmapped mounts"):
        check_host(StoreMount(), replace(SERVER, idmapped_mounts=False), FILES.__getitem__)


def test_what_is_not_shared_is_not_missed() -> None:
    check_host(StoreMount(daemon=False), SERVER, {"/nix/store": stat.S_IFDIR}.__getitem__)
