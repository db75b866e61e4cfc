# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.declared import StoreMount
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.observed import Profile
from ansible_collections.inx.fleet.plugins.module_utils.store_mount import check_removal, wanted_profile

MINE = {"type": "disk", "source": "/srv", "path": "/srv"}


def test_the_store_and_the_socket_are_shared_read_only() -> None:
    devices = wanted_profile(StoreMount(), None).devices
    assert {name: keys["path"] for name, keys in devices.items()} == {
        "nixstore": "/nix/store",
        "nixsocket": "/nix/var/nix/daemon-socket",
    }


def test_the_database_is_shared_on_demand_and_else_taken_away() -> None:
    made = wanted_profile(StoreMount(database=True), None)
    devices = made.devices
    assert {name: keys["path"] for name, keys in devices.items()} == {
        "nixstore": "/nix/store",
        "nixsocket": "/nix/var/nix/daemon-socket",
        "nixdb": "/nix/var/nix/db",
    }
    assert all(keys["readonly"] == "true" and keys["shift"] == "true" for keys in devices.values())
    assert "nixdb" not in wanted_profile(StoreMount(), made).devices


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


@pytest.mark.parametrize("paths", [("/a/b", "/a-b"), ("/a", "/a"), ("/nix/store",)])
def test_paths_that_would_fall_together_are_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(FleetError, match="shared_paths"):
        wanted_profile(StoreMount(shared_paths=paths), None)


def test_a_profile_in_use_is_not_removed() -> None:
    with pytest.raises(FleetError, match="in use by db, web"):
        check_removal(Profile(name="p", used_by=("/1.0/instances/web?project=x", "/1.0/instances/db")))
