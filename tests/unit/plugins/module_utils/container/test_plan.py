# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.rebuilds import rebuilds
from ansible_collections.inx.fleet.plugins.module_utils.container.volatile import Persist, Tmpfs, Volatile
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance, Profile
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import StorePath, System
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import (
    ACTIVATING,
    RESTART,
    SELF_UPDATE,
    VOLATILE_ROOT,
)
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    DEFAULT_PROFILE,
    NEW,
    OLD,
    STORE_PROFILE,
    WEB,
    actions,
    after,
    empty_host,
    running_host,
    with_instance,
)

SOURCE = StorePath(path=NEW)


def test_a_new_container_is_built_created_recorded_and_started_in_this_order() -> None:
    plan = plan_container(WEB, System(path=NEW), empty_host())
    assert actions(plan) == ["build", "create", "record", "start"]


def test_nothing_is_planned_for_what_is_as_declared() -> None:
    assert plan_container(WEB, BUILT, running_host()).steps == ()


def test_a_new_system_is_recorded_before_it_is_activated() -> None:
    plan = plan_container(WEB, System(path=NEW), running_host(path=OLD))
    assert actions(plan) == ["build", "record", "activate"]
    assert plan.steps[1].before == {"generation": 1, "system": OLD}


def test_an_older_system_that_runs_is_switched_without_a_new_generation() -> None:
    assert actions(plan_container(WEB, BUILT, with_instance(running_host(), running_system=OLD))) == ["activate"]


def test_a_system_that_cannot_be_read_is_switched_rather_than_believed() -> None:
    assert actions(plan_container(WEB, BUILT, with_instance(running_host(), running_system=None))) == ["activate"]


def test_the_marker_of_an_activation_that_did_not_end_leads_to_another() -> None:
    host = running_host()
    assert host.instance is not None
    marked = with_instance(host, notes={ACTIVATING: NEW})
    assert actions(plan_container(WEB, BUILT, marked)) == ["activate"]


def test_boot_leaves_the_running_system_alone() -> None:
    declared = replace(WEB, activation="boot")
    assert actions(plan_container(declared, BUILT, running_host(path=OLD))) == ["record"]


def test_test_leaves_the_profile_alone() -> None:
    declared = replace(WEB, activation="test")
    assert actions(plan_container(declared, BUILT, running_host(path=OLD))) == ["activate"]


@pytest.mark.parametrize(
    ("status", "state", "expected"),
    [
        ("Stopped", "started", ["start"]),
        ("Stopped", "restarted", ["start"]),
        ("Stopped", "present", []),
        ("Stopped", "stopped", []),
        ("Running", "restarted", ["restart"]),
        ("Running", "stopped", ["stop"]),
        ("Running", "present", []),
        ("Frozen", "started", ["unfreeze"]),
        ("Frozen", "stopped", ["stop"]),
        ("Frozen", "restarted", ["restart"]),
        ("Running", "absent", ["stop", "forget", "delete"]),
        ("Stopped", "absent", ["forget", "delete"]),
    ],
)
def test_states(status: str, state: str, expected: list[str]) -> None:
    host = with_instance(running_host(), status=status)
    assert actions(plan_container(replace(WEB, state=state), BUILT, host)) == expected  # type: ignore[arg-type]


def test_keys_that_are_not_declared_stay() -> None:
    host = running_host()
    assert host.instance is not None
    mine = {**host.instance.config, "user.mine": "1", "volatile.eth0.hwaddr": "00:16:3e:00:00:01"}
    assert plan_container(WEB, BUILT, with_instance(host, config=mine)).steps == ()


def test_lines_of_raw_lxc_that_are_somebody_elses_stay() -> None:
    host = running_host()
    plan = plan_container(WEB, BUILT, with_instance(host, config={"raw.lxc": "lxc.environment = A=1\n"}))
    assert plan.steps[0].after == {
        "config": {"raw.lxc": "lxc.environment=A=1\nlxc.init.cmd=/nix/var/nix/profiles/system/init"}
    }
    assert plan.restart_required


