# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.names import word
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System
from ansible_collections.inx.fleet.plugins.module_utils.nix.systems import (
    built_from,
    read_roots,
    roots_directory,
    write_roots,
)
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, OLD


def test_roots_of_what_is_declared_no_more_go_and_those_of_what_failed_stay(tmp_path: Path) -> None:
    directory = str(tmp_path / "metal1.main")
    write_roots(directory, built_from({name: System(path=OLD) for name in ("web", "db", "old")}, {}, {}))
    before = read_roots(directory)
    systems = {"web": System(path=NEW), "db": System(path=NEW)}
    built = built_from(systems, {"db": FleetError("it cannot be built", "Fix it.")}, before)
    write_roots(directory, built)
    assert built.systems == {"web": NEW}
    assert read_roots(directory) == built.after == {"web": NEW, "db": OLD}


def test_roots_of_what_is_not_chosen_stay() -> None:
    built = built_from({"web": System(path=NEW)}, {}, {"web": OLD, "db": OLD, "old": OLD}, others={"db"})
    assert built.after == {"web": NEW, "db": OLD}


def test_without_systems_no_directory_is_made(tmp_path: Path) -> None:
    write_roots(str(tmp_path / "none"), built_from({}, {}, {}))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_link_into_the_store_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    (tmp_path / "link").symlink_to("/etc/passwd")
    write_roots(str(tmp_path), built_from({}, {}, read_roots(str(tmp_path))))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "a" * 64, "ä"])
def test_names_that_are_no_part_of_a_path(name: str) -> None:
    with pytest.raises(FleetError, match="is not a valid name"):
        word(name, "name")


def test_what_a_killed_run_left_half_made_is_no_root_and_goes(tmp_path: Path) -> None:
    (tmp_path / "web").symlink_to(OLD)
    (tmp_path / f".web.{'0' * 16}").symlink_to(NEW)
    before = read_roots(str(tmp_path))
    assert before == {"web": OLD}
    write_roots(str(tmp_path), built_from({"web": System(path=OLD)}, {}, before))
    assert [path.name for path in tmp_path.iterdir()] == ["web"]


NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True).filter(lambda name: name.strip("."))
PROJECTS = st.from_regex(r"[A-Za-z0-9.:-]{1,20}", fullmatch=True).filter(lambda name: name not in (".", ".."))


@given(first=st.tuples(NAMES, st.none() | NAMES, PROJECTS), second=st.tuples(NAMES, st.none() | NAMES, PROJECTS))
def test_no_two_sets_share_a_directory(first: tuple[str, str | None, str], second: tuple[str, str | None, str]) -> None:
    def what(name: str, set_name: str | None, project: str) -> tuple[str | None, ...]:
        return (name, None, None) if set_name is None else (name, set_name, project)

    assert (roots_directory(*first) == roots_directory(*second)) == (what(*first) == what(*second))


@pytest.mark.parametrize(
    "parts", [("a/b", None, "default"), ("a", "b/c", "default"), ("a", "b", ".."), ("a:b", "c", "d")]
)
def test_no_name_leads_elsewhere(parts: tuple[str, str | None, str]) -> None:
    with pytest.raises(FleetError):
        roots_directory(*parts)
