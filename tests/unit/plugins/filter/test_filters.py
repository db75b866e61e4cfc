# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.inx.fleet.plugins.filter.checked_hosts import checked_hosts
from ansible_collections.inx.fleet.plugins.filter.choose_containers import choose_containers
from ansible_collections.inx.fleet.plugins.filter.merge_containers import merge_containers
from ansible_collections.inx.fleet.plugins.filter.unmatched_choices import unmatched_choices

GROUP = [{"name": "web", "tags": ["a"], "config": {"x": 1, "y": 1}}, {"name": "db"}]
HOST = [{"name": "new"}, {"name": "web", "tags": ["b"], "config": {"y": 2}}]


def test_later_lists_are_put_on_top_of_earlier_ones() -> None:
    assert merge_containers([GROUP, HOST]) == [
        {"name": "web", "tags": ["b"], "config": {"x": 1, "y": 2}},
        {"name": "db"},
        {"name": "new"},
    ]


def test_what_is_declared_is_left_as_it_is() -> None:
    merge_containers([GROUP, HOST])
    assert GROUP[0] == {"name": "web", "tags": ["a"], "config": {"x": 1, "y": 1}}


@pytest.mark.parametrize("odd", [[{"name": "a"}, {"name": "a"}], [{"flake": "."}, {"flake": "."}], ["web", "web"]])
def test_what_the_module_is_to_refuse_reaches_it(odd: list[Any]) -> None:
    assert merge_containers([odd]) == odd


@pytest.mark.parametrize("lists", [None, "ab", ["ab"], [{"name": "a"}], [None]])
def test_what_is_no_list_of_lists_is_refused(lists: Any) -> None:
    with pytest.raises(AnsibleFilterError):
        merge_containers(lists)


def test_containers_are_chosen_by_pattern_or_tag() -> None:
    assert choose_containers(GROUP) == ["web", "db"]
    assert choose_containers(GROUP, ["w*", "nothing"]) == ["web"]
    assert choose_containers(GROUP, [], ["a"]) == ["web"]
    assert choose_containers(GROUP, ["db"], ["a"]) == ["web", "db"]
    assert choose_containers(GROUP, ["x"]) == []


def test_tags_may_be_among_the_defaults() -> None:
    assert choose_containers(GROUP, [], ["z"], {"tags": ["z"]}) == ["db"]


def test_what_has_no_name_is_not_chosen() -> None:
    assert choose_containers(["web", {"flake": "."}, {"name": "a"}]) == ["a"]


def test_a_tag_that_is_a_text_is_a_whole_word() -> None:
    containers = [{"name": "a", "tags": "nonprod"}, {"name": "b", "tags": "shop, prod"}]
    assert choose_containers(containers, only_tags="prod") == ["b"]
    assert choose_containers(containers, only_tags=["od"]) == []
    assert choose_containers([{"name": "a"}], only_tags=["prod"], defaults={"tags": "nonprod"}) == []


def test_an_empty_list_is_a_value() -> None:
    containers = [{"name": "a", "tags": []}, {"name": "b"}]
    assert choose_containers(containers, only_tags=["prod"], defaults={"tags": ["prod"]}) == ["b"]
    assert choose_containers(containers, []) == choose_containers(containers, [], []) == []


@pytest.mark.parametrize("only", [{"a": 1}, True, 5, [["a"]], [None], "", [""], ","])
def test_what_is_not_a_list_of_words_is_refused(only: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="only"):
        choose_containers(GROUP, only)
    with pytest.raises(AnsibleFilterError, match="db: tags: "):
        choose_containers([{"name": "db", "tags": only}])


def test_each_item_that_selects_nothing_is_named() -> None:
    assert unmatched_choices(GROUP, "web, nosuch,x*", ["a", "prod"]) == ["only nosuch", "only x*", "only_tags prod"]
    assert unmatched_choices(GROUP) == unmatched_choices(GROUP, []) == []


GROUPS = {"all": ["m1", "m2"], "metal": ["m1", "m2"], "ungrouped": []}


@pytest.mark.parametrize(
    "pattern", ["all", "m1,m2", "metal:!m1", "m*", "~m[12]", ["m1", "metal"], "all:&m2", "localhost"]
)
def test_hosts_that_are_there(pattern: Any) -> None:
    assert checked_hosts(pattern, GROUPS) == pattern


@pytest.mark.parametrize("pattern", ["m3", "m1,m3", "metal:!m3", ["m1", "x*"], "ungrouped", "", "m1:&web"])
def test_a_part_that_matches_no_host_is_refused(pattern: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="No host of the inventory matches"):
        checked_hosts(pattern, GROUPS)
