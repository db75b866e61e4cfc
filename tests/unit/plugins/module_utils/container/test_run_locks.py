# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""With real locks: two in one process are as far apart as those of two processes, since flock goes by the file."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container import run_locks
from ansible_collections.inx.fleet.plugins.module_utils.container.run_locks import Locks
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix import profiles as generations


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(run_locks, "PROFILES_DIR", str(tmp_path))
    monkeypatch.setattr(generations, "PROFILES_DIR", str(tmp_path))
    return tmp_path


def test_nothing_is_left_when_nobody_waits(directory: Path) -> None:
    with Locks("one", 0) as one:
        one.take_free(["a", "b"])
        assert not one.hold(["b"])
        assert os.listdir(directory) == [".lock-b"]
    assert os.listdir(directory) == []


def test_what_is_held_is_refused_with_the_name_of_who_holds_it() -> None:
    with Locks("inx_containers with the set main", 0) as one, Locks("two", 0) as two:
        one.take_free(["a"])
        two.take_free(["a", "b"])
        assert two.hold(["a", "b"])
        assert not two.hold(["b"])
        error = str(two.refused["a"])
    assert f"inx_containers with the set main (process {os.getpid()}, since 20" in error
    assert "lock_timeout" in error


def test_who_waits_gets_it_and_is_told_to_look_again() -> None:
    with Locks("one", 0) as one, Locks("two", 60) as two:
        one.take_free(["a"])
        threading.Timer(0.3, one.hold, [[]]).start()
        two.take_free(["a", "b"])
        assert two.hold(["a", "b"])
        assert not two.hold(["a", "b"])
        assert two.refused == {}


def test_who_waits_holds_nothing_meanwhile() -> None:
    def work_on_both(locks: Locks) -> None:
        locks.hold(["a", "b"])
        locks.hold([])

    with Locks("one", 60) as one, Locks("two", 60) as two:
        one.take_free(["a"])
        two.take_free(["b"])
        # Each wants what the other has.
        other = threading.Thread(target=work_on_both, args=[one])
        other.start()
        work_on_both(two)
        other.join(timeout=60)
        assert not other.is_alive()
        assert not one.refused
        assert not two.refused


def test_the_lock_of_a_process_that_was_killed_blocks_nobody(directory: Path) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        Locks("killed", 0).take_free(["a"])
        os.write(writing, b"x")
        signal.pause()
    os.read(reading, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert os.listdir(directory) == [".lock-a"]
    with Locks("next", 0) as following:
        following.take_free(["a"])
        assert not following.hold(["a"])
    assert os.listdir(directory) == []


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"what": 1}', b'{"what": "\\u001b[31m", "pid": 1, "since": ""}'])
def test_a_note_that_says_nothing_useful_is_no_error(directory: Path, note: bytes) -> None:
    with Locks("one", 0) as one, Locks("two", 0) as two:
        one.take_free(["a"])
        (directory / ".lock-a").write_bytes(note)
        two.hold(["a"])
        assert "\x1b" not in str(two.refused["a"])


def test_a_negative_time_is_refused() -> None:
    with pytest.raises(FleetError, match="lock_timeout is -1"):
        Locks("one", -1)
