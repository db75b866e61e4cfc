# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.attached import BindMount
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.incus.mounted import (
    Replaced,
    mounts_of_host,
    replaced_in,
    replaced_sources,
)
from ansible_collections.inx.fleet.plugins.module_utils.incus.mountinfo import Mount, mounts_in
from ansible_collections.inx.fleet.plugins.module_utils.info.facts import Seen, container_info
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import BUILT, WEB, running_host, with_instance

# As a host has it whose root is a directory of another file system, with a mount over another at /mnt.
HOST = r"""
22 1 8:1 /hosts/a / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:2 / /mnt rw - ext4 /dev/sdb1 rw
31 30 8:3 /sub /mnt rw - ext4 /dev/sdc1 rw
32 22 8:4 / /srv/with\040space rw - ext4 /dev/sdd1 rw
"""


def disk(source: str, path: str = "/data", **keys: str) -> dict[str, dict[str, str]]:
    return {"data": {"type": "disk", "source": source, "path": path, **keys}}


def inside(device: str, root: str, path: str = "/data") -> str:
    return f"40 39 8:1 /rootfs / rw - ext4 /dev/sda1 rw\n41 40 {device} {root} {path} rw - ext4 /dev/x rw\n"


@pytest.mark.parametrize(
    ("source", "mounted", "replaced"),
    [
        ("/srv/x", ("8:1", "/hosts/a/srv/x"), False),
        ("/srv/x", ("8:1", "/hosts/a/srv/x//deleted"), True),
        ("/srv/x", ("8:1", "/hosts/a/srv/x.old"), True),
        # It was started before the file system was mounted.
        ("/mnt/x", ("8:1", "/hosts/a/mnt/x"), True),
        ("/mnt/x", ("8:2", "/x"), True),
        ("/mnt/x", ("8:3", "/sub/x"), False),
        ("/mnt", ("8:3", "/sub"), False),
        ("/mntx", ("8:1", "/hosts/a/mntx"), False),
        ("/srv/with space/x", ("8:4", "/x"), False),
        ("/srv/link", ("8:1", "/hosts/a/srv/target"), False),
        ("/srv/link", ("8:1", "/hosts/a/srv/other"), True),
        ("/srv/gone", ("8:1", "/hosts/a/srv/gone//deleted"), False),
    ],
)
def test_a_mount_is_compared_with_its_source(source: str, mounted: tuple[str, str], replaced: bool) -> None:
    links = {"/srv/link": "/srv/target", "/srv/gone": None}
    found = replaced_in(disk(source), mounts_in(inside(*mounted)), mounts_in(HOST), lambda path: links.get(path, path))
    assert found == Replaced(disks=frozenset({"data"} if replaced else ()))


@pytest.mark.parametrize(
    "devices",
    [
        disk("/srv/x", "/elsewhere"),
        disk("volume", pool="default"),
        {"data": {"type": "nic", "name": "eth0"}},
        {"root": {"type": "disk", "path": "/", "pool": "default"}},
        {"data": {"type": "disk", "source": "tmpfs:", "path": "/data"}},
    ],
)
def test_what_is_no_mount_of_the_host_is_ignored(devices: dict[str, dict[str, str]]) -> None:
    assert replaced_in(devices, mounts_in(inside("8:1", "/other")), mounts_in(HOST), lambda path: path) == Replaced()


def test_what_does_not_run_here_or_cannot_be_read_is_ignored() -> None:
    stopped = Instance(name="web", expanded_devices=disk("/srv"), pid=1)
    for instance in (stopped, *(replace(stopped, status="Running", pid=pid) for pid in (0, 2**30))):
        assert replaced_sources(instance, mounts_of_host(1)) == Replaced()


MOUNTED = replace(WEB, bind_mounts=(BindMount(source="/srv/x", path="/data"),))


def test_what_has_other_mounts_below_it_is_told() -> None:
    inner = [*mounts_in(inside("8:1", "/other")), Mount(path="/data/inner", root="/", device="0:1", kind="tmpfs")]
    assert replaced_in(disk("/srv/x"), inner, mounts_in(HOST), str) == Replaced(
        disks=frozenset({"data"}), under=frozenset({"data"})
    )


def was_replaced(*names: str, under: bool = False) -> Replaced:
    return Replaced(disks=frozenset(names), under=frozenset(names if under else ()))


def test_a_restart_is_required_for_what_was_replaced_and_cannot_be_mounted_anew() -> None:
    host = running_host(MOUNTED)
    assert host.instance is not None
    (name,) = [name for name, keys in host.instance.devices.items() if keys.get("source") == "/srv/x"]
    stale = replace(host, replaced=was_replaced(name, "localtime", under=True))
    plan = plan_container(MOUNTED, BUILT, stale)
    assert (plan.steps, plan.restart_required) == ((), True)
    assert f"device {name} (its source was replaced)." in plan.warnings[0]
    assert "localtime" not in plan.warnings[0]
    # Of a profile as well.
    assert plan_container(MOUNTED, BUILT, replace(host, replaced=was_replaced("nixsocket"))).restart_required
    # What is removed, or re-pointed, is mounted anew, and what the next run mounts anew.
    for mounts in ((), (BindMount(source="/srv/y", path="/data"),)):
        assert not plan_container(replace(MOUNTED, bind_mounts=mounts), BUILT, stale).restart_required
    assert not plan_container(replace(MOUNTED, state="restarted"), BUILT, stale).restart_required
    for told in (was_replaced("localtime"), was_replaced(name)):
        assert not plan_container(MOUNTED, BUILT, replace(host, replaced=told)).restart_required
    # All its programs come by such a mount.
    store = replace(WEB, devices={"nix": {"type": "disk", "source": "/srv/x", "path": "/nix/extra"}})
    host = running_host(store)
    assert plan_container(store, BUILT, replace(host, replaced=was_replaced("nix"))).restart_required


@pytest.mark.parametrize(("device", "under", "required"), [("data", False, True), ("inx-bind-data", False, False)])
def test_information_tells_of_it(device: str, under: bool, required: bool) -> None:
    host = with_instance(running_host(MOUNTED), expanded_devices={device: disk("/srv/x")["data"]})
    assert host.instance is not None
    told = container_info(Seen(instance=host.instance, replaced=was_replaced(device, under=under)))
    assert told["restart_required"] is required and told["restart_required_since"] is None
    assert f"the device {device!r} shows what was at /srv/x before it was replaced" in told["problems"]
    assert container_info(Seen(instance=host.instance, replaced=was_replaced(device, under=True)))["restart_required"]
    assert not container_info(Seen(instance=host.instance))["restart_required"]
