# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.raw_lxc import INIT_LINE
from ansible_collections.inx.fleet.plugins.module_utils.container.secret_device import GUARD
from ansible_collections.inx.fleet.plugins.module_utils.container.secrets import (
    Due,
    SecretNotes,
    SecretsSeen,
    file_of,
    secrets_change,
)
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.start_config import StartConfig
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    NEW,
    actions,
    after,
    declared,
    empty_host,
    running_host,
    with_instance,
)

_KEYS: dict[str, Any] = {
    "content": None,
    "encoding": "text",
    "owner": "root",
    "group": "root",
    "mode": "0400",
    "path": None,
    "units": None,
    "reload": False,
    "optional": False,
}


def web(*secrets: dict[str, Any], **options: Any) -> Container:
    return declared(system=NEW, secrets=[{**_KEYS, "name": "token", **entry} for entry in secrets], **options)


MARKER = b"what nobody is told"
NAMES = st.text("abc", min_size=1, max_size=2)
ENTRIES = st.lists(
    st.fixed_dictionaries(
        {
            "name": NAMES,
            "content": st.sampled_from([b"1", b"2"]).map(lambda data: base64.b64encode(MARKER + data).decode()),
            "encoding": st.just("base64"),
            "owner": st.sampled_from(["root", "7"]),
            "path": st.none() | NAMES.map(lambda name: f"/etc/{name}"),
        }
    ),
    max_size=4,
    unique_by=(lambda entry: entry["name"], lambda entry: entry["path"] or entry["name"]),
)


@given(ENTRIES, ENTRIES, st.booleans(), st.booleans())
def test_what_was_brought_needs_no_change(
    first: list[dict[str, Any]], second: list[dict[str, Any]], at_rest: bool, later_at_rest: bool
) -> None:
    host = empty_host()
    for entries, rests in ((first, at_rest), (second, later_at_rest)):
        container = web(*entries, secrets_at_rest=rests)
        plan = plan_container(container, BUILT, host)
        host = after(plan, host)
        assert actions(plan_container(container, BUILT, host)) == []
        assert set(host.secrets.files) == {entry["name"] for entry in entries}
        # Nothing that a plan tells has a content, encoded or not.
        told = repr([(step.summary, step.before, step.after) for step in plan.steps]) + repr(container)
        assert MARKER.decode() not in told
        assert base64.b64encode(MARKER).decode().rstrip("=")[:-1] not in told


def test_files_come_before_what_uses_them_and_go_with_the_container() -> None:
    container = web({"content": "a"})
    plan = plan_container(container, BUILT, empty_host())
    assert actions(plan) == ["secrets", "create", "record", "start"]
    host = after(plan, empty_host())
    assert host.instance is not None
    assert host.instance.devices["inx-secrets"]["source"] == "/run/inx-fleet/secrets/web"
    gone = plan_container(declared(state="absent"), None, host)
    assert actions(gone) == ["stop", "forget", "secrets", "delete"]
    assert actions(plan_container(web(), BUILT, host)) == ["secrets", "update"]
    assert actions(plan_container(declared(system=NEW), BUILT, host)) == []


def test_the_device_of_another_container_goes() -> None:
    host = running_host(web({"content": "a"}))
    assert host.instance is not None
    other = {"type": "disk", "source": "/run/inx-fleet/secrets/other", "path": "/inx/secrets"}
    copied = with_instance(host, devices={**host.instance.devices, "inx-secrets": other})
    after_it = {"config": {"raw.lxc": INIT_LINE}, "devices": {"inx-secrets": None}}
    assert plan_container(declared(system=NEW), BUILT, copied).steps[0].after == after_it


def test_a_copy_is_kept_out_by_a_line_that_comes_and_goes_with_the_device_and_needs_no_restart() -> None:
    container = web({"content": "a"})
    host = running_host(container)
    assert host.instance is not None
    guard, init = host.instance.config["raw.lxc"].splitlines()
    assert guard.startswith(GUARD) and guard.endswith(" web") and init == INIT_LINE
    # As on one of an earlier release, whatever it was started with.
    started = replace(host, started=StartConfig(raw_lxc=frozenset([INIT_LINE])))
    plan = plan_container(container, BUILT, with_instance(started, config={"raw.lxc": INIT_LINE}))
    assert [step.after for step in plan.steps] == [{"config": {"raw.lxc": f"{guard}\n{INIT_LINE}"}}]
    assert not plan.warnings
    assert not plan_container(container, BUILT, started).warnings
    # A copy has that of the original.
    copied = {"raw.lxc": f"{GUARD} other\n{INIT_LINE}"}
    plan = plan_container(container, BUILT, with_instance(started, config=copied))
    assert plan.steps[0].after["config"]["raw.lxc"] == f"{guard}\n{INIT_LINE}"
    (_secrets, update) = plan_container(web(), BUILT, started).steps
    assert update.after == {"config": {"raw.lxc": INIT_LINE}, "devices": {"inx-secrets": None}}


def test_units_are_restarted_once_after_a_switch() -> None:
    old = running_host(web({"content": "a", "units": ["app"]}))
    changed = web({"content": "b", "units": ["app"]})
    plan = plan_container(changed, BUILT, old)
    assert actions(plan) == ["secrets", "restart_units"]
    assert plan.steps[-1].after == {"secret_units": {"app.service": "restart"}}
    another = replace(BUILT, path=NEW.replace("web-2", "web-3"))
    assert actions(plan_container(changed, another, old)) == ["secrets", "record", "activate", "restart_units"]
    assert actions(plan_container(replace(changed, state="restarted"), BUILT, old)) == ["secrets", "restart"]
    assert actions(plan_container(replace(changed, state="stopped"), BUILT, old)) == ["secrets", "stop"]


