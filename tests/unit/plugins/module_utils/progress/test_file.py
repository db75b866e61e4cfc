# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.progress import file as progress_file
from ansible_collections.inx.fleet.plugins.module_utils.progress.events import Ended, Planned
from ansible_collections.inx.fleet.plugins.module_utils.progress.file import RUN_VARIABLE, ProgressFile, remove_left
from ansible_collections.inx.fleet.plugins.module_utils.waiting import poll

PLANNED = Planned(names=("web",))
PATIENCE = 20


def read_when(path: Path, line: str) -> dict[str, Any]:
    """Return what a file says once it has a line."""

    def look() -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found if found["line"] == line else {}

    return poll(look, time.monotonic() + PATIENCE)


def test_file_follows_the_run_and_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_VARIABLE, "c0ffee")
    directory = tmp_path / "progress"
    shown = ProgressFile("inx_container", str(directory), first=0)
    path = directory / f"{os.getpid()}.c0ffee"
    shown(PLANNED)
    found = read_when(path, "0 of 1 done")
    assert (found["what"], found["pid"]) == ("inx_container", os.getpid())
    assert (directory.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    shown(Ended(name="web"))
    assert read_when(path, "1 of 1 done")
    shown.close()
    assert list(directory.iterdir()) == []
    shown(Ended(name="web"))
    shown.close()
    assert list(directory.iterdir()) == []


def test_short_run_writes_nothing(tmp_path: Path) -> None:
    shown = ProgressFile("inx_container", str(tmp_path / "progress"), first=PATIENCE)
    shown(PLANNED)
    shown.close()
    assert not (tmp_path / "progress").exists()


@pytest.mark.parametrize("name", ["../../escape", "UPPER", "a b", ""])
def test_name_that_is_not_a_name_is_ignored(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_VARIABLE, name)
    shown = ProgressFile("inx_container", str(tmp_path), first=0)
    shown(PLANNED)
    assert read_when(tmp_path / str(os.getpid()), "0 of 1 done")
    shown.close()


def test_run_goes_on_without_a_place_for_the_file(tmp_path: Path) -> None:
    (tmp_path / "progress").write_text("not a directory", encoding="utf-8")
    shown = ProgressFile("inx_container", str(tmp_path / "progress"), first=0)
    shown(PLANNED)
    shown(Ended(name="web"))
    shown.close()
    assert (tmp_path / "progress").read_text(encoding="utf-8") == "not a directory"


def dead_process() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_files_of_killed_runs_are_removed(tmp_path: Path) -> None:
    dead, old, new = f"{dead_process()}.c0ffee", f"{os.getppid()}.bad", f"{os.getppid()}.dad"
    for name in (dead, f".{dead}", old, new, "kept", "kept.txt"):
        (tmp_path / name).touch()
    long_ago = time.time() - 10 * progress_file._STALE
    os.utime(tmp_path / old, (long_ago, long_ago))
    remove_left(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([new, "kept", "kept.txt"])


# Under nohup a signal is ignored from the start, and stays so.
ENDLESS = """
import signal, sys, time
from {module} import ProgressFile
from {events} import Planned
signal.signal(signal.SIGHUP, signal.SIG_DFL)
shown = ProgressFile("test", sys.argv[1], first=0)
shown(Planned(names=("web",)))
time.sleep({patience})
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_run_that_is_told_to_end_removes_its_file(number: signal.Signals, tmp_path: Path) -> None:
    events = progress_file.__name__.replace(".file", ".events")
    program = ENDLESS.format(module=progress_file.__name__, events=events, patience=PATIENCE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=environment) as process:
        assert read_when(tmp_path / str(process.pid), "0 of 1 done")
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number
    assert list(tmp_path.iterdir()) == []
