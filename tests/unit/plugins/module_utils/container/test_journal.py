# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines of a container's journal that an error quotes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.health import journal, quoted_journal
from ansible_collections.inx.fleet.plugins.module_utils.incus.client import Execution

SYSTEM = "/nix/store/" + "a" * 32 + "-nixos-system-web-25.11"
# As an unprivileged container has them, 441 of 447 lines.
NOISE = [
    f"Nov 28 10:00:00 web udevadm[{number}]: dev{number}: Failed to write 'add' to '/sys/devices/dev{number}/uevent': "
    "Permission denied"
    for number in range(441)
]
ERRORS = [f"Nov 28 10:00:0{number} web nginx[7]: error {number}" for number in range(6)]


@pytest.mark.parametrize("lines", [[*ERRORS, *NOISE], [*NOISE, *ERRORS], [*ERRORS[:3], *NOISE, *ERRORS[3:]]])
def test_the_last_errors_are_not_those_of_udev_trigger(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    def execute(_name: str, command: list[str], *_more: Any, **_how: Any) -> Execution:
        if "--priority=err" not in command:
            return Execution(code=0, stdout="", stderr="")
        last = next(int(word.partition("=")[2]) for word in command if word.startswith("--lines="))
        shown = lines[-last:]
        return Execution(code=0, stdout="\n".join(reversed(shown) if "--reverse" in command else shown), stderr="")

    monkeypatch.setattr("os.path.exists", lambda _path: True)
    told = "\n".join(quoted_journal(journal(SimpleNamespace(execute=execute), "web", SYSTEM)))  # type: ignore[arg-type]
    assert "udevadm" not in told
    assert [line.removeprefix("| ") for line in told.splitlines() if line.startswith("| ")] == ERRORS
