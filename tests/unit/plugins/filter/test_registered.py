# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible finds each filter by the name of its file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

FILTERS = Path(__file__).resolve().parents[4] / "plugins" / "filter"


@pytest.mark.parametrize("name", sorted(path.stem for path in FILTERS.glob("*.py")))
def test_a_filter_has_the_name_of_its_file(name: str) -> None:
    module = import_module(f"ansible_collections.inx.fleet.plugins.filter.{name}")
    assert module.FilterModule().filters() == {name: getattr(module, name)}
