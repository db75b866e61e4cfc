# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hints for errors that Incus returns. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import FleetError
from ..text import incus_command

_DAEMON_LOG = "See 'journalctl -u incus' on the host."
_WORDS = re.compile(r"\{([^}]*)\}")
_STARTS = ("Starting instance", "Restarting instance")
# The first one that is found in the message counts. What is in braces are words of a command of Incus.
_ADVICE = tuple(
    (re.compile(pattern, re.IGNORECASE), advice)
    for pattern, advice in (
        (r"\bproject not found", "See '{project list}' for those that there are."),
        (r"\bprofile not found", "See '{profile list}' for those that there are."),
        (r"\bnetwork not found", "See '{network list}', and which network the devices and profiles name."),
        (r"\bpool not found", "See '{storage list}' for those that there are."),
        (
            r"\brestricted\b|not authorized|\bforbidden\b",
            "See '{config trust list}' and '{project show PROJECT}' for what is allowed.",
        ),
        (r"no space left|quota exceeded", "Make room ('df -h', '{storage list}'), or declare a greater size."),
        (r"address already in use", "See 'ss -tulnp' on the host for who has the port, and publish another."),
        (r"missing source path", "Make that path on the host, or declare another source."),
        (r"(unknown|invalid) (\w+ )*(config|key|option|value|device)", "Fix that key where it is declared."),
    )
)


def advice_on(said: str, project: str | None, begun: str = "", name: str | None = None) -> str:
    """Return the hint for an error of Incus; ``begun`` is the operation that failed, on the instance ``name``."""
    for pattern, advice in _ADVICE:
        if pattern.search(said):
            return _WORDS.sub(lambda found: _command(project, found[1].split(" ")), advice)
    if begun in _STARTS and name is not None:
        return f"See '{incus_command(project, 'info', '--show-log', name)}' on the host."
    return _DAEMON_LOG


def _command(project: str | None, words: Sequence[str]) -> str:
    if words[0] == "project":
        return incus_command(None, *(project or "default" if word == "PROJECT" else word for word in words))
    return incus_command(project, *words)


@contextmanager
def naming_config(config: Mapping[str, Any] | None) -> Iterator[None]:
    """Add to an error of Incus which of the config keys it is about: it says the value alone."""
    try:
        yield
    except FleetError as error:
        keys = config_at_fault(error.problem, config or {})
        if not keys:
            raise
        raise type(error)(f"{error.problem} (That is the value of {', '.join(keys)}.)", error.advice) from error


def config_at_fault(said: str, config: Mapping[str, Any]) -> list[str]:
    """Return the keys whose value a message of Incus repeats, if it names none of the keys."""
    _before, found, refused = said.partition("Invalid config: ")
    if not found or any(_is_in(key, refused) for key in config):
        return []
    return [key for key, value in config.items() if value not in (None, "") and _is_in(str(value), refused)]


def _is_in(word: str, text: str) -> bool:
    """Return whether a text has a word, and not only as a part of another one."""
    return re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", text) is not None
