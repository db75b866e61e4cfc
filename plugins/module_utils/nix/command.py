# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that is asked of nix: its command line, with JSON wherever it has it.

Commands are run without a shell. What the user declared comes after ``--`` or
as the value of an option, so that it is never taken for an option.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ..errors import FleetError
from ..locks import locked_directory, open_directory
from ..paths import PROFILES_DIR
from ..text import plain, tail
from .profiles import make_profiles_dir
from .sources import File, NixOptions, Source, StorePath, System

Declared: TypeAlias = tuple[Source, NixOptions]

#: Where nix is on hosts whose PATH for Ansible does not have it.
NIX_DIRECTORIES = ["/run/current-system/sw/bin", "/nix/var/nix/profiles/default/bin", "/root/.nix-profile/bin"]
_FEATURES = ("--extra-experimental-features", "nix-command flakes")
# A directory with links for each run that goes on: all below /nix/var/nix/profiles is a root.
_RUN = ".run-"

_LOG = re.compile(r"nix log '?(/nix/store/[^\s']+\.drv)|builder for '([^']+\.drv)' failed")
_DAEMON = "See 'systemctl status nix-daemon' and 'df -h /nix' on the host."
_CODE = "Mend it where nix says so; the same with --show-trace, by 'nix build' on the host, tells more."
_NAME_A_STORE = "Name a store that has it with 'copy_from', or a cache in 'nix_options: {substituters: ...}'."


class _NixError(FleetError):
    """nix ended with an error; ``said`` is the tail of its log."""

    def __init__(self, problem: str, said: str, advice: str) -> None:
        super().__init__(f"{problem}. nix says:\n{said}", advice)
        self.said = said


