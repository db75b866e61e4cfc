# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Space
from ansible_collections.inx.fleet.plugins.module_utils.info import gathering

POOLS = {"fast": Space(used=1, total=4), "default": None}


def incus(pools: frozenset[str] | None) -> Any:
    return SimpleNamespace(pools=lambda: pools, pool_space=POOLS.get)


def test_each_pool_has_its_space_or_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(gathering, "STORE_DIR", str(tmp_path))
    found = gathering.storage(incus(frozenset(POOLS)))
    assert found["pools"] == [
        {"name": "default", "used": None, "total": None},
        {"name": "fast", "used": 1, "total": 4},
    ]
    assert 0 < found["store"]["used"] < found["store"]["total"]


def test_what_is_not_told_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(gathering, "STORE_DIR", str(tmp_path / "none"))
    assert gathering.storage(incus(None)) == {"pools": None, "store": {"used": None, "total": None}}
