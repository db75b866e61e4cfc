# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs modules of the collection as Ansible does, in children that a fault can meet at a chosen moment.

Nothing in the modules knows of it. Python itself tells of what they are about to do: its audit events name each
request to Incus, each process, and each change of the file system, before it is made. Such a moment is a boundary.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible.module_utils import basic

_EVENTS = frozenset(
    (
        *("http.client.send", "subprocess.Popen", "os.fork", "fcntl.flock"),
        *("os.symlink", "os.rename", "os.remove", "os.mkdir", "os.rmdir"),
    )
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# As long as the longest command that a fault looks for.
_LABEL = 400


#: Called in the module's process before each thing that it does, with its number and its words.
Meddle = Callable[[int, str], None]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run of a module ended: the boundaries that it came to, and the MiB of its largest process."""

    result: dict[str, Any]
    killed: bool
    trace: tuple[str, ...]
    seconds: float
    memory: float
    said: str

    @property
    def failed(self) -> bool:
        """Whether the module says so, or said nothing at all."""
        return bool(self.result.get("failed", not self.result))

    @property
    def message(self) -> str:
        """The error that it tells, or what it printed if it told none."""
        return str(self.result.get("msg") or self.said)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A boundary by its number from 1, or the start of the run with 0, and the seconds after it."""

    boundary: int = 0
    seconds: float = 0.0


def run(
    module: str,
    arguments: dict[str, Any],
    *,
    kill: Moment | None = None,
    fault: Meddle | None = None,
    patience: float = 240,
) -> Ended:
    """Run a module in a child, and kill it at a moment, or call ``fault`` in it at each boundary.

    Raises TimeoutError when it has not ended after ``patience`` seconds: no fault may make it hang.
    """
    main = importlib.import_module(f"ansible_collections.inx.fleet.plugins.modules.{module}").main
    started = time.monotonic()
    reading, writing = os.pipe()
    with tempfile.TemporaryFile(dir=os.path.dirname(__file__)) as output:
        child = os.fork()
        if child == 0:
            os.close(reading)
            _be_the_module(main, arguments, output.fileno(), partial(_watch_oneself, writing, kill, fault))
        os.close(writing)
        try:
            trace = _watched(child, reading, kill, started + patience)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        finally:
            os.close(reading)
            _child, status, used = os.wait4(child, 0)
        output.seek(0)
        said = output.read().decode(errors="replace")
    return Ended(
        result=_result(said),
        killed=os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        trace=tuple(trace),
        seconds=time.monotonic() - started,
        memory=used.ru_maxrss / 1024,
        said=said[-2000:],
    )


def _watched(child: int, reading: int, kill: Moment | None, deadline: float) -> list[str]:
    """Follow a child to its end and return its trace; kill it if its moment comes."""
    trace: list[str] = []
    rest = b""
    due = None if kill is None or kill.boundary else time.monotonic() + kill.seconds
    while True:
        until = deadline if due is None else min(due, deadline)
        if select.select([reading], [], [], max(0.0, until - time.monotonic()))[0]:
            got = os.read(reading, 1 << 16)
            if not got:
                return trace
            *lines, rest = (rest + got).split(b"\n")
            trace += [line.decode(errors="replace") for line in lines]
            if kill is not None and kill.boundary and due is None and len(trace) >= kill.boundary:
                due = time.monotonic() + kill.seconds
        elif due is not None and time.monotonic() >= due:
            os.kill(child, signal.SIGKILL)
            due = None
        elif time.monotonic() >= deadline:
            raise TimeoutError(f"it hangs; the last that it did: {trace[-3:]}")


def _result(said: str) -> dict[str, Any]:
    for line in said.splitlines():
        if line.startswith("{"):
            try:
                return dict(json.loads(line))
            except ValueError:
                continue
    return {}


# In the child


def _be_the_module(main: Callable[[], None], arguments: dict[str, Any], output: int, watch: Callable[[], None]) -> None:
    code = 1
    try:
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        basic._ANSIBLE_PROFILE = "legacy"
        watch()
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch_oneself(trace: int, kill: Moment | None, fault: Meddle | None) -> None:
    me, numbers = os.getpid(), itertools.count(1)
    dies_at = kill.boundary if kill is not None and kill.seconds == 0 else 0
    inside = False

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal inside
        # The modules fork as well, and what a fault does is not theirs.
        if inside or os.getpid() != me or not _is_boundary(event, arguments):
            return
        number, label = next(numbers), _label(event, arguments)
        os.write(trace, f"{label}\n".encode(errors="replace"))
        if number == dies_at:
            os.kill(me, signal.SIGKILL)
        if fault is not None:
            inside = True
            try:
                fault(number, label)
            finally:
                inside = False

    sys.addaudithook(look)


def _is_boundary(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        return bool((arguments[2] or 0) & _WRITING) and arguments[0] != os.devnull
    return event in _EVENTS


def _label(event: str, arguments: tuple[Any, ...]) -> str:
    if event == "http.client.send":
        data = arguments[1]
        text = bytes(data).split(b"\r\n")[0].decode(errors="replace") if isinstance(data, bytes) else "(a stream)"
        return f"http {text}"[:_LABEL].replace("\n", " ")
    shown = arguments[1] if event == "subprocess.Popen" else arguments
    return f"{event} {shown}"[:_LABEL].replace("\n", " ")
