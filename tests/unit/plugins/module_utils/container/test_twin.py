# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The twin of a container: what it has, and what it must not have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.desired import body_after, change
from ansible_collections.inx.fleet.plugins.module_utils.container.kind import shares_store
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.twin import (
    Twin,
    network_config,
    network_name,
    twin_name,
    twin_of,
)
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance, Pool, Volume
from ansible_collections.inx.fleet.plugins.module_utils.names import container_name
from ansible_collections.inx.fleet.plugins.module_utils.nix.rehearsals import Rehearsal
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import REHEARSAL, SET, TAGS, VOLUME_CONTAINER
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    OLD,
    declared,
    running_host,
    with_instance,
)

_NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
COPIES, WHOLE = Pool(driver="btrfs"), Pool(driver="dir")


_PERSIST: dict[str, Any] = {"path": "/srv/data", "mode": "0700", "pool": None, "size": None}


def twin(driver: Pool = COPIES, stored: dict[str, Any] | None = None, **options: Any) -> Twin:
    """Return the twin of a container with these options, whose instance has more config by hand."""
    container = declared(system=OLD, health={"timeout": 30}, rehearse=True, **options)
    seen = replace(running_host(container, OLD), pool_details={"default": driver})
    assert seen.instance is not None
    seen = with_instance(seen, config={**seen.instance.config, **(stored or {})})
    return of(container, seen)


def of(container: Any, seen: Observed) -> Twin:
    instance = seen.instance
    assert instance is not None
    return twin_of(container, instance, body_after(instance, change(container, instance, seen)), seen)


def devices(**options: Any) -> dict[str, dict[str, str]]:
    return dict(twin(**options).body["devices"])


@given(name=_NAMES, project=st.sampled_from(["default", "other"]))
def test_its_names_are_valid_and_its_own(name: str, project: str) -> None:
    assert container_name(twin_name(project, name)) != name
    assert len(network_name(project, name)) <= 15
    assert twin_name("default", name) != twin_name("other", name)


@given(name=_NAMES)
def test_its_network_leads_nowhere(name: str) -> None:
    config = network_config(Rehearsal(container=name, project="default", twin="x"))
    first, second, third, rest = config["ipv4.address"].split(".")
    assert (first, second) in (("198", "18"), ("198", "19")) and int(third) < 256 and int(rest[:-3]) % 16 == 1
    assert (config["ipv4.nat"], config["ipv4.routing"], config["ipv6.address"]) == ("false", "false", "none")
    assert config[REHEARSAL] == name


def test_what_only_one_container_can_have_is_left_out() -> None:
    found = devices(
        publish=["80/tcp"],
        devices={
            "eth0": {"ipv4.address": "10.0.0.2", "hwaddr": "10:66:6a:00:00:01", "host_name": "web0", "name": "lan"},
            "serial": {"type": "unix-char", "source": "/dev/ttyUSB0"},
            "tun": {"type": "unix-char", "source": "/dev/net/tun"},
            "card": {"type": "gpu"},
            "stick": {"type": "usb"},
            "lan1": {"type": "nic", "nictype": "physical", "parent": "eno1"},
        },
    )
    kinds = {name: keys["type"] for name, keys in found.items() if not name.startswith("inx-publish")}
    assert all(keys == {"type": "none"} for name, keys in found.items() if name.startswith("inx-publish"))
    assert found["eth0"] == {"type": "nic", "network": network_name("default", "web"), "name": "lan"}
    assert found["lan1"] == {"type": "nic", "network": network_name("default", "web")}
    assert [kinds[name] for name in ("serial", "card", "stick")] == ["none"] * 3
    assert found["tun"]["source"] == "/dev/net/tun"


def test_what_it_shares_with_the_host_it_can_only_read() -> None:
    shared: dict[str, Any] = {"source": "/srv", "path": "/srv", "readonly": False, "required": True, "shift": True}
    other: dict[str, Any] = {"type": "disk", "source": "/opt", "path": "/opt", "recursive": True}
    found = devices(bind_mounts=[shared], devices={"opt": other})
    mounts = {keys["path"]: keys for keys in found.values() if keys.get("source", "").startswith("/")}
    own = mounts.pop("/nix/var/nix/profiles")
    assert own["source"].endswith(f"/{twin_name('default', 'web')}")
    assert {keys.get("readonly") for keys in mounts.values()} == {"true"}
    assert "recursive" not in mounts["/opt"]


def test_lines_of_liblxc_reach_nothing_of_the_host() -> None:
    lines = (
        "lxc.mount.entry=/srv srv none bind 0 0\nlxc.mount.entry=tmpfs opt/x tmpfs rw\nlxc.net.0.type=phys\n"
        "lxc.hook.start-host=/bin/true\nlxc.environment=A=1"
    )
    assert twin(config={"raw.lxc": lines}).body["config"]["raw.lxc"].splitlines() == [
        "lxc.mount.entry=/srv srv none bind,ro 0 0",
        "lxc.mount.entry=tmpfs opt/x tmpfs rw",
        "lxc.environment=A=1",
        "lxc.uts.name=web",
        "lxc.init.cmd=/nix/var/nix/profiles/system/init",
    ]


