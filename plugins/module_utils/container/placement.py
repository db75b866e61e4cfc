# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster member that a container belongs to.

A container's Nix profile has to be on the member that runs it, so the same declaration is
given to every member, and each takes what belongs to it. Pure: members that see the same
agree without a word between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ..errors import FleetError
from ..incus.models import Cluster
from ..names import lxc_name
from ..text import incus_command
from .declaration import Container


def placed(declared: Container, location: str | None, cluster: Cluster | None) -> Container:
    """``declared`` with the name of the member that takes it as its ``target``, None without a cluster.

    ``location`` is the member that the instance is at, None without an instance.
    Raises FleetError when it can be placed nowhere.
    """
    target = declared.target
    if cluster is None:
        if target is not None:
            raise FleetError(
                f"{declared.name}: 'target' is {target!r}, but this Incus is not a member of a cluster.",
                "Remove 'target'.",
            )
        return declared
    if target is not None and target not in cluster.members:
        raise FleetError(
            f"{declared.name}: 'target' {target!r} is not a member of this cluster.",
            f"It has: {', '.join(sorted(cluster.members))}.",
        )
    member = _member(declared, location, cluster)
    is_evacuated = member == cluster.member and member not in cluster.online
    if is_evacuated and declared.state in ("started", "restarted"):
        raise FleetError(
            f"{declared.name} belongs to {member}, which is evacuated: Incus starts nothing there.",
            f"End that with '{incus_command(None, 'cluster', 'restore', member)}', or declare another 'target'.",
        )
    return declared.placed_at(member)


def _member(declared: Container, location: str | None, cluster: Cluster) -> str:
    if declared.state == "absent":
        # An instance goes from where it is, and what is left of it from everywhere.
        return cluster.member if location is None else location
    new = lxc_name(declared.project, declared.name)
    return declared.target or location or owner(new, cluster.online or cluster.members)


def owner(name: str, members: Iterable[str]) -> str:
    """Return the member that creates a new container: the one with the highest random weight.

    A member that comes or goes moves only what belongs to it.
    """
    return max(members, key=lambda member: (hashlib.sha256(f"{member}\0{name}".encode()).digest(), member))
