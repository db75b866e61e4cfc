# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kills modules wherever they can be killed, and looks whether the next run makes it good.

For each scenario: a run without a fault says where the boundaries are and what the right end is. Then, again and
again from the same start, a run is killed (SIGKILL), a second one has to end in the very same state and say so, and
a third one has nothing to do. What the killed run began in Incus and in nix goes on meanwhile.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import host
import modules
from modules import Ended, Moment
from scenarios import SCENARIOS, Scenario
from starts import build_systems, wipe

_ANSWER = re.compile("GET .*(operations|wait)")
#: Seconds after a boundary at which what was begun there is under way.
_SOON = (0.004, 0.02, 0.08)


def main() -> int:
    """Try all scenarios; 0 if the harness worked, whatever was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=0, help="for each scenario; 0 is every boundary, twice")
    parser.add_argument("--random", type=int, default=4, help="at random moments, for each scenario")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    parser.add_argument("--rows", type=Path, required=True, help="where the rows of the report go")
    parser.add_argument("--only", nargs="+", help="names of scenarios")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    host.copy_fixture()
    wipe()
    known = build_systems()
    rows = []
    for scenario in SCENARIOS:
        if arguments.only is None or scenario.name in arguments.only:
            rows.append(Trial(scenario, known).all(arguments))
            arguments.rows.write_text(json.dumps(rows), encoding="utf-8")
    wipe()
    return 0


class Trial:
    """A scenario, and what a run of it that nobody kills comes to."""

    def __init__(self, scenario: Scenario, known: dict[str, str]) -> None:
        """Run it unharmed; RuntimeError if that does not end as it should."""
        self.scenario = scenario
        self._known = known
        self._number = 0
        start = self._start()
        names = {**known, **start.names}
        self.plain = self._run(start.arguments)
        self.expected: dict[str, Any] = {}
        found = host.census(names)
        problems = [*self._ended_wrong(self.plain), *self._third(start.arguments, found), *scenario.right(found)]
        if problems:
            raise RuntimeError(f"{scenario.name} without a kill: {problems}")
        self.expected = found

    def all(self, arguments: argparse.Namespace) -> dict[str, Any]:
        """Kill it wherever the arguments say, and return its row."""
        tried, lost = 0, 0
        chance = random.Random(f"{arguments.seed} {self.scenario.name}")  # noqa: S311 - it is to be repeated
        for moment in self._moments(arguments, chance):
            problems = self._try(moment)
            if problems is None and moment.boundary:
                # It was over in that time. At the boundary itself it is not.
                problems = self._try(Moment(boundary=moment.boundary))
            if problems is None:
                continue
            tried += 1
            if problems:
                lost += 1
                for problem in problems:
                    print(f"LOST {self.scenario.name}, {moment}: {problem}", flush=True)
        print(f"{self.scenario.name}: {tried} tried, {lost} lost", flush=True)
        part = f"killed: {self.scenario.name} (Incus {host.incus_version()})"
        return {"part": part, "tried": tried, "survived": tried - lost, "lost": lost}

    def _moments(self, arguments: argparse.Namespace, chance: random.Random) -> Iterator[Moment]:
        boundaries = [Moment(boundary=number) for number in _worth(self.plain.trace)]
        soon = [Moment(boundary=number, seconds=chance.choice(_SOON)) for number in _begins(self.plain.trace)]
        every = [*boundaries, *soon]
        if arguments.kills:
            every = chance.sample(every, min(len(every), arguments.kills))
        yield from sorted(every, key=lambda moment: (moment.boundary, moment.seconds))
        for _number in range(arguments.random):
            yield Moment(seconds=chance.uniform(0, self.plain.seconds))

    def _try(self, moment: Moment) -> list[str] | None:
        """What is wrong after a run that was killed and one that was not; None if it was over before it was killed."""
        start = self._start()
        names = {**self._known, **start.names}
        killed = self._run(start.arguments, kill=moment)
        if not killed.killed:
            return None
        at = f"killed after {len(killed.trace)} boundaries, the last {killed.trace[-1:]}"
        try:
            # Every other time what was begun is given the time to end, and what the second run says is compared.
            before = host.census(names) if self._number % 2 else None
            second = self._run(start.arguments)
            problems = self._ended_wrong(second)
            found = host.census(names)
            if before is not None and second.result.get("changed") != (_lasting(before) != _lasting(found)):
                changes = host.differences(_lasting(before), _lasting(found))
                problems.append(f"it says changed: {second.result.get('changed')}, and these differ: {changes}")
            problems += self._third(start.arguments, found)
            last = host.census(names)
            problems += [*host.differences(self.expected, last), *self.scenario.right(last)]
        except (RuntimeError, TimeoutError) as error:
            problems = [str(error)]
        return [f"{problem} ({at})" for problem in problems]

    def _start(self) -> Any:
        wipe()
        self._number += 1
        return self.scenario.prepare(f"{self.scenario.name.replace(' ', '-')}-{time.time_ns()}")

    def _run(self, arguments: dict[str, Any], kill: Moment | None = None) -> Ended:
        return modules.run(self.scenario.module, arguments, kill=kill)

    def _ended_wrong(self, ended: Ended) -> list[str]:
        problems = ["it has a traceback"] if "Traceback" in ended.said else []
        pattern = self.scenario.fails
        if ended.failed != bool(pattern) or (pattern and not re.search(pattern, ended.message)):
            problems.append(f"it ended with: {ended.message}" if ended.failed else "it did not fail")
        return problems

    def _third(self, arguments: dict[str, Any], found: dict[str, Any]) -> list[str]:
        """What is wrong with a run that has nothing to do, and with what it says of the host."""
        ended = self._run(arguments)
        problems = [f"third run: {problem}" for problem in self._ended_wrong(ended)]
        if ended.result.get("changed"):
            done = ended.result.get("steps") or ended.result.get("changes") or ended.result.get("containers")
            problems.append(f"the third run changed something: {done}")
        for told in _told(ended.result):
            there = found["instances"].get(told["name"]) or {"status": "Absent"}
            if told["status"] != there["status"]:
                problems.append(f"it says that {told['name']} is {told['status']}, and it is {there['status']}")
        return problems


def _told(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What a result says of containers."""
    one, several = result.get("container"), result.get("containers")
    return [one] if one else [entry for entry in several if "status" in entry] if isinstance(several, list) else []


def _lasting(census: dict[str, Any]) -> dict[str, Any]:
    """What a change is: not a lock, nor what is only there for a while."""
    lasting = {key: value for key, value in census.items() if key not in ("locks", "temporary")}
    return {
        **lasting,
        "generations": [line for line in census["generations"] if not line.startswith(("/.run-", "/.lock-"))],
        "roots": [line for line in census["roots"] if " -> " in line],
    }


def _worth(trace: Sequence[str]) -> list[int]:
    """The boundaries before which something was done since the one before: to look changes nothing."""
    return [number for number, label in enumerate(trace, 1) if number == 1 or not _looks(label, trace[number - 2])]


def _looks(label: str, before: str) -> bool:
    return label.startswith("http GET") and before.startswith("http GET") and not _ANSWER.search(label + before)


def _begins(trace: Sequence[str]) -> list[int]:
    """The boundaries at which something begins that goes on without the module."""
    return [
        number
        for number, label in enumerate(trace, 1)
        if label.startswith(("http P", "http DELETE", "subprocess.Popen")) or "/wait" in label
    ]


if __name__ == "__main__":
    sys.exit(main())
