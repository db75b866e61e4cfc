# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GC roots of renamed containers, and the record of which container they belong to.

A container is known by what Incus keeps when it is renamed. The record is a file beside Nix's own state, written in one
step under the lock of the roots. Without it, as after a restore of the roots alone, a renamed container looks like one
that is gone, and another one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from ..errors import FleetError
from ..incus.models import Fleet
from .plan import Change, Roots, plan_renames
from .store import STATE_DIR, apply_changes

_FILE = f"{STATE_DIR}/inx-fleet/gcroots-containers.json"


@dataclass(frozen=True, kw_only=True)
class Renames:
    """The roots that were taken along, why others could not be, and the old names under which those stay."""

    done: tuple[Change, ...] = ()
    problems: tuple[str, ...] = ()
    stuck: frozenset[str] = frozenset()


def follow_renames(fleet: Fleet, kept: Mapping[str, Roots], recorded: Mapping[str, str], *, check: bool) -> Renames:
    """Take the roots that are ``kept`` along to the new names of their containers, under the lock of the roots."""
    unlisted = [name for name in kept if name in recorded and name not in fleet.names]
    gone = frozenset(name for name in unlisted if _is_gone(fleet, name))
    changes = plan_renames(kept, recorded, fleet.identities, gone)
    if check:
        return Renames(done=tuple(changes))
    done, problems = apply_changes(changes, stops=True)
    return Renames(done=tuple(done), problems=tuple(problems), stuck=gone if problems else frozenset())


def _is_gone(fleet: Fleet, name: str) -> bool:
    try:
        return fleet.is_gone(name)
    except FleetError:
        return False


def record_containers(fleet: Fleet, kept: Mapping[str, Roots], recorded: Mapping[str, str]) -> None:
    """Note which containers the roots were made for. Those that are not listed are remembered as they were."""
    known = {**recorded, **fleet.identities}
    record_identities({name: known[name] for name, roots in kept.items() if roots and name in known})


def recorded_identities() -> dict[str, str]:
    """Return the identity of each container at the last sync, by its name then; none if the file is not readable."""
    with suppress(FileNotFoundError, ValueError), open(_FILE, encoding="utf-8") as file:
        found = json.load(file)
        if isinstance(found, dict):
            return {name: identity for name, identity in found.items() if isinstance(identity, str)}
    return {}


def record_identities(identities: Mapping[str, str]) -> None:
    """Write the record if it is another one. Raises OSError."""
    if recorded_identities() == identities:
        return
    os.makedirs(os.path.dirname(_FILE), mode=0o755, exist_ok=True)
    # One name is enough under the lock, and what a killed run has left is written over.
    unfinished = f"{_FILE}.new"
    with open(unfinished, "w", encoding="utf-8") as file:
        json.dump(dict(sorted(identities.items())), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, _FILE)
