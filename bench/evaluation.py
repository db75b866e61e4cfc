# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time and memory of evaluation, of flakes as heavy as NixOS, on a lab host that has Nix. See README.md.

    evaluation.py LAB_HOST --output docs/speed.md   measures there, and writes the section of that page
    evaluation.py --here                            on this host, with the modules in the directory given by --package

The flake is synthetic: its systems allocate and compute as much as NixOS systems do, and build nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onhost import EVALUATION, LAB, PYTHON, THERE, modules, send, with_section

FLAKE = Path("/srv/bench-evaluation")
#: The same systems with a weight of 0.
SMALL = Path("/srv/bench-evaluation-small")
_PAIRS = 5
_MIB = 2**20
#: What colmena reckons with: so much for each host in a chunk, and so much left to the machine.
_COLMENA_EACH = 512 * _MIB
_SAMPLE = 0.05
# With a weight of 1: what is done once, and for each system. Of 0: next to nothing.
_TEXT = """
{ weight, version }:
let
  run = name: derivation {
    inherit name;
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-c" "echo > $out" ];
  };
  # Kept as long as the evaluation goes on, as the options of NixOS are.
  load = salt: size: builtins.genList (number: {
    inherit number;
    text = "${salt}-${toString number}";
    more = { a = number; b = [ number salt ]; };
  }) (builtins.ceil (size * weight));
  force = builtins.foldl' (sum: entry: sum + builtins.stringLength entry.text + builtins.length entry.more.b) 0;
  once = load "once" ONCE.0;
  sum = force once;
  system = name:
    let data = load name EACH.0;
    in {
      inherit data;
      config.system.build.toplevel = run "${name}-${version.${name} or version.default}-${toString (sum + force data)}";
    };
  names = builtins.genList (number: "c${toString (number + 1)}") 200;
in
{ inherit once; nixosConfigurations = builtins.listToAttrs (map (name: { inherit name; value = system name; }) names); }
"""
_ONCE, _EACH = 700_000, 1_000_000


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds and peaks of memory in bytes, of all processes of nix together."""

    systems: int
    cold: float
    cold_peak: int
    unchanged: float
    unchanged_small: float
    one_changed: float
    one_changed_peak: int

    def row(self) -> str:
        """Return a line of the table."""
        colmena = self.systems * _COLMENA_EACH // _MIB
        return (
            f"| {self.systems} | {self.cold:.1f} s | {self.cold_peak // _MIB:,} MiB | {self.unchanged:.2f} s "
            f"| {self.unchanged_small:.2f} s | {self.one_changed:.1f} s | {self.one_changed_peak // _MIB:,} MiB "
            f"| {colmena:,} MiB |"
        )


def main() -> int:
    """Measure here, or have it done on a lab host."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host", nargs="?", help="a host of the lab")
    parser.add_argument("--here", action="store_true", help="measure on this host")
    parser.add_argument("--package", default="/opt/inx-fleet/lib", help="where the package inx_fleet is on the host")
    parser.add_argument("--systems", type=int, nargs="+", default=[1, 20, 100], help="numbers of systems")
    parser.add_argument("--weight", type=float, default=1.0, help="1 is a NixOS system, 0 next to nothing")
    parser.add_argument("--memory", type=int, help="the limit in MiB; by default what is available, less a reserve")
    parser.add_argument("--output", type=Path, help="the page whose section is written")
    arguments = parser.parse_args()
    if arguments.here:
        for found in measure_all(arguments):
            print(json.dumps(asdict(found)), flush=True)
        return 0
    if not arguments.host:
        parser.error("name a lab host, or say --here")
    lines = list(on_lab_host(arguments))
    text = section([Measured(**json.loads(line)) for line in lines[1:]], arguments, json.loads(lines[0]))
    print(text)
    if arguments.output:
        write_section(arguments.output, text)
    return 0


def on_lab_host(arguments: argparse.Namespace) -> Iterator[str]:
    """Copy what is needed to a host of the lab and run it there, so that the code of this tree is measured."""
    here = Path(__file__)
    send(arguments.host, {here.name: here, "onhost.py": here.with_name("onhost.py"), **modules("inx_fleet")})
    memory = [] if arguments.memory is None else ["--memory", str(arguments.memory)]
    sizes = ["--systems", *map(str, arguments.systems), "--weight", str(arguments.weight), *memory]
    command = f"{PYTHON} {THERE}/evaluation.py --here --package {THERE} {' '.join(sizes)}"
    for words in ('echo "[$(nproc), \\"$(nix --version)\\"]"', command):
        done = subprocess.run([*LAB, "ssh", arguments.host, "--", words], stdout=subprocess.PIPE, text=True, check=True)
        yield from done.stdout.splitlines()


