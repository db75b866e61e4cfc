# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.info.query import compiled

CONTAINERS = [{"name": "web", "problems": []}, {"name": "db", "problems": ["it runs another system"]}]


def test_an_expression_finds_what_it_asks_for() -> None:
    assert compiled("[?problems].name")(CONTAINERS) == ["db"]


@pytest.mark.parametrize("expression", ["", "[?problems", "lenght(@)", "[].problems.foo(@)", "a $ b"])
def test_what_is_no_expression_is_refused_before_there_is_data(expression: str) -> None:
    with pytest.raises(FleetError, match=r"^query: .*JMESPath"):
        compiled(expression)


@pytest.mark.parametrize("expression", ["abs(@)", "[0].name | sum(@)", "length()", "sort_by(@, &problems)"])
def test_what_does_not_fit_the_data_is_one_error(expression: str) -> None:
    search = compiled(expression)
    with pytest.raises(FleetError, match="does not fit"):
        search(CONTAINERS)
