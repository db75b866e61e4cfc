# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.incus import proxies

DEVICES = {
    "px": {"type": "proxy"},
    "inx-publish-80-tcp": {"type": "proxy"},
    "nat": {"type": "proxy", "nat": "true"},
    "eth0": {"type": "nic"},
}


def test_a_proxy_without_a_file_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "_DIRECTORY", str(tmp_path))
    assert proxies.lost_proxies("c1", DEVICES) == frozenset()
    (tmp_path / "c1").mkdir()
    assert proxies.lost_proxies("c1", DEVICES) == {"px", "inx-publish-80-tcp"}
    (tmp_path / "c1" / "proxy.px").touch()
    (tmp_path / "c1" / "proxy.inx--publish--80--tcp").touch()
    assert proxies.lost_proxies("c1", DEVICES) == frozenset()
