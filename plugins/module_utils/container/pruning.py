# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remove old generations of all containers of a host, before a garbage collection."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..errors import FleetError
from ..incus.client import Incus
from ..incus.models import Instance
from ..names import lxc_name, lxc_name_parts
from ..nix.profiles import read_generations, remove_generations
from ..paths import PROFILES_DIR
from ..text import incus_command
from .fallback import old_generations
from .notes import remembered
from .run_locks import Locks

# A container with self_update can name files in its own directory as it likes, and none beside that.
_DIRECTORY = re.compile(r"(?!\.)[^/]+\Z")
_AGE = re.compile(r"(\d{1,9})([smhdw])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """The generations that go from one container's profile, by their numbers."""

    container: str
    project: str
    generations: Mapping[int, str]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How many of the newest generations stay, and the seconds since 1970 at which the others must have been made."""

    keep: int
    before: float


def rule_from(keep: int, older_than: str, now: float) -> Rule:
    """Return the rule that a module's parameters state. Raises FleetError if they are not valid."""
    if keep < 1:
        raise FleetError(f"keep is {keep}, but the current generation is always kept.", "Give a number from 1.")
    age = _AGE.match(older_than)
    if age is None:
        raise FleetError(f"older_than: {older_than!r} is not a valid age.", "Write a number and s, m, h, d or w: 30d.")
    return Rule(keep=keep, before=now - int(age[1]) * _SECONDS[age[2]])


def prune(incus: Incus, project: str | None, rule: Rule, *, check: bool) -> tuple[list[Pruned], list[str]]:
    """Remove old generations of the containers of a project, or of all, or with ``check`` only return which those are.

    ``incus`` is for all projects. A container of which too little is known keeps all, and is in the warnings that are
    returned as well.
    """
    instances = {lxc_name(one.project, one.name): one for one in incus.instances_everywhere()}
    pruned: list[Pruned] = []
    warnings: list[str] = []
    with Locks("inx_generations", 0) as locks:
        for lxc in profile_directories():
            if project not in (None, lxc_name_parts(lxc)[0]):
                continue
            try:
                if not check and locks.hold([lxc]) and lxc in locks.refused:
                    raise FleetError("Another run works on it.", "Run again when that has ended.")
                found = _prune(incus, lxc, instances.get(lxc), rule, check=check)
            except FleetError as error:
                warnings.append(f"All generations of {lxc} stay. {error}")
                continue
            pruned += found
    return pruned, warnings


def profile_directories() -> list[str]:
    """Return the names of all profile directories. Raises FleetError when this user may not list them."""
    try:
        with os.scandir(PROFILES_DIR) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FleetError(f"{PROFILES_DIR} cannot be read: {error.strerror}.", "Become root.") from error
    return sorted(name for name in names if _DIRECTORY.match(name))


def _prune(incus: Incus, lxc: str, instance: Instance | None, rule: Rule, *, check: bool) -> list[Pruned]:
    project, name = lxc_name_parts(lxc)
    directory = f"{PROFILES_DIR}/{lxc}"
    seen = _known(incus, lxc, instance)
    found = read_generations(directory)
    if found.system is None:
        # Without a current one it is somebody's half-made profile, or none.
        return []
    old = old_generations(found.system, seen, found, rule.keep)
    made = found.made
    aged = {number: path for number, path in sorted(old.items()) if made.get(number, rule.before + 1) <= rule.before}
    if aged and not check:
        remove_generations(directory, aged)
    return [Pruned(container=name, project=project, generations=aged)] if aged else []


def _known(incus: Incus, lxc: str, instance: Instance | None) -> Instance:
    """Return what is known of a container, with the system that it runs. Raises FleetError if that is too little."""
    if instance is None:
        if not incus.is_gone(lxc):
            raise FleetError(f"Incus does not list {lxc}, which exists.", "Run again.")
        return Instance(name=lxc)
    if instance.is_unreadable:
        look = incus_command(instance.project, "info", instance.name)
        raise FleetError(f"Incus cannot look at {instance.name}.", f"See '{look}' on the host.")
    instance = replace(instance, notes=remembered(instance).notes)
    if not instance.is_running or instance.location != incus.server.member:
        return replace(instance, status="Stopped")
    runs = incus.running_system(instance)
    if runs is None:
        raise FleetError(f"{instance.name} does not report which system it runs.", "Run again when it is up.")
    return replace(instance, running_system=runs)
