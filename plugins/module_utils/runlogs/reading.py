# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what the logs of earlier runs say of containers and of the host."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import suppress

from . import writer
from .records import Record, Run, records_from, runs_of
from .writer import NAME, is_held

# Of most runs, the last record is within that.
_TAIL = 128 * 1024


def last_runs(
    names: Collection[str], most: int = 1, *, but: str | None = None, directory: str | None = None
) -> dict[str, list[Run]]:
    """Return the last runs, the newest first, of each of ``names`` that has any: what ``runs_of`` calls them.

    Runs that changed nothing have no log. ``but`` is the log of this run. What cannot be read is left out.
    """
    found: dict[str, list[Run]] = {}
    missing = set(names)
    for path in _paths(directory or writer.LOG_DIR):
        if not missing:
            break
        if path == but:
            continue
        with suppress(OSError, ValueError, KeyError, AttributeError, TypeError):
            for name, run in read_runs(path).items():
                if name in missing:
                    found.setdefault(name, []).append(run)
                    if len(found[name]) >= most:
                        missing.discard(name)
    return found


def can_read(directory: str | None = None) -> bool:
    """Return whether this user may read the logs, or there are none."""
    path = directory or writer.LOG_DIR
    return not os.path.lexists(path) or os.access(path, os.R_OK | os.X_OK)


def _paths(directory: str) -> Iterator[str]:
    """Yield the logs, the newest first."""
    names: list[str] = []
    with suppress(OSError):
        names = [name for name in os.listdir(directory) if NAME.match(name)]
    yield from (f"{directory}/{name}" for name in sorted(names, reverse=True))


def read_runs(path: str) -> dict[str, Run]:
    """Return what one log says."""
    end = _end(path)
    if end is not None:
        return runs_of([end], path)
    with open(path, encoding="utf-8", errors="replace") as file:
        records = records_from(file.read())
    return runs_of(records, path, is_running=is_held(path))


def _end(path: str) -> Record | None:
    """Return the last record of a run that has ended."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    if not last.startswith(b"{"):
        return None
    try:
        found = json.loads(last)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("event") == "end" else None
