# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of modules share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.inx.fleet.tests.unit.plugins.running import Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], give: Callable[..., None]) -> Run:
    return Run(monkeypatch, capsys, give)
