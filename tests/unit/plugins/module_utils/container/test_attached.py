# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.attached import Published
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import container_set_from
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    DEFAULT_PROFILE,
    NEW,
    SET,
    STORE_PROFILE,
    after,
    declared,
    empty_host,
)

SHARED = {"source": "/srv/shared", "path": "/shared", "readonly": True, "required": True, "shift": True}


def devices(observed: Observed, **options: Any) -> dict[str, dict[str, str]]:
    """The instance's own devices when what is declared has been done; a second run would do nothing."""
    container = declared(system=NEW, **options)
    now = after(plan_container(container, BUILT, observed), observed)
    assert not [step for step in plan_container(container, BUILT, now).steps if step.action == "update"]
    assert now.instance is not None
    return {name: dict(keys) for name, keys in now.instance.devices.items()}


@pytest.mark.parametrize(
    ("text", "name", "listen", "connect"),
    [
        ("80/tcp", "inx-publish-80-tcp", "tcp:0.0.0.0:80", "tcp:127.0.0.1:80"),
        ("8080:80/TCP", "inx-publish-8080-tcp", "tcp:0.0.0.0:8080", "tcp:127.0.0.1:80"),
        ("10.0.0.1:53:5353/udp", "inx-publish-10.0.0.1-53-udp", "udp:10.0.0.1:53", "udp:127.0.0.1:5353"),
    ],
)
def test_a_published_port_is_a_proxy(text: str, name: str, listen: str, connect: str) -> None:
    assert devices(empty_host(), publish=[text])[name] == {"type": "proxy", "listen": listen, "connect": connect}


def test_an_ipv6_address_gives_a_name_that_incus_takes() -> None:
    published = declared(publish=["[FD00::1]:80/tcp"]).publish
    assert published is not None
    assert published[0].listen == "tcp:[fd00::1]:80"
    assert published[0].device.startswith("inx-publish-fd00-1-80-tcp-")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "80",
        "0/tcp",
        "65536/tcp",
        "80:0/tcp",
        "80/icmp",
        "a:80/tcp",
        "::1:80/tcp",
        "[::g]:80/tcp",
        "[1]:80/tcp",
        "256.0.0.1:80/tcp",
        "80:81:82/tcp",
        "-80/tcp",
        "80/tcp\n",
        " 80/tcp",
        "133342",
    ],
)
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(FleetError, match="is not a valid port mapping"):
        declared(publish=[text])


@given(st.text(max_size=30))
def test_what_is_published_is_what_incus_is_told(text: str) -> None:
    try:
        published = declared(publish=[text]).publish
    except FleetError:
        return
    assert published is not None
    protocol, place = published[0].listen.split(":", 1)
    address, port = place.rsplit(":", 1)
    assert protocol in ("tcp", "udp")
    assert 1 <= int(port) <= 65535
    assert ip_address(address.strip("[]"))


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        ("80/tcp", "80/tcp", True),
        ("80/tcp", "80:81/tcp", True),
        ("80/tcp", "10.0.0.1:80/tcp", True),
        ("[::]:80/tcp", "10.0.0.1:80/tcp", True),
        ("80/tcp", "80/udp", False),
        ("80/tcp", "81:80/tcp", False),
        ("10.0.0.2:80/tcp", "10.0.0.1:80/tcp", False),
    ],
)
def test_ports_that_a_host_has_once(first: str, second: str, meet: bool) -> None:
    one, other = declared(name="a", publish=[first]), declared(name="b", publish=[second])
    assert one.publish is not None and other.publish is not None
    assert one.publish[0].meets(other.publish[0]) == meet
    if meet:
        with pytest.raises(FleetError, match=r"of b and .* of a are the same port"):
            container_set_from(SET, [one, other])
    # Where one of them is not, or is elsewhere, both may have it.
    container_set_from(SET, [one, replace(other, state="absent")])
    container_set_from(SET, [replace(one, target="m1"), replace(other, target="m2")])


def test_what_is_declared_no_more_goes_and_what_is_not_declared_stays() -> None:
    container = declared(system=NEW, publish=["80/tcp", "81/tcp"], bind_mounts=[SHARED])
    seen = after(plan_container(container, BUILT, empty_host()), empty_host())
    assert {"inx-publish-81-tcp", "inx-bind-shared"} <= set(devices(seen))
    left = set(devices(seen, publish=["80/tcp"], bind_mounts=[]))
    assert left & {"inx-publish-80-tcp", "inx-publish-81-tcp", "inx-bind-shared"} == {"inx-publish-80-tcp"}


