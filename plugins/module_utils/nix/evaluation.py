# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluate declared systems to store paths, without building them.

What was evaluated before is not evaluated again while its sources are the same. Nothing is written into what is read:
what a flake's lock file lacks is resolved in memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ..errors import FleetError
from ..progress.events import Evaluated, Evaluating
from .advice import CODE
from .chunks import Sample, default_limit, evaluate_in_chunks
from .eval_jobs import FEWEST, eval_jobs_command, evaluate_jobs
from .evaluation_cache import EvaluationCache, key_of, surroundings_of
from .flakes import Sources, lock_warnings, metadata_arguments, sources_from, without_links
from .formats import system_from
from .not_systems import explained
from .process import NixCommand, NixError
from .sources import Declared, File, Flake, NixOptions, StorePath, System
from .temporary_roots import lost

Found: TypeAlias = dict[Declared, "System | FleetError"]
# A flake, and how nix is called for it: of what is equal here, nix is asked once.
_Place: TypeAlias = tuple[str, NixOptions]

# How often sources may change while they are evaluated; after that, what was evaluated counts.
_ATTEMPTS = 3


def evaluate(
    nix: NixCommand, declared: Sequence[Declared], memory: int | None, cache: EvaluationCache | None = None
) -> Found:
    """Return the system of each declared one, or the error with nix's own message of one that does not evaluate.

    All processes of nix together take ``memory`` bytes at most, by default what is available less a reserve, unless
    one system alone needs more.
    """
    entries = list(dict.fromkeys(declared))
    nix.events.tell(Evaluating(total=len(entries)))
    found: Found = {
        (source, options): System(path=source.path, copy_from=source.copy_from)
        for source, options in entries
        if isinstance(source, StorePath)
    }
    work = _Evaluation(nix, memory, EvaluationCache() if cache is None else cache)
    rest = [entry for entry in entries if entry not in found]
    pure = [entry for entry in rest if isinstance(entry[0], Flake) and not entry[1].impure]
    found.update(work.of_flakes(pure))
    found.update(work.in_chunks([entry for entry in rest if entry not in pure], {}))
    nix.events.tell(Evaluated(count=len(entries)))
    found.update(explained(nix, {entry: one for entry, one in found.items() if isinstance(one, FleetError)}))
    return {entry: found[entry] for entry in entries}