def test_it_is_marked_and_belongs_to_no_set() -> None:
    found = twin(stored={SET: "main", TAGS: "a", "boot.autostart.delay": "5", "user.a": "1", "volatile.x": "y"})
    config = found.body["config"]
    assert config[REHEARSAL] == "web"
    # Of a copy Incus keeps what has no other value.
    assert {key for key in (SET, TAGS, "boot.autostart.delay") if config[key] != ""} == set()
    assert (config["user.a"], config["boot.autostart"]) == ("1", "false")
    assert "volatile.x" not in config
    body = found.body
    instance = Instance(name=body["name"], config=config, devices=body["devices"], profiles=tuple(body["profiles"]))
    assert not shares_store(instance)


def test_a_copy_hides_what_the_instance_has_besides() -> None:
    container = declared(system=OLD, health={"timeout": 30}, rehearse=True, devices={"gone": {"type": "gpu"}})
    seen = replace(running_host(container, OLD), pool_details={"default": COPIES})
    found = of(replace(container, devices={"gone": None}), seen)
    assert found.source == "web"
    assert found.body["devices"]["gone"] == {"type": "none"}


def test_volumes_are_replaced_by_copies_or_by_empty_ones() -> None:
    for driver, source in ((COPIES, "web_srv-data"), (WHOLE, None)):
        container = declared(system=OLD, health={"timeout": 30}, rehearse=True, persist=[_PERSIST])
        seen = replace(running_host(container, OLD), pool_details={"default": driver})
        found = of(container, seen)
        (volume,) = found.volumes
        assert (volume.pool, volume.source) == ("default", source)
        assert volume.config == {"initial.mode": "0700", REHEARSAL: "web"}
        assert VOLUME_CONTAINER not in volume.config
        assert found.body["devices"]["inx-persist-srv-data"]["source"] == volume.name
        assert found.rehearsal.volumes == (("default", volume.name),)


def test_a_volume_that_is_yet_to_be_made_is_empty() -> None:
    container = declared(system=OLD, health={"timeout": 30}, rehearse=True)
    seen = replace(running_host(container, OLD), pool_details={"default": COPIES})
    new = {"path": "/srv/new", "mode": "0711", "pool": None, "size": None}
    (volume,) = of(declared(system=OLD, health={"timeout": 30}, rehearse=True, persist=[new]), seen).volumes
    assert (volume.source, volume.config["initial.mode"]) == (None, "0711")


def test_other_volumes_are_not_shared_either() -> None:
    disk = {"type": "disk", "pool": "default", "source": "common/part", "path": "/common"}
    container = declared(system=OLD, health={"timeout": 30}, rehearse=True, devices={"common": disk})
    seen = replace(running_host(container, OLD), pool_details={"default": COPIES})
    found = of(container, replace(seen, volumes={("default", "common"): Volume(config={"size": "1GiB"})}))
    assert found.volumes[0].source == "common"
    assert found.volumes[0].config["size"] == "1GiB"
    assert found.body["devices"]["common"]["source"] == f"{found.volumes[0].name}/part"


def test_its_words_say_what_it_has_of_the_data() -> None:
    assert twin().data == "with copies of its data"
    assert "its root disk, which the storage driver dir would copy as a whole" in twin(WHOLE).data
    assert twin(volatile_root="rebuild").data == "it keeps no data"
    assert twin(volatile_root="rebuild").source is None


def test_it_waits_for_no_addresses_and_keeps_no_secrets_at_rest() -> None:
    secret: dict[str, Any] = {
        "name": "a",
        "content": "b",
        "encoding": "text",
        "owner": "root",
        "group": "root",
        "mode": "0400",
    }
    secret |= {"path": None, "units": None, "reload": False, "optional": False}
    found = twin(wait_for=["system", "addresses"], wait_timeout=7, secrets=[secret])
    assert (found.container.wait.addresses, found.container.wait.timeout) == ((), 7)
    assert not found.container.secrets_at_rest
    assert found.body["devices"]["inx-secrets"]["source"].endswith(f"/{found.container.name}")
    assert found.body["devices"]["inx-secrets"]["readonly"] == "true"


def test_the_names_are_others_than_those_that_a_killed_run_may_be_removing() -> None:
    container = declared(system=OLD, health={"timeout": 30}, rehearse=True, persist=[_PERSIST])
    seen = replace(running_host(container, OLD), pool_details={"default": COPIES})
    first = of(container, seen).rehearsal
    second = of(container, replace(seen, rehearsal=first)).rehearsal
    assert (first.turn, second.turn) == (0, 1)
    assert first.twin == second.twin
    assert first.network != second.network
    assert set(first.volumes).isdisjoint(second.volumes)
    assert network_config(first)["ipv4.address"] != network_config(second)["ipv4.address"]
    assert of(container, replace(seen, rehearsal=second)).rehearsal == first


def test_a_container_without_interfaces_gets_none() -> None:
    assert twin(devices={"eth0": None}).rehearsal.network is None
