# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many containers on one host: made, left as they are, updated, and removed, with the time and memory of each."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import host
import modules

_PREFIX = "load-"


def main() -> int:
    """Go through all phases; 0 if the harness worked, whatever was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, required=True, help="number of containers, 200 at most")
    parser.add_argument("--rows", type=Path, required=True, help="where the rows of the report go")
    arguments = parser.parse_args()
    host.copy_fixture()
    try:
        rows = [_row(*phase) for phase in _phases(arguments.size)]
    finally:
        host.remove_instances(_PREFIX)
    arguments.rows.write_text(json.dumps(rows), encoding="utf-8")
    return 0


def _phases(size: int) -> list[tuple[str, int, list[str]]]:
    """What each phase is called, of how many containers it is, and what was wrong with it."""
    host.declare("load-1")
    made = [("made", size, _converged(size, changed=size)), ("left as they are", size, _converged(size, changed=0))]
    host.declare("load-2")
    updated = [("updated", size, _converged(size, changed=size)), ("left again", size, _converged(size, changed=0))]
    return [*made, *updated, ("removed", size, _removed(size))]


def _row(phase: str, size: int, problems: list[str]) -> dict[str, Any]:
    for problem in problems:
        print(f"LOST {phase}: {problem}", flush=True)
    lost = min(size, len(problems))
    return {"part": f"load: {size} containers {phase}", "tried": size, "survived": size - lost, "lost": lost}


def _converged(size: int, *, changed: int) -> list[str]:
    """Run the module over the set; what is wrong then, a line for each container or error."""
    ended = _run({"containers": [{"name": f"{_PREFIX}{n}", "flake": f"{host.FLAKE}#c{n}"} for n in _numbers(size)]})
    if ended.failed:
        return ended.message.splitlines()
    seen = sum(one["changed"] for one in ended.result["containers"])
    problems = [] if seen == changed else [f"{seen} containers changed, and not {changed}"]
    wanted = host.system_paths([f"c{n}" for n in _numbers(size)])
    runs = host.running_systems()
    return problems + [
        f"{_PREFIX}{n} runs {runs.get(f'{_PREFIX}{n}')}, not {wanted[f'c{n}']}"
        for n in _numbers(size)
        if runs.get(f"{_PREFIX}{n}") != wanted[f"c{n}"]
    ]


def _removed(size: int) -> list[str]:
    ended = _run({"containers": [], "purge": True, "purge_limit": size})
    left = [name for name in host.running_systems() if name.startswith(_PREFIX)]
    return [*(ended.message.splitlines() if ended.failed else []), *(f"{name} is still there" for name in left)]


def _run(arguments: dict[str, Any]) -> modules.Ended:
    ended = modules.run("inx_containers", {"set": "load", **arguments}, patience=1800)
    changed = sum(one["changed"] for one in ended.result.get("containers", ()))
    print(f"{changed} changed in {ended.seconds:.1f} s, {ended.memory:.0f} MiB in the largest process", flush=True)
    return ended


def _numbers(size: int) -> range:
    return range(1, size + 1)


if __name__ == "__main__":
    sys.exit(main())
