# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time and memory of a sync of roots, on a host that the role inx.fleet.host has provisioned. See README.md.

    gcroots.py LAB_HOST     copies itself and the modules there, runs there, and prints a Markdown table
    gcroots.py --here       on this host, with the modules in the directory given by --package

Containers and links of its own are made, and removed at the end.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onhost import FIXTURE, LAB, PYTHON, THERE, modules, run, say, send

AUTO = Path("/nix/var/nix/gcroots/auto")
ROOTS = Path("/nix/var/nix/gcroots/inx-fleet")
UNITS = ["inx-gcroots.path", "inx-gcroots.service"]
PREFIX = "bench-"
_TIMES = 3
_BUILDS = 30
# More than the links that are measured: what a container runs is rooted as well.
_MAX_ROOTS = 20_000


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One size: seconds and MiB of the first sync, and of one that changes nothing."""

    containers: int
    links: int
    #: Whether each container has all links, instead of an equal part of them.
    all_links: bool
    floor: float
    first: float
    later: float
    memory: float

    @property
    def row(self) -> str:
        """A line of the table."""
        spread = "in each" if self.all_links else "shared out"
        lookups = self.containers * self.links
        return (
            f"| {self.containers} | {self.links:,} {spread} | {lookups:,} | {self.floor:.3f} s | {self.first:.3f} s "
            f"| {self.later:.3f} s | {self.later / self.floor:.1f} | {self.memory:.0f} MiB |"
        )


def main() -> int:
    """Measure here, or have it done on a lab host."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host", nargs="?", help="a host of the lab")
    parser.add_argument("--here", action="store_true", help="measure on this host")
    parser.add_argument("--package", default="/opt/inx-fleet/lib", help="where the package inx_fleet is on the host")
    parser.add_argument("--containers", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--links", type=int, nargs="+", default=[10, 1000, 10_000])
    parser.add_argument("--one-sync", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_sync:
        print(json.dumps(one_sync(arguments.package)))
    elif arguments.here:
        measure_all(arguments.package, arguments.containers, arguments.links)
    elif arguments.host:
        return on_lab_host(arguments)
    else:
        parser.error("name a lab host, or say --here")
    return 0


def on_lab_host(arguments: argparse.Namespace) -> int:
    """Copy what is needed to a host of the lab and run it there, so that the code of this tree is measured."""
    here = Path(__file__)
    send(arguments.host, {here.name: here, "onhost.py": here.with_name("onhost.py"), **modules("inx_fleet")})
    sizes = f"--containers {' '.join(map(str, arguments.containers))} --links {' '.join(map(str, arguments.links))}"
    command = f"{PYTHON} {THERE}/gcroots.py --here --package {THERE} {sizes}"
    return subprocess.run([*LAB, "ssh", arguments.host, "--", command], check=False).returncode


# On the host


def measure_all(package: str, containers: Sequence[int], links: Sequence[int]) -> None:
    """Measure each size, and how long a root takes with the watch."""
    with watch_stopped(), many_containers(max(containers)) as (names, system):
        print("| containers | links | look-ups | floor | first sync | later sync | later / floor | memory |")
        print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
        for count in sorted(containers):
            for number in sorted(links):
                print(measure(package, names[:count], number, system, all_links=False).row, flush=True)
        if 1000 in links:
            print(measure(package, names, 1000, system, all_links=True).row, flush=True)
        seconds = watch_delays(package, names[0], system)
        say(
            f"\nFrom the link to the root with the watch, {len(names)} containers, {len(seconds)} builds: "
            f"median {statistics.median(seconds):.3f} s, longest {max(seconds):.3f} s."
        )


@contextmanager
def watch_stopped() -> Iterator[None]:
    """The units are stopped meanwhile, and links that others have left are put aside."""
    run("systemctl", "stop", *UNITS)
    try:
        yield
    finally:
        run("systemctl", "start", UNITS[0])


@contextmanager
def many_containers(count: int) -> Iterator[tuple[list[str], str]]:
    """Containers that run the small fixture's system, and that system."""
    attribute = f'{FIXTURE}#nixosConfigurations."c1".config.system.build.toplevel'
    system = run("nix", "build", "--no-link", "--print-out-paths", attribute)
    names = [f"{PREFIX}{number}" for number in range(count)]
    root = Path("/nix/var/nix/gcroots/inx-bench")
    with suppress(FileExistsError):
        root.symlink_to(system)
    try:
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda name: make_container(name, system), names))
        yield names, system
    finally:
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(remove_container, names))
        clear()
        root.unlink()


def make_container(name: str, system: str) -> None:
    """Make and start one."""
    init = f"raw.lxc=lxc.init.cmd={system}/init"
    places = ["--storage", "default", "--profile", "inx-container"]
    run("incus", "init", "--quiet", "--empty", name, *places, "--config", init)
    run("incus", "start", name)


def remove_container(name: str) -> None:
    """Remove one, if it is there."""
    subprocess.run(["incus", "delete", "--quiet", "--force", name], stderr=subprocess.DEVNULL, check=False)


