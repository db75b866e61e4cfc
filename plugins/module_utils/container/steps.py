# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps of a plan, and the plan that they form. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ..errors import FleetError
from ..nix.profiles import Generation
from ..nix.sources import System
from .declaration import Container
from .twin import Twin
from .units import Units

Action: TypeAlias = Literal[
    "build",
    "copy",
    "rehearse",
    "volume",
    "secrets",
    "create",
    "update",
    "record",
    "move",
    "snapshot",
    "restore",
    "unfreeze",
    "rebuild",
    "start",
    "restart",
    "activate",
    "restart_units",
    "rollback",
    "prune",
    "stop",
    "forget",
    "delete",
]
#: Steps that put a system into the store; they are done for the whole set before any other.
BUILDING = frozenset(("build", "copy"))
#: Steps during which a container that ran does not do its work.
DISRUPTIVE = frozenset(("snapshot", "restore", "restart", "activate", "restart_units", "rollback", "stop", "move"))
#: Steps that end with a system that was seen to be healthy.
PROVING = frozenset(("start", "restart", "activate"))


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do, with what it finds and what it leaves: only the keys that it changes.

    ``notes`` are what the host is to remember when an update is done, ``claims_from`` the containers that must have
    released something before; they are not reported.
    """

    action: Action
    container: str
    summary: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    claims_from: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a step has to tell: warnings, and the units that a switch has changed, by what became of them."""

    warnings: tuple[str, ...] = ()
    units: Units = field(default_factory=dict)
    #: Snapshots that were taken or restored.
    snapshots: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps for one container in their order, and what its user should know.

    ``fallback`` is the generation to go back to when ``system`` turns out bad.
    ``error`` is raised after the steps: the declaration cannot be met.
    ``twin`` is what its rehearsal makes.
    ``awaits`` is whether what an earlier run waited for in vain is waited for again.
    The first steps, ``head`` of them, may be done before its turn: others claim what they release, or release what they
    claim. After ``released`` steps it has released everything.
    """

    container: Container
    system: System | None = None
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    restart_required: bool = False
    fallback: Generation | None = None
    error: FleetError | None = None
    twin: Twin | None = None
    awaits: bool = False
    head: int = 0
    released: int = 0


def new_step(action: Action, name: str, summary: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Step:
    return Step(action=action, container=name, summary=f"{name}: {summary}", before=before, after=after)


def numbered(paths: Mapping[int, str]) -> dict[str, str]:
    return {str(number): path for number, path in paths.items()}


def changed_names(after: Mapping[str, Any]) -> list[str]:
    names = [f"config {key}" for key in after.get("config", {})]
    names += [f"device {key}" for key in after.get("devices", {})]
    return names + [key for key in after if key not in ("config", "devices")]
