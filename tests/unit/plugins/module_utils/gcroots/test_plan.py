# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.gcroots.plan import (
    Change,
    Look,
    Roots,
    RootsPlan,
    plan_renames,
    plan_roots,
    with_changes,
)

A = "/nix/store/00000000000000000000000000000000-a"
B = "/nix/store/11111111111111111111111111111111-b"
GONE = "/nix/store/22222222222222222222222222222222-collected"
VALID = frozenset((A, B))


def plan(
    kept: Mapping[str, Roots], looks: Mapping[str, Look], gone: frozenset[str] = frozenset(), max_roots: int = 100
) -> RootsPlan:
    return plan_roots(kept, looks, gone=gone, valid=VALID, max_roots=max_roots)


def verbs(made: RootsPlan) -> list[tuple[str, str, str]]:
    return [(change.action, change.container, change.path) for change in made.changes]


def after(kept: Mapping[str, Roots], changes: tuple[Change, ...]) -> dict[str, dict[str, str]]:
    """The roots when the changes are made, of containers that have any."""
    return {container: links for container, links in with_changes(kept, changes).items() if links}


def test_the_same_path_in_two_containers_has_two_roots() -> None:
    made = plan({}, {"a": Look(links={"/r": A}), "b": Look(links={"/r": B})})
    assert after({}, made.changes) == {"a": {"/r": A}, "b": {"/r": B}}


def test_a_link_that_leads_elsewhere_moves_its_root() -> None:
    assert verbs(plan({"a": {"/r": A}}, {"a": Look(links={"/r": B})})) == [("move", "a", "/r")]


def test_a_link_that_is_gone_drops_its_root() -> None:
    assert verbs(plan({"a": {"/r": A}}, {"a": Look(links={"/r": None})})) == [("drop", "a", "/r")]


def test_a_young_container_may_not_have_mounted_everything() -> None:
    assert verbs(plan({"a": {"/r": A}}, {"a": Look(links={"/r": None}, settled=False)})) == []


def test_a_path_that_was_not_looked_up_keeps_its_root() -> None:
    assert verbs(plan({"a": {"/r": A}}, {"a": Look()})) == []


def test_a_container_that_was_not_looked_into_keeps_its_roots() -> None:
    assert verbs(plan({"a": {"/r": A}}, {}, gone=frozenset("b"))) == []


def test_a_deleted_container_drops_its_roots() -> None:
    assert verbs(plan({"a": {"/r": A}, "b": {"/r": A}}, {}, gone=frozenset("a"))) == [("drop", "a", "/r")]


def test_a_container_of_which_nothing_is_known_keeps_its_roots() -> None:
    assert verbs(plan({"a": {"/r": A}}, {"b": Look(links={"/r": B})})) == [("add", "b", "/r")]


def test_what_is_not_in_the_store_gets_no_root_and_keeps_none() -> None:
    assert verbs(plan({}, {"a": Look(links={"/r": GONE})})) == []
    assert verbs(plan({"a": {"/r": A}}, {"a": Look(links={"/r": GONE})})) == [("drop", "a", "/r")]
    assert verbs(plan({"a": {"/r": GONE}}, {"a": Look(links={"/r": GONE})})) == [("drop", "a", "/r")]


def test_more_links_than_roots_are_told_and_those_that_are_rooted_stay() -> None:
    links = {f"/{number}": A for number in range(5)}
    made = plan({"a": {"/4": A}}, {"a": Look(links=links)}, max_roots=3)
    assert after({"a": {"/4": A}}, made.changes) == {"a": {"/0": A, "/1": A, "/4": A}}
    assert made.limits == ("a has 2 links more than its 3 roots (max_roots).",)


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.sampled_from(["/r", "/s", "/t/u"])
KEPT = st.dictionaries(NAMES, st.dictionaries(PATHS, st.sampled_from([A, B, GONE]), min_size=1))
LOOKS = st.dictionaries(
    NAMES,
    st.builds(Look, links=st.dictionaries(PATHS, st.sampled_from([A, B, GONE, None])), settled=st.booleans()),
)


