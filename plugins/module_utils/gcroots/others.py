# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look up links in stopped containers, and check whether containers still exist, through Incus."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from ..errors import FleetError
from ..incus.models import Fleet
from ..incus.rootfs import store_path_behind
from .plan import Look, Roots


def gone_and_doubted(fleet: Fleet, unlisted: Sequence[str], deadline: float) -> tuple[set[str], frozenset[str]]:
    """Return which of the containers that are not listed do not exist, and those of which that is not known."""
    gone: set[str] = set()
    doubted: set[str] = set()
    for name in unlisted:
        try:
            if time.monotonic() >= deadline:
                doubted.add(name)
            elif fleet.is_gone(name):
                gone.add(name)
        except FleetError:
            doubted.add(name)
    return gone, frozenset(doubted)


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What was seen in stopped containers."""

    looks: Mapping[str, Look] = field(default_factory=dict)
    missing: tuple[tuple[str, str], ...] = ()
    limits: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def search_stopped(
    fleet: Fleet,
    stopped: Sequence[str],
    paths: Iterable[str],
    *,
    kept: Mapping[str, Roots],
    missing: Collection[tuple[str, str]],
    deadline: float,
) -> Searched:
    """Look up links of stopped containers that have no root yet. What is not found drops nothing.

    A container in which one look-up fails is passed over, and that is a problem: the link may be there.
    """
    found: dict[str, dict[str, str | None]] = {}
    not_there: list[tuple[str, str]] = []
    limits: list[str] = []
    failed: dict[str, FleetError] = {}
    questions = [(name, path) for path in paths for name in stopped if path not in kept.get(name, {})]
    for number, (name, path) in enumerate(questions):
        if (name, path) in missing:
            not_there.append((name, path))
        elif time.monotonic() >= deadline:
            left = len(questions) - number
            limits.append(f"The time limit was reached before {left} links were looked up in stopped containers.")
            break
        elif name not in failed:
            try:
                store = store_path_behind(partial(fleet.read_stopped, name), path)
            except FleetError as error:
                failed[name] = error
                continue
            if store is None:
                not_there.append((name, path))
            else:
                found.setdefault(name, {})[path] = store
    return Searched(
        looks={name: Look(links=links) for name, links in found.items()},
        missing=tuple(not_there),
        limits=tuple(limits),
        problems=tuple(f"{name} keeps its roots and gets no new ones: {error}" for name, error in failed.items()),
    )
