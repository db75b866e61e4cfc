# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.inx.fleet.plugins.filter.merge_containers import merge_containers

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
