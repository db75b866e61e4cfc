# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.attached import BindMount
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.mount_tree import (
    Mount,
    hides_when_live,
    is_below,
    mounts_from,
    normalised,
    points,
    possible_points,
    problems,
    remounted,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.volatile import Persist, Tmpfs, Volatile
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Profile
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    DEFAULT_PROFILE,
    STORE_PROFILE,
    WEB,
    actions,
    after,
    empty_host,
    running_host,
    with_instance,
)

STORE = {"nixstore": {"type": "disk", "source": "/nix/store", "path": "/nix/store", "shift": "true"}}
DISK = {"type": "disk", "source": "/srv/x"}
PATHS = ["/data", "/data/db", "/data/db/wal", "/data-2", "/srv", "/srv/x", "//data/db/", "/srv/", "/srv/../data"]
DISKS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.fixed_dictionaries(
        {"type": st.just("disk"), "path": st.sampled_from(PATHS), "source": st.sampled_from(["/srv", "/home"])},
        optional={"shift": st.just("true"), "readonly": st.just("true")},
    ),
    max_size=4,
).map(lambda disks: {**STORE, **disks})


@dataclass
class Kernel:
    """A mount namespace: what is seen at a path is what was mounted over it last."""

    stack: list[tuple[str, str]] = field(default_factory=list)

    def mount(self, path: str, name: str) -> None:
        self.stack.append((path, name))

    def seen(self, path: str) -> str:
        """Return the name of the mount that a path is in."""
        for number, (point, name) in reversed(list(enumerate(self.stack))):
            if is_below(path, point) and not any(is_below(path, over) for over, _name in self.stack[number + 1 :]):
                return name
        return ""

    def unmount(self, path: str) -> None:
        """Detach what is on top there, with all that was mounted in it."""
        number = max((one for one, (point, _name) in enumerate(self.stack) if point == path), default=None)
        if number is not None and self.seen(path) == self.stack[number][1]:
            later = [entry for entry in self.stack[number + 1 :] if not is_below(entry[0], path)]
            self.stack = [*self.stack[:number], *later]


def tree(devices: Mapping[str, Mapping[str, str]], *, raw_lxc: str = "", privileged: bool = False) -> list[Mount]:
    return mounts_from(devices, raw_lxc, labels={}, privileged=privileged)


def started(mounts: Sequence[Mount]) -> Kernel:
    kernel = Kernel()
    for mount in mounts:
        kernel.mount(mount.path, mount.device)
    return kernel


@given(DISKS, st.booleans())
def test_what_is_not_refused_is_seen_after_a_start(devices: dict[str, dict[str, str]], privileged: bool) -> None:
    mounts = tree(devices, privileged=privileged)
    kernel = started(mounts)
    hidden = {mount.device for mount in mounts if kernel.seen(mount.path) != mount.device}
    found = problems(mounts)
    assert hidden <= frozenset[str]().union(*(problem.devices for problem in found))
    if not hidden:
        assert not found


@settings(suppress_health_check=[HealthCheck.too_slow])
@example(
    before={**STORE, "b": {**DISK, "path": "/srv/x"}},
    wanted={
        **STORE,
        "a": {**DISK, "path": "//data/db/", "shift": "true"},
        "b": {**DISK, "path": "/data"},
        "c": {**DISK, "path": "/srv"},
    },
)
@given(DISKS, DISKS)
def test_what_is_changed_while_it_runs_hides_nothing(
    before: dict[str, dict[str, str]], wanted: dict[str, dict[str, str]]
) -> None:
    assume(not problems(tree(before)) and not problems(tree(wanted)))
    late = hides_when_live(tree(before), tree(wanted), remounted(before, wanted))
    now = {name: keys for name, keys in wanted.items() if name not in late}
    now |= {name: keys for name, keys in before.items() if name in late}
    paths = [mount.path for mount in tree(now)]
    assert len(paths) == len(set(paths)), "Incus takes no two at a path"
    assume(not problems(tree(now)))
    moving = remounted(before, now)
    kernel = started(tree(before))
    # Incus: internal/server/instance/drivers/driver_common.go, devicesUpdate.
    for mount in reversed(sorted_by_path(before)):
        if mount.device in moving:
            kernel.unmount(mount.path)
    for mount in sorted_by_path(now):
        if mount.device in moving:
            kernel.mount(mount.path, mount.device)
    for mount in tree(now):
        assert kernel.seen(mount.path) == mount.device


def sorted_by_path(devices: Mapping[str, Mapping[str, str]]) -> list[Mount]:
    return tree(devices, privileged=True)