@pytest.mark.parametrize(
    ("since", "started", "pending"),
    [
        ("2026-11-23T10:00:05.200000Z", "2026-11-23T10:00:05.1Z", True),
        ("2026-11-23T10:00:05.000001Z", "2026-11-23T10:00:05Z", True),
        ("2026-11-23T10:00:05.100000Z", "2026-11-23T10:00:05.100000001Z", False),
        ("2026-11-23T10:00:05.100000Z", "2026-11-23T10:00:06Z", False),
    ],
)
def test_a_restart_stays_required_until_the_next_start(since: str, started: str, pending: bool) -> None:
    host = running_host()
    assert host.instance is not None
    noted = with_instance(host, notes={RESTART: since}, last_started=started)
    plan = plan_container(WEB, BUILT, noted)
    assert plan.steps == ()
    assert plan.restart_required == pending
    assert ("until its next start" in " ".join(plan.warnings)) == pending
    stopped = with_instance(noted, status="Stopped", running_system=None)
    assert not plan_container(WEB, BUILT, stopped).restart_required


def waiting_host() -> Observed:
    """Return a host with a container that waits for a restart."""
    return with_instance(
        running_host(), notes={RESTART: "2026-11-23T10:00:05Z"}, last_started="2026-11-23T10:00:04Z", pid=4711
    )


@pytest.mark.parametrize(
    ("status", "state", "expected"),
    [
        ("Running", "started", ["restart"]),
        ("Running", "present", ["restart"]),
        ("Running", "stopped", ["stop"]),
        ("Frozen", "started", ["restart"]),
        ("Frozen", "present", []),
        ("Stopped", "started", ["start"]),
        ("Stopped", "present", []),
    ],
)
def test_what_waits_for_a_restart_is_restarted_if_declared(status: str, state: str, expected: list[str]) -> None:
    declared = replace(WEB, state=state, restart_if_required=True)  # type: ignore[arg-type]
    plan = plan_container(declared, BUILT, with_instance(waiting_host(), status=status))
    assert actions(plan) == expected
    assert plan.container is declared
    assert plan.restart_required == (status == "Frozen" and state == "present")


def test_what_waits_for_no_restart_is_not_restarted() -> None:
    assert plan_container(replace(WEB, restart_if_required=True), BUILT, running_host()).steps == ()


def test_a_setting_that_waits_and_the_restart_come_in_one_run() -> None:
    declared = replace(WEB, restart_if_required=True, config={"raw.lxc": "lxc.environment = A=1"})
    plan = plan_container(declared, BUILT, running_host())
    assert actions(plan)[-1] == "restart"
    assert "update" in actions(plan)
    assert not plan.restart_required
    assert not [warning for warning in plan.warnings if "next start" in warning]


def test_a_system_for_the_next_boot_is_booted_if_declared() -> None:
    declared = replace(WEB, activation="boot", restart_if_required=True)
    assert actions(plan_container(declared, BUILT, running_host(path=OLD))) == ["record", "restart"]


def with_profile_mount(host: Observed, *, readonly: str, noted: bool) -> Observed:
    """One whose profile directory is mounted so, by the collection or by somebody else."""
    assert host.instance is not None
    mount = {**host.instance.devices["nixprofiles"], "readonly": readonly}
    config = {key: value for key, value in host.instance.config.items() if noted or key != SELF_UPDATE}
    return with_instance(host, config=config, devices={**host.instance.devices, "nixprofiles": mount})


def test_what_somebody_else_has_made_writable_stays_so_until_it_is_declared() -> None:
    host = with_profile_mount(running_host(), readonly="false", noted=False)
    kept = plan_container(WEB, BUILT, host)
    assert kept.steps == ()
    assert "can write its profile directory" in " ".join(kept.warnings)
    ended = plan_container(replace(WEB, self_update=False), BUILT, host)
    assert ended.steps[0].after["devices"]["nixprofiles"]["readonly"] == "true"
    assert plan_container(WEB, BUILT, after(ended, host)).steps == ()


