# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was tried to break the collection, and what came of it: a table at the end of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: Whether the targets try as much as a report wants, or only as much as each run of the tests has time for.
LONG = bool(os.environ.get("INX_FLEET_FAULTS_LONG"))
# The workers of a run share it.
_NAME = os.environ.setdefault("INX_FLEET_FAULTS", f"run{os.getpid()}")
#: Where targets write their rows, a line of JSON each.
REPORT = Path(os.environ["INX_FLEET_CACHE"]) / "faults" / f"{_NAME}.jsonl"


@dataclass(frozen=True, kw_only=True)
class Row:
    """How often something was ``tried``, and of these how often it ended well and how often not."""

    part: str
    tried: int
    survived: int
    lost: int

    def __post_init__(self) -> None:
        if self.tried < 1 or self.survived + self.lost != self.tried:
            raise ValueError(f"this row does not add up: {self}")


def rows(report: Path = REPORT) -> list[Row]:
    """The rows that were written until now."""
    if not report.exists():
        return []
    return [Row(**json.loads(line)) for line in report.read_text(encoding="utf-8").splitlines()]


def table(found: Iterable[Row]) -> list[str]:
    """Rows as lines of text, in the order of their parts, with the sum of all at the end."""
    parts = sorted(found, key=lambda row: row.part)
    total = Row(
        part="all",
        tried=sum(row.tried for row in parts),
        survived=sum(row.survived for row in parts),
        lost=sum(row.lost for row in parts),
    )
    width = max(len(row.part) for row in (*parts, total))
    lines = [f"{row.part:{width}}  {row.tried:7}  {row.survived:8}  {row.lost:5}" for row in (*parts, total)]
    return [f"{'':{width}}  {'tried':>7}  {'survived':>8}  {'lost':>5}", *lines]
