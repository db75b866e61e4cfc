# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time and memory of containers, one to a hundred, beside the floor and other ways. See README.md.

    containers.py LAB_HOST --output DIR    measures, and writes speed.md and speed.svg

The lab host is one that the role inx.fleet.host has provisioned, with the small fixture and no instances. Run
with tests/environment.py, which has Ansible.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ansible.release

import measures
import report
from onhost import COLLECTION, LAB, PYTHON, THERE, run, say, send

CACHE = Path(os.environ["INX_FLEET_CACHE"])
#: The package that carries community.general, of the same release as the ansible-core of the tests.
OTHERS = "ansible==12.3.0"
_PLAY_TIMEOUT = 900


def main() -> int:
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host", nargs="?", help="a host of the lab")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 50, 100], help="numbers of containers")
    parser.add_argument("--loops", type=int, default=10, help="the largest number for what goes one by one")
    parser.add_argument("--repeat", type=int, default=3, help="how often a run without changes is measured")
    parser.add_argument("--turns", type=int, default=5, help="how often the floor and the module switch all in turns")
    beside = list(_WAYS)[1:]
    parser.add_argument("--ways", nargs="+", choices=beside, default=beside, help="what is measured beside the floor")
    parser.add_argument("--tool", type=Path, help="a checkout of inx-container, to measure that too")
    parser.add_argument("--output", type=Path, required=True, help="the directory for speed.md and speed.svg")
    parser.add_argument("--figures", type=Path, help="measure nothing, and write the report of these")
    arguments = parser.parse_args()
    if (arguments.host is None) == (arguments.figures is None):
        parser.error("name a lab host, or --figures")
    kept = CACHE / "bench" / "containers.json"
    if arguments.figures is None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(measure_all(arguments)), encoding="utf-8")
        say(f"The figures are in {kept}.")
    figures = json.loads((arguments.figures or kept).read_text(encoding="utf-8"))
    report.write(figures, arguments.output)
    return 0


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What a phase took in one way with so many containers; seconds from the start of a process to its end."""

    way: str
    size: int
    phase: str
    seconds: float
    inside: float | None = None
    memory: float | None = None


def measure_all(arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures, and on what they were measured."""
    with bench_on(arguments.host, arguments.tool) as bench:
        figures: list[Figure] = []
        for size in sorted(arguments.sizes):
            for name in ["floor", *arguments.ways]:
                way = _WAYS[name]
                if (way.one_by_one and size > arguments.loops) or (name == "tool" and arguments.tool is None):
                    continue
                for figure in bench.measure(name, way, size, arguments.repeat):
                    say(f"{figure.way:9} {figure.size:4} {figure.phase:10} {figure.seconds:8.3f} s")
                    figures.append(figure)
        turns = list(bench.take_turns(max(arguments.sizes), arguments.turns))
        about = {**bench.about, "ansible": ansible.release.__version__}
        return {"about": about, "figures": [asdict(figure) for figure in figures], "turns": turns}


