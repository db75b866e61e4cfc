# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""With real locks: two in one process are as far apart as those of two processes, since flock goes by the file."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container import run_locks
from ansible_collections.inx.fleet.plugins.module_utils.container.run_locks import Locks
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix import profiles as generations
from ansible_collections.inx.fleet.plugins.module_utils.progress.events import Event, Events, Waits


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


def test_who_waits_tells_it() -> None:
    heard: list[Event] = []
    with Locks("one", 0) as one, Locks("two", 0, Events(heard.append)) as two:
        one.take_free(["a"])
        two.hold(["a"])
    assert heard == [Waits(name="a"), Waits(name="a", is_over=True)]


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


def wait_for(locks: Locks, names: list[str], order: list[str], who: str) -> threading.Thread:
    """Begin to wait, and note in ``order`` when it is over; returns with the place in the queue taken."""

    def work() -> None:
        locks.hold(names)
        order.append(who)
        time.sleep(0.2)
        locks.hold([])

    thread = threading.Thread(target=work)
    thread.start()
    while not set(names) <= locks._places.keys():
        time.sleep(0.01)
    return thread


def test_who_comes_first_is_served_first(directory: Path) -> None:
    order: list[str] = []
    with Locks("one", 0) as one, Locks("two", 60) as two, Locks("three", 60) as three, Locks("four", 60) as four:
        one.take_free(["a", "b"])
        threads = [wait_for(two, ["a", "b"], order, "two")]
        threads.append(wait_for(three, ["b"], order, "three"))
        threads.append(wait_for(four, ["a"], order, "four"))
        one.hold([])
        for thread in threads:
            thread.join(timeout=60)
    assert order[0] == "two"
    assert sorted(order) == ["four", "three", "two"]
    assert os.listdir(directory) == []


def test_nobody_overtakes_those_who_wait() -> None:
    order: list[str] = []
    with Locks("one", 0) as one, Locks("two", 60) as two, Locks("late", 0) as late:
        one.take_free(["a"])
        thread = wait_for(two, ["a"], order, "two")
        one.hold([])
        late.take_free(["a"])
        assert "a" not in late
        thread.join(timeout=60)
        late.take_free(["a"])
        assert "a" in late


def test_who_was_killed_while_waiting_keeps_nobody_waiting(directory: Path) -> None:
    with Locks("one", 0) as one:
        one.take_free(["a"])
        child = os.fork()
        if child == 0:
            Locks("killed", 60).hold(["a"])
            os._exit(1)
        while not any(name.startswith(".wait-") for name in os.listdir(directory)):
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with Locks("two", 60) as two:
            thread = wait_for(two, ["a"], [], "two")
            one.hold([])
            thread.join(timeout=60)
            assert two.refused == {}
    assert os.listdir(directory) == []


def test_many_runs_over_the_same_containers_all_come_to_an_end() -> None:
    """Whatever they want, in whatever order: each holds alone what it works on, and none waits for ever."""
    holders: dict[str, int] = {}
    wrong: list[str] = []
    chance = random.Random(0)  # noqa: S311 - nobody is to be kept from guessing
    wanted = [[chance.sample("abcd", chance.randint(1, 4)) for _round in range(4)] for _run in range(6)]

    def run(number: int) -> None:
        with Locks(str(number), 60) as locks:
            locks.take_free(wanted[number][0])
            for names in wanted[number]:
                while locks.hold(names):
                    pass
                wrong.extend(name for name in names if holders.setdefault(name, number) != number)
                time.sleep(0.005)
                for name in names:
                    holders.pop(name, None)
            wrong.extend(locks.refused)

    threads = [threading.Thread(target=run, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


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
