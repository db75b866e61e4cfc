# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluate NixOS systems with a nixpkgs that is a directory. Nothing is built, and nothing is written into a store."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLLECTION = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
#: The directory of nixpkgs, if there is one.
NIXPKGS = os.environ.get("INX_FLEET_NIXPKGS", "")
NEEDED = (
    "Give it a directory with nixpkgs, and nix in PATH: make nixos-eval NIXPKGS=DIR. "
    "Where there is a network: NIXPKGS=$(nix eval --raw --impure --expr "
    "'(builtins.getFlake \"github:NixOS/nixpkgs/nixos-25.11\").outPath')."
)
# One process for so many systems: each takes another 450 MB in it, and a process of its own takes twice the time.
_CHUNK = 6
_TIMEOUT = 1800
_ERROR_SHOWN = 4000

Case = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a case: a derivation without a word, or what is wrong with it."""

    name: str
    problem: str


def evaluate(cases: Mapping[str, Case], directory: Path) -> Iterator[Outcome]:
    """Evaluate all cases, a few in one process. What nix cannot evaluate is tried once more alone, for its error."""
    names = list(cases)
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        told = _evaluated(cases, chunk, directory)
        alone = [name for name in chunk if isinstance(told, str) or told[name] is None]
        if not isinstance(told, str):
            yield from _outcomes(told, [name for name in chunk if name not in alone])
        for name in alone:
            yield from _outcomes(_evaluated(cases, [name], directory), [name])


def listed(files: Mapping[str, Case], directory: Path) -> dict[str, list[str]]:
    """Return the names of what is in files of settings and in flakes."""
    answer = _nix("listed", files, directory)
    assert answer.returncode == 0, answer.stderr[-_ERROR_SHOWN:]
    found: dict[str, list[str]] = json.loads(answer.stdout)
    return found


def _evaluated(cases: Mapping[str, Case], names: Sequence[str], directory: Path) -> dict[str, Any] | str:
    """Return what nix says of these cases, or its error."""
    answer = _nix("evaluated", cases, directory, "--argstr", "names", json.dumps(list(names), separators=(",", ":")))
    if answer.returncode != 0:
        return answer.stderr[-_ERROR_SHOWN:]
    told: dict[str, Any] = json.loads(answer.stdout)
    # Warnings of nixpkgs' lib are only written.
    written = [line for line in answer.stderr.splitlines() if re.match(r"(trace: |evaluation )?warning: ", line)]
    unknown = [line for line in written if not _is_of_a_module(line, told)]
    if unknown and len(names) == 1:
        told[names[0]]["warnings"] += unknown
    elif unknown:
        return "\n".join(unknown)
    return told


def _is_of_a_module(line: str, told: Mapping[str, Any]) -> bool:
    text = line.partition("warning: ")[2]
    return any(text in warning for it in told.values() if it for warning in it["warnings"])


def _nix(attribute: str, cases: Mapping[str, Case], directory: Path, *more: str) -> subprocess.CompletedProcess[str]:
    file = directory / "cases.json"
    file.write_text(json.dumps(cases), encoding="utf-8")
    arguments = {"nixpkgs": NIXPKGS, "collection": str(COLLECTION), "cases": str(file)}
    words = [word for name, value in arguments.items() for word in ("--argstr", name, value)]
    return subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", HERE / "evaluate.nix", "-A", attribute, *words, *more],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
        # It would look for garbage again and again while it grows.
        env={**os.environ, "GC_INITIAL_HEAP_SIZE": "2G"},
    )


def _outcomes(told: Mapping[str, Any] | str, names: Sequence[str]) -> Iterator[Outcome]:
    for name in names:
        yield Outcome(name, told if isinstance(told, str) else "\n".join(_problems(told[name])))


def _problems(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a case should not have said, and what it should have said."""
    for kind, expected in (("warnings", "warns"), ("failed", "refused")):
        wanted = list(told.get(expected, ()))
        for text in told[kind]:
            found = next((it for it in wanted if re.search(it, text, re.DOTALL)), None)
            if found is None:
                yield f"{kind}: {text.strip()}"
            else:
                wanted.remove(found)
        # ".*" is for what nixpkgs itself may say besides.
        yield from (f"nothing of it in {kind}: {it}" for it in wanted if it != ".*")
    if not told.get("refused") and not told["drvPath"].endswith(".drv"):
        yield "it has no derivation"
