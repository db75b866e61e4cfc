# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A person sets a key after a module has looked and before it writes, each time: neither's is lost.

Meeting by chance would not do for a profile: Incus compares If-Match and writes without a lock between
(cmd/incusd/profiles.go, profilePut), so that two writes of the same millisecond are both taken, whoever makes them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import host
import modules
import rest

_CONFLICT = "was changed by something else"


def main() -> int:
    """Let them meet; 0 if the harness worked, whatever was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, required=True, help="how often, of each kind")
    parser.add_argument("--container", type=json.loads, required=True, help="a container that is there, as declared")
    parser.add_argument("--profile", required=True, help="the name of a store profile that is there")
    parser.add_argument("--rows", type=Path, required=True, help="where the rows of the report go")
    arguments = parser.parse_args()
    rows = []
    for edited in ("instance", "profile"):
        lost = 0
        for number in map(str, range(1, arguments.edits + 1)):
            problems = list(_meeting(edited, number, arguments.container, arguments.profile))
            lost += bool(problems)
            for problem in problems:
                print(f"LOST {edited} {number}: {problem}", flush=True)
        part = f"two at once: edits of an {edited} by a person between a module's look and write"
        rows.append({"part": part, "tried": arguments.edits, "survived": arguments.edits - lost, "lost": lost})
    arguments.rows.write_text(json.dumps(rows), encoding="utf-8")
    return 0


def _meeting(edited: str, number: str, container: dict[str, Any], profile: str) -> Iterator[str]:
    """What is wrong after a module and a person have written at once."""
    if edited == "instance":
        module, declared = "inx_container", {**container, "config": {"user.module": number}}
        tool, name = ("incus", "config"), container["name"]
    else:
        module, declared = "inx_store_mount", {"name": profile, "description": number}
        tool, name = ("incus", "profile"), profile
    person = host.at((f"http PUT /1.0/{edited}s/{name}",), *tool, "set", name, f"user.person={number}")
    ended = modules.run(module, declared, fault=person)
    if not any("http PUT" in label for label in ended.trace):
        yield f"it has not written: {ended.message}"
    if ended.failed and _CONFLICT not in ended.message:
        yield f"it said: {ended.message}"
    if ended.failed and (again := modules.run(module, declared)).failed:
        yield f"it failed again: {again.message}"
    if (set_by_person := host.ask(*tool, "get", name, "user.person").strip()) != number:
        yield f"the person's key is {set_by_person!r}"
    found = rest.query(f"/1.0/{edited}s/{name}")
    set_by_module = found["config"].get("user.module") if edited == "instance" else found["description"]
    if set_by_module != number:
        yield f"the module's key is {set_by_module!r}"


if __name__ == "__main__":
    sys.exit(main())
