# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at systemd units, start them and stop them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from .commands import ask, run
from .observed import Unit

_PROPERTIES = "Id,LoadState,ActiveState,ExecMainStartTimestamp,ExecStart,ExecStartPre"
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")


def look_at_units(names: Sequence[str]) -> tuple[dict[str, Unit], dict[str, str]]:
    """Return units by name, and what they run.

    "show" remembers what was enabled until systemd is reloaded; "is-enabled" looks.
    """
    action = "look at the units of systemd"
    text = run(["systemctl", "show", "--timestamp=us+utc", f"--property={_PROPERTIES}", "--", *names], action)
    _code, answer = ask(["systemctl", "is-enabled", "--", *names], action)
    enabled = dict(zip(names, answer.splitlines(), strict=False))
    # A unit under another name answers with that one's.
    shown = dict(zip(names, _blocks(text), strict=True))
    units = {
        name: Unit(
            is_there=found["LoadState"] != "not-found",
            is_active=found["ActiveState"] == "active",
            is_enabled=enabled.get(name) == "enabled",
            started=_seconds(found.get("ExecMainStartTimestamp", "")),
        )
        for name, found in shown.items()
    }
    commands = {name: f"{found.get('ExecStartPre', '')} {found.get('ExecStart', '')}" for name, found in shown.items()}
    return units, commands


def _blocks(text: str) -> Iterator[dict[str, str]]:
    for block in text.strip().split("\n\n"):
        yield {name: value for name, _equals, value in (line.partition("=") for line in block.splitlines())}


def _seconds(text: str) -> float:
    found = _TIME.search(text)
    if found is None:
        return 0.0
    return datetime.strptime(found[0], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc).timestamp()


def start_units(names: Sequence[str], action: str) -> None:
    """Start units now and at boot."""
    run(["systemctl", "enable", "--now", "--", *names], action, advice=_advice(names))


def restart_units(names: Sequence[str], action: str) -> None:
    """Restart units, or start them."""
    run(["systemctl", "restart", "--", *names], action, advice=_advice(names))


def stop_units(names: Sequence[str], action: str) -> None:
    """Stop units that are there."""
    run(["systemctl", "stop", "--", *names], action, advice=_advice(names))


def disable_units(names: Sequence[str], action: str) -> None:
    """Stop units, now and at boot."""
    run(["systemctl", "disable", "--now", "--", *names], action, advice=_advice(names))


def reload_systemd() -> None:
    """Make systemd read its units again."""
    run(["systemctl", "daemon-reload"], "reload systemd")


def _advice(names: Sequence[str]) -> str:
    return f"See 'journalctl -u {' -u '.join(names)}' on the host."
