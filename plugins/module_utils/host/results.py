# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of inx_host: steps, packages, and the difference as Ansible shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..gcroots.package import differences as command_differences
from ..runlogs.reading import last_runs
from ..runlogs.records import as_data
from ..runlogs.writer import RunLog
from ..values import present
from .converge import Outcome
from .declaration import HostDeclaration
from .managed import gcroots_files
from .steps import Step, steps_result

# The runs of the module, as the logs know them.
_RUNS = "/inx_host"


def host_result(outcome: Outcome) -> dict[str, Any]:
    """Return the return values of the module."""
    packages = outcome.packages
    return {
        "changed": bool(outcome.steps),
        "steps": steps_result(outcome.steps),
        "left": steps_result(outcome.left),
        "packages": {
            "install": list(packages.install),
            "backports": list(packages.backports),
            "release": packages.release,
        },
        "pending": list(outcome.pending),
        "lacking": outcome.lacking.splitlines(),
        "python": outcome.python,
    }


def last_run(log: RunLog | None) -> dict[str, Any] | None:
    """Return the last run before this one that changed the host, or failed to. The ``log`` of this one is left out."""
    found = last_runs([_RUNS], but=None if log is None else log.path)
    return as_data(found[_RUNS][0]) if _RUNS in found else None


def failure(outcome: Outcome) -> str:
    """Return the error that stopped a run, with what is done and what is not."""
    parts = [str(outcome.error)]
    if outcome.steps:
        parts.append(f"Done: {_summaries(outcome.steps)}.")
    if outcome.left:
        parts.append(f"Not done: {_summaries(outcome.left)}. The next run continues.")
    return "\n".join(parts)


def host_differences(declared: HostDeclaration, outcome: Outcome) -> list[dict[str, Any]]:
    """Return the steps as Ansible's diff: what they change, and the files of the command inx-gcroots."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for step in outcome.steps:
        before = {**step.before, **before}
        after |= step.after
    shown = [{"before": present(before), "after": present(after)}] if before or after else []
    for step in outcome.steps:
        if step.command:
            shown += command_differences(step.command, gcroots_files(declared))
    return shown


def _summaries(steps: Sequence[Step]) -> str:
    return "; ".join(step.summary for step in steps)
