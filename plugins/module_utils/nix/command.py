# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Call nix to evaluate, query, build, copy and compare, with JSON where nix supports it."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

from ..errors import FleetError
from .advice import failed_derivations
from .evaluation import build_arguments, evaluate
from .formats import valid_paths_from
from .process import NixCommand, NixError
from .sources import Declared, NixOptions, System
from .temporary_roots import kept, lost

#: A system, and how nix is called for it.
Wanted: TypeAlias = tuple[System, NixOptions]

_NAME_A_STORE = "Name a store that has it with 'copy_from', or a cache in 'nix_options: {substituters: ...}'."
_STORE = "See with 'nix store info --store {store}' on {{host}} whether root reaches that store."
# How often a garbage collection may be quicker than the root.
_EVALUATIONS = 3
# Of how many failed builds the whole log is read.
_LOGS_READ = 5
_UNREADABLE = "The store cannot be read"


@dataclass(frozen=True, kw_only=True)
class Nix(NixCommand):
    """What the modules ask of the nix of a host; ``memory`` is what evaluations may take together, in bytes."""

    memory: int | None = None

    def evaluate(self, declared: Sequence[Declared]) -> dict[Declared, System | FleetError]:
        """Return the store path of each declared system, or why there is none, without building anything."""
        return evaluate(self, declared, self.memory)

    @contextmanager
    def evaluated(
        self, declared: Sequence[Declared], rooted: Collection[str] = ()
    ) -> Iterator[dict[Declared, System | FleetError]]:
        """Evaluate, and keep what that gives from the garbage collector; ``rooted`` are paths that others keep.

        What was collected before it could be rooted is evaluated again.
        """
        for remaining in reversed(range(_EVALUATIONS)):
            found = self.evaluate(declared)
            systems = [one for one in found.values() if isinstance(one, System) and one.path not in rooted]
            with kept(systems):
                if remaining and lost(systems):
                    continue
                yield found
                return

    def valid_paths(self, paths: Sequence[str]) -> set[str]:
        """Return those of ``paths`` that are valid in the store."""
        there = sorted({path for path in paths if os.path.lexists(path)})
        if not there:
            return set()
        return valid_paths_from(json.loads(self.path_info(["--offline"], there, _UNREADABLE)))

    def build_groups(self, wanted: Sequence[Wanted]) -> list[list[Wanted]]:
        """Return what is built or copied in one process: what is called the same way."""
        groups: dict[tuple[NixOptions, str | None], list[Wanted]] = {}
        for entry in dict.fromkeys(wanted):
            groups.setdefault((_build_options(entry[1]), entry[0].copy_from), []).append(entry)
        return list(groups.values())

    def build(self, wanted: Sequence[Wanted]) -> dict[System, FleetError]:
        """Build, substitute or copy systems, in one process for all that are called the same way.

        Return those that failed, with the tail of nix's log; the others are in the store. What is called in different
        ways goes on side by side, so that a store that hangs holds up nothing that does not need it.
        """
        groups = self.build_groups(wanted)
        failed: dict[System, FleetError] = {}
        if not groups:
            return failed
        with ThreadPoolExecutor(max_workers=len(groups)) as pool:
            for errors in pool.map(self._build_or_copy, groups):
                failed.update(errors)
        return failed

    def _build_or_copy(self, group: Sequence[Wanted]) -> dict[System, FleetError]:
        systems, options, store = (
            [system for system, _options in group],
            _build_options(group[0][1]),
            group[0][0].copy_from,
        )
        try:
            if store is None:
                self._build_group(systems, options)
            else:
                self._copy_group(systems, options, store)
        except FleetError as error:
            error.output.update(self._logs_of(error.output.get("nix", "")))
            there = self.valid_paths([system.path for system in systems])
            return {system: _of_one(error, system) for system in systems if system.path not in there}
        return {}

    def _logs_of(self, said: str) -> dict[str, str]:
        """Return the whole logs of the builds that failed, as far as nix keeps them. Of each it has told the end."""
        logs: dict[str, str] = {}
        for derivation in failed_derivations(said)[:_LOGS_READ]:
            with suppress(FleetError):
                logs[f"nix log {derivation}"] = self.run(["log", "--", derivation], "There is no log").text
        return logs

    def _build_group(self, systems: Sequence[System], options: NixOptions) -> None:
        targets = sorted({_target(system) for system in systems})
        arguments = ["build", "--no-link", "--keep-going", *build_arguments(options)]
        self.run([*arguments, "--", *targets], f"The build of {len(targets)} systems failed", options, told=True)

    def _copy_group(self, systems: Sequence[System], options: NixOptions, store: str) -> None:
        """Copy what is in ``store``; nothing is built for it."""
        paths = sorted({system.path for system in systems})
        # Who may log in there is trusted already, as by nixos-rebuild; a cache signs what it has.
        trust = ["--no-check-sigs"] if store.startswith(("ssh://", "ssh-ng://")) else []
        problem = f"The copy of {len(paths)} systems from {store} failed"
        copy = ["copy", "--from", store, *trust, "--", *paths]
        self.run(copy, problem, options, _STORE.format(store=store), told=True)

    def closure_differences(self, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, ...]]:
        """Return what changes between two systems, by the pair, for those of which both are in the store."""
        valid = self.valid_paths([path for pair in pairs for path in pair])
        both = sorted({pair for pair in pairs if valid.issuperset(pair)})
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            return dict(zip(both, pool.map(lambda pair: self._closure_difference(*pair), both), strict=True))

    def _closure_difference(self, before: str, after: str) -> tuple[str, ...]:
        """Return what changes between two built systems, a line per package, in nix's words."""
        answer = self.run(["store", "diff-closures", "--", before, after], "The systems cannot be compared")
        return tuple(line for line in answer.text.splitlines() if line.strip())


def _build_options(options: NixOptions) -> NixOptions:
    """Return what of the options has an effect on a build; the rest had it when the system was evaluated."""
    return replace(options, override_inputs=(), impure=False)


def _of_one(error: FleetError, system: System) -> FleetError:
    """Return the error of a build of several systems, for one of those that are missing."""
    if not isinstance(error, NixError):
        return error
    done = f"build of {_target(system)}" if system.copy_from is None else f"copy of {system.path}"
    is_nowhere = system.copy_from is None and system.derivation is None
    advice = _NAME_A_STORE if is_nowhere else error.otherwise
    return NixError(f"The {done} failed", error.said, advice, error.output)


def _target(system: System) -> str:
    return system.path if system.derivation is None else f"{system.derivation}^out"
