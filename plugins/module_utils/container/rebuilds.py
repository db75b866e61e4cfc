# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a plan starts a container with an emptied root disk. Pure."""

from __future__ import annotations

from ..errors import FleetError
from ..incus.host_mounts import check_root
from ..incus.models import Instance
from ..names import lxc_name
from ..stored_keys import MOVING, RESTORING, VOLATILE_ROOT
from ..text import incus_command
from .declaration import Container
from .observed import Observed

# A root that is emptied at every start


def has_volatile_root(instance: Instance | None) -> bool:
    """Return whether each start empties the root of an instance, as it was declared last."""
    return instance is not None and instance.config.get(VOLATILE_ROOT) == "rebuild"


def rebuilds(declared: Container, instance: Instance | None) -> bool:
    """Return whether a start empties the root, as declared now or by an earlier declaration."""
    if declared.volatile.root is not None:
        return declared.volatile.root == "rebuild"
    return has_volatile_root(instance)


def keeps_running(declared: Container, instance: Instance) -> bool:
    """Return whether a plan leaves it running: what waits for a start goes on waiting."""
    return instance.is_running and declared.state in ("started", "present")


def is_started(declared: Container, instance: Instance) -> bool:
    """Return whether a plan starts it: it does not run, or is stopped for its restart or its move."""
    arrives = instance.location != declared.target
    if declared.state == "present":
        is_due = MOVING in instance.config or RESTORING in instance.notes
        return is_due if not instance.is_running else arrives
    return declared.state == "restarted" or (declared.state == "started" and (arrives or not instance.is_running))


def is_rebuilt(declared: Container, instance: Instance) -> bool:
    """Return whether a plan starts it with an emptied root."""
    return is_started(declared, instance) and rebuilds(declared, instance)


def check_rebuild(declared: Container, instance: Instance, observed: Observed) -> None:
    """Refuse a root that cannot be emptied, before its container is stopped for it."""
    ephemeral = instance.ephemeral if declared.ephemeral is None else declared.ephemeral
    if ephemeral and rebuilds(declared, instance):
        raise FleetError(
            f"{declared.name} is ephemeral: its stop deletes it, so its root is never rebuilt.",
            "Declare 'ephemeral: false', or 'volatile_root: keep'.",
        )
    if not is_rebuilt(declared, instance):
        return
    check_root(declared.name, lxc_name(declared.project, declared.name), observed.host_mounts)
    if observed.has_snapshots:
        raise FleetError(
            f"{declared.name} has snapshots, with which Incus does not rebuild it: its root disk cannot be emptied.",
            f"Delete them ('{incus_command(declared.project, 'snapshot', 'list', declared.name)}'), "
            "or declare 'volatile_root: keep'.",
        )
