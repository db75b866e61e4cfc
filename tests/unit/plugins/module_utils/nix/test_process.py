# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""With real processes, in the place of nix."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.process import Answer, NixCommand, OutOfMemoryError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def run(directory: Path, script: str, timeout: int = 60) -> Answer:
    """Run a script that is called as nix."""
    command = directory / "nix"
    command.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    command.chmod(0o755)
    return NixCommand(command=str(command), timeout=timeout).run(["build"], "It fails")


def test_there_is_no_terminal_and_nothing_to_read(directory: Path) -> None:
    script = """read line; echo "read '$line'"; (exec </dev/tty) 2>/dev/null || echo none
cut -d' ' -f6 /proc/$$/stat; echo $$"""
    first, terminal, session, process = run(directory, script).text.split("\n")[:4]
    assert (first, terminal) == ("read ''", "none")
    assert session == process


def test_ssh_and_git_ask_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIX_SSHOPTS", "-p 2222")
    names = ("NIX_SSHOPTS", "GIT_TERMINAL_PROMPT", "GIT_OPTIONAL_LOCKS", "SSH_ASKPASS_REQUIRE")
    said = run(directory, "\n".join(f'echo "${name}"' for name in names)).text
    assert said.startswith("-p 2222 -o BatchMode=yes -o ConnectTimeout=")
    assert said.endswith("\n0\n0\nnever\n")


def test_a_process_that_was_killed_for_memory_says_so(directory: Path) -> None:
    with pytest.raises(OutOfMemoryError, match="evaluation_memory"):
        run(directory, "kill -9 $$")
    with pytest.raises(OutOfMemoryError, match="evaluation_memory"):
        run(directory, "echo 'error: out of memory' >&2; exit 1")


def test_it_is_the_first_that_the_kernel_kills(directory: Path) -> None:
    script = "sleep 0.2; cat /proc/$$/oom_score_adj"
    assert run(directory, script).text == "1000\n"


def test_what_it_needed_is_measured(directory: Path) -> None:
    small = run(directory, "exit 0").peak
    # At the least as much as the process that starts it, here a large one (Linux: fs/exec.c, setmax_mm_hiwater_rss).
    large = run(directory, "exec python3 -c 'x = bytes(500 * 2**20); y = x[:-1]'").peak
    assert 0 < small < 500 * 2**20 <= large


def test_nothing_goes_on_after_the_time_is_over(directory: Path) -> None:
    started = time.monotonic()
    with pytest.raises(FleetError, match="was not done after 1 s"):
        run(directory, f"sleep 100 & echo $! > {directory}/child; wait", timeout=1)
    assert time.monotonic() - started < 30
    child = int((directory / "child").read_text(encoding="ascii"))
    for _try in range(100):
        if not _is_alive(child):
            break
        time.sleep(0.1)
    assert not _is_alive(child)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not in the PATH")
def test_it_ends_with_the_process_that_started_it(directory: Path) -> None:
    child = os.fork()
    if child == 0:
        run(directory, f"echo $$ > {directory}/pid; exec sleep 100")
        os._exit(1)
    deadline = time.monotonic() + 60
    while not (directory / "pid").exists() or not (directory / "pid").read_text(encoding="ascii"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    nix = int((directory / "pid").read_text(encoding="ascii"))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while _is_alive(nix):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def test_no_file_is_tried_that_a_killed_run_would_leave(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert run(directory, "echo done").text == "done\n"
    assert tempfile.tempdir is None, "Python chose the directory, and tried it with a file"


def test_an_answer_without_room_is_an_error_that_says_so(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fstatvfs

    def without_room(descriptor: int) -> os.statvfs_result:
        found = list(real(descriptor))
        # f_bfree and f_bavail.
        found[3] = found[4] = 0
        return os.statvfs_result(found)

    monkeypatch.delenv("TMPDIR", raising=False)
    # The target faults_others fills the real one, for which it takes root.
    monkeypatch.setattr(os, "fstatvfs", without_room)
    for script in ("echo '{'", "exit 1"):
        with pytest.raises(FleetError, match="No space left on device in /tmp, where nix writes"):
            run(directory, script)
