# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, State
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.volatile import Persist, Volatile
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.host_mounts import (
    check_root,
    check_volumes,
    mount_points,
)
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import StorePath, System
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, after, empty_host

POOL = "/var/lib/incus/storage-pools/default"
MOUNTINFO = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 8:1 /srv/data /srv/pool/containers/web/rootfs/mnt/some\040files rw shared:1 - ext4 /dev/sda1 rw
41 22 0:40 / /var/lib/incus/storage-pools/fast/containers/web rw - btrfs /dev/loop0 rw
"""


def test_mount_points_are_read_as_they_are() -> None:
    assert mount_points(MOUNTINFO) == {
        "/srv/pool/containers/web/rootfs/mnt/some files",
        "/var/lib/incus/storage-pools/fast/containers/web",
    }


@pytest.mark.parametrize(
    ("lxc", "point"),
    [
        ("web", f"{POOL}/containers/web/rootfs/mnt"),
        ("web", f"{POOL}/containers/web/rootfs"),
        ("other_web", f"{POOL}/containers/other_web/rootfs/a/b"),
        ("web", "/srv/pool/containers/web/rootfs/mnt"),
    ],
)
def test_what_is_mounted_in_a_root_is_found(lxc: str, point: str) -> None:
    with pytest.raises(FleetError, match=point):
        check_root("web", lxc, {point})


@pytest.mark.parametrize(
    "point",
    [
        f"{POOL}/containers/web",
        f"{POOL}/containers/web-2/rootfs/mnt",
        f"{POOL}/containers/other_web/rootfs/mnt",
        f"{POOL}/containers/web/rootfs-2",
        f"{POOL}/custom/default_web/mnt",
    ],
)
def test_what_is_mounted_elsewhere_is_no_hindrance(point: str) -> None:
    check_root("web", "web", {point})


@pytest.mark.parametrize(
    ("project", "point", "refused"),
    [
        ("default", f"{POOL}/custom/default_web_db/mnt", True),
        ("other", f"{POOL}/custom/other_web_db/mnt", True),
        ("other", f"{POOL}/custom/default_web_db/mnt", True),
        ("default", f"{POOL}/custom/default_web_db", False),
        ("default", f"{POOL}/custom/default_web_db-2/mnt", False),
    ],
)
def test_what_is_mounted_in_a_volume_is_found(project: str, point: str, refused: bool) -> None:
    try:
        check_volumes("web", project, ["default/web_db"], {point})
    except FleetError:
        assert refused
    else:
        assert not refused


WEB = Container(name="web", source=StorePath(path=NEW))
BUILT = System(path=NEW, built=True)
REBUILD = Volatile(root="rebuild")


def running(declared: Container) -> Observed:
    host = after(plan_container(declared, BUILT, empty_host()), empty_host())
    return replace(host, host_mounts=frozenset((f"{POOL}/containers/web/rootfs/mnt",)))


@pytest.mark.parametrize(
    ("state", "volatile", "status"),
    [
        ("absent", Volatile(), "Running"),
        ("absent", Volatile(), "Stopped"),
        ("restarted", REBUILD, "Running"),
        ("started", REBUILD, "Stopped"),
    ],
)
def test_nothing_that_would_delete_it_is_planned(state: State, volatile: Volatile, status: str) -> None:
    host = running(WEB)
    assert host.instance is not None
    host = replace(host, instance=replace(host.instance, status=status))
    with pytest.raises(FleetError, match="mounted in its root disk"):
        plan_container(replace(WEB, state=state, volatile=volatile), BUILT, host)


@pytest.mark.parametrize("state", ["started", "stopped", "restarted"])
def test_all_else_is_planned(state: State) -> None:
    plan_container(replace(WEB, state=state), BUILT, running(WEB))


def test_no_volume_is_deleted_with_what_is_mounted_in_it() -> None:
    declared = replace(WEB, volatile=Volatile(persist=(Persist(path="/db"),)))
    host = replace(running(declared), host_mounts=frozenset((f"{POOL}/custom/default_web_db/mnt",)))
    gone = replace(declared, state="absent")
    plan_container(gone, BUILT, host)
    with pytest.raises(FleetError, match="mounted in its volume default/web_db"):
        plan_container(replace(gone, volatile=Volatile(delete_volumes=True)), BUILT, host)
