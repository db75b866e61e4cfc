# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units that a switch has changed, as switch-to-configuration names them. Pure."""

from __future__ import annotations

import re

# nixpkgs: switch-to-configuration.pl and switch-to-configuration-ng have the same words.
_SAID = re.compile(
    r"^(?:(stopping|reloading|restarting|starting) the following units|the following new units were (started)"
    r"|warning: the following units (failed)): (.*)$",
    re.MULTILINE,
)
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.[a-z]+\Z")
# A container can say anything.
_MOST = 100


def changed_units(said: str) -> dict[str, tuple[str, ...]]:
    """Return the units that were restarted, reloaded, started and stopped, without those that failed.

    NixOS stops most units before the activation and starts them after it: they were restarted.
    """
    found: dict[str, list[str]] = {}
    for *verbs, names in _SAID.findall(said):
        found.setdefault("".join(verbs), []).extend(name for name in names.split(", ") if _UNIT.match(name))
    stopped, started, failed = (found.get(verb, []) for verb in ("stopping", "starting", "failed"))
    changed = {
        "restarted": [*found.get("restarting", ()), *(name for name in stopped if name in started)],
        "reloaded": found.get("reloading", []),
        "started": [name for name in (*started, *found.get("started", ())) if name not in stopped],
        "stopped": [name for name in stopped if name not in started],
    }
    kept = {done: [name for name in dict.fromkeys(names) if name not in failed] for done, names in changed.items()}
    return {done: tuple(names[:_MOST]) for done, names in kept.items() if names}