@pytest.mark.parametrize("self_update", [False, True])
def test_what_the_collection_has_made_is_kept_so(self_update: bool) -> None:
    host = running_host(replace(WEB, self_update=self_update))
    assert plan_container(WEB, BUILT, host).steps == ()
    assert plan_container(WEB, BUILT, host).warnings == ()
    changed = with_profile_mount(host, readonly=str(self_update).lower(), noted=True)
    (repair,) = plan_container(WEB, BUILT, changed).steps
    assert repair.after["devices"]["nixprofiles"]["readonly"] == str(not self_update).lower()
    assert "config" not in repair.after


def test_a_root_disk_is_overridden_under_the_name_that_it_has() -> None:
    disk = {"type": "disk", "path": "/", "pool": "default"}
    host = empty_host(Profile(name="other", devices={"disk0": disk}), STORE_PROFILE)
    (create,) = (
        step
        for step in plan_container(replace(WEB, profiles=("other",), root_size="5GiB"), BUILT, host).steps
        if step.action == "create"
    )
    assert create.after["devices"]["disk0"] == {**disk, "size": "5GiB"}
    assert "root" not in create.after["devices"]


def test_what_incus_may_refuse_comes_before_the_stop() -> None:
    declared = replace(WEB, state="restarted", config={"user.a": "1"}, volatile=Volatile(root="rebuild"))
    assert actions(plan_container(declared, BUILT, running_host())) == ["update", "stop", "rebuild", "start"]


def test_a_system_must_come_from_somewhere() -> None:
    with pytest.raises(FleetError, match="has no system yet"):
        plan_container(Container(name="web"), None, empty_host())


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (replace(WEB, store_profile="gone"), "inx_store_mount"),
        (replace(WEB, profiles=("default", "gone")), "Incus profile 'gone' does not exist"),
        (replace(WEB, profiles=()), "no root disk"),
        (replace(WEB, profiles=(), root_size="1GiB"), "no root disk in a storage pool"),
        (replace(WEB, devices={"root": {"type": "disk", "path": "/"}}), "no root disk in a storage pool"),
        (replace(WEB, storage_pool="gone"), "storage pool 'gone' does not exist"),
        (
            replace(WEB, devices={"root": {"type": "disk", "path": "/", "pool": "gone"}}),
            "storage pool 'gone' does not exist",
        ),
        (replace(WEB, config={"security.privileged": True}), "allow_privileged"),
        (replace(WEB, config={"raw.idmap": "uid 0 1000"}), "allow_privileged"),
        (replace(WEB, config={"raw.idmap": "both 0-10 1000-1010"}), "allow_privileged"),
    ],
)
def test_what_is_refused(declared: Container, message: str) -> None:
    with pytest.raises(FleetError, match=message):
        plan_container(declared, BUILT, empty_host())


def test_privileged_is_fine_without_the_daemon_or_when_allowed() -> None:
    privileged = replace(WEB, config={"security.privileged": True})
    store_only = replace(STORE_PROFILE, devices={"nixstore": STORE_PROFILE.devices["nixstore"]})
    plan_container(privileged, BUILT, empty_host(DEFAULT_PROFILE, store_only))
    plan_container(replace(privileged, allow_privileged=True), BUILT, empty_host())


@pytest.mark.parametrize("source", ["/nix/var/nix/daemon-socket/", "/nix/var/nix/daemon-socket/socket", "/nix", "/"])
def test_the_daemon_is_found_behind_any_share(source: str) -> None:
    device = {"type": "disk", "source": source, "path": "/mnt"}
    store_only = Profile(name="inx-container", devices={"nixstore": STORE_PROFILE.devices["nixstore"]})
    declared = replace(WEB, config={"security.privileged": "true"}, devices={"hole": device})
    with pytest.raises(FleetError, match="allow_privileged"):
        plan_container(declared, BUILT, empty_host(DEFAULT_PROFILE, store_only))


@pytest.mark.parametrize(
    "instance",
    [
        Instance(name="web"),
        Instance(name="web", type="virtual-machine", profiles=("inx-container",)),
        Instance(name="web", config={"volatile.base_image": "abc"}, profiles=("inx-container",)),
    ],
)
def test_an_instance_of_another_kind_is_left_alone(instance: Instance) -> None:
    for declared in (WEB, replace(WEB, state="absent")):
        with pytest.raises(FleetError, match="not a container on the shared store"):
            plan_container(declared, BUILT, replace(empty_host(), instance=instance))


