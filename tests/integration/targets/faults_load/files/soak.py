# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One random set of containers after another, with drifts between, until the time is up.

Each run has to come to what is declared, as the host's own tools say it, and the run after it has nothing to do.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import host
import modules
import rest

_PREFIX = "soak-"
_CONTAINERS = 8
_SYSTEMS = 6

Entry = dict[str, Any]


def main() -> int:
    """Go on until the time is up; 0 if the harness worked, whatever was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, required=True, help="after which no round begins any more")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rows", type=Path, required=True, help="where the rows of the report go")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    chance = random.Random(arguments.seed)  # noqa: S311 - it is to be repeated
    deadline = time.monotonic() + arguments.seconds
    host.copy_fixture()
    tried, lost = 0, 0
    try:
        while not tried or time.monotonic() < deadline:
            tried += 1
            problems = _round(chance, tried)
            lost += bool(problems)
            for problem in problems:
                print(f"LOST round {tried}: {problem}", flush=True)
    finally:
        host.remove_instances(_PREFIX)
    print(f"{tried} rounds, {lost} lost", flush=True)
    row = {"part": "soak: random sets", "tried": tried, "survived": tried - lost, "lost": lost}
    arguments.rows.write_text(json.dumps([row]), encoding="utf-8")
    return 0


def _round(chance: random.Random, number: int) -> list[str]:
    """Drift, declare, converge, and look; what is wrong then."""
    drifts = [_drift(chance, name) for name in host.statuses(_PREFIX) if chance.random() < 0.3]
    if chance.random() < 0.5:
        host.declare(f"soak-{number}")
    elif number == 1:
        host.declare("soak-1")
    entries = _declared(chance)
    before = host.statuses(_PREFIX)
    arguments = {"containers": entries, "set": "soak", "purge": True, "purge_limit": _CONTAINERS}
    first = modules.run("inx_containers", arguments)
    if first.failed:
        problems = [first.message]
    else:
        problems = [*_wrong(entries, before), *_not_idle(modules.run("inx_containers", arguments))]
    if problems:
        print(f"after {drifts}, declared {json.dumps(entries)}", flush=True)
    return problems


def _not_idle(second: modules.Ended) -> list[str]:
    if second.failed:
        return [f"the second run failed: {second.message}"]
    if not second.result["changed"]:
        return []
    steps = [step["summary"] for one in second.result["containers"] for step in one["steps"]]
    return [f"the second run changed something: {steps}"]


def _wrong(entries: list[Entry], before: Mapping[str, str]) -> list[str]:
    """What the host has that is not as it is declared."""
    expected = {entry["name"]: status for entry in entries if (status := _status(entry, before)) is not None}
    statuses = host.statuses(_PREFIX)
    problems = [] if statuses == expected else [f"there is {statuses}, and not {expected}"]
    wanted = host.system_paths([f"c{number}" for number in range(1, _SYSTEMS + 1)])
    runs = host.running_systems()
    for entry in entries:
        name, system = entry["name"], wanted[entry["flake"].rpartition("#")[2]]
        if expected.get(name) == "Running" and runs.get(name) != system:
            problems.append(f"{name} runs {runs.get(name)}, and not {system}")
        if name in expected:
            problems += _wrong_settings(entry, rest.query(f"/1.0/instances/{name}"))
    return problems


def _status(entry: Entry, before: Mapping[str, str]) -> str | None:
    """The status that is right; None for a container that must not be there."""
    stays = before.get(entry["name"], "Stopped")
    return {"started": "Running", "stopped": "Stopped", "absent": None, "present": stays}[entry["state"]]


def _wrong_settings(entry: Entry, found: Mapping[str, Any]) -> list[str]:
    problems = []
    for key, value in entry.get("config", {}).items():
        if found["config"].get(key) != value:
            problems.append(f"{entry['name']}: {key} is {found['config'].get(key)!r}, and not {value!r}")
    for name, device in entry.get("devices", {}).items():
        there = found["devices"].get(name)
        if (there is None) != (device is None) or not set((device or {}).items()) <= set((there or {}).items()):
            problems.append(f"{entry['name']}: the device {name} is {there}, and not {device}")
    if "description" in entry and found["description"] != entry["description"]:
        problems.append(f"{entry['name']}: the description is {found['description']!r}")
    return problems


# What is declared


def _declared(chance: random.Random) -> list[Entry]:
    names = sorted(chance.sample([f"{_PREFIX}{n}" for n in range(1, _CONTAINERS + 1)], chance.randint(1, _CONTAINERS)))
    entries: list[Entry] = []
    for name in names:
        entry = _entry(chance, name)
        earlier = [other["name"] for other in entries if other["state"] == "started"]
        if earlier and chance.random() < 0.3:
            entry["after"] = [chance.choice(earlier)]
        entries.append(entry)
    return entries


def _entry(chance: random.Random, name: str) -> Entry:
    states = ["started"] * 6 + ["stopped", "present", "absent"]
    entry = {
        "name": name,
        "flake": f"{host.FLAKE}#c{chance.randint(1, _SYSTEMS)}",
        "state": chance.choice(states),
        "stop_timeout": 20,
        "force": True,
    }
    for alternatives in _options(int(name.removeprefix(_PREFIX))):
        if chance.random() < 0.4:
            entry.update(chance.choice(alternatives))
    return entry


def _options(number: int) -> list[list[Entry]]:
    """What may be declared, in alternatives; proxies of two containers must not take the same port."""
    proxy = {"type": "proxy", "listen": f"tcp:127.0.0.1:{7000 + number}", "connect": "tcp:127.0.0.1:80"}
    disk = {"type": "disk", "source": host.FIXTURE, "path": "/mnt/fixture", "readonly": "true"}
    return [
        [{"config": {"user.colour": "red"}}, {"config": {"user.colour": "green", "boot.autostart.priority": "7"}}],
        [{"devices": {"proxy": proxy}}, {"devices": {"proxy": None}}, {"devices": {"fixture": disk, "proxy": proxy}}],
        [{"description": ""}, {"description": "one"}, {"description": "two"}],
        [{"autostart": True}, {"autostart": False}],
        [{"health": {}}, {"health": {"timeout": 60}}],
        [{"keep_generations": 2}, {"keep_generations": 3}],
        [{"self_update": True}, {"self_update": False}],
        [
            {"volatile_root": "keep"},
            {"volatile_root": "rebuild"},
            {"volatile_root": "rebuild", "persist": [{"path": "/srv/kept"}]},
            {"volatile_root": "tmpfs", "tmpfs": [{"path": "/scratch"}]},
        ],
    ]


# What somebody does by hand between two runs


def _drift(chance: random.Random, name: str) -> str:
    """Do something to a container by hand, and return what it was."""
    what = chance.choice(list(_DRIFTS))
    _DRIFTS[what](name)
    return f"{name}: {what}"


def _stop(name: str) -> None:
    if host.statuses(name).get(name) == "Running":
        host.ask("incus", "stop", "--force", name)


def _start(name: str) -> None:
    if host.statuses(name).get(name) == "Stopped":
        host.ask("incus", "start", name)


def _pause(name: str) -> None:
    if host.statuses(name).get(name) == "Running":
        host.ask("incus", "pause", name)


def _back(name: str) -> None:
    """The profile leads to the oldest generation."""
    link = Path(host.PROFILES, name, "system")
    oldest = min(link.parent.glob("system-*-link"), key=lambda path: int(path.name.split("-")[1]))
    link.unlink()
    link.symlink_to(oldest.name)


_DRIFTS: dict[str, Callable[[str], Any]] = {
    "stopped": _stop,
    "started": _start,
    "paused": _pause,
    "deleted": lambda name: host.ask("incus", "delete", "--force", name),
    "a key set": lambda name: host.ask("incus", "config", "set", name, "user.colour=blue"),
    "its device removed": lambda name: host.ask("incus", "config", "device", "remove", name, "nixprofiles"),
    "an older generation": _back,
}


if __name__ == "__main__":
    sys.exit(main())
