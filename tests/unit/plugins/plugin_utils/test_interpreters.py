# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.plugin_utils.interpreters import (
    ELSEWHERE,
    candidates,
    facts_about,
    with_interpreters,
)


class Templar:
    """A templar that knows one variable."""

    def template(self, value: Any) -> Any:
        return "/nix/python3" if value == "{{ python }}" else value


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, ["python3"]),
        ({"ansible_python_interpreter": "{{ python }}"}, ["/nix/python3", "python3"]),
        ({"ansible_python_interpreter": "auto_silent"}, ["python3"]),
        (
            {"ansible_facts": {"discovered_interpreter_python": "/usr/bin/python3.13"}},
            ["/usr/bin/python3.13", "python3"],
        ),
        ({"ansible_python_interpreter": "python3"}, ["python3"]),
    ],
)
def test_the_interpreter_of_a_host_comes_before_what_may_be_there(variables: dict[str, Any], first: list[str]) -> None:
    assert candidates(variables, Templar()) == [*first, *ELSEWHERE]


def test_ansible_looks_for_more_interpreters_after_those_that_it_is_told_to() -> None:
    own = with_interpreters(
        {"ansible_interpreter_python_fallback": ["/usr/bin/python3"], "other": 1}, needs_libraries=True
    )
    assert own.pop("ansible_interpreter_python_fallback")[:2] == ["/usr/bin/python3", ELSEWHERE[0]]
    assert own == {"other": 1}
    assert set(ELSEWHERE) < set(with_interpreters({}, needs_libraries=True)["ansible_interpreter_python_fallback"])


def test_the_interpreter_that_has_the_libraries_is_taken() -> None:
    own = "/opt/inx-fleet/bin/python"
    facts = {"inx_fleet_python": own}
    assert facts_about({"python": own}) == {"ansible_inx_fleet_python": own}
    assert facts_about({"python": None}) == {"ansible_inx_fleet_python": ""}
    assert facts_about({"failed": True}) == {}
    assert "ansible_python_interpreter" not in with_interpreters({"ansible_facts": facts}, needs_libraries=False)
    for named in ({}, {"ansible_python_interpreter": "auto"}, {"ansible_python_interpreter": "/usr/bin/python3"}):
        found = with_interpreters({"ansible_facts": facts, **named}, needs_libraries=True)
        assert found["ansible_python_interpreter"] == own
    assert "ansible_python_interpreter" not in with_interpreters({"ansible_facts": {}}, needs_libraries=True)