def test_what_is_protected_is_not_deleted() -> None:
    host = running_host(replace(WEB, config={"security.protection.delete": True}))
    with pytest.raises(FleetError, match=r"security\.protection\.delete"):
        plan_container(replace(WEB, state="absent"), None, host)


@pytest.mark.parametrize("word", ["1", "yes", "on", "true"])
def test_protection_by_a_profile_counts_too(word: str) -> None:
    profile = replace(STORE_PROFILE, config={"security.protection.delete": word})
    host = replace(running_host(), profiles={"default": DEFAULT_PROFILE, "inx-container": profile})
    with pytest.raises(FleetError, match=r"security\.protection\.delete"):
        plan_container(replace(WEB, state="absent"), None, host)


def test_an_ephemeral_container_is_not_stopped_by_a_declaration_that_keeps_it() -> None:
    host = running_host(replace(WEB, ephemeral=True))
    with pytest.raises(FleetError, match="its stop would delete it"):
        plan_container(replace(WEB, state="stopped"), BUILT, host)
    assert actions(plan_container(replace(WEB, state="stopped", ephemeral=False), BUILT, host)) == ["update", "stop"]


def test_what_a_start_boots_is_not_activated_in_the_next_run() -> None:
    host = running_host()
    assert host.instance is not None
    stopped = with_instance(host, status="Stopped", running_system=None, notes={ACTIVATING: NEW})
    plan = plan_container(WEB, BUILT, stopped)
    assert plan_container(WEB, BUILT, after(plan, stopped)).steps == ()


def test_a_frozen_container_that_is_to_be_present_stays_frozen() -> None:
    host = with_instance(running_host(path=OLD), status="Frozen")
    assert actions(plan_container(replace(WEB, state="present"), BUILT, host)) == ["record"]


def test_a_declared_root_device_and_the_options_for_it_are_one_device() -> None:
    declared = replace(WEB, storage_pool="default", devices={"root": {"size": "5GiB"}})
    plan = plan_container(declared, BUILT, empty_host())
    assert plan.steps[0].after["devices"]["root"] == {"type": "disk", "path": "/", "pool": "default", "size": "5GiB"}


STORE_ONLY = Profile(name="store-only", devices={"nixstore": STORE_PROFILE.devices["nixstore"]})


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (("default", "inx-container"), ["default", "store-only"]),
        (("inx-container", "default"), ["store-only", "default"]),
        (("inx-container", "store-only", "default"), ["store-only", "default"]),
        (("default",), ["default", "store-only"]),
    ],
)
def test_another_store_profile_takes_the_place_of_the_one_before(before: tuple[str, ...], expected: list[str]) -> None:
    host = with_instance(running_host(), profiles=before)
    host = replace(host, profiles={**host.profiles, "store-only": STORE_ONLY})
    declared = replace(WEB, store_profile="store-only")
    (step,) = plan_container(declared, BUILT, host).steps
    assert step.after == {"profiles": expected}
    assert plan_container(declared, BUILT, after(plan_container(declared, BUILT, host), host)).steps == ()
    # Who names them means them.
    both = replace(declared, profiles=("default", "inx-container"))
    assert plan_container(both, BUILT, host).steps[0].after == {"profiles": ["default", "inx-container", "store-only"]}


def test_a_profile_that_has_more_than_the_store_stays() -> None:
    mixed = replace(DEFAULT_PROFILE, devices={**DEFAULT_PROFILE.devices, **STORE_PROFILE.devices})
    host = running_host()
    host = replace(host, profiles={**host.profiles, "default": mixed, "store-only": STORE_ONLY})
    plan = plan_container(replace(WEB, store_profile="store-only"), BUILT, host)
    assert plan.steps[0].after == {"profiles": ["default", "store-only"]}


# Whatever is declared on whatever is there, one run is enough

