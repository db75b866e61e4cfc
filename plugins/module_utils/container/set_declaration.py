# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A set of containers as the user declares it, validated: what holds between them, and which of them a run is about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from ..errors import FleetError
from ..names import project_name, word
from .attached import check_ports
from .boot_order import with_boot_order
from .declaration import Container
from .selection import selection_from


@dataclass(frozen=True, kw_only=True)
class ContainerSet:
    """Containers that are brought to what is declared in one step.

    ``parallel`` and ``max_unavailable`` are numbers of containers; None is as many as is sensible, and no limit.
    With ``purge``, members of the set ``name`` that are no longer declared are removed, ``purge_limit`` at most.
    """

    containers: tuple[Container, ...]
    project: str = "default"
    name: str | None = None
    purge: bool = False
    purge_limit: int = 0
    parallel: int | None = None
    max_unavailable: int | None = None
    #: How many containers may go back from their update before the others are left alone.
    rollback_limit: int | None = None
    #: How a container that is purged is stopped; its name is that of none.
    purging: Container = field(default_factory=lambda: Container(name="purged"))
    #: Why another host could not build the systems of some, by their names: they are left as they are.
    build_failures: Mapping[str, str] = field(default_factory=dict)


def container_set_from(
    params: Mapping[str, Any], containers: Sequence[Container], shared: Container | None = None
) -> ContainerSet:
    """Make a ContainerSet of the parameters of inx_containers and of its containers.

    ``shared`` has what the defaults say; of it, containers that are purged take how they are stopped. Raise FleetError
    for what is wrong between containers: a name declared twice, an order that cannot be.
    """
    names = [container.name for container in containers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FleetError(f"Declared twice: {', '.join(twice)}.", "A name belongs to one container.")
    _check_order(containers)
    _check_ports(containers)
    name = word(params["set"], "name for a set")
    if params["purge_limit"] < 0:
        raise FleetError(f"purge_limit is {params['purge_limit']}.", "It is a number of containers from 0.")
    if params["parallel"] is not None and params["parallel"] < 1:
        raise FleetError(f"parallel is {params['parallel']}.", "It is a number of containers from 1.")
    # Before some are chosen: the order is that of all.
    chosen = _chosen(params, with_boot_order(containers))
    return ContainerSet(
        containers=tuple(replace(container, set_name=name) for container in chosen),
        project=project_name(params["project"]),
        name=name,
        purge=params["purge"],
        purge_limit=params["purge_limit"],
        parallel=params["parallel"],
        max_unavailable=_share_from(params["max_unavailable"], len(containers)),
        rollback_limit=_rollback_limit_from(params),
        purging=_purging(shared),
        build_failures={name: str(why) for name, why in params["build_failures"].items()},
    )


def _purging(shared: Container | None) -> Container:
    """Return what holds for containers that are purged: their volumes are never deleted by defaults."""
    purging = Container(name="purged")
    return purging if shared is None else replace(purging, stop_timeout=shared.stop_timeout, force=shared.force)


def _chosen(params: Mapping[str, Any], containers: Sequence[Container]) -> list[Container]:
    """Return those that 'only' and 'only_tags' select, which come after no other then."""
    if params["purge"] and (params["only"] is not None or params["only_tags"] is not None):
        raise FleetError("'purge' needs the whole set, and 'only' selects a part of it.", "Keep one of them.")
    chosen = chosen_containers(params, containers)
    names = {container.name for container in chosen}
    return [replace(container, after=tuple(name for name in container.after if name in names)) for container in chosen]


def chosen_containers(params: Mapping[str, Any], containers: Sequence[Container]) -> list[Container]:
    """Return those that 'only' and 'only_tags' select. Raise FleetError if an item of them selects none."""
    selection = selection_from(params["only"], params["only_tags"])
    tagged = {container.name: container.tags or () for container in containers}
    for option, item in selection.unmatched(tagged):
        if option == "only":
            raise FleetError(
                f"only: no declared container is called {item!r}.",
                f"Name one, or a pattern such as web-*. Declared are: {', '.join(tagged) or 'none'}.",
            )
        raise FleetError(f"only_tags: no declared container has the tag {item!r}.", "See their 'tags'.")
    return [container for container in containers if selection.selects(container.name, container.tags or ())]


def _check_order(containers: Sequence[Container]) -> None:
    by_name = {container.name: container for container in containers}
    for container in containers:
        for other in container.after:
            if other not in by_name:
                raise FleetError(f"{container.name}: after: {other} is not in this set.", "Declare it here as well.")
            if by_name[other].state not in ("started", "restarted"):
                raise FleetError(
                    f"{container.name}: after: {other} is declared {by_name[other].state}, so it never gets healthy.",
                    f"Declare {other} started, or remove it from 'after'.",
                )
            if not by_name[other].wait.conditions and by_name[other].health is None:
                raise FleetError(
                    f"{container.name}: after: nobody waits until {other} is up, so nothing can come after it.",
                    f"Declare 'wait: true' or 'health' for {other}, or remove it from 'after'.",
                )
    try:
        TopologicalSorter({container.name: container.after for container in containers}).prepare()
    except CycleError as error:
        raise FleetError(
            f"after: a dependency cycle: {' after '.join(error.args[1])}.", "Remove one of the entries."
        ) from error


def _check_ports(containers: Sequence[Container]) -> None:
    """Raise FleetError if two containers publish the same port of a host, unless they are placed on different hosts."""
    for target in {container.target for container in containers}:
        there = [container for container in containers if container.target == target and container.state != "absent"]
        check_ports((container.name, entry) for container in there for entry in container.publish or ())


def _rollback_limit_from(params: Mapping[str, Any]) -> int:
    number: int = params["rollback_limit"]
    if number < 1:
        raise FleetError(f"rollback_limit is {number}.", "It is a number of containers from 1.")
    return number


def _share_from(text: str | None, total: int) -> int | None:
    """Return a number of containers, from a number or a percentage rounded down, at least one."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})(%?)", text)
    number = int(match[1]) if match else 0
    if match is None or number < 1 or (match[2] and number > 100):
        raise FleetError(f"max_unavailable: {text!r} is not a number of containers.", "Write for example 2, or 25%.")
    return max(1, total * number // 100) if match[2] else number
