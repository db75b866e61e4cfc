# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, State
from ansible_collections.inx.fleet.plugins.module_utils.container.placement import owner, placed
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Cluster

WEB = Container(name="web")
MEMBERS = frozenset(("a", "b", "c"))
NAMES = st.text("abcdefgh0123", min_size=1)


def seen_by(member: str, online: frozenset[str] = MEMBERS) -> Cluster:
    return Cluster(member=member, members=MEMBERS, online=online)


def test_a_server_without_a_cluster_places_nothing() -> None:
    assert placed(WEB, None, None) == WEB


def test_a_server_without_a_cluster_refuses_a_target() -> None:
    with pytest.raises(FleetError, match="not a member of a cluster"):
        placed(replace(WEB, target="a"), None, None)


def test_a_target_must_be_a_member() -> None:
    with pytest.raises(FleetError, match="It has: a, b, c"):
        placed(replace(WEB, target="d"), None, seen_by("a"))


@pytest.mark.parametrize(
    ("target", "location", "state", "expected"),
    [
        ("b", None, "started", "b"),
        ("b", "a", "started", "b"),
        ("b", "a", "absent", "a"),
        (None, "c", "started", "c"),
        (None, "c", "absent", "c"),
        (None, None, "absent", "a"),
    ],
)
def test_who_takes_a_container(target: str | None, location: str | None, state: State, expected: str) -> None:
    assert placed(replace(WEB, target=target, state=state), location, seen_by("a")).target == expected


def test_an_evacuated_member_starts_nothing_and_makes_nothing() -> None:
    evacuated = seen_by("a", online=frozenset("b"))
    assert {placed(Container(name=f"c{number}"), None, evacuated).target for number in range(20)} == {"b"}
    for declared, location in ((replace(WEB, target="a"), None), (WEB, "a")):
        with pytest.raises(FleetError, match="belongs to a, which is evacuated"):
            placed(declared, location, evacuated)
        assert placed(replace(declared, state="absent"), location, evacuated).target == "a"
    assert placed(replace(WEB, target="a"), "b", seen_by("c", online=frozenset("c"))).target == "a"


@given(name=NAMES)
def test_all_members_agree_on_who_makes_a_new_one(name: str) -> None:
    makers = {placed(Container(name=name), None, seen_by(member)).target for member in MEMBERS}
    assert len(makers) == 1
    assert makers <= MEMBERS


@given(name=NAMES, members=st.sets(NAMES, min_size=2))
def test_a_member_that_goes_moves_only_its_own(name: str, members: set[str]) -> None:
    before = owner(name, members)
    for gone in members - {before}:
        assert owner(name, members - {gone}) == before


def test_new_containers_are_spread() -> None:
    counts = dict.fromkeys(MEMBERS, 0)
    for number in range(300):
        counts[owner(f"web-{number}", MEMBERS)] += 1
    assert min(counts.values()) > 70


def test_what_does_not_answer_makes_nothing() -> None:
    cluster = seen_by("a", online=frozenset("a"))
    assert {placed(Container(name=f"c{number}"), None, cluster).target for number in range(20)} == {"a"}
