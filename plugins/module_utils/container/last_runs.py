# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell which run has changed each container last, from the logs of earlier runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..names import lxc_name
from ..runlogs.reading import last_runs
from ..runlogs.writer import RunLog
from .outcome import Outcome


def with_last_runs(outcomes: Sequence[Outcome], log: RunLog | None) -> list[Outcome]:
    """Return outcomes with the last run before this one, whose own ``log`` is left out."""
    names = {outcome.name: lxc_name(outcome.plan.container.project, outcome.name) for outcome in outcomes}
    found = last_runs(names.values(), but=None if log is None else log.path)
    return [replace(outcome, last_run=next(iter(found.get(names[outcome.name], ())), None)) for outcome in outcomes]
