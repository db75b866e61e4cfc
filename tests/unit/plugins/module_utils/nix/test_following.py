# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.nix import following
from ansible_collections.inx.fleet.plugins.module_utils.nix.process import NixCommand, NixError
from ansible_collections.inx.fleet.plugins.module_utils.progress.events import Event, Events, NixWorks
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.nix.test_build_log import (
    BUILD,
    BUILDS,
    DRV,
    FAILURE,
    result,
)


def nix(directory: Path, heard: list[Event], *said: Any, then: str = "") -> NixCommand:
    """Return a nix that says this in its log."""
    (directory / "said").write_text("".join(f"@nix {json.dumps(one)}\n" for one in said), encoding="utf-8")
    command = directory / "nix"
    command.write_text(f"#!/bin/sh\ncat {directory}/said >&2\n{then}\n", encoding="utf-8")
    command.chmod(0o755)
    return NixCommand(command=str(command), events=Events(heard.append))


def test_what_nix_does_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_PAUSE", 0.01)
    heard: list[Event] = []
    begins, ends = json.dumps(BUILDS), json.dumps(result(1, 105, 1, 2, 1, 0))
    # The second half comes in two writes, which are far apart.
    slow = f"sleep 0.3; printf '@nix ' >&2; sleep 0.3; echo '{ends}' >&2; echo done"
    command = nix(tmp_path, heard, json.loads(begins), result(1, 105, 0, 2, 1, 0), BUILD, then=slow)
    answer = command.run(["build"], "It fails", told=True)
    told = [event for event in heard if isinstance(event, NixWorks)]
    assert [(one.built, one.to_build) for one in told] == [(0, 2), (1, 2), (1, 1)]
    assert [one.building for one in told] == [("nixos-system-web",), ("nixos-system-web",), ()]
    assert len({one.call for one in told}) == 1
    assert (answer.text, answer.said) == ("done\n", f"building '{DRV}'...")


def test_calls_are_told_apart(tmp_path: Path) -> None:
    heard: list[Event] = []
    command = nix(tmp_path, heard, BUILDS, result(1, 105, 0, 2, 1, 0))
    for _call in range(2):
        command.run(["build"], "It fails", told=True)
    assert len({event.call for event in heard if isinstance(event, NixWorks)}) == 2


def test_error_is_that_of_nix_without_json(tmp_path: Path) -> None:
    command = nix(tmp_path, [], BUILD, result(2, 101, "No rule to make target"), FAILURE, then="exit 1")
    with pytest.raises(NixError) as caught:
        command.run(["build"], "It fails", told=True)
    assert "> No rule to make target" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert f"nix log {DRV}" in caught.value.advice


def test_last_line_needs_no_end(tmp_path: Path) -> None:
    command = nix(tmp_path, [], then="printf 'error: interrupted' >&2")
    assert command.run(["build"], "It fails", told=True).said == "error: interrupted"


def test_log_is_asked_for_in_json_where_it_is_followed(tmp_path: Path) -> None:
    command = nix(tmp_path, [], then='echo "$@"')
    assert "--log-format internal-json" in command.run(["build"], "It fails", told=True).text
    assert "--log-format" not in command.run(["build"], "It fails").text
