# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running the tools that the checks consist of."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

#: Marks what takes long: as one group with more tests than a single one it begins early, beside those of the lab hosts,
#: so that no worker comes to it when the others have nothing left to do.
takes_long = pytest.mark.xdist_group("takes long")

COLLECTION = Path(__file__).resolve().parents[2]
_TIMEOUT = 1200


def check(command: Sequence[str], directory: Path = COLLECTION, **environment: str) -> str:
    """Run a tool; its output is the failure when it fails."""
    done = subprocess.run(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)} ended with code {done.returncode}:\n{done.stdout}", pytrace=False)
    return done.stdout
