# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluate with nix-eval-jobs, if the host has it.

What it cannot evaluate, or a version that does not know an option, is left to nix itself, in chunks: only what it did
evaluate counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from ..errors import FleetError
from .chunks import NIXOS, worker_count
from .formats import system_from
from .process import NixCommand
from .sources import NixOptions, System

COMMAND = "nix-eval-jobs"
# Fewer are evaluated by nix in the time that workers take to start.
FEWEST = 8
_MIB = 2**20


def eval_jobs_command(nix: str) -> str | None:
    """Return the nix-eval-jobs beside this nix, or in the PATH; None when there is none.

    One of another directory may be of another version, and share nothing with this nix but the store.
    """
    places = [os.path.dirname(nix), *os.environ.get("PATH", "").split(os.pathsep)]
    paths = [f"{place}/{COMMAND}" for place in places if place.startswith("/")]
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def evaluate_jobs(
    jobs: NixCommand, reference: str, names: Sequence[str], options: NixOptions, *, limit: int, processors: int
) -> dict[str, System]:
    """Return the systems of a flake that evaluate, by their names; ``limit`` bytes are for all workers together."""
    workers = worker_count(limit, NIXOS, processors)
    # A worker is started again after the system that it has grown too large with.
    memory = limit // workers - NIXOS.each
    try:
        answer = jobs.run(jobs_arguments(reference, names, options, memory, workers), COMMAND, options)
    except FleetError:
        return {}
    return systems_from(answer.text, names)


def jobs_arguments(reference: str, names: Sequence[str], options: NixOptions, memory: int, workers: int) -> list[str]:
    """Return the arguments that have these systems evaluated; a worker may take ``memory`` bytes."""
    wanted = " ".join(f'"{name}" = systems."{name}".config.system.build.toplevel;' for name in names)
    arguments = ["--workers", str(workers), "--max-memory-size", str(max(1, memory // _MIB)), "--force-recurse"]
    if options.accept_flake_config:
        arguments.append("--accept-flake-config")
    for name, override in options.override_inputs:
        arguments += ["--override-input", name, override]
    return [*arguments, "--select", f"systems: {{ {wanted} }}", "--flake", f"{reference}#nixosConfigurations"]


def systems_from(text: str, names: Sequence[str]) -> dict[str, System]:
    """Return the systems of what it printed, a line of JSON for each, without those that have an error."""
    found: dict[str, System] = {}
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            (name,) = entry["attrPath"]
            if "error" not in entry and name in names:
                found[name] = system_from(entry, name)
        except (ValueError, KeyError, TypeError, FleetError):
            continue
    return found
