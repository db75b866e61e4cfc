# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands that are declared to run in a container. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ..errors import FleetError

# Pipes, lists, redirections and variables.
_OF_A_SHELL = re.compile(r"[|;<>$`]|&&")


def command_from(given: Sequence[str] | None, name: str) -> tuple[str, ...]:
    """Return the command of a health check: a program and its arguments. Raise FleetError for what cannot be one.

    Ansible makes a list of a text, parted at its commas.
    """
    command = tuple(given or ())
    if any("\x00" in word for word in command) or (command and not command[0]):
        raise FleetError(
            f"{name}: health: {list(command)} is not a command.", "Give a list: the program, its arguments."
        )
    if command and command[0].split() != [command[0]]:
        text = ",".join(command)
        raise FleetError(
            f"{name}: health: command: {text!r} is one text, and no shell splits it.",
            f"Write it as a list: {_words_of(text)}.",
        )
    return command


def _words_of(command: str) -> list[str]:
    """Return the words of a command as a shell would take it apart, or a call of the shell that it needs."""
    if _OF_A_SHELL.search(command):
        return ["/bin/sh", "-c", command]
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()