VALUES = st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.sampled_from(["", "1GiB", "1024MiB", "on", "x"]))
KEYS = st.sampled_from(["limits.memory", "boot.autostart", "user.a", "environment.B", "raw.lxc"])
DEVICES = st.dictionaries(
    st.sampled_from(["data", "http", "localtime"]),
    st.none() | st.fixed_dictionaries({"type": st.just("disk")}, optional={"readonly": VALUES, "size": VALUES}),
    max_size=3,
).map(lambda devices: {name: keys and {**keys, "path": f"/mnt/{name}"} for name, keys in devices.items()})
PATHS = ["/tmp", "/srv", "/var/lib/db", "/var/lib/db-2"]  # noqa: S108
VOLATILES = st.builds(
    Volatile,
    root=st.sampled_from([None, "keep", "rebuild", "tmpfs"]),
    tmpfs=st.lists(st.builds(Tmpfs, path=st.sampled_from(PATHS[:2]), size=st.sampled_from([None, "1GiB"])), max_size=1),
    persist=st.sampled_from([None, (), tuple(Persist(path=path, size="1GiB") for path in PATHS[2:])]),
)
CONTAINERS = st.builds(
    Container,
    name=st.just("web"),
    state=st.sampled_from(["started", "stopped", "present", "absent"]),
    source=st.just(SOURCE),
    activation=st.sampled_from(["switch", "boot", "test"]),
    config=st.dictionaries(KEYS, VALUES, max_size=4),
    devices=DEVICES,
    profiles=st.sampled_from([None, ("default",), ("inx-container", "default")]),
    root_size=st.sampled_from([None, "1GiB"]),
    description=st.sampled_from([None, "", "text"]),
    ephemeral=st.sampled_from([None, True, False]),
    localtime=st.booleans(),
    self_update=st.sampled_from([None, True, False]),
    volatile=VOLATILES,
)
STATUSES = st.sampled_from(["Running", "Stopped", "Frozen"])


def is_refused(declared: Container, host: Observed) -> bool:
    """Whether it is ephemeral, and to be stopped or rebuilt: that has tests of its own."""
    instance = host.instance
    ephemeral = declared.ephemeral
    if ephemeral is None:
        ephemeral = instance is not None and instance.ephemeral
    stops = declared.state == "stopped" or rebuilds(declared, instance or Instance(name="web"))
    return ephemeral and stops


@given(
    first=CONTAINERS,
    second=CONTAINERS,
    status=STATUSES,
    running=st.sampled_from([OLD, NEW, None]),
    has_tmpfs_devices=st.booleans(),
)
def test_one_run_is_enough(
    first: Container, second: Container, status: str, running: str | None, has_tmpfs_devices: bool
) -> None:
    host = replace(empty_host(), has_tmpfs_devices=has_tmpfs_devices)
    assume(not is_refused(first, host))
    host = after(plan_container(first, System(path=OLD, built=True), host), host)
    if host.instance is not None:
        host = with_instance(host, status=status, running_system=None if status == "Stopped" else running)
    assume(not is_refused(second, host))
    if second.state == "absent":
        second = replace(second, volatile=replace(second.volatile, delete_volumes=True))
    then = after(plan_container(second, System(path=NEW, built=True), host), host)
    assert plan_container(second, System(path=NEW, built=True), then).steps == ()


@given(first=CONTAINERS, second=CONTAINERS)
def test_only_what_is_declared_is_touched(first: Container, second: Container) -> None:
    host = empty_host()
    host = after(plan_container(first, System(path=OLD, built=True), host), host)
    assume(not is_refused(second, host))
    for step in plan_container(second, BUILT, host).steps:
        if step.action == "update":
            assert set(step.after.get("config", {})) <= {*second.config, "raw.lxc", VOLATILE_ROOT, SELF_UPDATE}
            own = {"nixprofiles", "localtime", "root"}
            if second.volatile.root is not None:
                own |= {entry.device for entry in (*first.volatile.tmpfs, *second.volatile.tmpfs)}
            if second.volatile.persist is not None:
                own |= {Persist(path=path).device for path in PATHS}
            assert set(step.after.get("devices", {})) <= {*second.devices, *own}
