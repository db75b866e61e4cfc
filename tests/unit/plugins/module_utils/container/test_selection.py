# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.filter.choose_containers import choose_containers
from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import declared_containers
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import chosen_containers
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError

NAMES = ("web-1", "web-2", "db")
TAGS = st.sampled_from([None, [], ["prod"], ["nonprod"], "prod", "nonprod", "shop,prod", "shop, prod "])
ITEMS = st.one_of(st.none(), st.lists(st.sampled_from(["web-*", "db", "prod", "nonprod", "shop"]), max_size=2))


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, TAGS)), TAGS, ITEMS, ITEMS)
def test_filter_and_module_select_the_same(tags: dict[str, Any], shared: Any, only: Any, only_tags: Any) -> None:
    entries = [{"name": name, **({} if value is None else {"tags": value})} for name, value in tags.items()]
    defaults = {} if shared is None else {"tags": shared}
    params: dict[str, Any] = {
        "containers": entries,
        "defaults": defaults,
        "project": "default",
        "only": only,
        "only_tags": only_tags,
    }
    by_filter = choose_containers(entries, only, only_tags, defaults)
    try:
        by_module = [container.name for container in chosen_containers(params, declared_containers(params))]
    except FleetError:
        # An item that selects nothing: another host may have it.
        return
    assert by_module == by_filter


def test_an_item_that_selects_nothing_is_refused() -> None:
    params: dict[str, Any] = {
        "containers": [{"name": "db"}],
        "defaults": {},
        "project": "default",
        "only": "db,web",
        "only_tags": None,
    }
    with pytest.raises(FleetError, match=r"no declared container is called 'web'.*Declared are: db"):
        chosen_containers(params, declared_containers(params))