@given(st.lists(st.sampled_from(["data", "..", ".", "", "var", "run"]), max_size=5))
def test_a_normal_path_is_plain(parts: list[str]) -> None:
    path = normalised("/".join(parts))
    assert path.startswith("/")
    assert path == normalised(path)
    assert not {"", ".", ".."} & set(path.split("/")[1:]) or path == "/"
    assert not is_below(path, "/var/run")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/", "/data"),
        ("data", "/data"),
        ("//data//db", "/data/db"),
        ("/data/../nix", "/nix"),
        ("/", "/"),
        ("/var/run", "/run"),
        ("/var/run/x", "/run/x"),
        ("/var/lock/x", "/run/lock/x"),
        ("/var/running", "/var/running"),
    ],
)
def test_paths_as_they_resolve(path: str, expected: str) -> None:
    assert normalised(path) == expected


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/nix", "hides /nix/store"),
        ("/nix/", "hides /nix/store"),
        ("/srv/../nix/var", "hides /nix/var/nix/daemon-socket"),
        ("/nix/store/abc", "hides /nix/store or a part"),
        ("/nix/store", "are mounted at one path"),
        ("/nix/var/nix/profiles/system", "hides /nix/var/nix/profiles"),
        ("/proc", "hides what every container needs"),
        ("/sys/", "hides what every container needs"),
        ("/dev", "hides what every container needs"),
        ("/run", "hides what every container needs"),
        ("/run/secrets", "mounts a tmpfs at /run"),
        ("/var/run/secrets", "mounts a tmpfs at /run"),
    ],
)
def test_places_that_are_not_for_mounts(path: str, says: str) -> None:
    found = problems(tree({**STORE, "x": {**DISK, "path": path}}))
    assert any(says in problem.text for problem in found)
    assert all("'x'" in problem.text for problem in found)
    assert not problems(tree({**STORE, "x": {**DISK, "path": "/dev/dri"}}))


def test_the_hosts_own_may_be_shared_at_its_place() -> None:
    whole = {"type": "disk", "source": "/nix", "path": "/nix", "shift": "true"}
    assert not problems(tree({**STORE, "whole": whole}))
    assert not problems(tree({"whole": whole}))
    assert "nothing is mounted at /nix/store" in problems(tree({}))[0].text


def test_what_is_idmapped_comes_last_unless_it_is_privileged() -> None:
    devices = {**STORE, "outer": {**DISK, "path": "/data", "shift": "true"}, "inner": {**DISK, "path": "/data/db"}}
    (found,) = problems(tree(devices))
    assert "'outer' at /data would cover the device 'inner' at /data/db, which is mounted before" in found.text
    assert not problems(tree(devices, privileged=True))


def test_lines_of_raw_lxc_are_mounts() -> None:
    devices = {**STORE, "outer": {**DISK, "path": "/data", "shift": "true"}, "inner": {**DISK, "path": "/srv/a b/c"}}
    line = r"lxc.mount.entry = inx-tmpfs srv/a\040b tmpfs mode=0755,create=dir 0 0"
    assert "tmpfs at /srv/a b would cover the device 'inner'" in problems(tree(devices, raw_lxc=line))[0].text
    below = "lxc.mount.entry=/srv/y data/y none bind 0 0\nlxc.apparmor.profile=unconfined"
    assert "would cover the mount of raw.lxc at /data/y" in problems(tree(devices, raw_lxc=below))[0].text
    late = "lxc.mount.entry=/srv/y data/y none bind,idmap=container 0 0"
    assert not problems(tree(devices, raw_lxc=late))


def test_a_mount_point_in_a_directory_of_the_host_has_to_be_there() -> None:
    devices = {**STORE, "outer": {**DISK, "path": "/data"}, "inner": {**DISK, "path": "/data/a/b"}}
    assert [point for _inner, _outer, point in points(tree(devices))] == ["/srv/x/a/b"]
    assert "/srv/x/a/b" in possible_points(devices.values(), ["/data/a/b/"])
    (found,) = problems(tree(devices), {"/srv/x/a/b"})
    assert "the host has no /srv/x/a/b" in found.text
    volume = {**devices, "outer": {"type": "disk", "pool": "default", "source": "data", "path": "/data"}}
    assert not list(points(tree(volume)))


# In the plan


def with_mounts(**options: Any) -> Container:
    volatile = Volatile(
        root=options.pop("root", None), persist=options.pop("persist", None), tmpfs=options.pop("tmpfs", ())
    )
    return replace(WEB, volatile=volatile, **options)


OUTER = BindMount(source="/srv/x", path="/data", readonly=False)
INNER = BindMount(source="/srv/y", path="/data/y")


@pytest.mark.parametrize("has_tmpfs_devices", [True, False])
@pytest.mark.parametrize(
    "inner", [{"persist": (Persist(path="/data/db"),)}, {"root": "tmpfs", "tmpfs": (Tmpfs(path="/data/db"),)}]
)
def test_what_is_below_a_bind_mount_is_refused_naming_both(inner: dict[str, Any], has_tmpfs_devices: bool) -> None:
    observed = replace(empty_host(), has_tmpfs_devices=has_tmpfs_devices)
    with pytest.raises(FleetError, match=r"bind mount at /data would cover the (volume|tmpfs) at /data/db"):
        plan_container(with_mounts(bind_mounts=(OUTER,), **inner), BUILT, observed)


