# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a sync makes of what Incus and the kernel tell; both are stood in for here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
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
    monkeypatch.setattr(gcroots_sync, "recorded_identities", dict)
    monkeypatch.setattr(gcroots_sync, "remove_hazards", lambda names, check: ())


def synced(answers: Sequence[Fleet]) -> Report:
    """A sync in which Incus gives these answers, and the last one again and again."""
    left = list(answers)
    return sync(lambda: left.pop(0) if len(left) > 1 else left[0], Limits(), Scope(), check=True)


def fleet(
    *,
    running: frozenset[str] = frozenset(),
    stopped: frozenset[str] = frozenset(),
    unreadable: frozenset[str] = frozenset(),
    hidden: frozenset[str] = frozenset(),
    identities: Mapping[str, str] | None = None,
) -> Fleet:
    """What Incus lists; it does not say whether those exist that are ``hidden``."""

    def is_gone(name: str) -> bool:
        if name in hidden:
            raise FleetError("No permission.", "Ask.")
        return True

    return Fleet(
        names=running | stopped | unreadable,
        running=running,
        stopped=stopped,
        unreadable=unreadable,
        read_stopped=lambda name, path: BUILD if path == LINK else None,
        is_gone=is_gone,
        filtered="Something is hidden." if hidden else None,
        identities=identities or {},
    )


TWO = frozenset({"two"})


def test_what_incus_calls_running_a_moment_longer_is_read_when_it_has_stopped() -> None:
    report = synced([fleet(running=TWO), fleet(running=TWO), fleet(stopped=TWO)])
    assert [(change.action, change.container, change.path, change.after) for change in report.changes] == [
        ("add", "two", LINK, BUILD)
    ]
    assert not report.problems
    assert report.links == 1


def test_what_does_not_come_to_its_end_is_told() -> None:
    report = synced([fleet(running=TWO)])
    assert not report.changes
    assert report.problems == ("two keeps its roots and gets no new ones: it stopped in the meantime.",)


def test_what_has_been_deleted_meanwhile_is_no_problem() -> None:
    report = synced([fleet(running=TWO), fleet()])
    assert (report.changes, report.problems) == ((), ())


def changes_of(report: Report) -> list[tuple[str, str, str]]:
    return [(change.action, change.container, change.path) for change in report.changes]


def test_what_is_not_listed_is_dropped_when_incus_says_that_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcroots_sync, "kept_roots", lambda: {"two": {LINK: BUILD}})
    report = synced([fleet()])
    assert changes_of(report) == [("drop", "two", LINK)]
    assert report.is_complete


def test_what_is_hidden_keeps_its_roots_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcroots_sync, "kept_roots", lambda: {"two": {LINK: BUILD}, "shop_web": {LINK: BUILD}})
    report = synced([fleet(hidden=TWO)])
    assert changes_of(report) == [("drop", "shop_web", LINK)]
    assert not report.is_complete
    (told,) = report.problems
    assert told.startswith("Something is hidden. Containers that are not listed keep their roots (here: two) and get")
    assert "at the host's own socket" in told


def test_what_incus_does_not_tell_of_keeps_its_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcroots_sync, "kept_roots", lambda: {"two": {LINK: BUILD}})
    report = synced([replace(fleet(hidden=TWO), filtered=None)])
    assert not report.changes
    assert "two: the roots stay, since Incus neither lists this" in report.problems[0]


def test_what_incus_cannot_look_at_keeps_its_roots_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcroots_sync, "kept_roots", lambda: {"two": {LINK: BUILD}})
    report = synced([fleet(unreadable=TWO)])
    assert not report.changes
    assert report.problems == ("two keeps its roots and gets no new ones: Incus cannot look at it.",)


def test_a_look_that_fails_is_no_missing_link() -> None:
    def refuse(name: str, path: str) -> str | None:
        raise FleetError("The file system gives errors.", "Fix it.")

    report = synced([replace(fleet(stopped=TWO), read_stopped=refuse)])
    assert report.missing == ()
    assert report.problems == ("two keeps its roots and gets no new ones: The file system gives errors. Fix it.",)


def test_a_renamed_container_takes_its_roots_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcroots_sync, "kept_roots", lambda: {"two": {"/root/other": BUILD}})
    monkeypatch.setattr(gcroots_sync, "recorded_identities", lambda: {"two": "1"})
    monkeypatch.setattr(gcroots_sync, "auto_links", lambda names: iter([]))
    three = frozenset({"three"})
    report = synced([fleet(stopped=three, identities={"three": "1"})])
    assert changes_of(report) == [("add", "three", "/root/other"), ("drop", "two", "/root/other")]
    hidden = synced([fleet(stopped=three, identities={"three": "1"}, hidden=TWO)])
    assert changes_of(hidden) == [("add", "three", "/root/other")]
