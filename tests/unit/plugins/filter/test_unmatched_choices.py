# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.inx.fleet.plugins.filter.unmatched_choices import unmatched_choices

GROUP = [{"name": "web", "tags": ["a"]}, {"name": "db"}]


def test_each_item_that_selects_nothing_is_named() -> None:
    assert unmatched_choices(GROUP, "web, nosuch,x*", ["a", "prod"]) == ["only nosuch", "only x*", "only_tags prod"]
    assert unmatched_choices(GROUP) == unmatched_choices(GROUP, []) == []


@pytest.mark.parametrize(("containers", "only"), [(GROUP, True), ("web", None), ([{"name": "db", "tags": 5}], None)])
def test_what_is_not_a_list_is_refused(containers: Any, only: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="is not a list"):
        unmatched_choices(containers, only)
