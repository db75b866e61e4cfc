# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import container_set
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.mounts import is_in_memory
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.raw_lxc import INIT_LINE
from ansible_collections.inx.fleet.plugins.module_utils.container.volatile import Persist, Tmpfs, Volatile, warn_of_ids
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Volume
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import StorePath
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import EMPTIED, VOLATILE_ROOT
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    NEW,
    SET,
    actions,
    after,
    declared,
    empty_host,
    with_instance,
)

DB = Persist(path="/var/lib/db")
TMP = Tmpfs(path="/tmp", mode="1777", size="1MiB")  # noqa: S108


def web(state: str = "started", **volatile: Any) -> Container:
    return Container(name="web", source=StorePath(path=NEW), state=state, volatile=Volatile(**volatile))  # type: ignore[arg-type]


def host(container: Container, **looks: Any) -> Observed:
    """The host when ``container`` has been applied; ``looks`` is what else is seen there."""
    found = replace(empty_host(), **looks)
    return after(plan_container(container, BUILT, found), found)


def config(observed: Observed) -> dict[str, str]:
    assert observed.instance is not None
    return dict(observed.instance.config)


# The declaration


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tmpfs": [{"path": "/cache"}]}, "without 'volatile_root'"),
        ({"tmpfs": [{"path": "/cache"}], "volatile_root": "keep"}, "without 'volatile_root'"),
        ({"volatile_root": "tmpfs"}, "no paths"),
        ({"volatile_root": "tmpfs", "tmpfs": []}, "no paths"),
        ({"volatile_root": "rebuild", "ephemeral": True}, "ephemeral"),
        ({"persist": [{"path": "var/lib"}]}, "not a path below /"),
        ({"persist": [{"path": "/"}]}, "not a path below /"),
        ({"persist": [{"path": "/var/../etc"}]}, "not a path below /"),
        ({"persist": [{"path": "/var//lib"}]}, "not a path below /"),
        ({"persist": [{"path": "/var/\nlib"}]}, "not a path below /"),
        ({"persist": [{"path": "/nix/store/mine"}]}, "/nix/store is created in every container"),
        ({"persist": [{"path": "/proc"}]}, "/proc is created in every container"),
        ({"persist": [{"path": "/a"}, {"path": "/a/"}]}, "declared twice: /a"),
        ({"persist": [{"path": "/a"}], "volatile_root": "tmpfs", "tmpfs": [{"path": "/a"}]}, "declared twice: /a"),
        ({"persist": [{"path": "/a", "size": "much"}]}, "not a size"),
        ({"persist": [{"path": "/a", "size": "0"}]}, "not a size"),
        ({"persist": [{"path": "/a", "mode": "457"}]}, "not a mode"),
        ({"persist": [{"path": "/a", "mode": "0789"}]}, "not a mode"),
        ({"devices": {"inx-persist-a": None}}, "that this module reserves"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    for entry in (*options.get("tmpfs", ()), *options.get("persist", ())):
        entry.update({"size": entry.get("size"), "mode": entry.get("mode", "0755"), "pool": None})
    with pytest.raises(FleetError, match=message):
        declared(**options)


def test_names_say_what_they_are_for() -> None:
    assert (DB.device, DB.volume("web")) == ("inx-persist-var-lib-db", "web_var-lib-db")
    assert TMP.device == "inx-tmpfs-tmp"


@given(st.sets(st.text("ab-_ä /", min_size=1, max_size=60).map(lambda text: "/" + text.strip("/")), min_size=2))
def test_no_two_paths_have_one_name(paths: set[str]) -> None:
    names = {Persist(path=path).volume("web") for path in paths}
    assert len(names) == len(paths)
    assert all(len(name) < 64 and "/" not in name and " " not in name and name.isascii() for name in names)


# Tmpfs


def test_a_server_without_tmpfs_devices_gets_lines_of_raw_lxc() -> None:
    found = host(web(root="tmpfs", tmpfs=(TMP, Tmpfs(path="/srv/a b"))))
    assert config(found)["raw.lxc"].splitlines() == [
        r"lxc.mount.entry=inx-tmpfs srv/a\040b tmpfs mode=0755,create=dir 0 0",
        "lxc.mount.entry=inx-tmpfs tmp tmpfs mode=1777,size=1048576,create=dir 0 0",
        INIT_LINE,
    ]


def test_lines_that_are_declared_no_more_go_and_others_stay() -> None:
    found = host(web(root="tmpfs", tmpfs=(TMP,)))
    mine = with_instance(found, config={"raw.lxc": config(found)["raw.lxc"] + "\nlxc.environment=A=1"})
    assert plan_container(web(), BUILT, mine).steps == ()
    plan = plan_container(web(root="keep"), BUILT, mine)
    assert plan.restart_required
    assert plan.steps[0].after == {"config": {"raw.lxc": f"lxc.environment=A=1\n{INIT_LINE}"}}


def test_what_is_declared_as_raw_lxc_does_not_drop_the_tmpfs() -> None:
    found = host(web(root="tmpfs", tmpfs=(TMP,)))
    plan = plan_container(replace(web(), config={"raw.lxc": "lxc.environment=A=1"}), BUILT, found)
    lines = plan.steps[0].after["config"]["raw.lxc"].splitlines()
    assert lines == ["lxc.environment=A=1", TMP.entry, INIT_LINE]


def test_a_new_server_has_devices_instead_of_lines() -> None:
    found = replace(host(web(root="tmpfs", tmpfs=(TMP,))), has_tmpfs_devices=True)
    plan = plan_container(web("restarted", root="tmpfs", tmpfs=(TMP,)), BUILT, found)
    assert actions(plan) == ["stop", "update", "start"]
    assert plan.steps[1].after["config"] == {"raw.lxc": INIT_LINE}
    assert plan.steps[1].after["devices"][TMP.device]["source"] == "tmpfs:"


def test_devices_that_need_a_stop_wait_for_it() -> None:
    found = host(web(), has_tmpfs_devices=True)
    waiting = plan_container(web(root="tmpfs", tmpfs=(TMP,)), BUILT, found)
    assert (waiting.steps, waiting.restart_required) == ((), True)
    assert actions(plan_container(web("stopped", root="tmpfs", tmpfs=(TMP,)), BUILT, found)) == ["stop", "update"]
    done = host(web(root="tmpfs", tmpfs=(TMP,)), has_tmpfs_devices=True)
    assert not plan_container(web(root="tmpfs", tmpfs=(TMP,)), BUILT, done).restart_required
    going = plan_container(web(root="keep"), BUILT, done)
    assert (going.steps, going.restart_required) == ((), True)
    ephemeral = replace(web("restarted", root="keep"), ephemeral=None)
    with pytest.raises(FleetError, match="its stop would delete it"):
        plan_container(ephemeral, BUILT, with_instance(done, ephemeral=True))


def test_a_volume_waits_for_a_tmpfs_that_has_its_path() -> None:
    found = host(web(root="tmpfs", tmpfs=(Tmpfs(path=DB.path),)), has_tmpfs_devices=True)
    waiting = plan_container(web(root="keep", persist=(DB,)), BUILT, found)
    assert (actions(waiting), waiting.restart_required) == (["volume"], True)
    restarted = plan_container(web("restarted", root="keep", persist=(DB,)), BUILT, found)
    assert actions(restarted) == ["volume", "stop", "update", "start"]
    below = Persist(path=f"{DB.path}/wal")
    both = plan_container(web(root="keep", persist=(DB, below)), BUILT, found)
    assert (actions(both), both.restart_required) == (["volume"], True)
    on_6_0 = host(web(root="tmpfs", tmpfs=(Tmpfs(path=DB.path),)))
    assert actions(plan_container(web(root="keep", persist=(DB,)), BUILT, on_6_0)) == ["volume", "update"]


def test_a_path_that_is_taken_or_would_be_covered_is_refused() -> None:
    volatile: dict[str, Any] = {"root": "tmpfs", "tmpfs": (Tmpfs(path="/var"),), "persist": (DB,)}
    with pytest.raises(FleetError, match="tmpfs at /var would cover the volume at /var/lib/db"):
        plan_container(web(**volatile), BUILT, empty_host())
    plan_container(web(**volatile), BUILT, replace(empty_host(), has_tmpfs_devices=True))
    with pytest.raises(FleetError, match="volume at /etc/localtime"):
        plan_container(web(persist=(Persist(path="/etc/localtime"),)), BUILT, empty_host())


# Rebuilding


def test_each_start_of_the_collection_empties_the_root() -> None:
    declared = web(root="rebuild")
    running = host(declared)
    stopped = with_instance(running, status="Stopped", running_system=None)
    assert plan_container(declared, BUILT, running).steps == ()
    assert actions(plan_container(declared, BUILT, stopped)) == ["rebuild", "start"]
    assert actions(plan_container(web("restarted", root="rebuild"), BUILT, running)) == ["stop", "rebuild", "start"]
    assert actions(plan_container(web("restarted"), BUILT, running)) == ["stop", "rebuild", "start"]
    assert actions(plan_container(web("restarted", root="keep"), BUILT, running)) == ["update", "restart"]
    assert actions(plan_container(web("present", root="rebuild"), BUILT, stopped)) == []
    frozen = with_instance(running, status="Frozen")
    assert actions(plan_container(declared, BUILT, frozen)) == ["unfreeze"]
    assert actions(plan_container(web("restarted"), BUILT, frozen)) == ["stop", "rebuild", "start"]


def test_a_new_container_has_an_empty_root() -> None:
    plan = plan_container(web(root="rebuild"), BUILT, empty_host())
    assert actions(plan) == ["create", "record", "start"]
    assert plan.steps[0].after["config"][VOLATILE_ROOT] == "rebuild"


def test_what_cannot_be_rebuilt_is_told_before_its_stop() -> None:
    running = replace(host(web(root="rebuild")), has_snapshots=True)
    with pytest.raises(FleetError, match="has snapshots"):
        plan_container(web("restarted"), BUILT, running)
    with pytest.raises(FleetError, match="never rebuilt"):
        plan_container(replace(web(), ephemeral=True), BUILT, host(web(root="rebuild")))


def test_a_start_by_somebody_else_is_told() -> None:
    found = host(web(root="rebuild"))
    ours = with_instance(found, notes={EMPTIED: "1"}, last_started="1")
    assert plan_container(web(), BUILT, ours).warnings == ()
    theirs = with_instance(ours, last_started="2")
    assert "was not emptied" in plan_container(web(), BUILT, theirs).warnings[0]
    assert plan_container(web("restarted"), BUILT, theirs).warnings == ()


def test_a_root_that_will_be_emptied_is_told_of() -> None:
    plan = plan_container(web(root="rebuild"), BUILT, host(web()))
    assert actions(plan) == ["update"]
    assert "its next start empties its root" in plan.warnings[0]


# Persisting


def test_a_volume_is_made_before_the_container() -> None:
    plan = plan_container(web(persist=(DB,)), BUILT, empty_host())
    assert actions(plan) == ["volume", "create", "record", "start"]
    assert plan.steps[0].after["volumes"] == {
        "default/web_var-lib-db": {
            "initial.mode": "0755",
            "user.inx.container": "web",
            "user.inx.path": "/var/lib/db",
        }
    }


def test_a_volume_outlives_its_declaration_and_its_container() -> None:
    found = host(web(persist=(DB,)))
    detached = plan_container(web(persist=()), BUILT, found)
    assert [(step.action, step.after) for step in detached.steps] == [("update", {"devices": {DB.device: None}})]
    gone = after(plan_container(web("absent"), None, found), found)
    assert gone.instance is None
    assert list(gone.volumes) == [("default", "web_var-lib-db")]
    assert actions(plan_container(web(persist=(DB,)), BUILT, gone)) == ["create", "record", "start"]


def test_volumes_are_deleted_only_when_it_is_said() -> None:
    found = host(web(persist=(DB,)))
    others = replace(found, volumes={**found.volumes, ("default", "web_other"): Volume()})
    plan = plan_container(web("absent", delete_volumes=True), None, others)
    assert actions(plan) == ["stop", "forget", "delete", "volume"]
    assert list(after(plan, others).volumes) == [("default", "web_other")]


def test_a_volume_in_another_pool_is_found_and_not_left_behind() -> None:
    volume = {("slow", "web_var-lib-db"): Volume(config={"user.inx.container": "web", "user.inx.path": "/var/lib/db"})}
    found = replace(empty_host(), pools=frozenset(("default", "slow")), volumes=volume)
    plan = plan_container(web(persist=(DB,)), BUILT, found)
    assert plan.steps[0].after["devices"][DB.device]["pool"] == "slow"
    with pytest.raises(FleetError, match="incus storage volume move slow/web_var-lib-db default/web_var-lib-db"):
        plan_container(web(persist=(replace(DB, pool="default"),)), BUILT, found)


def test_a_renamed_container_keeps_its_volumes() -> None:
    found = host(web(persist=(DB,)))
    renamed = with_instance(found, name="web2")
    declared = replace(web(persist=(DB,)), name="web2")
    assert "inx-persist-var-lib-db" not in str(
        [step.after.get("devices") for step in plan_container(declared, BUILT, renamed).steps]
    )


OWNED = {"user.inx.container": "web", "user.inx.path": "/var/lib/db"}


@pytest.mark.parametrize(
    ("looks", "entry", "message"),
    [
        ({"volumes": {("default", "web_var-lib-db"): Volume()}}, DB, "was not made for /var/lib/db of web"),
        (
            {"volumes": {("default", "web_var-lib-db"): Volume(config=OWNED, used_by=("/1.0/instances/web2",))}},
            DB,
            "in use by /1.0/instances/web2",
        ),
        ({"memory_pools": frozenset(("default",))}, DB, "in memory, so nothing persists"),
        ({"occupied": frozenset(("/var/lib/db",))}, DB, "has files at /var/lib/db"),
        ({}, replace(DB, pool="gone"), "storage pool 'gone' does not exist"),
    ],
)
def test_volumes_that_are_refused(looks: dict[str, Any], entry: Persist, message: str) -> None:
    with pytest.raises(FleetError, match=message):
        plan_container(web(persist=(entry,)), BUILT, replace(empty_host(), **looks))


def test_another_size_is_set() -> None:
    found = host(web(persist=(replace(DB, size="1GiB"),)))
    assert plan_container(web(persist=(replace(DB, size="1024MiB"),)), BUILT, found).steps == ()
    (step,) = plan_container(web(persist=(replace(DB, size="2GiB"),)), BUILT, found).steps
    assert (step.before, step.after) == (
        {"volumes": {"default/web_var-lib-db": {"size": "1GiB"}}},
        {"volumes": {"default/web_var-lib-db": {"size": "2GiB"}}},
    )


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:30 / /srv rw - tmpfs tmpfs rw
31 30 0:31 / /srv/disk rw master:1 - btrfs /dev/vdb rw
32 22 0:32 / /srv/with\\040space rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/lib/incus/storage-pools/default", False),
        ("/srv", True),
        ("/srv/pool", True),
        ("/srv/disk/pool", False),
        ("/srv/with space/pool", True),
        ("/srv2", False),
        ("", False),
        ("vg0", False),
    ],
)
def test_which_pools_are_in_memory(path: str, expected: bool) -> None:
    assert is_in_memory(path, MOUNTS) == expected