@given(kept=KEPT, looks=LOOKS, gone=st.frozensets(NAMES), max_roots=st.integers(1, 3))
def test_one_sync_is_enough(
    kept: dict[str, dict[str, str]], looks: dict[str, Look], gone: frozenset[str], max_roots: int
) -> None:
    looks = {name: look for name, look in looks.items() if name not in gone}
    then = after(kept, plan(kept, looks, gone, max_roots).changes)
    assert plan(then, looks, gone, max_roots).changes == ()


@given(kept=KEPT, looks=LOOKS, gone=st.frozensets(NAMES), max_roots=st.integers(1, 3))
def test_no_root_is_dropped_of_what_was_not_looked_at(
    kept: dict[str, dict[str, str]], looks: dict[str, Look], gone: frozenset[str], max_roots: int
) -> None:
    for change in plan(kept, looks, gone, max_roots).changes:
        if change.after is None and change.container not in gone:
            assert change.path in looks[change.container].links


IDENTITIES = st.dictionaries(NAMES, st.sampled_from(["1", "2", "3"]))


def test_a_renamed_container_takes_its_roots_along() -> None:
    changes = plan_renames({"a": {"/r": A, "/s": B}}, {"a": "1"}, {"b": "1"}, {"a"})
    assert [(change.action, change.container, change.path) for change in changes] == [
        ("add", "b", "/r"),
        ("add", "b", "/s"),
        ("drop", "a", "/r"),
        ("drop", "a", "/s"),
    ]


def test_two_containers_that_swap_their_names_swap_their_roots() -> None:
    kept = {"a": {"/r": A}, "b": {"/r": B}}
    changes = plan_renames(kept, {"a": "1", "b": "2"}, {"a": "2", "b": "1"}, frozenset())
    assert after(kept, tuple(changes)) == {"a": {"/r": B}, "b": {"/r": A}}


def test_what_has_its_name_still_keeps_its_roots_there() -> None:
    """A copy has an identity of its own, and a backup that is imported under another name the same one."""
    kept = {"a": {"/r": A}}
    assert plan_renames(kept, {"a": "1"}, {"a": "1", "b": "1", "c": "2"}, frozenset()) == []
    assert plan_renames(kept, {}, {"b": "1"}, {"a"}) == []


def test_a_new_container_of_the_old_name_costs_no_root() -> None:
    kept = {"a": {"/r": A, "/s": B}}
    changes = plan_renames(kept, {"a": "1"}, {"a": "2", "b": "1"}, frozenset())
    assert after(kept, tuple(changes)) == {**kept, "b": kept["a"]}


@example(
    kept={"a": {"/s": A}, "b": {"/s": B}, "c": {"/s": A}},
    recorded={"a": "2", "b": "1"},
    current={"b": "2", "c": "1"},
    gone=frozenset(),
)
@example(
    kept={"a": {"/s": A}, "b": {"/s": B}, "c": {"/s": GONE}},
    recorded={"a": "1", "b": "1", "c": "2"},
    current={"a": "2", "c": "1"},
    gone=frozenset(),
)
@given(kept=KEPT, recorded=IDENTITIES, current=IDENTITIES, gone=st.frozensets(NAMES))
def test_no_rename_costs_a_root(
    kept: dict[str, dict[str, str]], recorded: dict[str, str], current: dict[str, str], gone: frozenset[str]
) -> None:
    gone -= current.keys()
    changes = plan_renames(kept, recorded, current, gone)
    then = after(kept, tuple(changes))
    actions_in_order = [change.action for change in changes]
    assert actions_in_order == sorted(actions_in_order, key=lambda action: action == "drop")
    for name, roots in kept.items():
        places = {name, *(new for new, identity in current.items() if identity == recorded.get(name))}
        for path, store in roots.items():
            assert store in {then.get(place, {}).get(path) for place in places}


@given(kept=KEPT, looks=LOOKS)
def test_no_container_changes_the_roots_of_another(kept: dict[str, dict[str, str]], looks: dict[str, Look]) -> None:
    for change in plan(kept, looks).changes:
        assert change.path in looks[change.container].links
        assert change.after in (looks[change.container].links[change.path], None)
