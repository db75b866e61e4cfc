# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host remembers of containers, and of which instances it believes that."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.notes import Notes, parsed, remembered
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import (
    ACTIVATING,
    FAILED,
    HEALTHY,
    STORED_FAILED,
    STORED_NOTES,
)
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, OLD, after, empty_host

WEB = Container(name="web")
OWN = {"nixprofiles": {"source": "/nix/var/nix/profiles/inx-container/web"}}
OLD_KEYS = {"user.inx.healthy": OLD, "user.inx.failed": NEW, "user.inx.set": "main"}


def web(uuid: str = "1", **config: str) -> Instance:
    return Instance(name="web", config={"volatile.uuid": uuid, **config}, devices=OWN)


@dataclass
class OneIncus:
    """An Incus with one instance at most, on a member of a cluster or not."""

    found: Instance | None = field(default_factory=web)
    member: str | None = None
    noted: list[dict[str, str]] = field(default_factory=list)

    @property
    def server(self) -> SimpleNamespace:
        return SimpleNamespace(member=self.member)

    def instance(self, name: str) -> Instance | None:
        return self.found

    def note(self, name: str, notes: dict[str, str]) -> None:
        self.noted.append(notes)


def notes(tmp_path: Path, incus: OneIncus | None = None) -> Notes:
    return Notes(incus or OneIncus(), str(tmp_path / ".notes"))  # type: ignore[arg-type]


def seen(tmp_path: Path, instance: Instance) -> dict[str, str]:
    """Return what a later run takes for remembered."""
    return dict(notes(tmp_path).with_notes(instance).notes)


def test_what_a_run_remembers_the_next_one_knows(tmp_path: Path) -> None:
    run = notes(tmp_path)
    run.change(WEB, {ACTIVATING: NEW, HEALTHY: OLD})
    assert seen(tmp_path, web()) == {ACTIVATING: NEW, HEALTHY: OLD}
    run.change(WEB, {ACTIVATING: ""})
    assert run.of(WEB) == seen(tmp_path, web()) == {HEALTHY: OLD}
    run.forget(WEB)
    run.forget(WEB)
    assert os.listdir(tmp_path / ".notes") == []


def test_what_is_not_to_change_anything_writes_nothing(tmp_path: Path) -> None:
    run = notes(tmp_path)
    run.change(WEB, {HEALTHY: OLD})
    before = os.stat(tmp_path / ".notes" / "web.json").st_ino
    run.change(WEB, {ACTIVATING: OLD}, unless={HEALTHY: OLD})
    run.change(WEB, {HEALTHY: OLD, ACTIVATING: ""})
    assert os.stat(tmp_path / ".notes" / "web.json").st_ino == before
    run.change(WEB, {ACTIVATING: NEW}, unless={HEALTHY: NEW})
    assert seen(tmp_path, web()) == {HEALTHY: OLD, ACTIVATING: NEW}


def test_of_an_instance_that_is_gone_nothing_is_remembered(tmp_path: Path) -> None:
    run = notes(tmp_path, OneIncus(found=None))
    run.change(WEB, {ACTIVATING: NEW})
    assert (run.of(WEB), (tmp_path / ".notes").exists()) == ({}, False)


def test_another_instance_of_the_name_has_no_memory_of_the_first(tmp_path: Path) -> None:
    notes(tmp_path).change(WEB, {FAILED: NEW})
    other = web("2", **OLD_KEYS)
    assert seen(tmp_path, other) == {}
    notes(tmp_path, OneIncus(found=other)).change(WEB, {HEALTHY: NEW})
    assert seen(tmp_path, other) == {HEALTHY: NEW}


def test_notes_of_an_earlier_release_are_believed_until_there_is_a_file(tmp_path: Path) -> None:
    assert seen(tmp_path, web(**OLD_KEYS)) == {HEALTHY: OLD, FAILED: NEW}
    run = notes(tmp_path, OneIncus(found=web(**OLD_KEYS)))
    run.change(WEB, {})
    run.change(WEB, {FAILED: ""})
    # As a snapshot of that time brings them back.
    assert seen(tmp_path, web(**OLD_KEYS)) == {HEALTHY: OLD}


def test_notes_on_a_copy_are_those_of_what_it_was_copied_from(tmp_path: Path) -> None:
    copy = Instance(name="copy", config={"volatile.uuid": "2", **OLD_KEYS}, devices=OWN)
    assert seen(tmp_path, copy) == {}
    there = Instance(name="web", project="shop", config=OLD_KEYS, devices=OWN)
    assert seen(tmp_path, there) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"uuid": "1"}', '{"uuid": "1", "notes": []}'])
