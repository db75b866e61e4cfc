# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show the progress of a module while it works, from the file that it writes on its host."""

from __future__ import annotations

import copy
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ansible.plugins.connection import ConnectionBase
from ansible.utils import color

from ansible_collections.inx.fleet.plugins.module_utils.progress.file import PROGRESS_DIR
from ansible_collections.inx.fleet.plugins.module_utils.text import shown

# Seconds between two looks, and between two lines while nothing changes.
_LOOK = 2.0
_UNCHANGED = 5.0
# The same without a terminal, whose reader would have to scroll past each line.
_WITHOUT_TERMINAL = 60.0
# How many lines a second all hosts may print together.
_LINES_A_SECOND = 5.0
# A look may take one part of so many of the time.
_SHARE = 50
_FAILURES = 3
_LONGEST = 400
# How long a look that is under way may hold up the result.
_PATIENCE = 2.0
_TERMINALS = ("/dev/pts/", "/dev/tty", "/dev/console")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often to look at a host, and how often to print a line while nothing changes, in seconds."""

    look: float
    unchanged: float

    def after(self, took: float) -> float:
        """Return the pause after a look that took so long."""
        return max(self.look, took * _SHARE)


def pace(hosts: int, *, is_terminal: bool) -> Pace:
    """Return how often to look at each of so many hosts that work side by side."""
    if not is_terminal:
        return Pace(look=_WITHOUT_TERMINAL, unchanged=0)
    return Pace(look=max(_LOOK, hosts / _LINES_A_SECOND), unchanged=_UNCHANGED)


class Lines:
    """The lines to print of what a file says, one look after another."""

    def __init__(self, unchanged: float) -> None:
        """After ``unchanged`` seconds a line is printed though nothing has changed."""
        self._unchanged = unchanged
        self._changes: int | None = None
        self._printed = 0.0

    def line(self, text: str, now: float) -> str | None:
        """Return the line to print after a look, None if there is nothing new to say.

        A host is not trusted with what it says: it is cut, and nothing in it acts on a terminal.
        """
        try:
            found = json.loads(text)
            changes, parts = int(found["changes"]), [str(found["line"])]
            news = [(int(number), str(new)) for number, new in found["news"]]
        except (ValueError, TypeError, KeyError):
            return None
        if changes == self._changes and now - self._printed < self._unchanged:
            return None
        last = -1 if self._changes is None else self._changes
        self._changes, self._printed = changes, now
        parts += [new for number, new in news if number > last]
        said = shown("; ".join(part for part in parts if part))
        return (said if len(said) <= _LONGEST else f"{said[:_LONGEST]} ...") or None


def follow(look: Callable[[], str], show: Callable[[str], None], ended: threading.Event, pace: Pace) -> None:
    """Look again and again until the module has ended, and show what is new. A host that is away is left alone."""
    lines, failures, pause = Lines(pace.unchanged), 0, pace.look
    while not ended.wait(pause) and failures < _FAILURES:
        began = time.monotonic()
        try:
            line = lines.line(look(), began)
        except Exception:
            # Whatever it is, the module's own connection says it better.
            failures += 1
            continue
        pause = pace.after(time.monotonic() - began)
        if line is not None and not ended.is_set():
            show(line)


@contextmanager
def followed(look: Callable[[], str], show: Callable[[str], None], pace: Pace) -> Iterator[None]:
    """Show the progress of a module while the block works. ``look`` returns what its file says."""
    ended = threading.Event()
    thread = threading.Thread(target=follow, args=(look, show, ended, pace), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_PATIENCE)


def command(run: str) -> str:
    """Return the shell command that prints what the file of a run says, and nothing while there is none."""
    return f"cat {PROGRESS_DIR}/*.{run} 2> /dev/null"


def second(connection: Any) -> Any:
    """Return a connection to the same place, which can be used at the same time.

    Commands share what leads there, such as the control socket of ssh, but not what a command leaves in the plugins: a
    become plugin keeps the words that it waits for.
    """
    other = copy.copy(connection)
    if other.become is not None:
        other.become = copy.copy(other.become)
    # What the connection plugin of this collection goes through.
    if isinstance(getattr(other, "_host", None), ConnectionBase):
        other._host = second(other._host)
    return other


def writes_to_terminal() -> bool:
    """Return whether ansible-playbook writes to a terminal. Its workers, in which plugins run, do not."""
    try:
        return os.readlink(f"/proc/{os.getppid()}/fd/2").startswith(_TERMINALS)
    except OSError:
        # Not Linux. Ansible has looked for itself, at its start.
        return bool(color.ANSIBLE_COLOR)
