# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure inx.fleet.site without changes on the controller, in turns with a playbook that only pings.

    fleet.py LAB_HOST... --output docs/speed.md    measures, and writes a section of the page

The lab hosts are ones that the role inx.fleet.host has provisioned, with the small fixture. Each name of the inventory
points to one of them and has a container of its own. Run with tests/environment.py, which has Ansible.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from ansible.release import __version__ as ansible_version

from onhost import FIXTURE, LAB, MANY_HOSTS, run, say, with_section

_PING = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.ping": {}}]}]
_SAMPLE = 0.1
_MIB = 2**20
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", nargs="+", help="hosts of the lab")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 50], help="numbers of host names")
    parser.add_argument("--pairs", type=int, default=5, help="how often both playbooks are measured, in turns")
    parser.add_argument("--forks", type=int, default=20)
    parser.add_argument("--note", default="", help="what else the machine did meanwhile, for the page")
    parser.add_argument("--output", type=Path, required=True, help="the page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as here:
        bench = Bench(Path(here), arguments.hosts, arguments.forks)
        found = [bench.measure(size, arguments.pairs) for size in sorted(arguments.sizes)]
    page = arguments.output
    page.write_text(with_section(page.read_text(encoding="utf-8"), section(found, arguments)), encoding="utf-8")
    return 0


# Measuring


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds that a run took, and seconds of CPU of all its processes."""

    seconds: float
    cpu: float


@dataclass(frozen=True, kw_only=True)
class Process:
    """Peak memory of all processes of a run and of the main one, and the CPU of the main one."""

    memory: float
    main_memory: float
    main_cpu: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Pairs of a ping and a site for so many names, and the processes of another site."""

    size: int
    pings: Sequence[Cost]
    sites: Sequence[Cost]
    headers: int
    process: Process

    def row(self) -> str:
        """Return the row of the table. A multiple is the median of those of the pairs."""
        pairs = list(zip(self.pings, self.sites, strict=True))
        ping, site = medians(self.pings), medians(self.sites)
        cells = [
            f"{self.size}",
            f"{ping.seconds:.2f} s",
            f"{site.seconds:.2f} s",
            f"**{median(site.seconds / ping.seconds for ping, site in pairs):.1f}**",
            f"{ping.cpu:.2f} s",
            f"{site.cpu:.2f} s",
            f"**{median(site.cpu / ping.cpu for ping, site in pairs):.1f}**",
            f"{site.cpu / self.size:.2f} s",
            f"{self.headers}",
            f"{self.process.memory:,.0f} MiB",
        ]
        return f"| {' | '.join(cells)} |"


def medians(costs: Sequence[Cost]) -> Cost:
    """Return the median of each cost."""
    return Cost(seconds=median(cost.seconds for cost in costs), cpu=median(cost.cpu for cost in costs))


class Bench:
    """Inventories of names for the lab hosts, in a directory here."""

    def __init__(self, directory: Path, hosts: Sequence[str], forks: int) -> None:
        self._directory, self._forks = directory, forks
        (directory / "ping.yml").write_text(json.dumps(_PING), encoding="utf-8")
        self._lab: dict[str, Any] = yaml.safe_load(run(*LAB, "inventory", *hosts))["all"]

    def measure(self, size: int, pairs: int) -> Measured:
        """Measure so many names. Their containers are created before, and removed at the end."""
        inventory = self._inventory(size)
        try:
            self._play(inventory, "inx.fleet.site")
            pings, sites, headers = [], [], 0
            for _pair in range(pairs):
                pings.append(self._play(inventory, "ping.yml")[0])
                cost, output = self._play(inventory, "inx.fleet.site")
                if re.search(r"changed=[1-9]", output):
                    raise ValueError(f"site changes something: {output[-3000:]}")
                sites.append(cost)
                headers = len(re.findall(r"(?m)^TASK \[", output))
                say(f"{size:4} hosts  ping {pings[-1]}  site {cost}")
            process = self._process(inventory)
        finally:
            self._play(inventory, "inx.fleet.destroy", "-e", "inx_only=*", "-e", "inx_confirmed=true")
        return Measured(size=size, pings=pings, sites=sites, headers=headers, process=process)

    def _inventory(self, size: int) -> Path:
        hosts = list(self._lab["hosts"].values())
        names = {f"fleet-{number}": hosts[number % len(hosts)] for number in range(size)}
        variables = {
            **self._lab["vars"],
            "inx_containers_set": "{{ inventory_hostname }}",
            "inx_containers": [{"name": "{{ inventory_hostname }}", "flake": f"{FIXTURE}#web"}],
            "inx_host_nix_settings": {"substituters": ""},
        }
        path = self._directory / "fleet.yml"
        path.write_text(yaml.safe_dump({"all": {"hosts": names, "vars": variables}}), encoding="utf-8")
        return path

    def _start(self, inventory: Path, playbook: str, *arguments: str, output: Any) -> subprocess.Popen[bytes]:
        command = ["ansible-playbook", "-i", str(inventory), "--forks", str(self._forks), playbook, *arguments]
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=self._directory)

    def _play(self, inventory: Path, playbook: str, *arguments: str) -> tuple[Cost, str]:
        with tempfile.TemporaryFile() as output:
            started = time.perf_counter()
            process = self._start(inventory, playbook, *arguments, output=output)
            _pid, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read().decode()
        if process.returncode != 0:
            raise ValueError(f"{playbook}: {text[-3000:]}")
        return Cost(seconds=seconds, cpu=usage.ru_utime + usage.ru_stime), text

    def _process(self, inventory: Path) -> Process:
        """Run site once more, and look at its processes meanwhile."""
        process = self._start(inventory, "inx.fleet.site", output=subprocess.DEVNULL)
        memory, main_memory, main_cpu = 0, 0, 0.0
        while process.poll() is None:
            time.sleep(_SAMPLE)
            all_of_it = {pid: _memory(pid) for pid in _family(process.pid)}
            memory = max(memory, sum(all_of_it.values()))
            main_memory = max(main_memory, all_of_it.get(process.pid, 0))
            main_cpu = max(main_cpu, _cpu(process.pid))
        return Process(memory=memory / _MIB, main_memory=main_memory / _MIB, main_cpu=main_cpu)


