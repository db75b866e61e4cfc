# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a sync makes of what Incus and the kernel tell; both are stood in for here."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.gcroots import sync as gcroots_sync
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.sync import Limits, Report, Scope, sync
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Fleet

LINK = "/root/result"
BUILD = f"/nix/store/{'0' * 32}-build"


@pytest.fixture(autouse=True)
def no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with one new link, and no container that runs."""
    monkeypatch.setattr(gcroots_sync, "_STOPPING", 0.3)
    monkeypatch.setattr(gcroots_sync, "running_containers", dict)
    monkeypatch.setattr(gcroots_sync, "kept_roots", dict)
    monkeypatch.setattr(gcroots_sync, "auto_links", lambda names: iter([LINK]))
    monkeypatch.setattr(gcroots_sync, "in_store", set)
    monkeypatch.setattr(gcroots_sync, "remove_hazards", lambda names, check: ())


def synced(answers: Sequence[Fleet]) -> Report:
    """A sync in which Incus gives these answers, and the last one again and again."""
    left = list(answers)
    return sync(lambda: left.pop(0) if len(left) > 1 else left[0], Limits(), Scope(), check=True)


def fleet(*, running: frozenset[str] = frozenset(), stopped: frozenset[str] = frozenset()) -> Fleet:
    return Fleet(
        names=running | stopped,
        running=running,
        stopped=stopped,
        read_stopped=lambda name, path: BUILD if path == LINK else None,
    )


TWO = frozenset({"two"})


def test_what_incus_calls_running_a_moment_longer_is_read_when_it_has_stopped() -> None:
    report = synced([fleet(running=TWO), fleet(running=TWO), fleet(stopped=TWO)])
    assert [(change.verb, change.container, change.path, change.after) for change in report.changes] == [
        ("add", "two", LINK, BUILD)
    ]
    assert not report.problems
    assert report.links == 1


def test_what_does_not_come_to_its_end_is_told() -> None:
    report = synced([fleet(running=TWO)])
    assert not report.changes
    assert report.problems == ("two keeps its roots and gets no new ones: it stopped meanwhile.",)


def test_what_has_been_deleted_meanwhile_is_no_problem() -> None:
    report = synced([fleet(running=TWO), fleet()])
    assert (report.changes, report.problems) == ((), ())
