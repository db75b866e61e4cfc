# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Derive the order in which containers start with the host from ``after``, unless they declare it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from graphlib import TopologicalSorter

from ..incus.models import Config
from ..stored_keys import BOOT_PRIORITY
from ..values import Value, value_text
from .declaration import Container

#: Incus starts those with a higher one first.
PRIORITY = "boot.autostart.priority"


def with_boot_order(containers: Sequence[Container]) -> list[Container]:
    """Return containers with their priorities: each has a higher one than those that come after it.

    ``after`` must have no circle. A container that is in no order has none.
    """
    by_name = {container.name: container for container in containers}
    order = TopologicalSorter({container.name: container.after for container in containers}).static_order()
    found: dict[str, int] = {}
    for name in reversed(list(order)):
        later = [found[one.name] for one in containers if name in one.after]
        declared = _declared(by_name[name])
        found[name] = max((one + 1 for one in later), default=0) if declared is None else declared
    ordered = {name for one in containers if one.after for name in (one.name, *one.after)}
    return [replace(one, boot_priority=found[one.name]) if one.name in ordered else one for one in containers]


def _declared(container: Container) -> int | None:
    """Return the declared priority, None if none is, or one that is not a number, which Incus refuses."""
    if PRIORITY not in container.config:
        return None
    with suppress(ValueError):
        value = container.config[PRIORITY]
        return 0 if value is None else int(value_text(value))
    return None


def boot_config(declared: Container, stored: Config) -> dict[str, Value]:
    """Return the config keys of the order. A priority that an earlier run has derived goes with the order."""
    if PRIORITY in declared.config:
        return {BOOT_PRIORITY: None}
    if declared.boot_priority is not None:
        return dict.fromkeys((PRIORITY, BOOT_PRIORITY), declared.boot_priority)
    if declared.set_name is not None and BOOT_PRIORITY in stored:
        return dict.fromkeys((PRIORITY, BOOT_PRIORITY))
    return {}
