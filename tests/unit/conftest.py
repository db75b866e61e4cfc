# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of all unit tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

from ansible_collections.inx.fleet.plugins.module_utils.runlogs import writer

# How long an example takes says how busy the machine is.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def _logs_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Write no logs of runs on this machine."""
    writer.LOG_DIR = str(tmp_path_factory.mktemp("logs") / "inx-fleet")
