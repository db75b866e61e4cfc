# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies and renamed containers, which use the profile directory of another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container import notes, pruning, run_locks, unused
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.kind import booted_directory, is_foreign, users_of
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import ContainerSet
from ansible_collections.inx.fleet.plugins.module_utils.container.set_plan import plan_set
from ansible_collections.inx.fleet.plugins.module_utils.container.unused import remove_unused, unused_profiles
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.nix import profiles as nix_profiles
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generations
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import StorePath
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    BUILT,
    NEW,
    WEB,
    actions,
    after,
    empty_host,
    running_host,
    with_instance,
)

OWN = "/nix/var/nix/profiles/inx-container"


def mounting(source: str, name: str = "web-debug", project: str = "default") -> Instance:
    device = {"nixprofiles": {"type": "disk", "source": source, "path": "/nix/var/nix/profiles"}}
    return Instance(name=name, project=project, devices=device, expanded_devices=device)


@pytest.mark.parametrize(
    ("instance", "foreign", "directory"),
    [
        (mounting(f"{OWN}/web", "web"), False, f"{OWN}/web"),
        (mounting(f"{OWN}/shop_web", "web", "shop"), False, f"{OWN}/shop_web"),
        (mounting(f"{OWN}/web"), True, f"{OWN}/web"),
        (mounting(f"{OWN}/web", "web", "shop"), True, f"{OWN}/web"),
        (mounting("/srv/elsewhere"), True, f"{OWN}/web-debug"),
        (mounting(f"{OWN}/.notes"), True, f"{OWN}/web-debug"),
        (mounting(f"{OWN}/web/../../other"), True, f"{OWN}/web-debug"),
        (Instance(name="web"), False, f"{OWN}/web"),
    ],
)
def test_a_container_is_known_by_its_profile_directory(instance: Instance, foreign: bool, directory: str) -> None:
    assert (is_foreign(instance), booted_directory(instance)) == (foreign, directory)


def test_users_are_those_of_all_projects() -> None:
    there = [mounting(f"{OWN}/web"), mounting(f"{OWN}/web", "c", "shop"), mounting(f"{OWN}/db", "db")]
    assert users_of(f"{OWN}/web", there) == {"web-debug", "shop_c"}


def test_a_directory_that_a_copy_uses_stays_with_a_warning() -> None:
    host = replace(running_host(), users=frozenset(("shop_web-debug",)))
    plan = plan_container(Container(name="web", state="absent"), None, host)
    assert actions(plan) == ["stop", "delete"]
    assert plan.warnings == (
        f"{OWN}/web is kept, because web-debug of the project shop boots from it. Declare that container to give it a "
        "profile directory of its own.",
    )
    assert actions(plan_container(Container(name="web", state="absent"), None, after(plan, host))) == []


@pytest.mark.parametrize(
    ("user", "advice"),
    [("web2", "'incus rename web2 web', or declare it by its new name"), ("shop_web2", "renamed, declare it by its")],
)
def test_nothing_is_created_in_a_directory_that_another_uses(user: str, advice: str) -> None:
    host = replace(empty_host(), generations=Generations(paths={1: NEW}, current=1), users=frozenset((user,)))
    with pytest.raises(FleetError) as raised:
        plan_container(WEB, BUILT, host)
    assert "was renamed, or is a copy of one that is gone" in str(raised.value)
    assert advice in str(raised.value)


def test_a_copy_gets_a_directory_of_its_own_when_it_is_declared() -> None:
    host = running_host()
    assert host.instance is not None
    device = {**host.instance.devices["nixprofiles"], "source": f"{OWN}/other"}
    copied = with_instance(host, devices={**host.instance.devices, "nixprofiles": device})
    copied = replace(copied, generations=Generations(directory=False))
    plan = plan_container(WEB, BUILT, copied)
    assert actions(plan) == ["update", "record"]
    assert plan.steps[0].after["devices"]["nixprofiles"]["source"] == f"{OWN}/web"


def test_a_purge_leaves_copies_and_says_so() -> None:
    web = Container(name="web", source=StorePath(path=NEW), set_name="main")
    host = empty_host()
    gone = after(plan_container(web, BUILT, host), host)
    assert gone.instance is not None
    copied = replace(gone, instance=replace(gone.instance, name="copied"))
    declared = ContainerSet(containers=(), name="main", purge=True, purge_limit=1)
    seen: dict[str, Observed] = {"web": gone, "copied": copied}
    plans = {plan.container.name: plan for plan in plan_set(declared, {}, seen)}
    assert actions(plans["web"]) == ["stop", "forget", "delete"]
    assert actions(plans["copied"]) == []
    assert "copied is not purged: it uses the profile directory" in plans["copied"].warnings[0]
    assert plan_set(replace(declared, purge=False), {}, seen) == []


@dataclass
class StandIn:
    """An Incus that lists instances, of which some are hidden, and knows which have come since."""

    instances: list[Instance]
    are_all: bool = True
    new: frozenset[str] = frozenset()
    server: Any = None

    def all_instances(self) -> tuple[list[Instance], bool]:
        return self.instances, self.are_all

    def is_gone(self, lxc: str) -> bool:
        return lxc not in self.new


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directories of three containers, and the notes on one."""
    for module in (nix_profiles, pruning, run_locks, unused):
        monkeypatch.setattr(module, "PROFILES_DIR", str(tmp_path))
    monkeypatch.setattr(nix_profiles, "is_lost", lambda path: False)
    monkeypatch.setattr(notes, "NOTES_DIR", str(tmp_path / ".notes"))
    monkeypatch.setattr(unused, "Notes", lambda incus: notes.Notes(incus, str(tmp_path / ".notes")))
    for name in ("web", "old", "shop_old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "system-1-link").symlink_to(NEW)
        (tmp_path / name / "system").symlink_to("system-1-link")
    (tmp_path / ".notes").mkdir()
    (tmp_path / ".notes" / "old.json").write_text("{}")
    return tmp_path


def found(incus: StandIn, project: str | None = None) -> list[str] | None:
    unused = unused_profiles(incus, project)  # type: ignore[arg-type]
    return None if unused is None else [f"{one.project}/{one.container}" for one in unused]


def test_a_directory_is_unused_when_no_instance_has_its_name_or_mounts_it(profiles: Path) -> None:
    web = Instance(name="web")
    assert found(StandIn([web])) == ["default/old", "shop/old"]
    assert found(StandIn([web]), "shop") == ["shop/old"]
    assert found(StandIn([web, mounting(f"{profiles}/old", "renamed")])) == ["shop/old"]
    assert found(StandIn([web], are_all=False)) is None


def test_what_is_unused_goes_with_what_is_remembered(profiles: Path) -> None:
    incus: Any = StandIn([Instance(name="web")])
    assert [one.container for one in remove_unused(incus, "default", check=True)[0]] == ["old"]
    assert (profiles / "old").exists()
    removed, warnings = remove_unused(incus, "default", check=False)
    assert ([one.path for one in removed], warnings) == ([f"{profiles}/old"], [])
    assert not (profiles / "old").exists() and not (profiles / ".notes" / "old.json").exists()
    assert (profiles / "web").exists() and (profiles / "shop_old").exists()


def test_what_has_come_since_stays(profiles: Path) -> None:
    incus: Any = StandIn([Instance(name="web")], new=frozenset(("old",)))
    removed, (warning,) = remove_unused(incus, "default", check=False)
    assert removed == [] and "Incus has old by now" in warning
    assert (profiles / "old").exists()
    incus = StandIn([], are_all=False)
    assert "not all instances" in remove_unused(incus, None, check=False)[1][0]