def test_a_bind_mount_is_a_shifted_disk() -> None:
    assert devices(empty_host(), bind_mounts=[SHARED])["inx-bind-shared"] == {
        "type": "disk",
        "source": "/srv/shared",
        "path": "/shared",
        "readonly": "true",
        "shift": "true",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bind_mounts": [{**SHARED, "source": "srv"}]}, "is not a path below /"),
        ({"bind_mounts": [{**SHARED, "source": "/srv/../etc"}]}, "is not a path below /"),
        ({"bind_mounts": [{**SHARED, "source": "/"}]}, "is not a path below /"),
        ({"bind_mounts": [{**SHARED, "path": "/nix/store"}]}, "created in every container"),
        ({"bind_mounts": [{**SHARED, "path": "/nix"}]}, "a mount at /nix would hide /nix/store"),
        ({"bind_mounts": [{**SHARED, "path": "/nix/var/"}]}, "a mount at /nix/var/ would hide"),
        ({"bind_mounts": [{**SHARED, "path": "/run/x"}]}, "/run is created in every container"),
        ({"bind_mounts": [{**SHARED, "path": "/var/run/x"}]}, "/run is created in every container"),
        ({"bind_mounts": [SHARED, SHARED]}, "declared twice: /shared"),
        (
            {"bind_mounts": [SHARED], "persist": [{"path": "/shared", "pool": None, "size": None, "mode": "0755"}]},
            "declared twice: /shared",
        ),
        ({"devices": {"inx-publish-80-tcp": {"type": "proxy"}}}, "Use 'publish'"),
        ({"devices": {"inx-bind-shared": {"type": "disk"}}}, "Use 'bind_mounts'"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(FleetError, match=message):
        declared(**options)


def test_a_source_that_is_not_there_is_refused() -> None:
    observed = replace(empty_host(), missing=frozenset(("/srv/shared",)))
    with pytest.raises(FleetError, match="the host has no /srv/shared"):
        devices(observed, bind_mounts=[SHARED])


def test_a_path_that_a_device_has_is_refused() -> None:
    other = {"data": {"type": "disk", "source": "/srv/data", "path": "/shared"}}
    with pytest.raises(FleetError, match="'data' at /shared and the bind mount at /shared are mounted at one path"):
        devices(empty_host(), bind_mounts=[SHARED], devices=other)


def test_a_device_without_a_type_is_the_one_of_the_profiles_with_more_said() -> None:
    wanted = {"eth0": {"ipv4.address": "10.55.0.20", "network": None}}
    assert devices(empty_host(), devices=wanted)["eth0"] == {"type": "nic", "ipv4.address": "10.55.0.20"}


def test_it_follows_the_profile() -> None:
    container = declared(system=NEW, devices={"eth0": {"ipv4.address": "10.55.0.20"}})
    seen = after(plan_container(container, BUILT, empty_host()), empty_host())
    moved = replace(DEFAULT_PROFILE, devices={**DEFAULT_PROFILE.devices, "eth0": {"type": "nic", "network": "lan"}})
    seen = replace(seen, profiles={profile.name: profile for profile in (moved, STORE_PROFILE)})
    assert devices(seen, devices={"eth0": {"ipv4.address": "10.55.0.20"}})["eth0"]["network"] == "lan"


def test_the_options_for_the_root_disk_come_before_the_profile() -> None:
    observed = replace(empty_host(), pools=frozenset(("default", "fast")))
    root = devices(observed, storage_pool="fast", devices={"root": {"size": "5GiB"}})["root"]
    assert root == {"type": "disk", "path": "/", "pool": "fast", "size": "5GiB"}


def test_a_device_without_a_type_that_no_profile_has_is_refused() -> None:
    with pytest.raises(FleetError, match="'eth7' has no type"):
        devices(empty_host(), devices={"eth7": {"ipv4.address": "10.55.0.20"}})


def test_it_is_one_port_that_is_compared() -> None:
    assert not Published(port=80, inner=80, protocol="tcp").meets(Published(port=81, inner=80, protocol="tcp"))


@pytest.mark.parametrize(
    ("before", "wanted", "expected"),
    [
        (
            {"type": "disk", "source": "/srv", "path": "/srv"},
            {"type": "proxy", "listen": "tcp:0.0.0.0:1", "connect": "tcp:127.0.0.1:1"},
            {"type": "proxy", "listen": "tcp:0.0.0.0:1", "connect": "tcp:127.0.0.1:1"},
        ),
        (
            {"type": "nic", "network": "lan", "hwaddr": "00:16:3e:00:00:01"},
            {"type": "nic", "nictype": "bridged", "parent": "br0"},
            {"type": "nic", "nictype": "bridged", "parent": "br0"},
        ),
        (
            {"type": "nic", "network": "lan", "hwaddr": "00:16:3e:00:00:01"},
            {"type": "nic", "network": "wan"},
            {"type": "nic", "network": "wan", "hwaddr": "00:16:3e:00:00:01"},
        ),
    ],
)
def test_another_type_replaces_a_device(
    before: dict[str, str], wanted: dict[str, str], expected: dict[str, str]
) -> None:
    container = declared(system=NEW, devices={"x": before})
    seen = after(plan_container(container, BUILT, empty_host()), empty_host())
    assert devices(seen, devices={"x": wanted})["x"] == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root_size": "5GiB", "devices": {"root": {"size": "6GiB"}}}, "'root_size' is 5GiB, and 'size' of the device"),
        ({"storage_pool": "default", "devices": {"root": {"pool": "fast"}}}, "'storage_pool' is default, and 'pool'"),
        ({"profiles": ["default", "default"]}, "default: named twice"),
    ],
)
def test_what_is_said_in_two_ways_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(FleetError, match=message):
        devices(empty_host(), **options)
    devices(empty_host(), root_size="5GiB", devices={"root": {"size": "5120MiB"}})