def test_a_file_that_says_nothing_is_as_none(tmp_path: Path, text: str) -> None:
    assert parsed(text) is None
    (tmp_path / ".notes").mkdir()
    (tmp_path / ".notes" / "web.json").write_text(text)
    assert seen(tmp_path, web(**OLD_KEYS)) == {HEALTHY: OLD, FAILED: NEW}


def test_a_file_that_cannot_be_read_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "web.json").mkdir()
    with pytest.raises(FleetError, match=r"web\.json cannot be read"):
        remembered(web(), str(tmp_path))


def test_a_write_that_was_cut_off_leaves_the_old_file_and_does_not_matter(tmp_path: Path) -> None:
    run = notes(tmp_path)
    run.change(WEB, {HEALTHY: OLD})
    (tmp_path / ".notes" / "web.json.new").write_text('{"uuid": "1", "no')
    assert seen(tmp_path, web()) == {HEALTHY: OLD}
    run.change(WEB, {HEALTHY: NEW})
    assert os.listdir(tmp_path / ".notes") == ["web.json"]


@pytest.mark.parametrize(("parent", "directory", "file"), [(0o755, 0o700, 0o600), (0o2770, 0o2770, 0o660)])
def test_who_may_write_the_profiles_may_write_the_notes_and_nobody_else_reads_them(
    tmp_path: Path, parent: int, directory: int, file: int
) -> None:
    tmp_path.chmod(parent)
    notes(tmp_path).change(WEB, {HEALTHY: OLD})
    found = tmp_path / ".notes", tmp_path / ".notes" / "web.json"
    assert [stat.S_IMODE(path.stat().st_mode) for path in found] == [directory, file]


def test_in_a_cluster_bad_systems_stand_on_the_instance_too(tmp_path: Path) -> None:
    incus = OneIncus(member="A")
    run = notes(tmp_path, incus)
    run.change(WEB, {ACTIVATING: NEW, HEALTHY: OLD})
    run.change(WEB, {FAILED: NEW})
    run.change(WEB, {FAILED: ""})
    assert incus.noted == [{STORED_FAILED: NEW}, {STORED_FAILED: ""}]


def test_of_what_is_elsewhere_only_what_stands_on_it_is_known(tmp_path: Path) -> None:
    run = notes(tmp_path, OneIncus(member="A"))
    run.change(WEB, {HEALTHY: OLD})
    at_b = Instance(name="web", config={"volatile.uuid": "1", STORED_FAILED: NEW}, devices=OWN, location="B")
    run = notes(tmp_path, OneIncus(member="A"))
    assert run.with_notes(at_b).notes == {FAILED: NEW}
    run.change(WEB, {})
    assert json.loads((tmp_path / ".notes" / "web.json").read_text()) == {"notes": {FAILED: NEW}, "uuid": "1"}


@pytest.mark.parametrize("status", ["Running", "Stopped"])
def test_what_earlier_releases_noted_leaves_the_instance_in_one_update(status: str) -> None:
    built = System(path=NEW, built=True)
    host = after(plan_container(WEB, built, empty_host()), empty_host())
    assert host.instance is not None
    keys = dict.fromkeys(STORED_NOTES, NEW)
    running = NEW if status == "Running" else None
    declared = Container(name="web", state="present")
    instance = replace(
        host.instance,
        config={**host.instance.config, **keys},
        status=status,
        running_system=running,
        notes={HEALTHY: NEW},
    )
    marked = replace(host, instance=instance)
    plan = plan_container(declared, built, marked)
    assert [(step.action, step.after) for step in plan.steps] == [("update", {"config": dict.fromkeys(keys)})]
    assert not plan.restart_required
    done = after(plan, marked)
    assert done.instance is not None
    assert done.instance.config == host.instance.config
    assert plan_container(declared, built, done).steps == ()


def test_in_a_cluster_the_bad_systems_on_the_instance_are_those_that_the_host_remembers() -> None:
    built = System(path=NEW, built=True)
    declared = Container(name="web", target="A")
    empty = empty_host()
    host = replace(empty, member="A")
    done = after(plan_container(declared, built, host), host)
    assert done.instance is not None
    here = replace(done.instance, location="A", notes={FAILED: OLD}, status="Running", running_system=NEW)
    (step,) = plan_container(declared, built, replace(done, instance=here)).steps
    assert step.after == {"config": {STORED_FAILED: OLD}}
    stale = replace(here, config={**here.config, STORED_FAILED: OLD}, notes={})
    (step,) = plan_container(declared, built, replace(done, instance=stale)).steps
    assert step.after == {"config": {STORED_FAILED: None}}
