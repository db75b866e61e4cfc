# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.gcroots.lookup import Bounds, Questions, look_into
from ansible_collections.inx.fleet.plugins.module_utils.incus import rootfs
from ansible_collections.inx.fleet.plugins.module_utils.incus.rootfs import Running


def test_each_container_gets_its_own_answer() -> None:
    names = ["one", "two", "three"]
    # This process is the init of none of them: theirs have ended.
    questions = [
        Questions(container=Running(name=name, pid=os.getpid(), age=100), kept=["/root/result"]) for name in names
    ]
    answers = look_into(questions, Bounds(timeout=10, deadline=time.monotonic() + 60, max_new=10, grace_period=60))
    assert answers.ended == tuple(names)
    assert not answers.looks


def test_what_is_not_looked_at_in_time_is_told() -> None:
    question = Questions(container=Running(name="one", pid=os.getpid(), age=100), kept=["/root/result"])
    answers = look_into([question], Bounds(timeout=10, deadline=time.monotonic(), max_new=10, grace_period=60))
    assert answers.limits == ("The time limit was reached before 1 containers were looked at.",)


def test_an_init_has_ended_before_anybody_has_waited_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "is_init_of", lambda name, pid: True)
    child = os.fork()
    if child == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert rootfs.has_ended("one", child)
        assert not rootfs.has_ended("one", os.getpid())
    finally:
        os.waitpid(child, 0)