def test_a_bind_mount_below_any_is_fine() -> None:
    bind = {"bind_mounts": (BindMount(source="/srv/y", path="/data/y"),)}
    plan_container(with_mounts(persist=(Persist(path="/data"),), **bind), BUILT, empty_host())
    with_devices = replace(empty_host(), has_tmpfs_devices=True)
    plan_container(with_mounts(root="tmpfs", tmpfs=(Tmpfs(path="/data"),), **bind), BUILT, with_devices)
    plan_container(with_mounts(bind_mounts=(OUTER, INNER)), BUILT, empty_host())
    with pytest.raises(FleetError, match="bind mount at /data/y is below the bind mount at /data, and the host has"):
        missing = replace(empty_host(), absent_points=frozenset(("/srv/x/y",)))
        plan_container(with_mounts(bind_mounts=(OUTER, INNER)), BUILT, missing)


def test_a_bind_mount_below_a_tmpfs_of_raw_lxc_has_no_mount_point() -> None:
    """LXC makes the mount points in the order of the lines, and raw.lxc comes last, before what is idmapped."""
    bind = (BindMount(source="/srv/y", path="/data/y"),)
    tmpfs = {"root": "tmpfs", "tmpfs": (Tmpfs(path="/data"),)}
    with pytest.raises(FleetError, match=r"bind mount at /data/y is below the tmpfs at /data, which raw\.lxc"):
        plan_container(with_mounts(bind_mounts=bind, **tmpfs), BUILT, empty_host())
    line = "lxc.mount.entry = /srv/z data/z none bind,create=dir,idmap=container 0 0"
    below = f"lxc.mount.entry = inx-tmpfs data tmpfs create=dir 0 0\n{line}"
    assert [mount.hider for mount in tree({}, raw_lxc=below)] == [None, None]


def test_a_mount_point_that_incus_would_delete_waits_for_a_stop() -> None:
    file = BindMount(source="/srv/file", path="/etc/file")
    running = replace(applied(with_mounts(bind_mounts=(file, OUTER, INNER))), files=frozenset(("/srv/file",)))
    for left in ((OUTER, INNER), (file, OUTER), (replace(file, readonly=False), OUTER, INNER)):
        old = plan_container(with_mounts(bind_mounts=left), BUILT, running)
        assert (old.steps, old.restart_required) == ((), True)
        new = plan_container(with_mounts(bind_mounts=left), BUILT, replace(running, has_tmpfs_devices=True))
        assert (actions(new), new.restart_required) == (["update"], False)


def test_an_outer_mount_that_changes_waits_for_a_stop() -> None:
    running = replace(applied(with_mounts(bind_mounts=(INNER,))), has_tmpfs_devices=True)
    both = with_mounts(bind_mounts=(INNER, OUTER))
    waiting = plan_container(both, BUILT, running)
    assert (waiting.steps, waiting.restart_required) == ((), True)
    assert actions(plan_container(replace(both, state="restarted"), BUILT, running)) == ["stop", "update", "start"]
    # Together, or where nothing is below, nothing has to wait.
    assert actions(plan_container(both, BUILT, running_host())) == ["update"]
    nested = replace(applied(both), has_tmpfs_devices=True)
    gone = plan_container(with_mounts(bind_mounts=(INNER,)), BUILT, nested)
    assert (gone.steps, gone.restart_required) == ((), True)
    assert actions(plan_container(with_mounts(bind_mounts=()), BUILT, nested)) == ["update"]


def test_profiles_wait_when_a_mount_of_theirs_has_to() -> None:
    profile = Profile(name="data", devices={"data": {**DISK, "path": "/data", "shift": "true"}})
    observed = empty_host(DEFAULT_PROFILE, STORE_PROFILE, profile)
    declared = with_mounts(bind_mounts=(INNER,))
    running = after(plan_container(declared, BUILT, observed), observed)
    more = replace(declared, profiles=("default", "data"), config={"user.a": "1"})
    plan = plan_container(more, BUILT, running)
    assert [step.after for step in plan.steps] == [{"config": {"user.a": "1"}}]
    assert plan.restart_required


def test_what_others_have_mounted_is_warned_of_and_holds_nothing_up() -> None:
    running = running_host()
    assert running.instance is not None
    devices = {**running.instance.devices, "odd": {**DISK, "path": "/run/odd"}}
    odd = with_instance(running, devices=devices)
    plan = plan_container(replace(WEB, config={"user.a": "1"}), BUILT, odd)
    assert actions(plan) == ["update"]
    assert "'odd' at /run/odd would be hidden" in plan.warnings[0]
    with pytest.raises(FleetError, match="'odd' at /run/odd would be hidden"):
        plan_container(replace(WEB, devices={"odd": {"type": "disk", "readonly": "true"}}), BUILT, odd)


def applied(declared: Container) -> Observed:
    observed = empty_host()
    return after(plan_container(declared, BUILT, observed), observed)