def section(found: Sequence[Measured], arguments: argparse.Namespace, about: Sequence[Any]) -> str:
    """Return the section of the page."""
    limit = "its default, the available memory less 1 GiB" if arguments.memory is None else f"{arguments.memory:,} MiB"
    return "\n".join(
        [
            EVALUATION,
            "",
            f"What `bench/evaluation.py` measured on one host: {about[0]} CPUs, {about[1]}. `evaluation_memory` is",
            f"{limit}. The flake is synthetic, a `path:` reference of weight {arguments.weight}: with 1,",
            "a system takes about as long and as much memory as one of NixOS. Nothing is built.",
            "",
            "| systems | cold | its peak | unchanged | weight 0 | one new system | its peak | colmena's estimate |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *[one.row() for one in found],
            "",
            "- *Cold*: nothing was evaluated before. Peaks are those of all processes of nix together.",
            "- *Unchanged*: the same again. Nix resolves the flake, and the evaluation comes from the cache.",
            "  Beside it, in turns, as many systems with a weight of 0. Each is the least of five.",
            "- *One new system*: one more system of the same sources is declared.",
            "- *colmena's estimate* is 512 MiB for each host of a chunk, with 1 GiB left to the machine. colmena",
            "  sizes its chunks by it. The collection sizes them by the memory of the chunks before.",
            "- A host that has `nix-eval-jobs` evaluates with it. That was tested against a simulation only: Debian",
            "  13 and its backports do not have it.",
            "",
        ]
    )


def write_section(page: Path, text: str) -> None:
    """Put the section into the page, in the place of the one that is there."""
    page.write_text(with_section(page.read_text(encoding="utf-8"), text), encoding="utf-8")


# On the host


def measure_all(arguments: argparse.Namespace) -> Iterator[Measured]:
    """Measure each number of systems."""
    sys.path.insert(0, arguments.package)
    memory = None if arguments.memory is None else arguments.memory * _MIB
    nix = importlib.import_module("inx_fleet.nix.command").Nix(command=shutil.which("nix"), memory=memory)
    sources = importlib.import_module("inx_fleet.nix.sources")
    cache = Path(importlib.import_module("inx_fleet.nix.evaluation_cache").CACHE_DIR)
    for number, systems in enumerate(arguments.systems):
        write_flake(FLAKE, arguments.weight, f"{number}-{time.time()}")
        write_flake(SMALL, 0, f"{number}-{time.time()}")
        shutil.rmtree(cache, ignore_errors=True)
        names = [f"c{one + 1}" for one in range(systems)]
        evaluated(nix, sources, SMALL, names)
        cold, cold_peak = evaluated(nix, sources, FLAKE, names)
        pairs = [[evaluated(nix, sources, place, names)[0] for place in (FLAKE, SMALL)] for _pair in range(_PAIRS)]
        unchanged, unchanged_small = map(min, zip(*pairs, strict=True))
        one_changed, one_changed_peak = evaluated(nix, sources, FLAKE, [*names[:-1], "c200"])
        yield Measured(
            systems=systems,
            cold=cold,
            cold_peak=cold_peak,
            unchanged=unchanged,
            unchanged_small=unchanged_small,
            one_changed=one_changed,
            one_changed_peak=one_changed_peak,
        )
    shutil.rmtree(FLAKE)
    shutil.rmtree(SMALL)


def write_flake(place: Path, weight: float, version: str) -> None:
    """Write the flake, as one that nobody has evaluated."""
    place.mkdir(exist_ok=True)
    text = _TEXT.replace("ONCE", str(_ONCE)).replace("EACH", str(_EACH))
    (place / "systems.nix").write_text(text, encoding="utf-8")
    (place / "flake.nix").write_text(
        f'{{ outputs = _: import ./systems.nix {{ weight = {weight}; version.default = "{version}"; }}; }}\n',
        encoding="utf-8",
    )


def evaluated(nix: Any, sources: Any, place: Path, names: Sequence[str]) -> tuple[float, int]:
    """Evaluate, and return the seconds and the peak of memory."""
    declared = [(sources.Flake(reference=f"path:{place}", attribute=name), sources.NixOptions()) for name in names]
    with peak_of_nix() as peak:
        started = time.monotonic()
        found = nix.evaluate(declared)
        seconds = time.monotonic() - started
    wrong = [error for error in found.values() if isinstance(error, Exception)]
    if wrong:
        raise wrong[0]
    return seconds, peak[0]


@contextmanager
def peak_of_nix() -> Iterator[list[int]]:
    """Yield a list with the most memory that all processes of nix have had at a time."""
    peak, ended = [0], threading.Event()

    def sample() -> None:
        while not ended.wait(_SAMPLE):
            peak[0] = max(peak[0], memory_of_nix())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def memory_of_nix() -> int:
    """Return the resident memory of all processes called nix."""
    total = 0
    for process in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            place = Path("/proc", process)
            if (place / "comm").read_text(encoding="ascii").strip() == "nix":
                total += int((place / "statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


if __name__ == "__main__":
    sys.exit(main())