@dataclass(frozen=True, kw_only=True)
class Nix:
    """The nix command of the host; ``timeout`` bounds each call, in seconds."""

    command: str
    timeout: int = 3600

    def evaluate(
        self, declared: Sequence[Declared], *, write_lock_file: bool = True
    ) -> dict[Declared, System | FleetError]:
        """Find out which store path each declared system is, without building it.

        Systems that are called the same way are evaluated in one process. One that does not
        evaluate has the FleetError with nix's own message in its place.
        """
        systems: dict[Declared, System | FleetError] = {}
        for source, options in declared:
            if isinstance(source, StorePath):
                systems[source, options] = System(path=source.path, copy_from=source.copy_from)
        for group in _groups([entry for entry in declared if entry not in systems]):
            systems.update(self._evaluate_all(group, write_lock_file))
        return systems

    def _evaluate_all(self, group: Sequence[Declared], write_lock_file: bool) -> Mapping[Declared, System | FleetError]:
        """In one process, or one by one when that fails: the others are not to suffer from a bad one."""
        try:
            return self._evaluate_group(group, write_lock_file)
        except FleetError as error:
            if len(group) == 1:
                return {group[0]: error}
        found: dict[Declared, System | FleetError] = {}
        for entry in group:
            found.update(self._evaluate_all([entry], write_lock_file))
        return found

    def _evaluate_group(self, group: Sequence[Declared], write_lock_file: bool) -> dict[Declared, System]:
        source, options = group[0]
        arguments = ["build", "--dry-run", "--json", *_option_arguments(options)]
        if isinstance(source, File):
            arguments += ["--file", source.path]
        elif not write_lock_file:
            arguments += ["--no-write-lock-file"]
        installables = [entry[0].installable for entry in group]  # type: ignore[union-attr]
        problem = f"{', '.join(installables)} does not evaluate"
        answer = self._run([*arguments, "--", *installables], problem, options, _CODE)
        found = json.loads(answer)
        # One entry for each installable, in their order (Nix: src/nix/build.cc).
        if len(found) != len(group):
            raise FleetError(
                f"{', '.join(installables)}: nix found {len(found)} derivations there, not {len(group)}.",
                "Name the toplevel of a system: config.system.build.toplevel.",
            )
        return {entry: _system(seen, text) for entry, seen, text in zip(group, found, installables, strict=True)}

    def valid_paths(self, paths: Sequence[str]) -> set[str]:
        """Those of ``paths`` that are valid in the store."""
        there = sorted({path for path in paths if os.path.lexists(path)})
        if not there:
            return set()
        answer = json.loads(self._run(["path-info", "--json", "--offline", "--", *there], "The store cannot be read"))
        # Nix up to 2.18 gave a list, later ones a dictionary with null for what is not valid.
        if isinstance(answer, list):
            return {entry["path"] for entry in answer if entry.get("valid", True)}
        return {path for path, info in answer.items() if info is not None}

    def build(self, wanted: Sequence[tuple[System, NixOptions]]) -> dict[System, FleetError]:
        """Build, substitute or copy systems, in one process for all that are called the same way.

        Returns those that failed, with the tail of nix's log; the others are in the store.
        """
        groups: dict[tuple[NixOptions, str | None], list[System]] = {}
        for system, options in wanted:
            # The rest of the options has had its effect when the system was evaluated.
            how = replace(options, override_inputs=(), impure=False), system.copy_from
            groups.setdefault(how, []).append(system)
        failed: dict[System, FleetError] = {}
        for (options, store), systems in groups.items():
            try:
                if store is None:
                    self._build_group(systems, options)
                else:
                    self._copy_group(systems, options, store)
            except FleetError as error:
                there = self.valid_paths([system.path for system in systems])
                missing = [system for system in systems if system.path not in there]
                failed.update({system: _of_one(error, system) for system in missing})
        return failed

    def _build_group(self, systems: Sequence[System], options: NixOptions) -> None:
        targets = sorted({_target(system) for system in systems})
        arguments = ["build", "--no-link", "--keep-going", *_build_arguments(options)]
        self._run([*arguments, "--", *targets], f"The build of {len(targets)} systems failed", options)

    def _copy_group(self, systems: Sequence[System], options: NixOptions, store: str) -> None:
        """What is copied is in ``store`` or fails: nothing is built for it."""
        paths = sorted({system.path for system in systems})
        # Who may log in there is trusted already, as by nixos-rebuild; a cache signs what it has.
        trust = ["--no-check-sigs"] if store.startswith(("ssh://", "ssh-ng://")) else []
        problem = f"The copy of {len(paths)} systems from {store} failed"
        advice = f"See with 'nix store info --store {store}' on the host whether its root reaches that store."
        self._run(["copy", "--from", store, *trust, "--", *paths], problem, options, advice)

    def closure_differences(self, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, ...]]:
        """What changes between two systems, by the pair, for those of which both are in the store."""
        valid = self.valid_paths([path for pair in pairs for path in pair])
        both = sorted({pair for pair in pairs if valid.issuperset(pair)})
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            return dict(zip(both, pool.map(lambda pair: self._closure_difference(*pair), both), strict=True))

    def _closure_difference(self, before: str, after: str) -> tuple[str, ...]:
        """What changes between two built systems, a line per package, in nix's words."""
        answer = self._run(["store", "diff-closures", "--", before, after], "The systems cannot be compared")
        return tuple(line for line in answer.splitlines() if line.strip())

    def _run(
        self, arguments: Sequence[str], problem: str, options: NixOptions | None = None, advice: str = _DAEMON
    ) -> str:
        command = [self.command, *_FEATURES, *arguments]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.timeout,
                check=False,
                env={**os.environ, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", **_settings(options)},
            )
        except subprocess.TimeoutExpired as error:
            late = f"{problem}: nix was not done after {self.timeout} s."
            raise FleetError(late, "Raise 'build_timeout'.") from error
        except OSError as error:
            raise FleetError(f"{self.command} cannot be run: {error.strerror}.", "Install Nix on the host.") from error
        if done.returncode != 0:
            said = tail(done.stderr.decode(errors="replace"))
            raise _NixError(problem, said, _log_of(said) or advice)
        return plain(done.stdout.decode(errors="replace"))