def test_a_unit_that_was_not_restarted_is_due() -> None:
    container = web({"content": "a", "units": ["app"]})
    host = running_host(container)
    due = {"app.service": Due(since=1), "gone.service": Due(since=1)}
    waiting = replace(host, secrets=replace(host.secrets, notes=replace(host.secrets.notes, due=due)))
    plan = plan_container(container, BUILT, waiting)
    assert [step.after for step in plan.steps] == [{"secret_units": {"app.service": "restart"}}]


def test_a_unit_is_reloaded_unless_one_of_its_secrets_restarts_it() -> None:
    secrets = web(
        {"name": "a", "content": "a", "units": ["x", "y"], "reload": True},
        {"name": "b", "content": "b", "units": ["y"]},
    ).secret_files
    change = secrets_change(secrets, "web", SecretsSeen(), at_rest=False, is_unmounted=False)
    assert change.units == {"x.service": True, "y.service": False}


def test_an_owner_is_known_by_the_running_system_or_from_before() -> None:
    (secret,) = web({"content": "a", "owner": "app", "group": "8"}).secret_files or ()
    assert file_of(secret, "web", SecretsSeen()).uid == 0
    noted = SecretsSeen(notes=SecretNotes(ids={("user", "app"): 7, ("group", "app"): 9}))
    assert (file_of(secret, "web", noted).uid, file_of(secret, "web", noted).gid) == (7, 8)
    assert file_of(secret, "web", replace(noted, ids={("user", "app"): 6})).uid == 6


def test_the_hash_of_a_content_is_of_one_container_and_one_key() -> None:
    (secret,) = web({"content": "a"}).secret_files or ()
    seen = SecretsSeen(key=b"k")
    found = {file_of(secret, lxc, one).digest for lxc in ("web", "db") for one in (seen, SecretsSeen(key=b"l"))}
    assert len(found) == 4


def test_what_a_system_expects_is_declared_or_refused() -> None:
    expecting = replace(BUILT, expects=("token", "other"))
    with pytest.raises(FleetError, match="its system expects secrets that have no content: other"):
        plan_container(web({"content": "a"}), expecting, empty_host())
    both = web({"content": "a"}, {"name": "other", "content": "b"})
    assert "start" in actions(plan_container(both, expecting, empty_host()))
    absent = declared(state="absent")
    assert actions(plan_container(absent, expecting, empty_host())) == []


def test_an_owner_that_the_running_system_lacks_is_refused_unless_another_system_may_bring_it() -> None:
    container = web({"content": "a", "owner": "app"})
    host = running_host(container)
    seen = replace(host, secrets=replace(host.secrets, ids={}))
    with pytest.raises(FleetError, match="the user 'app', which the system does not have"):
        plan_container(container, BUILT, seen)
    another = replace(BUILT, path=NEW.replace("web-2", "web-3"))
    assert "activate" in actions(plan_container(container, another, seen))


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({}, "has no content"),
        ({"content": ""}, "has no content"),
        ({"content": "a!", "encoding": "base64"}, "is not base64"),
        ({"content": "a", "name": "a/b"}, "this is not a name"),
        ({"content": "a", "name": ".key"}, "this is not a name"),
        ({"content": "a", "path": "etc/x"}, "is not the path of a file"),
        ({"content": "a", "path": "/etc/../x"}, "is not the path of a file"),
        ({"content": "a", "path": "/etc/x/"}, "is not the path of a file"),
        ({"content": "a", "path": "/etc"}, "is not in a directory"),
        ({"content": "a", "path": "/nix/store/x"}, "is in /nix"),
        ({"content": "a", "path": "/run/x"}, "is in /run"),
        ({"content": "a", "path": "/inx/secrets/other"}, "is in /inx/secrets"),
        ({"content": "a", "mode": "9"}, "is not a mode"),
        ({"content": "a", "mode": "4755"}, "is not a mode"),
        ({"content": "a", "owner": "a:b"}, "is not a name of the container's system"),
        ({"content": "a", "owner": "4294967295"}, "is not a name of the container's system"),
        ({"content": "a", "units": ["--user"]}, "is not the name of a unit"),
        ({"content": "a" * 700_001}, "larger than 700000 bytes together"),
    ],
)
def test_what_cannot_be_is_refused(entry: dict[str, Any], problem: str) -> None:
    with pytest.raises(FleetError, match=problem) as caught:
        web(entry)
    assert str(entry.get("content") or "nothing")[:50] not in str(caught.value) or entry["content"] in ("a", "")


def test_names_and_paths_are_distinct() -> None:
    with pytest.raises(FleetError, match="declared twice: token"):
        web({"content": "a"}, {"content": "b"})
    with pytest.raises(FleetError, match="they are more than 500"):
        web(*({"name": f"s{number}", "content": "a"} for number in range(501)))
    for path in ("/etc/x", "/etc/x/y"):
        with pytest.raises(FleetError, match="/etc/x"):
            web({"content": "a", "path": "/etc/x"}, {"name": "b", "content": "b", "path": path})
    with pytest.raises(FleetError, match="a mount at /inx would hide /inx/secrets"):
        declared(system=NEW, bind_mounts=[{**_BIND, "path": "/inx"}])


_BIND = {"source": "/srv", "readonly": True, "required": True, "shift": True}


def test_a_path_in_a_mount_is_refused() -> None:
    container = web({"content": "a", "path": "/data/key"}, bind_mounts=[{**_BIND, "path": "/data"}])
    with pytest.raises(FleetError, match="the path /data/key of the secret 'token' is over the mount at /data"):
        plan_container(container, BUILT, empty_host())


def test_one_that_is_optional_may_have_no_content() -> None:
    assert web({"content": "", "optional": True}).secret_files == ()
