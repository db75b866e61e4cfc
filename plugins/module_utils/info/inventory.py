# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers of a host for the inventory, from the output of one command. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from ..container.in_force import restart_pending
from ..container.kind import shares_store
from ..container.notes import NOTES_DIR, Remembered, carried, parsed
from ..errors import FleetError
from ..incus.addresses import first, ordered
from ..incus.models import Instance, instance_from, server_from
from ..names import lxc_name
from ..nix.profiles import Generations, generations_from
from ..paths import PROFILES_DIR
from ..redaction import recorded_secrets
from ..text import incus_command
from .facts import instance_facts
from .query import compiled

#: A container as the inventory tells of it, less the prefix that its variables have.
Facts: TypeAlias = dict[str, Any]

# What "timeout" ends with when it had to end the command.
TIMED_OUT = 124
# A store path is /nix/store/, 32 characters, a dash, and a name.
_HASH = len("/nix/store/") + 33
_OWN = "user.inx."
_INSTANCES = "/1.0/instances?recursion=2&all-projects=true"


def look(timeout: int) -> str:
    """Return the shell command that prints Incus, its instances, what is remembered of them, and their Nix profiles.

    A profile that this user may not read is left out. What is remembered begins with a newline when it can be read.
    """
    server, instances = (f"timeout {timeout} {incus_command(None, 'query', path)}" for path in ("/1.0", _INSTANCES))
    links = f"find {PROFILES_DIR} -mindepth 2 -maxdepth 2 -name 'system*' -type l -printf '\\0%P\\0%l'"
    notes = (
        f"if [ -x {PROFILES_DIR} ] && {{ [ ! -e {NOTES_DIR} ] || [ -r {NOTES_DIR} ]; }}; then echo; "
        f"cat {NOTES_DIR}/*.json 2>/dev/null || :; fi"
    )
    return f"set -e; {server}; printf '\\0'; {instances}; printf '\\0'; {notes}; {links} 2>/dev/null || :"


def containers_of(host: str, answer: str) -> list[Facts]:
    """Return the containers on the shared store of ``host``, by project and name.

    Of a cluster these are the ones at the member that the host is. Raises FleetError if it is not such an answer.
    """
    instances, notes, profiles = _parsed(answer)
    chosen = [instance for instance in instances if shares_store(instance)]
    return [
        _facts(
            host,
            replace(instance, notes=_notes_of(instance, notes or {})),
            generations_from(profiles.get(lxc_name(instance.project, instance.name), {})),
            is_remembered=notes is not None,
        )
        for instance in sorted(chosen, key=lambda instance: (instance.project, instance.name))
    ]


def _notes_of(instance: Instance, notes: Mapping[str, Remembered]) -> Mapping[str, str]:
    found = notes.get(instance.identity)
    return carried(instance) if found is None else found.notes


def unreadable_in(answer: str) -> list[str]:
    """Return the names of the instances at which Incus could not look: they may be containers on the shared store."""
    return sorted(instance.name for instance in _parsed(answer)[0] if instance.is_unreadable)


def _parsed(answer: str) -> tuple[list[Instance], dict[str, Remembered] | None, dict[str, dict[str, str]]]:
    """Return the instances of the host that has answered, what it remembers, and the links of each profile directory.

    What is remembered is None where it cannot be read.
    """
    try:
        server, instances, notes, *links = answer.split("\0")
        member = server_from(json.loads(server)).member
        found = [instance_from(entry) for entry in _listed(json.loads(instances))]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FleetError(
            "Its Incus did not return a list of instances.",
            f"See there: {incus_command(None, 'query', _INSTANCES)}",
        ) from error
    here = [instance for instance in found if instance.location == member]
    remembered = [one for line in notes.splitlines() if (one := parsed(line)) is not None]
    return here, {one.identity: one for one in remembered} if notes else None, _profiles(links)


def _listed(entries: Any) -> list[Any]:
    if not isinstance(entries, list):
        raise TypeError(type(entries))
    return entries


def _profiles(links: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the links of each profile directory, from alternating paths and targets."""
    profiles: dict[str, dict[str, str]] = {}
    for path, target in zip(links[::2], links[1::2], strict=False):
        directory, _slash, name = path.partition("/")
        profiles.setdefault(directory, {})[name] = target
    return profiles


def _facts(host: str, instance: Instance, generations: Generations, *, is_remembered: bool) -> Facts:
    # Secrets are not for an inventory, which is shown, and remembered in a file.
    secret = recorded_secrets(instance.config) | recorded_secrets(instance.expanded_config)
    config = {key: value for key, value in instance.expanded_config.items() if key not in secret}
    return {
        **instance_facts(instance),
        "host": host,
        "addresses": {interface: list(found) for interface, found in instance.addresses.items()},
        "system": generations.system,
        "system_name": None if generations.system is None else generations.system[_HASH:],
        "generation": generations.current,
        "restart_required": restart_pending(instance) if is_remembered else None,
        "config": {key: config[key] for key in sorted(config) if key.startswith("user.") and not key.startswith(_OWN)},
    }


def preferring(family: str, facts: Facts) -> Facts:
    """Return a container with its addresses of ``family`` first."""
    return {**facts, "addresses": ordered(facts["addresses"], family), "address": first(facts["addresses"], family)}


def chosen_by(query: str, containers: Sequence[Facts]) -> list[Facts]:
    """Return the containers that a JMESPath expression selects. Raises FleetError when it returns anything else."""
    found = compiled(query)(list(containers))
    if not isinstance(found, list) or any(entry not in containers for entry in found):
        raise FleetError(
            f"query: {query!r} does not select from the list of containers.", "Write it as [?status=='Running']."
        )
    return found


def groups_of(facts: Facts) -> Iterator[str]:
    """Yield the groups of a container, before Ansible makes them valid names."""
    yield "inx"
    yield f"inx_host_{facts['host']}"
    yield f"inx_project_{facts['project']}"
    yield f"inx_state_{facts['status'].lower()}"
    if facts["system_name"] is not None:
        yield f"inx_system_{facts['system_name']}"


def check_unique(names: Iterable[tuple[str, Facts]]) -> None:
    """Raise FleetError when two containers have one name."""
    taken: dict[str, Facts] = {}
    for name, facts in names:
        other = taken.setdefault(name, facts)
        if other is not facts:
            both = " and ".join(f"{one['project']}/{one['name']} of {one['host']}" for one in (other, facts))
            advice = "Let it tell them apart by inx_host and inx_project."
            raise FleetError(f"hostname: {both} would both be called {name!r}.", advice)