def measure(package: str, names: Sequence[str], number: int, system: str, *, all_links: bool) -> Measured:
    """Make the links, sync, sync again; the containers that do not take part are there, but not asked."""
    clear()
    paths = [f"/root/bench/project-{index}/result" for index in range(number)]
    for index, name in enumerate(names):
        give_links(name, paths if all_links else paths[index :: len(names)], system)
    for path in paths:
        make_auto_link(path)
    floor = min(bare_lookups(package, names, paths) for _time in range(_TIMES))
    first = sync_in_a_process(package, names)
    later = [sync_in_a_process(package, names) for _time in range(_TIMES)]
    if first["changes"] < (number * len(names) if all_links else number) or any(sync["changes"] for sync in later):
        raise ValueError(f"what is measured is no first sync, or no later one: {first}, {later}")
    clear()
    return Measured(
        containers=len(names),
        links=number,
        all_links=all_links,
        floor=floor,
        first=first["seconds"],
        later=min(sync["seconds"] for sync in later),
        memory=max(sync["memory"] for sync in (first, *later)),
    )


def give_links(name: str, paths: Sequence[str], target: str) -> None:
    """Links in a container, as its builds would leave them, and none that it had before."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in paths:
            link = tarfile.TarInfo(path.lstrip("/"))
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    script = "rm -rf /root/bench && mkdir -p /root/bench && exec tar x -f - -C /"
    run("incus", "exec", name, "--", "/bin/sh", "-c", script, stdin=archive.getvalue())


def make_auto_link(path: str) -> None:
    """What Nix leaves in gcroots/auto, made as Nix makes it: under another name first."""
    alphabet = "0123456789abcdfghijklmnpqrsvwxyz"
    name = "".join(alphabet[byte % 32] for byte in hashlib.sha256(path.encode()).digest())
    (AUTO / f".bench-{name}").symlink_to(path)
    (AUTO / f".bench-{name}").rename(AUTO / name)


def clear() -> None:
    """Remove the links and roots of all that was measured."""
    with os.scandir(AUTO) as entries:
        for entry in entries:
            if os.readlink(entry.path).startswith("/root/bench/"):
                os.unlink(entry.path)
    for directory in ROOTS.glob(f"{PREFIX}*"):
        shutil.rmtree(directory)


def bare_lookups(package: str, names: Sequence[str], paths: Sequence[str]) -> float:
    """The floor: one openat2(2) for each look-up in one process, and nothing else."""
    rootfs = the_modules(package).incus.rootfs
    running = rootfs.running_containers()
    how = rootfs._OpenHow(os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, 0, 0x12)
    encoded = [path.encode() for path in paths]
    syscall, pointer, size = rootfs._libc.syscall, ctypes.byref(how), ctypes.sizeof(how)
    started = time.perf_counter()
    for name in names:
        root = os.open(f"/proc/{running[name].pid}/root", os.O_PATH | os.O_DIRECTORY)
        for path in encoded:
            descriptor = syscall(437, root, path, pointer, size)
            if descriptor >= 0:
                os.close(descriptor)
        os.close(root)
    return time.perf_counter() - started


def the_modules(package: str) -> Any:
    """The collection's modules as they are installed on a host."""
    if package not in sys.path:
        sys.path.insert(0, package)
    import inx_fleet.gcroots.sync  # noqa: PLC0415
    import inx_fleet.incus.rootfs  # noqa: PLC0415

    return inx_fleet


def sync_in_a_process(package: str, names: Sequence[str]) -> dict[str, float]:
    """A sync in a process of its own, which can tell how much memory it took."""
    command = [sys.executable, __file__, "--one-sync", "--package", package]
    measured: dict[str, float] = json.loads(run(*command, stdin="\n".join(names).encode()))
    return measured


def one_sync(package: str) -> dict[str, float]:
    """Sync the containers whose names are read from stdin."""
    names = sys.stdin.read().split()
    module = the_modules(package).gcroots.sync
    started = time.perf_counter()
    report = module.sync(lambda: None, module.Limits(max_roots=_MAX_ROOTS), module.Scope(only=names))
    seconds = time.perf_counter() - started
    if report.problems or report.limits:
        raise ValueError(report.problems + report.limits)
    memory = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"seconds": seconds, "memory": memory / 1024, "changes": len(report.changes)}


def watch_delays(package: str, name: str, system: str) -> list[float]:
    """Seconds from the link in gcroots/auto, the last that a build leaves, to the root."""
    start = "from inx_fleet.gcroots.command import main; main()"
    command = [sys.executable, "-c", start, "watch"]
    paths = [f"/root/bench/project-{index}/result" for index in range(_BUILDS)]
    give_links(name, paths, system)
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": package}, stdout=subprocess.DEVNULL) as watch:
        try:
            time.sleep(5)
            return [delay(name, path) for path in paths]
        finally:
            watch.terminate()


def delay(name: str, path: str) -> float:
    """Make the auto link and wait for the root."""
    place = f"{ROOTS}/{name}{path}"
    started = time.perf_counter()
    make_auto_link(path)
    while not os.path.lexists(place):
        if time.perf_counter() > started + 30:
            raise TimeoutError(f"{place} has not come")
        time.sleep(0.001)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