def _family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(one for child in children for one in _family(int(child)))]


def _memory(pid: int) -> int:
    """Return the memory of a process, with its share of what it has in common with others."""
    try:
        found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return 0 if found is None else int(found[1]) * 1024


def _cpu(pid: int) -> float:
    """Return the CPU of a process itself, in seconds."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


# The page


def section(found: Sequence[Measured], arguments: argparse.Namespace) -> str:
    """Return the section of the page."""
    head = (
        "hosts",
        "ping",
        "site",
        "multiple",
        "CPU of ping",
        "CPU of site",
        "multiple",
        "CPU for a host",
        "headers",
        "memory",
    )
    return "\n".join(
        [
            MANY_HOSTS,
            "",
            _wrapped(
                "What a run of `inx.fleet.site` without changes costs the controller, measured by `bench/fleet.py` in "
                f"turns with a playbook that only pings: the median of {arguments.pairs} pairs, with {arguments.forks} "
                f"forks and pipelining, ansible-core {ansible_version}, {os.cpu_count()} CPUs. The hosts are names for "
                f"{len(arguments.hosts)} lab hosts on the same machine, which do the work of all names: seconds by the "
                f"clock are theirs, too. {arguments.note}"
            ),
            "",
            f"| {' | '.join(head)} |",
            f"|{' ---: |' * len(head)}",
            *[one.row() for one in found],
            "",
            "- *CPU* is that of all processes of `ansible-playbook`, ssh included, and not that of the hosts.",
            "- *Headers* are lines that begin with `TASK`.",
            "- *Memory* is that of all processes at the peak, where what they share counts once.",
            "",
            *(estimate(found[-2], found[-1], arguments.forks) if len(found) > 1 else []),
        ]
    )


def estimate(small: Measured, large: Measured, forks: int, hosts: int = 1000) -> list[str]:
    """Return what each host more costs between two measurements, for many hosts."""

    def at(one: float, other: float) -> float:
        return other + (other - one) / (large.size - small.size) * (hosts - large.size)

    cpu = at(medians(small.sites).cpu, medians(large.sites).cpu)
    main_cpu = at(small.process.main_cpu, large.process.main_cpu)
    main_memory = at(small.process.main_memory, large.process.main_memory)
    at_once = min(forks, large.size)
    worker = (large.process.memory - large.process.main_memory) / at_once
    few, many = ((main_memory + number * worker) / 1024 for number in (50, 200))
    return [
        f"### {hosts:,} hosts",
        "",
        f"An estimate: each host more costs as much as between {small.size} and {large.size}.",
        "",
        f"- **CPU**: {cpu:,.0f} s on the controller. {main_cpu:,.0f} s of them are the main process's, on one core.",
        _wrapped(
            f"- **Memory**: {main_memory:,.0f} MiB for the main process, and {worker:,.0f} MiB for each fork. That is "
            f"{few:.1f} GiB with 50 forks, and {many:.1f} GiB with 200."
        ),
        _wrapped(
            f"- **Time**: at least {max(main_cpu, cpu / 8):,.0f} s with 8 cores. What the hosts take comes in between: "
            "the seconds of a task on a host, times the hosts, divided by the forks."
        ),
        "",
        "[Many hosts](fleet.md#hundreds-of-hosts) says what to do at that size.",
    ]


def _wrapped(text: str) -> str:
    return textwrap.fill(text.strip(), 120, subsequent_indent="  " if text.startswith("- ") else "")


if __name__ == "__main__":
    sys.exit(main())
