# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.host.python import has_packages


@pytest.mark.parametrize(
    ("requirements", "is_met"),
    [
        (["pytest"], True),
        (["pytest>=1", "PyYAML"], True),
        (["pytest<1"], False),
        (["no-such-distribution"], False),
        (["no-such-distribution; python_version < '3'"], True),
        (["pytest", "no-such-distribution"], False),
        # This only pip can tell.
        (["/nowhere/package.whl"], False),
    ],
)
def test_requirements(requirements: list[str], is_met: bool) -> None:
    assert has_packages(sys.executable, requirements) is is_met


def test_an_environment_that_is_not_there_has_nothing() -> None:
    assert not has_packages("/nowhere/bin/python", [])
