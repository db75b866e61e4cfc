# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Warnings about a container that a plan leaves as it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..incus.models import Instance
from ..stored_keys import EMPTIED, SELF_UPDATE
from ..values import same_value
from .declaration import Container
from .desired import Change
from .expanded import expanded_now
from .in_force import trust_warnings
from .observed import Observed
from .rebuilds import has_volatile_root, is_rebuilt, keeps_running, rebuilds
from .volatile import warn_of_ids


def plan_warnings(declared: Container, instance: Instance, observed: Observed, waits: Change | None) -> Iterator[str]:
    """Yield what the user should know; ``waits`` is what comes into force at the next start, None for nothing."""
    if waits is not None:
        names = [*waits.waiting, *(f"device {name}" for name in sorted(waits.late))]
        said = f": {', '.join(names)}" if names else ""
        yield f"{declared.name} runs on with its old settings until its next start (state: restarted){said}."
    if keeps_running(declared, instance) and not declared.allow_privileged:
        yield from trust_warnings(instance, expanded_now(instance, observed.profiles))
    yield from id_warnings(declared)
    yield from _root_warnings(declared, instance)
    own = instance.devices.get("nixprofiles")
    is_said = declared.self_update is not None or SELF_UPDATE in instance.config
    if not is_said and own is not None and not same_value(True, own.get("readonly", "")):
        yield (
            f"{declared.name} can write its profile directory on the host. "
            "Declare 'self_update: true' to keep this, or false to end it."
        )


def id_warnings(declared: Container) -> list[str]:
    """Return warnings of mounts that lose their owners with the ids of users."""
    devices = [str((keys or {}).get("path", "")) for keys in declared.devices.values()]
    bound = [entry.path for entry in declared.bind_mounts or ()]
    return warn_of_ids(declared.name, declared.volatile, [*devices, *bound])


def _root_warnings(declared: Container, instance: Instance) -> Iterator[str]:
    if not rebuilds(declared, instance) or is_rebuilt(declared, instance):
        return
    if not has_volatile_root(instance):
        yield f"{declared.name}: its next start empties its root disk, except for 'persist' and 'devices'."
    elif instance.is_running and instance.notes.get(EMPTIED) not in (None, instance.last_started):
        yield (
            f"{declared.name} was not started by this collection, so its root disk was not emptied. "
            "'state: restarted' does it."
        )
