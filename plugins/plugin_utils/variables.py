# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of the variables that this collection reads or sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path

ROLES = Path(__file__).resolve().parents[2] / "roles"

#: What the playbooks take, as the comments at their beginnings say.
OF_PLAYBOOKS = frozenset(
    f"inx_{name}"
    for name in (
        "collect_incomplete",
        "confirmed",
        "data",
        "delete_volumes",
        "drift_html",
        "drift_json",
        "drift_junit",
        "forget_hosts",
        "generation",
        "keep_generations",
        "max_unavailable",
        "older_than",
        "only",
        "only_tags",
        "remove_unused",
        "serial",
        "target",
    )
)
#: What the action plugin of the modules takes, in any play.
OF_MODULES = frozenset(("inx_progress",))
#: What the inventory plugin sets, what the connection plugin takes, and what the roles set.
OF_PLUGINS = frozenset(
    f"inx_{name}"
    for name in (
        "address",
        "addresses",
        "config",
        "description",
        "ephemeral",
        "generation",
        "host",
        "host_run",
        "location",
        "name",
        "profiles",
        "project",
        "python",
        "restart_required",
        "set",
        "status",
        "sudo",
        "system",
        "system_name",
        "tags",
    )
)
# What a group adds to its hosts, under a name of its own.
_OF_GROUPS = "inx_containers_of_"
# An option of an argument spec. To read them as YAML takes longer than everything else that a task does here.
_OPTION = re.compile(r"^      (inx_\w+):$", re.MULTILINE)
# Below it are names that somebody may have chosen for another purpose.
_CLOSE = 0.8


def misspelled(names: Iterable[str]) -> dict[str, str]:
    """Return those of the names that are close to a variable of this collection, with that variable."""
    taken = of_roles() | OF_PLAYBOOKS | OF_MODULES
    unknown = [
        name
        for name in names
        if name.startswith("inx") and name not in taken | OF_PLUGINS and not name.startswith(_OF_GROUPS)
    ]
    meant = {name: get_close_matches(name, {*taken, *_of_group(name)}, n=1, cutoff=_CLOSE) for name in sorted(unknown)}
    return {name: close[0] for name, close in meant.items() if close}


def refusal(found: Mapping[str, str]) -> str:
    """Return what to say of misspelled variables."""
    unknown = " ".join(f"Unknown variable {name}. Did you mean {meant}?" for name, meant in found.items())
    return f"{unknown} See 'ansible-doc -t role inx.fleet.host inx.fleet.containers'."


def _of_group(name: str) -> list[str]:
    """Return the variable of a group that the name may be meant to be."""
    _containers, of, group = name.partition("_of_")
    return [f"{_OF_GROUPS}{group}"] if of and group else []


@cache
def of_roles() -> frozenset[str]:
    """Return the variables of all roles."""
    texts = (path.read_text(encoding="utf-8") for path in ROLES.glob("*/meta/argument_specs.yml"))
    return frozenset(name for text in texts for name in _OPTION.findall(text))
