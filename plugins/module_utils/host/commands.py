# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run programs of a host."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import FleetError
from ..nix.process import NIX_DIRECTORIES
from ..text import tail

# What a package index or a daemon may take at most.
_TIMEOUT = 900
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended, and what it printed."""

    code: int
    stdout: str
    stderr: str


def run(
    command: Sequence[str],
    action: str,
    variables: Mapping[str, str] | None = None,
    advice: str = "",
    given: str | None = None,
) -> str:
    """Run a program, which is ``given`` a text, and return what it printed.

    Raise FleetError that ``action`` could not be done.
    """
    try:
        done = _run(command, action, variables, given)
    except FileNotFoundError as error:
        raise FleetError(f"Could not {action}: this host has no {command[0]}.", advice or "Install it.") from error
    if done.code != 0:
        said = tail(done.stderr or done.stdout)
        raise FleetError(f"Could not {action}. {command[0]} says:\n{said}", advice)
    return done.stdout


def ask(command: Sequence[str], action: str) -> tuple[int, str]:
    """Run a program and return its exit code and what it printed; 127 if there is no such program."""
    try:
        done = _run(command, action, None)
    except FileNotFoundError:
        return 127, ""
    return done.code, done.stdout


def _run(command: Sequence[str], action: str, variables: Mapping[str, str] | None, given: str | None = None) -> Ended:
    path = os.pathsep.join((os.environ.get("PATH", ""), *NIX_DIRECTORIES, *_SBIN))
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": path, **(variables or {})}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        try:
            stdout, stderr = process.communicate(given, timeout=_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            process.kill()
            problem = f"Could not {action}: {command[0]} was not done after {_TIMEOUT} s."
            raise FleetError(problem, "Run again.") from error
    return Ended(code=process.returncode, stdout=stdout, stderr=stderr)
