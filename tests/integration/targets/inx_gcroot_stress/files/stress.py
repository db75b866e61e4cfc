# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers build and remove links while the host collects without a pause. Ends with code 1 when a build is lost.

A build is lost when its link stood, for a second or longer, as a collection began,
still stands as that has ended, and leads to nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTICE = 1.0
#: Nix itself: a collection takes away the link that a build is about to put in its place. That build fails.
NIX_RACE = "cannot rename: No such file or directory [/nix/var/nix/gcroots/auto/"
#: Container and name of the link -> where it leads, and when it was made.
Links = dict[tuple[str, str], tuple[str, float]]


@dataclass(kw_only=True)
class Tally:
    """What has happened so far."""

    builds: int = 0
    raced: int = 0
    failed: list[str] = field(default_factory=list)
    collections: int = 0
    kept: int = 0
    lost: list[str] = field(default_factory=list)
    lost_young: int = 0


def main() -> int:
    """Build and collect until there were enough of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, required=True, help="builds and collections in all")
    parser.add_argument("--patience", type=float, required=True, help="seconds")
    parser.add_argument("containers", nargs="+")
    arguments = parser.parse_args()
    tally = Tally()
    roots = {name: Path(f"/proc/{init_of(name)}/root/root/stress") for name in arguments.containers}
    builders = [start_builder(name) for name in arguments.containers]
    readers = [threading.Thread(target=count_builds, args=(builder, tally), daemon=True) for builder in builders]
    for reader in readers:
        reader.start()
    began = time.monotonic()
    try:
        while tally.builds + tally.collections < arguments.rounds and time.monotonic() < began + arguments.patience:
            collect(roots, tally)
            if any(builder.poll() is not None for builder in builders):
                tally.failed.append("a builder has ended")
                break
    finally:
        for name, builder in zip(arguments.containers, builders, strict=True):
            stop_builder(name, builder)
    time.sleep(NOTICE)
    collect(roots, tally)
    if tally.lost_young > tally.kept / 20:
        tally.failed.append("young builds are lost too often: nobody watches")
    report(tally, time.monotonic() - began)
    enough = tally.builds + tally.collections >= arguments.rounds and tally.kept
    return 1 if tally.lost or tally.failed or not enough else 0


def init_of(name: str) -> int:
    """The process number of a container's init."""
    state = subprocess.run(["incus", "info", name], stdout=subprocess.PIPE, text=True, check=True).stdout
    return next(int(line.split()[1]) for line in state.splitlines() if line.startswith("PID:"))


def start_builder(name: str) -> subprocess.Popen[str]:
    """Run build.sh in a container."""
    script = (HERE / "build.sh").read_text(encoding="utf-8")
    shell = ["/bin/sh", "-c", f"echo $$ > /root/builder\n{script}", "sh", name]
    command = ["incus", "exec", name, "--env", "NIX_REMOTE=daemon", "--", *shell]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def stop_builder(name: str, builder: subprocess.Popen[str]) -> None:
    """End build.sh in its container."""
    subprocess.run(["incus", "exec", name, "--", "/bin/sh", "-c", "kill $(cat /root/builder)"], check=False)
    builder.wait(timeout=60)


def count_builds(builder: subprocess.Popen[str], tally: Tally) -> None:
    """Count the store paths that a builder prints."""
    for line in builder.stdout or ():
        if line.startswith("/nix/store/"):
            tally.builds += 1
        elif NIX_RACE in line:
            tally.raced += 1
        else:
            tally.failed.append(line.strip())


def standing(roots: dict[str, Path]) -> Links:
    """The links of all containers that lead to something, by what they are right now."""
    links = {(name, entry): link for name, root in roots.items() for entry, link in links_in(root)}
    return {place: link for place, link in links.items() if os.path.lexists(link[0])}


def links_in(directory: Path) -> Iterator[tuple[str, tuple[str, float]]]:
    with suppress(FileNotFoundError):
        for entry in os.listdir(directory):
            with suppress(OSError):
                path = directory / entry
                yield entry, (os.readlink(path), path.lstat().st_mtime)


def collect(roots: dict[str, Path], tally: Tally) -> None:
    """One collection, and what it did to the links that stood before it and do after."""
    before = standing(roots)
    began = time.time()
    command = ["nix-store", "--gc"]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        tally.failed.append(f"nix-store --gc ended with code {done.returncode}: {done.stderr[-600:]}")
    tally.collections += 1
    for place, link in before.items():
        target, made = link
        if not still_there(roots, place, link):
            continue
        if os.path.lexists(target):
            tally.kept += 1
        elif began - made >= NOTICE:
            tally.lost.append(f"{place[0]}:{place[1]} -> {target}, {began - made:.2f} s old")
        else:
            tally.lost_young += 1


def still_there(roots: dict[str, Path], place: tuple[str, str], link: tuple[str, float]) -> bool:
    """Whether the very same link stands, wherever it leads."""
    with suppress(OSError):
        path = roots[place[0]] / place[1]
        return (os.readlink(path), path.lstat().st_mtime) == link
    return False


def report(tally: Tally, seconds: float) -> None:
    """Print what a reader of the test's output wants to know."""
    print(f"{tally.builds} builds, {tally.collections} collections in {seconds:.0f} s")
    print(f"{tally.kept} times a link stood before and after a collection, and its build lived")
    print(f"{tally.lost_young} times it was younger than {NOTICE:.0f} s, and its build was collected")
    print(f"{tally.raced} times Nix took a build's own link from under it")
    print(f"{len(tally.lost)} builds lost, {len(tally.failed)} failed")
    for line in (*tally.lost[:20], *tally.failed[:20]):
        print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main())