@contextmanager
def kept(systems: Collection[System]) -> Iterator[None]:
    """Keep systems and their derivations from the garbage collector, those too that are not built yet.

    A link to a path that is not valid is no root, and becomes one with the end of the build
    (Nix: src/libstore/gc.cc, findRoots); until then nix itself keeps what it builds.
    What runs that were killed have kept is given up. Raises FleetError when this user may not make roots.
    """
    paths = {path for system in systems for path in (system.path, system.derivation) if path is not None}
    if not paths:
        # Who may not write there has left nothing there either.
        with suppress(OSError), locked_directory(PROFILES_DIR):
            _remove_left()
        yield
        return
    try:
        directory, lock = _own_directory()
    except OSError as error:
        raise FleetError(
            f"{PROFILES_DIR} cannot be written: {error.strerror}.",
            "Become root, or a member of the group that owns it.",
        ) from error
    try:
        for path in paths:
            os.symlink(path, f"{directory}/{os.path.basename(path)}")
        yield
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _own_directory() -> tuple[str, int]:
    """A new directory and the lock that tells that its run goes on."""
    make_profiles_dir()
    with locked_directory(PROFILES_DIR):
        _remove_left()
        directory = tempfile.mkdtemp(prefix=_RUN, dir=PROFILES_DIR)
        return directory, _locked(directory)


def _remove_left() -> None:
    """Remove the directories of runs that were killed, under the lock on all of them."""
    with os.scandir(PROFILES_DIR) as entries:
        for entry in entries:
            if entry.name.startswith(_RUN):
                # Another user's cannot be removed, and is left to that user.
                with suppress(OSError):
                    os.close(_locked(entry.path))
                    shutil.rmtree(entry.path)


def _locked(directory: str) -> int:
    """The descriptor of a directory that nobody else holds; OSError when somebody does."""
    descriptor = open_directory(directory)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _groups(declared: Sequence[Declared]) -> list[list[Declared]]:
    """What can be given to one nix process: same options, and the same file if it is one."""
    groups: dict[object, list[Declared]] = {}
    for entry in dict.fromkeys(declared):
        source, options = entry
        place = source.path if isinstance(source, File) else None
        groups.setdefault((type(source), place, options), []).append(entry)
    return list(groups.values())


def _system(entry: Mapping[str, Any], installable: str) -> System:
    path = (entry.get("outputs") or {}).get("out")
    if not path:
        raise FleetError(
            f"{installable}: nix does not know its store path before it is built.",
            "Content-addressed systems are not supported; turn contentAddressedByDefault off.",
        )
    return System(path=path, derivation=entry["drvPath"])


def _of_one(error: FleetError, system: System) -> FleetError:
    """The error of a build of several systems, for one of those that are missing."""
    if not isinstance(error, _NixError):
        return error
    done = f"build of {_target(system)}" if system.copy_from is None else f"copy of {system.path}"
    is_nowhere = system.copy_from is None and system.derivation is None
    return _NixError(f"The {done} failed", error.said, _NAME_A_STORE if is_nowhere else error.advice)


def _log_of(said: str) -> str | None:
    """Where all of the log is, if nix says that a build failed."""
    failed = {first or second for first, second in _LOG.findall(said)}
    if not failed:
        return None
    one = failed.pop() if len(failed) == 1 else "DERIVATION"
    return f"See all of the log with 'nix log {one}' on the host."


def _target(system: System) -> str:
    return system.path if system.derivation is None else f"{system.derivation}^out"


def _option_arguments(options: NixOptions) -> list[str]:
    arguments = _build_arguments(options)
    for name, reference in options.override_inputs:
        arguments += ["--override-input", name, reference]
    if options.impure:
        arguments.append("--impure")
    return arguments


def _settings(options: NixOptions | None) -> dict[str, str]:
    """Settings as the environment has them: an argument could be read by every user, and some are secrets."""
    if options is None or not options.settings:
        return {}
    lines = [os.environ.get("NIX_CONFIG", ""), *(f"{name} = {value}" for name, value in options.settings)]
    return {"NIX_CONFIG": "\n".join(lines)}


def _build_arguments(options: NixOptions) -> list[str]:
    arguments: list[str] = []
    if options.accept_flake_config:
        arguments.append("--accept-flake-config")
    if options.builders is not None:
        arguments += ["--builders", options.builders]
    return arguments