def test_what_an_entry_of_a_set_leaves_out_comes_from_the_defaults() -> None:
    entry = {"path": "/var/lib/db", "size": None, "pool": None, "mode": None}
    params = {
        **SET,
        "containers": [{"name": "db", "persist": [entry]}, {"name": "web"}],
        "defaults": {"flake": "/etc/nixos", "volatile_root": "rebuild", "persist": [{"path": "/home", "mode": "0711"}]},
    }
    db, web_ = container_set(params).containers
    assert db.volatile == Volatile(root="rebuild", persist=(DB,))
    assert web_.volatile == Volatile(root="rebuild", persist=(Persist(path="/home", mode="0711"),))


@pytest.mark.parametrize(
    ("persist", "kept", "is_warned"),
    [
        (["/var/lib/db"], [], True),
        (["/var/lib/db", "/var/lib/nixos"], [], False),
        (["/var/lib"], [], False),
        (["/var/lib/db"], ["/var/lib/nixos"], False),
        (["/var/lib/nixos-other"], [], True),
        ([], [], False),
    ],
)
def test_ids_that_do_not_stay_are_warned_of(persist: list[str], kept: list[str], *, is_warned: bool) -> None:
    volatile = Volatile(root="rebuild", persist=tuple(Persist(path=path) for path in persist))
    warnings = warn_of_ids("web", volatile, kept)
    assert [text.endswith("{path: /var/lib/nixos}") for text in warnings] == [True] * is_warned
    assert not warn_of_ids("web", replace(volatile, root="keep"), kept)
