# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.inx.fleet.plugins.filter.choose_containers import choose_containers

GROUP = [{"name": "web", "tags": ["a"]}, {"name": "db"}]


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