# The ways


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to have containers; ``do`` measures a phase. One that cannot build finds profiles made for it."""

    do: Callable[[Bench, int, str], Mapping[str, float]]
    one_by_one: bool = False
    builds: bool = True
    phases: tuple[str, ...] = report.PHASES


def declared(size: int) -> list[dict[str, str]]:
    """The containers as they are declared."""
    return [{"name": name, "flake": measures.flake_of(name)} for name in measures.names_of(size)]


def by_floor(bench: Bench, size: int, phase: str) -> Mapping[str, float]:
    seconds: Mapping[str, float] = bench.ask("floor", size=size, phase=phase)
    return seconds


def by_module(bench: Bench, size: int, phase: str) -> Mapping[str, float]:
    answer: dict[str, float] = bench.ask("module", arguments={"containers": declared(size)})
    expected = {"cold": size, "unchanged": 0, "all": size, "one": 1}[phase]
    if answer.pop("changed") != expected:
        raise ValueError(f"the module did not change {expected} of {size} containers: {answer}")
    return answer


def by_playbook(bench: Bench, size: int, phase: str) -> Mapping[str, float]:
    return bench.play({"inx.fleet.inx_containers": {"containers": declared(size)}}, phase)


def by_loop(bench: Bench, size: int, phase: str) -> Mapping[str, float]:
    task = {"name": "{{ item.name }}", "flake": "{{ item.flake }}"}
    return bench.play({"inx.fleet.inx_container": task, "loop": declared(size)}, phase)


def by_lxd_container(bench: Bench, size: int, phase: str) -> Mapping[str, float]:
    task = {
        "url": f"unix:{measures.SOCKET}",
        "name": "{{ item.name }}",
        "source": {"type": "none"},
        "profiles": ["default", "inx-container"],
        "config": {"raw.lxc": measures.INIT},
        "devices": "{{ item.devices }}",
    }
    loop = [{"name": name, "devices": measures.devices_of(name)} for name in measures.names_of(size)]
    return bench.play({"community.general.lxd_container": task, "loop": loop}, phase)


def by_tool(bench: Bench, size: int, phase: str) -> Mapping[str, float]:
    seconds: Mapping[str, float] = bench.ask("tool", size=size, phase=phase)
    return seconds


_WAYS = {
    "floor": Way(do=by_floor),
    "module": Way(do=by_module),
    "playbook": Way(do=by_playbook),
    "loop": Way(do=by_loop, one_by_one=True),
    "lxd": Way(do=by_lxd_container, one_by_one=True, builds=False, phases=("cold", "unchanged")),
    "tool": Way(do=by_tool, one_by_one=True),
}


# The bench


class Bench:
    """A lab host with what is needed on it, and a directory here."""

    def __init__(self, host: str, directory: Path) -> None:
        self._host = host
        self._directory = directory
        self._versions = 0
        (directory / "inventory.yml").write_text(run(*LAB, "inventory", host), encoding="utf-8")
        self.about: dict[str, str] = self.ask("prepare")

    def ask(self, command: str, **arguments: Any) -> Any:
        """Have a command of measures.py done on the host."""
        there = f"{PYTHON} {THERE}/measures.py {command}"
        return json.loads(run(*LAB, "ssh", self._host, "--", there, stdin=json.dumps(arguments).encode()))

    def play(self, task: Mapping[str, Any], phase: str) -> Mapping[str, float]:
        """Run a playbook of one task from here, and time all of it."""
        playbook = self._directory / "play.yml"
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]), encoding="utf-8")
        command = ["ansible-playbook", "-i", str(self._directory / "inventory.yml"), str(playbook)]
        places = f"{os.environ['ANSIBLE_COLLECTIONS_PATH']}:{other_collections()}"
        started = time.perf_counter()
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_PLAY_TIMEOUT,
            check=False,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": places},
        )
        seconds = time.perf_counter() - started
        if done.returncode != 0 or ("changed=0" in done.stdout) != (phase == "unchanged"):
            raise ValueError(f"{phase}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return {"seconds": seconds}

    def measure(self, name: str, way: Way, size: int, repeat: int) -> Iterator[Figure]:
        """One way from no containers to its last phase; each phase has systems that nobody has built."""
        try:
            for phase in way.phases:
                self._renew_systems(phase)
                if not way.builds and phase == "cold":
                    self.ask("make_profiles", size=size)
                answers = [way.do(self, size, phase) for _time in range(repeat if phase == "unchanged" else 1)]
                self.ask("verify", size=size)
                middle = sorted(answers, key=lambda answer: answer["seconds"])[len(answers) // 2]
                yield Figure(way=name, size=size, phase=phase, **middle)
        finally:
            self.ask("clean", size=size)

    def take_turns(self, size: int, rounds: int) -> Iterator[Mapping[str, float]]:
        """Switch all of the same containers to a new system, by the floor and by the module in turns."""
        try:
            self._renew_systems("cold")
            by_module(self, size, "cold")
            for _round in range(rounds):
                self._renew_systems("all")
                floor = by_floor(self, size, "all")
                self._renew_systems("all")
                module = by_module(self, size, "all")
                say(f"in turns  {size:4} all        {floor['seconds']:8.3f} s {module['seconds']:8.3f} s")
                yield {"size": size, "floor": floor["inside"], "module": module["inside"]}
        finally:
            self.ask("clean", size=size)

    def _renew_systems(self, phase: str) -> None:
        """Give all containers, or the first, a system that nobody has built, as the phase wants it."""
        if phase in ("cold", "all"):
            self._versions += 1
            self.ask("versions", everywhere=str(self._versions))
        elif phase == "one":
            self.ask("versions", everywhere=str(self._versions), first=f"{self._versions}-first")


@contextmanager
def bench_on(host: str, tool: Path | None) -> Iterator[Bench]:
    """Put what is needed on a lab host, and remove it at the end."""
    with tempfile.TemporaryDirectory() as here:
        directory = Path(here)
        (directory / "modules.zip").write_bytes(archive())
        files = {name: Path(__file__).with_name(name) for name in ("measures.py", "onhost.py")}
        tools = {} if tool is None else {f"tool/{name}": tool / name for name in ("inx-container", "config.yaml")}
        send(host, {**files, **tools, "modules.zip": directory / "modules.zip"})
        bench = Bench(host, directory)
        try:
            yield bench
        finally:
            bench.ask("end")


def archive() -> bytes:
    """The modules and what they import of Ansible, as Ansible packs them."""
    places = {
        "ansible/module_utils": Path(ansible.release.__file__).with_name("module_utils"),
        "ansible_collections/inx/fleet/plugins/modules": COLLECTION / "plugins" / "modules",
        "ansible_collections/inx/fleet/plugins/module_utils": COLLECTION / "plugins" / "module_utils",
    }
    files = {Path(within, file.relative_to(top)): file for within, top in places.items() for file in top.rglob("*.py")}
    packages = {f"{parent}/__init__.py" for file in files for parent in file.parents if parent.name}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for place, file in files.items():
            target.write(file, place)
        for package in sorted(packages - {str(place) for place in files}):
            target.writestr(package, "")
    return packed.getvalue()


def other_collections() -> Path:
    """Where community.general is; it is fetched when it is not there."""
    place = CACHE / "bench" / OTHERS
    if not (place / "ansible_collections").exists():
        say(f"{OTHERS} is fetched, for community.general.")
        with tempfile.TemporaryDirectory() as here:
            pip = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--only-binary=:all:"]
            run(*pip, "--dest", here, OTHERS)
            (wheel,) = Path(here).glob("*.whl")
            with zipfile.ZipFile(wheel) as packed:
                part = "ansible_collections/community/general/"
                packed.extractall(place, [name for name in packed.namelist() if name.startswith(part)])
    return place


if __name__ == "__main__":
    sys.exit(main())
