# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.incus.idmapped import unshiftable


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root may try what the kernel can mount.")
def test_what_the_kernel_refuses_is_told_from_what_it_mounts(tmp_path: Path) -> None:
    assert unshiftable(["/proc", str(tmp_path), "/proc/self"]) == {"/proc", "/proc/self"}


def test_what_is_not_there_is_not_tried() -> None:
    assert unshiftable(["/nowhere"]) == frozenset()


def test_who_cannot_try_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unshiftable(["/proc"]) == frozenset()
