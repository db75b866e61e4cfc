# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.volume_list import MadeVolume, made_volume
from ansible_collections.inx.fleet.plugins.module_utils.info.volumes import (
    Unused,
    as_data,
    by_container,
    try_unused,
    without_container,
)

ENTRY = {
    "name": "shop_db_var-lib-db",
    "project": "shop",
    "location": "none",
    "config": {"user.inx.container": "shop_db", "user.inx.path": "/var/lib/db"},
    "used_by": [],
}


def volume(container: str, **given: Any) -> MadeVolume:
    return MadeVolume(
        **{"pool": "fast", "name": f"{container}_srv", "project": "default", **given}, container=container, path="/srv"
    )


def incus(volumes: list[MadeVolume], names: frozenset[str] | None = frozenset()) -> Any:
    return SimpleNamespace(
        pools=lambda: frozenset(["fast"]),
        made_volumes=lambda pools: volumes,
        volume_usage=lambda one: len(one.name),
        all_names=lambda: names,
    )


def test_an_entry_is_read() -> None:
    found = made_volume("fast", ENTRY)
    assert found == MadeVolume(
        pool="fast", name="shop_db_var-lib-db", project="shop", container="shop_db", path="/var/lib/db"
    )
    assert made_volume("fast", {**ENTRY, "used_by": ["/1.0/instances/db"]}).is_used


def test_volumes_that_nothing_uses_are_sorted() -> None:
    found, warnings = try_unused(incus([volume("web"), volume("db"), volume("cache", is_used=True)]))
    assert warnings == []
    assert found == [Unused(volume=volume("db"), used=6), Unused(volume=volume("web"), used=7)]


def test_pools_that_this_user_may_not_list_are_unknown() -> None:
    assert try_unused(SimpleNamespace(pools=lambda: None)) == (None, [])  # type: ignore[arg-type]


def test_volumes_that_cannot_be_listed_are_a_warning() -> None:
    def refuse(_pools: Any) -> None:
        raise FleetError("Could not list the storage volumes.", "")

    broken: Any = SimpleNamespace(pools=lambda: frozenset(["fast"]), made_volumes=refuse)
    found, (warning,) = try_unused(broken)
    assert found is None
    assert "Could not list the storage volumes" in warning


def test_each_container_has_its_volumes() -> None:
    web, db = Unused(volume=volume("web"), used=None), Unused(volume=volume("shop_db"), used=None)
    more = Unused(volume=volume("web", pool="default"), used=1)
    assert by_container([web, db, more]) == {"web": (web, more), "shop_db": (db,)}
    assert as_data(more) == {"pool": "default", "name": "web_srv", "path": "/srv", "location": None, "used": 1}


@pytest.mark.parametrize(("project", "names"), [(None, ["web", "db"]), ("default", ["web"]), ("shop", ["db"])])
def test_volumes_of_containers_that_are_gone(project: str | None, names: list[str]) -> None:
    unused = [Unused(volume=volume(name), used=None) for name in ("web", "shop_db", "there")]
    found = without_container(unused, incus([], frozenset(["there"])), project)
    assert found is not None
    assert [one["container"] for one in found] == names


def test_what_is_gone_is_not_known_without_seeing_everything() -> None:
    unused = [Unused(volume=volume("web"), used=None)]
    assert without_container(unused, incus([], None), None) is None
    assert without_container(None, incus([]), None) is None
