# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units that a switch changes, as switch-to-configuration names them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

#: Names of units by what becomes of them: restarted, reloaded, started, stopped, and not_restarted for those that have
#: changed and run on as they are.
Units: TypeAlias = Mapping[str, tuple[str, ...]]

#: Words for what becomes of units, the same before and after a run.
VERBS = {
    "restarted": "restart",
    "reloaded": "reload",
    "started": "start",
    "stopped": "stop",
    "not_restarted": "leave as they are",
}

# nixpkgs: switch-to-configuration.pl and switch-to-configuration-ng have the same words.
_SAID = re.compile(
    r"^(?:(stopping|reloading|restarting|starting|NOT restarting) the following (?:changed )?units"
    r"|the following new units were (started)|warning: the following units (failed)): (.*)$",
    re.MULTILINE,
)
# Of those that it leaves alone, a dry run says that it would not stop them.
_WOULD = re.compile(
    r"^would (stop|NOT stop|NOT restart|reload|restart|start) the following (?:changed )?units: (.*)$", re.MULTILINE
)
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.[a-z]+\Z")
# A container can say anything.
_MOST = 100


def changed_units(said: str) -> Units:
    """Return the units that a switch has changed or left alone, without those that failed."""
    found = _by_verb([("".join(verbs), names) for *verbs, names in _SAID.findall(said)])
    stopped, starting = found.get("stopping", []), found.get("starting", [])
    return _units(
        stopped=stopped,
        started=[*starting, *(name for name in found.get("started", []) if name not in stopped)],
        restarted=found.get("restarting", []),
        reloaded=found.get("reloading", []),
        kept=found.get("NOT restarting", []),
        without=found.get("failed", []),
    )


def merged_units(some: Units, others: Units) -> Units:
    """Return the units that two steps have changed, by what became of them."""
    return {done: tuple(dict.fromkeys((*some.get(done, ()), *others.get(done, ())))) for done in {**some, **others}}


def planned_units(said: str, new: Collection[str] = ()) -> Units:
    """Return the units that a switch would change or leave alone, from what dry-activate says.

    It does not name the ``new`` units that targets start, since systemd finds them.
    """
    found = _by_verb(_WOULD.findall(said))
    named = {name for names in found.values() for name in names}
    return _units(
        stopped=found.get("stop", []),
        started=[*found.get("start", []), *sorted(name for name in new if name not in named)],
        restarted=found.get("restart", []),
        reloaded=found.get("reload", []),
        kept=[*found.get("NOT stop", []), *found.get("NOT restart", [])],
    )


def _by_verb(said: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for verb, names in said:
        found.setdefault(verb, []).extend(name for name in names.split(", ") if _UNIT.match(name))
    return found


def _units(
    *,
    stopped: Sequence[str],
    started: Sequence[str],
    restarted: Sequence[str],
    reloaded: Sequence[str],
    kept: Sequence[str],
    without: Collection[str] = (),
) -> Units:
    """Return units by what becomes of them.

    NixOS stops most units before the activation and starts them after it: they are restarted.
    """
    changed = {
        "restarted": [*restarted, *(name for name in stopped if name in started)],
        "reloaded": reloaded,
        "started": [name for name in started if name not in stopped],
        "stopped": [name for name in stopped if name not in started],
        "not_restarted": kept,
    }
    named = {done: [name for name in dict.fromkeys(names) if name not in without] for done, names in changed.items()}
    return {done: tuple(names[:_MOST]) for done, names in named.items() if names}