class _Evaluation:
    """One evaluation: nix, its memory, and what was evaluated before."""

    def __init__(self, nix: NixCommand, memory: int | None, cache: EvaluationCache) -> None:
        self._nix = nix
        self._memory = memory
        self._cache = cache
        self._surroundings = surroundings_of(nix.command, os.environ)

    def of_flakes(self, entries: Sequence[Declared]) -> Found:
        """Evaluate what the cache does not have. Sources that change meanwhile are evaluated again."""
        found: Found = {}
        looks = self._looks(entries)
        for remaining in reversed(range(_ATTEMPTS)):
            found.update({entry: _of(look, entry) for entry, look in _unreadable(entries, looks).items()})
            waiting = [entry for entry in entries if entry not in found]
            known = self._cached(waiting, looks)
            self._nix.events.tell(Evaluated(count=len(known)))
            new = self.in_chunks([entry for entry in waiting if entry not in known], looks)
            moved = {entry for entry, one in new.items() if _may_have_moved(looks[_place(entry)], one)}
            now = {**looks, **self._looks(moved)}
            same = {
                entry: one
                for entry, one in new.items()
                if now[_place(entry)] == looks[_place(entry)] and not _is_gone(looks[_place(entry)], one)
            }
            self._store(same, looks)
            evaluated = {**known, **(same if remaining else new)}
            found.update({entry: _warned(entry, looks[_place(entry)], one) for entry, one in evaluated.items()})
            looks = now
        return found

    def _looks(self, entries: Iterable[Declared]) -> dict[_Place, Sources | FleetError]:
        """Ask nix what flakes lead to."""
        places = list(dict.fromkeys(map(_place, entries)))
        if not places:
            return {}
        with ThreadPoolExecutor(max_workers=_processors()) as pool:
            return dict(zip(places, pool.map(self._look, places), strict=True))

    def _look(self, place: _Place) -> Sources | FleetError:
        reference, options = place
        try:
            answer = self._nix.run(metadata_arguments(reference, options), "The flake cannot be read", options, CODE)
        except FleetError as error:
            return error
        return sources_from(reference, answer.text, answer.said, options)

    def _cached(
        self, entries: Sequence[Declared], looks: Mapping[_Place, Sources | FleetError]
    ) -> dict[Declared, System]:
        """Return the systems that were evaluated before, and that are in the store yet, or can be built."""
        files: dict[str, dict[str, System]] = {}
        found: dict[Declared, System] = {}
        for entry in entries:
            key = self._key(entry, looks)
            if key is not None:
                systems = files[key] if key in files else files.setdefault(key, self._cache.read(key))
                system = systems.get(_attribute(entry))
                if system is not None and not lost([system]):
                    found[entry] = system
        return found

    def _store(self, found: Found, looks: Mapping[_Place, Sources | FleetError]) -> None:
        by_key: dict[str, dict[str, System]] = {}
        for entry, system in found.items():
            key = self._key(entry, looks)
            if key is not None and isinstance(system, System):
                by_key.setdefault(key, {})[_attribute(entry)] = system
        for key, systems in by_key.items():
            self._cache.add(key, systems)

    def _key(self, entry: Declared, looks: Mapping[_Place, Sources | FleetError]) -> str | None:
        sources = looks[_place(entry)]
        if not isinstance(sources, Sources) or sources.identity is None:
            return None
        return key_of(sources.identity, entry[1], self._surroundings)

    def in_chunks(self, entries: Sequence[Declared], looks: Mapping[_Place, Sources | FleetError]) -> Found:
        """Evaluate systems that are called the same way together, as far as memory goes."""
        found: Found = {}
        for group in _groups(entries):
            limit = self._memory or default_limit(Path("/proc/meminfo").read_text(encoding="ascii"))
            found.update(self._by_jobs(group, looks, limit))
            rest = [entry for entry in group if entry not in found]
            installables = {entry: _installable(entry, looks) for entry in rest}
            evaluate_some = partial(self._evaluate, installables)
            found.update(evaluate_in_chunks(rest, evaluate_some, limit=limit, processors=_processors()))
        return found

    def _by_jobs(
        self, group: Sequence[Declared], looks: Mapping[_Place, Sources | FleetError], limit: int
    ) -> dict[Declared, System]:
        """Return what nix-eval-jobs evaluates, if there is one, of flakes whose sources cannot change meanwhile."""
        command = eval_jobs_command(self._nix.command)
        by_place: dict[_Place, dict[str, Declared]] = {}
        for entry in group:
            look = looks.get(_place(entry))
            if command is not None and isinstance(look, Sources) and look.is_pinned and not look.unlocked:
                by_place.setdefault(_place(entry), {})[_attribute(entry)] = entry
        found: dict[Declared, System] = {}
        for place, entries in by_place.items():
            look = looks[place]
            if command is not None and isinstance(look, Sources) and len(entries) >= FEWEST:
                jobs = NixCommand(command=command, timeout=self._nix.timeout, events=self._nix.events)
                systems = evaluate_jobs(
                    jobs, look.reference, list(entries), place[1], limit=limit, processors=_processors()
                )
                self._nix.events.tell(Evaluated(count=len(systems)))
                found.update({entries[name]: system for name, system in systems.items()})
        return found

    def _evaluate(self, installables: Mapping[Declared, str], chunk: Sequence[Declared]) -> tuple[list[System], Sample]:
        options, names = chunk[0][1], ", ".join(_name(entry) for entry in chunk)
        arguments = evaluation_arguments(chunk[0], [installables[entry] for entry in chunk])
        answer = self._nix.run(arguments, f"{names} does not evaluate", options, CODE)
        found = json.loads(answer.text)
        # One entry for each installable, in their order (Nix: src/nix/build.cc).
        if len(found) != len(chunk):
            raise FleetError(
                f"{names}: nix found {len(found)} derivations there, not {len(chunk)}.",
                "Name the toplevel of a system: config.system.build.toplevel.",
            )
        self._nix.events.tell(Evaluated(count=len(chunk)))
        systems = [system_from(seen, _name(entry)) for entry, seen in zip(chunk, found, strict=True)]
        return systems, Sample(systems=len(chunk), peak=answer.peak, seconds=answer.seconds)


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _place(entry: Declared) -> _Place:
    source, options = entry
    reference = without_links(source.reference) if isinstance(source, Flake) else _name(entry)
    # Who builds does not matter to what a flake leads to.
    return reference, replace(options, builders=None)


