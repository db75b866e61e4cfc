# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run one nix command, in a session of its own.

Commands are run without a shell. What the user declared comes after ``--`` or as the value of an option, so that it is
never taken for an option. nix, and the ssh and git that it starts, have no terminal to ask at: what they would ask is
an error at once.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import IO

from ..errors import FleetError
from ..progress.events import Events
from ..text import plain, tail
from .advice import DAEMON, advice_for, is_out_of_memory
from .build_log import JSON_LOG
from .following import followed
from .sources import NixOptions

#: Where nix is on hosts whose PATH for Ansible does not have it.
NIX_DIRECTORIES = ["/run/current-system/sw/bin", "/nix/var/nix/profiles/default/bin", "/root/.nix-profile/bin"]
_FEATURES = ("--extra-experimental-features", "nix-command flakes")
# A host that is away is an error after ten seconds, and one that goes away after a minute.
_SSH_OPTIONS = "-o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
# What the kernel kills first when memory ends: not Incus, and no container.
_KILLED_FIRST = "1000"
_KIB = 1024
NO_OUTPUT: Mapping[str, str] = MappingProxyType({})


class NixError(FleetError):
    """nix ended with an error; ``said`` is the tail of its log, and ``otherwise`` the advice if that has no hint."""

    def __init__(self, problem: str, said: str, otherwise: str, output: Mapping[str, str] = NO_OUTPUT) -> None:
        host = platform.node()
        super().__init__(f"{problem} on {host}. nix says:\n{said}", advice_for(said, otherwise, host))
        self.said = said
        self.otherwise = otherwise
        self.output.update(output)


class OutOfMemoryError(FleetError):
    """nix could not have the memory that it needs, or was killed for it."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a call of nix printed, and what it took: ``peak`` in bytes of its largest process."""

    text: str
    said: str = ""
    peak: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class NixCommand:
    """The nix command of the host; ``timeout`` bounds each call, in seconds."""

    command: str
    timeout: int = 3600
    events: Events = field(default_factory=Events, compare=False)

    def run(
        self,
        arguments: Sequence[str],
        problem: str,
        options: NixOptions | None = None,
        advice: str = DAEMON,
        *,
        told: bool = False,
    ) -> Answer:
        """Run nix and return what it printed; FleetError with the ``problem`` when it fails.

        ``told`` is whether to tell what it builds and copies while it works.
        """
        started = time.monotonic()
        command = [self.command, *_FEATURES, *(JSON_LOG if told else ()), *arguments]
        with _nameless_file() as output, _nameless_file() as log:
            with followed(log, self.events) if told else nullcontext() as build_log:
                code, peak = self._run(command, output, log, _environment(options), problem)
            _check_space(log, problem)
            said = _read(log) if build_log is None else plain(build_log.text)
            answer = Answer(text=_read(output), said=said, peak=peak, seconds=time.monotonic() - started)
        if code in (-signal.SIGKILL, 128 + signal.SIGKILL) or (code != 0 and is_out_of_memory(said)):
            raise OutOfMemoryError(
                f"{problem}: nix ran out of memory on {platform.node()}, with {peak // 2**20} MiB in use.",
                "Lower 'evaluation_memory' if others need that memory, or give the host more.",
            )
        if code != 0:
            raise NixError(problem, tail(said), advice, {"nix": said})
        return answer

    def path_info(
        self,
        arguments: Sequence[str],
        paths: Collection[str],
        problem: str,
        options: NixOptions | None = None,
        advice: str = DAEMON,
    ) -> str:
        """Return the JSON that ``nix path-info`` prints about store paths; FleetError with the ``problem``."""
        command, about = ["path-info", "--json", *arguments], ["--", *sorted(paths)]
        try:
            return self.run([*command, *about], problem, options, advice).text
        except NixError as error:
            # Announced for a later Nix than 2.36: an error without this option, which 2.32 does not know.
            if "--json-format" not in error.said:
                raise
            return self.run([*command, "--json-format", "1", *about], problem, options, advice).text

    def _run(
        self,
        command: Sequence[str],
        output: IO[bytes],
        log: IO[bytes],
        environment: dict[str, str],
        problem: str,
    ) -> tuple[int, int]:
        """Return the exit code and the peak of memory in bytes. Nothing of it goes on when this ends."""
        tied = tied_to_this(command)
        try:
            process = subprocess.Popen(
                tied,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise FleetError(f"{self.command} cannot be run: {error.strerror}.", "Install Nix on the host.") from error
        with suppress(OSError), open(f"/proc/{process.pid}/oom_score_adj", "w", encoding="ascii") as file:
            file.write(_KILLED_FIRST)
        late = threading.Event()

        def end() -> None:
            late.set()
            _kill(process.pid)

        timer = threading.Timer(self.timeout, end)
        timer.start()
        try:
            # subprocess does not tell how much memory was needed.
            _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            _kill(process.pid)
            raise
        finally:
            timer.cancel()
        if late.is_set():
            raise FleetError(
                f"{problem}: nix was not done after {self.timeout} s on {platform.node()}.", "Raise 'build_timeout'."
            )
        return process.returncode, usage.ru_maxrss * _KIB


def tied_to_this(command: Sequence[str]) -> list[str]:
    """Return a command that ends with the process that starts it.

    In a session of its own, nothing else would end it when Ansible is interrupted. setpriv is a part of util-linux.
    """
    setpriv = shutil.which("setpriv", path=f"{os.environ.get('PATH', '')}:{NIX_DIRECTORIES[0]}")
    return [*([setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []), *command]


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _nameless_file() -> IO[bytes]:
    """Open a file that a killed run does not leave: to choose a directory, Python would try it with a file in there."""
    return tempfile.TemporaryFile(dir=_temporary_directory())


def _temporary_directory() -> str:
    chosen = os.environ.get("TMPDIR", "")
    return chosen if os.path.isdir(chosen) else "/tmp"  # noqa: S108 - as nix chooses it


def _check_space(file: IO[bytes], problem: str) -> None:
    """Raise FleetError if nix had no room for its answer: it does not say so, and what it wrote may lack its end."""
    found = os.fstatvfs(file.fileno())
    # Some, such as ramfs, have no limit.
    if found.f_blocks and (found.f_bfree if os.geteuid() == 0 else found.f_bavail) == 0:
        raise FleetError(
            f"{problem} on {platform.node()}: No space left on device in {_temporary_directory()}, where nix writes.",
            "Make room there, or set TMPDIR to another directory.",
        )


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return plain(file.read().decode(errors="replace"))


def _environment(options: NixOptions | None) -> dict[str, str]:
    ssh = f"{os.environ.get('NIX_SSHOPTS', '')} {_SSH_OPTIONS}".strip()
    return {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "NIX_SSHOPTS": ssh,
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_TERMINAL_PROMPT": "0",
        # Without it, git refreshes the index of the tree that it reads.
        "GIT_OPTIONAL_LOCKS": "0",
        **_settings(options),
    }


def _settings(options: NixOptions | None) -> dict[str, str]:
    """Return settings as the environment has them: arguments can be read by every user, and some are secrets."""
    if options is None or not options.settings:
        return {}
    lines = [os.environ.get("NIX_CONFIG", ""), *(f"{name} = {value}" for name, value in options.settings)]
    return {"NIX_CONFIG": "\n".join(lines)}
