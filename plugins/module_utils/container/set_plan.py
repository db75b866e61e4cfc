# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan each container of a set, and its purge. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import FleetError
from ..nix.sources import System
from ..stored_keys import SET
from .declaration import Container
from .kind import foreign_warning, is_foreign
from .observed import Observed
from .plan import plan_container
from .set_declaration import ContainerSet
from .steps import Plan


def plan_set(
    declared: ContainerSet, systems: Mapping[str, System | FleetError | None], observed: Mapping[str, Observed]
) -> list[Plan]:
    """Plan a set, by the containers' names: those to be purged first, then the declared ones in their order.

    A container that cannot be planned has its error in its plan, and does not hold the others up.
    Raises FleetError when more would be purged than may be.
    """
    purged = _purged(declared, observed)
    kept = [_kept(declared, name, seen) for name, seen in sorted(observed.items()) if _is_kept(declared, name, seen)]
    if len(purged) > declared.purge_limit:
        raise FleetError(
            f"{len(purged)} containers of the set {declared.name!r} are no longer declared, and 'purge_limit' is "
            f"{declared.purge_limit}: {', '.join(container.name for container in purged)}. Nothing was changed.",
            "Raise 'purge_limit' to remove them with their data.",
        )
    return kept + [
        _plan_or_error(container, systems.get(container.name), observed[container.name])
        for container in (*purged, *declared.containers)
    ]


def _purged(declared: ContainerSet, observed: Mapping[str, Observed]) -> list[Container]:
    return [
        _to_be_purged(declared, name, seen)
        for name, seen in sorted(observed.items())
        if _is_undeclared(declared, name, seen) and (seen.instance is None or not is_foreign(seen.instance))
    ]


def _to_be_purged(declared: ContainerSet, name: str, seen: Observed) -> Container:
    return replace(declared.purging, name=name, project=declared.project, state="absent", target=seen.member)


def _is_undeclared(declared: ContainerSet, name: str, seen: Observed) -> bool:
    """Return whether a container of the set is declared no more, in a run that purges."""
    if not declared.purge or declared.name is None or name in {container.name for container in declared.containers}:
        return False
    instance = seen.instance
    if instance is None:
        return seen.is_left
    return not seen.is_elsewhere and instance.config.get(SET) == declared.name


def _is_kept(declared: ContainerSet, name: str, seen: Observed) -> bool:
    """Return whether it looks like one that is to be purged, and is a copy, or has another name by now."""
    return seen.instance is not None and is_foreign(seen.instance) and _is_undeclared(declared, name, seen)


def _kept(declared: ContainerSet, name: str, seen: Observed) -> Plan:
    warnings = () if seen.instance is None else (foreign_warning(seen.instance),)
    return Plan(container=_to_be_purged(declared, name, seen), warnings=warnings)


def _plan_or_error(declared: Container, wanted: System | FleetError | None, observed: Observed) -> Plan:
    try:
        if isinstance(wanted, FleetError):
            raise wanted
        return plan_container(declared, wanted, observed)
    except FleetError as error:
        return Plan(container=declared, error=error)
