# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Systems that a run evaluates, by the names of their containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from ..errors import FleetError
from ..nix.bootable import can_switch, check_boots_here, expected_secrets, machine_warnings
from ..nix.profiles import Generations, read_generations
from ..nix.sources import Declared, System
from .ends import Host
from .set_declaration import ContainerSet

#: Systems, or why there is none; None for a container that declares none.
Systems: TypeAlias = Mapping[str, System | FleetError | None]


def sources(host: Host, declared: ContainerSet) -> list[Declared]:
    """Return what is to be evaluated here."""
    return list(sources_by_name(host, declared).values())


def sources_by_name(host: Host, declared: ContainerSet) -> dict[str, Declared]:
    return {
        container.name: (container.source, container.nix)
        for container in declared.containers
        if container.source is not None and container.target == host.incus.server.member
    }


def systems_by_name(host: Host, declared: ContainerSet, found: Mapping[Declared, System | FleetError]) -> Systems:
    """Return what was evaluated, by the container's name."""
    return {name: found[entry] for name, entry in sources_by_name(host, declared).items()}


def with_builds(host: Host, declared: ContainerSet, evaluated: Systems) -> Systems:
    """Build or copy the systems that are not in the store, and return them all, with errors of those that fail."""
    options = {name: how for name, (_source, how) in sources_by_name(host, declared).items()}
    systems = {name: system for name, system in evaluated.items() if isinstance(system, System)}
    valid = host.nix.valid_paths([system.path for system in systems.values()])
    failed = host.nix.build([(one, options[name]) for name, one in systems.items() if one.path not in valid])
    return {name: failed.get(one, one) if isinstance(one, System) else one for name, one in evaluated.items()}


def recorded(declared: ContainerSet) -> set[str]:
    """Return the systems that profiles lead to, and keep."""
    found = (read_generations(entry.profile_dir).system for entry in declared.containers)
    return {system for system in found if system is not None}


def with_validity(host: Host, evaluated: Systems, unrecorded: Sequence[System]) -> Systems:
    """Say of each system whether it is in the store; those that a profile leads to are."""
    valid = host.nix.valid_paths([system.path for system in unrecorded])
    missing = {system.path for system in unrecorded} - valid

    def look(name: str, system: System | FleetError | None) -> System | FleetError | None:
        if not isinstance(system, System):
            return system
        warnings = system.warnings
        try:
            if system.path in valid:
                check_boots_here(system.path)
                warnings += machine_warnings(name, system.path)
        except FleetError as error:
            return error
        built = system.path not in missing
        switches, expects = not built or can_switch(system.path), expected_secrets(system.path)
        return replace(system, built=built, switches=switches, warnings=warnings, expects=expects)

    return {name: look(name, system) for name, system in evaluated.items()}


def is_recorded(system: System, found: Generations) -> bool:
    """Return whether a profile keeps a system in the store, so that nix need not be asked."""
    return system.path == found.system and system.path not in found.lost