def _attribute(entry: Declared) -> str:
    return entry[0].attribute  # type: ignore[union-attr]


def _name(entry: Declared) -> str:
    """Return what is evaluated as the user wrote it."""
    return entry[0].installable  # type: ignore[union-attr]


def _installable(entry: Declared, looks: Mapping[_Place, Sources | FleetError]) -> str:
    """Return the argument for nix: a flake by its revision, if it has one."""
    source = entry[0]
    if not isinstance(source, Flake):
        # Of a set in a file, nix would build all, and of an empty one nothing: which of them is whose is not told.
        return f"{_name(entry)}.outPath"
    look = looks.get(_place(entry))
    reference = look.reference if isinstance(look, Sources) else without_links(source.reference)
    return replace(source, reference=reference).installable


def _may_have_moved(look: Sources | FleetError, found: System | FleetError) -> bool:
    """Return whether the sources may be others than those that were looked at before the evaluation."""
    return not isinstance(look, Sources) or not look.is_pinned or _is_gone(look, found)


def _is_gone(look: Sources | FleetError, found: System | FleetError) -> bool:
    """Return whether a garbage collection took the sources before they could be evaluated."""
    copy = look.copy if isinstance(look, Sources) else None
    return copy is not None and isinstance(found, FleetError) and not os.path.lexists(copy)


def _unreadable(
    entries: Iterable[Declared], looks: Mapping[_Place, Sources | FleetError]
) -> dict[Declared, FleetError]:
    return {entry: look for entry in entries if isinstance(look := looks[_place(entry)], FleetError)}


def _of(error: FleetError, entry: Declared) -> FleetError:
    """Return the error of a flake, for one of its systems."""
    if not isinstance(error, NixError):
        return error
    return NixError(f"{_name(entry)} does not evaluate", error.said, error.otherwise, error.output)


def _warned(entry: Declared, look: Sources | FleetError, found: System | FleetError) -> System | FleetError:
    source = entry[0]
    if not isinstance(found, System) or not isinstance(look, Sources) or not isinstance(source, Flake):
        return found
    warnings = lock_warnings(source, look)
    return replace(found, warnings=warnings, locked_inputs=look.locked, revision=look.revision)


def _groups(declared: Sequence[Declared]) -> list[list[Declared]]:
    """Return what can be given to one nix process: same options, and the same file if it is one."""
    groups: dict[object, list[Declared]] = {}
    for entry in declared:
        source, options = entry
        place = source.path if isinstance(source, File) else None
        groups.setdefault((type(source), place, options), []).append(entry)
    return list(groups.values())


def evaluation_arguments(first: Declared, installables: Sequence[str]) -> list[str]:
    """Return the arguments that evaluate installables, which are called the same way as ``first``."""
    source, options = first
    arguments = ["build", "--dry-run", "--json", "--no-write-lock-file", *build_arguments(options)]
    for name, reference in options.override_inputs:
        arguments += ["--override-input", name, reference]
    if options.impure:
        arguments.append("--impure")
    if isinstance(source, File):
        arguments += ["--file", source.path]
    return [*arguments, "--", *installables]


def build_arguments(options: NixOptions) -> list[str]:
    """Return the arguments that say how anything is built."""
    arguments: list[str] = []
    if options.accept_flake_config:
        arguments.append("--accept-flake-config")
    if options.builders is not None:
        arguments += ["--builders", options.builders]
    return arguments
