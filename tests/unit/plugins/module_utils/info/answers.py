# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts answer when the inventory asks them."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.info.inventory import Facts, containers_of


def entry(name: str, **other: Any) -> dict[str, Any]:
    """An instance as Incus shows it."""
    return {"name": name, "type": "container", "status": "Running", "profiles": ["inx-container"], **other}


def answer(
    *entries: dict[str, Any], links: dict[str, str] | None = None, member: str | None = None, notes: str = "\n"
) -> str:
    """What a host says."""
    server = {"environment": {"server_name": member or "h", "server_clustered": member is not None}}
    words = [word for pair in (links or {}).items() for word in pair]
    return "\0".join([json.dumps(server, indent=2) + "\n", json.dumps(list(entries)) + "\n", notes, *words])


def one(entry: dict[str, Any], **other: Any) -> Facts:
    (facts,) = containers_of("metal1", answer(entry, **other))
    return facts
