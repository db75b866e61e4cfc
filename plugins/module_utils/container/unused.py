# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find and remove profile directories that no instance uses, such as those of deleted and renamed containers."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import FleetError
from ..incus.client import Incus
from ..names import lxc_name, lxc_name_parts
from ..nix.profiles import read_generations, remove_profile
from ..nix.rehearsals import twins
from ..paths import PROFILES_DIR
from .declaration import Container
from .kind import users_of
from .notes import Notes
from .pruning import profile_directories
from .run_locks import Locks
from .secret_files import SecretFiles


@dataclass(frozen=True, kw_only=True)
class Unused:
    """A profile directory, the container that it was for, and the system that it leads to."""

    path: str
    container: str
    project: str
    system: str | None


def unused_profiles(incus: Incus, project: str | None) -> list[Unused] | None:
    """Return the profile directories of a project, or of all, that no instance of any project uses.

    ``incus`` is for all projects. None when this user may not read the directories, or may not see all instances.
    """
    instances, are_all = incus.all_instances()
    if not are_all:
        return None
    # A run makes that of a twin before the twin.
    rehearsed = twins()
    names = {lxc_name(one.project, one.name) for one in instances}
    try:
        directories = profile_directories()
        return [
            _unused(lxc)
            for lxc in directories
            if project in (None, lxc_name_parts(lxc)[0])
            and lxc not in names
            and lxc not in rehearsed
            and not users_of(f"{PROFILES_DIR}/{lxc}", instances)
        ]
    except FleetError:
        return None


def _unused(lxc: str) -> Unused:
    path = f"{PROFILES_DIR}/{lxc}"
    project, name = lxc_name_parts(lxc)
    return Unused(path=path, container=name, project=project, system=read_generations(path).system)


def remove_unused(incus: Incus, project: str | None, *, check: bool) -> tuple[list[Unused], list[str]]:
    """Remove these directories, and what is remembered of their containers; with ``check`` only return them.

    Those that stay are in the warnings that are returned as well.
    """
    found = unused_profiles(incus, project)
    if found is None:
        return [], ["Profile directories that no instance uses stay: not all instances, or directories, can be seen."]
    if check:
        return found, []
    secrets = SecretFiles()
    removed: list[Unused] = []
    warnings: list[str] = []
    with Locks("inx_generations", 0) as locks:
        for one in found:
            lxc = lxc_name(one.project, one.container)
            try:
                if locks.hold([lxc]) and lxc in locks.refused:
                    raise FleetError("Another run works on it.", "Run again when that has ended.")
                # The directory of a new container is there before its instance.
                if not incus.is_gone(lxc):
                    raise FleetError(f"Incus has {lxc} by now.", "Run again.")
                Notes(incus).forget(Container(name=one.container, project=one.project))
                if lxc in secrets.kept():
                    secrets.remove(lxc)
                remove_profile(one.path)
            except FleetError as error:
                warnings.append(f"{one.path} stays. {error}")
                continue
            removed.append(one)
    return removed, warnings
