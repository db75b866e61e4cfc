# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the real file system, with an Incus that is stood in for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container import pruning, run_locks
from ansible_collections.inx.fleet.plugins.module_utils.container.pruning import Rule, prune, rule_from
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.nix import profiles as nix_profiles
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import STORED_FAILED

NOW = 2_000_000_000.0
ALL = Rule(keep=2, before=NOW)


def system(number: int) -> str:
    return f"/nix/store/{number:032}-system-{number}"


@dataclass
class StandIn:
    """An Incus that lists instances, hides some, and says which system those run that run."""

    instances: list[Instance]
    hidden: frozenset[str] = frozenset()
    runs: Mapping[str, str | None] = field(default_factory=dict)
    server: Any = field(default_factory=lambda: SimpleNamespace(member=None))

    def instances_everywhere(self) -> list[Instance]:
        return self.instances

    def is_gone(self, lxc: str) -> bool:
        if lxc in self.hidden:
            raise FleetError("No permission.", "Ask.")
        return True

    def running_system(self, instance: Instance) -> str | None:
        return self.runs.get(instance.name)


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The profile of web, with five generations."""
    for module in (nix_profiles, pruning, run_locks):
        monkeypatch.setattr(module, "PROFILES_DIR", str(tmp_path))
    monkeypatch.setattr(nix_profiles, "is_lost", lambda path: False)
    record(tmp_path / "web")
    return tmp_path


def record(directory: Path) -> None:
    directory.mkdir()
    for number in range(1, 6):
        (directory / f"system-{number}-link").symlink_to(system(number))
    (directory / "system").symlink_to("system-5-link")


def left(profile: Path) -> list[int]:
    return sorted(int(name.split("-")[1]) for name in os.listdir(profile) if name.startswith("system-"))


def pruned(
    incus: StandIn, rule: Rule = ALL, project: str | None = None, *, check: bool = False
) -> tuple[dict[tuple[str, str], list[int]], list[str]]:
    found, warnings = prune(incus, project, rule, check=check)  # type: ignore[arg-type]
    return {(one.project, one.container): list(one.generations) for one in found}, warnings


def test_old_generations_go(profiles: Path) -> None:
    incus = StandIn([Instance(name="web", status="Running")], runs={"web": system(2)})
    assert pruned(incus, check=True) == ({("default", "web"): [1, 3]}, [])
    assert left(profiles / "web") == [1, 2, 3, 4, 5]
    assert pruned(incus) == ({("default", "web"): [1, 3]}, [])
    assert left(profiles / "web") == [2, 4, 5]
    assert pruned(incus) == ({}, [])
    assert sorted(os.listdir(profiles)) == ["web"]


def test_bad_ones_are_not_counted(profiles: Path) -> None:
    notes = {STORED_FAILED: f"{system(3)} {system(4)}"}
    devices = {"nixprofiles": {"source": "/nix/var/nix/profiles/inx-container/web"}}
    pruned(StandIn([Instance(name="web", config=notes, devices=devices)]))
    assert left(profiles / "web") == [2, 4, 5]


def test_young_ones_stay(profiles: Path) -> None:
    assert pruned(StandIn([Instance(name="web")]), Rule(keep=2, before=1.0)) == ({}, [])


def test_one_that_is_gone_needs_no_more_than_others(profiles: Path) -> None:
    assert pruned(StandIn([])) == ({("default", "web"): [1, 2, 3]}, [])


def test_projects_are_told_apart(profiles: Path) -> None:
    record(profiles / "shop_web")
    assert pruned(StandIn([]), project="shop") == ({("shop", "web"): [1, 2, 3]}, [])
    assert left(profiles / "web") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("incus", "why"),
    [
        (StandIn([], hidden=frozenset({"web"})), "No permission."),
        (StandIn([Instance(name="web", status="Error")]), "cannot look at web"),
        (StandIn([Instance(name="web", status="Running")]), "does not report which system it runs"),
    ],
)
def test_one_of_which_too_little_is_known_keeps_all(profiles: Path, incus: StandIn, why: str) -> None:
    found, warnings = pruned(incus)
    assert found == {}
    assert left(profiles / "web") == [1, 2, 3, 4, 5]
    assert len(warnings) == 1
    assert why in warnings[0]


def test_one_that_another_run_works_on_keeps_all(profiles: Path) -> None:
    with run_locks.Locks("another", 0) as locks:
        locks.take_free(["web"])
        found, warnings = pruned(StandIn([Instance(name="web")]))
    assert found == {}
    assert warnings == ["All generations of web stay. Another run works on it. Run again when that has ended."]


def test_a_host_without_any_profile_has_nothing_to_prune(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "PROFILES_DIR", str(profiles / "none"))
    assert pruned(StandIn([])) == ({}, [])


def test_ages() -> None:
    assert rule_from(2, "30d", NOW) == Rule(keep=2, before=NOW - 30 * 86_400)
    for keep, age in ((0, "0d"), (1, "30"), (1, "d"), (1, "1y"), (1, "-1d")):
        with pytest.raises(FleetError):
            rule_from(keep, age, NOW)
