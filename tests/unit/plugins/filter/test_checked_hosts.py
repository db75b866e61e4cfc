# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.inx.fleet.plugins.filter.checked_hosts import checked_hosts

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
