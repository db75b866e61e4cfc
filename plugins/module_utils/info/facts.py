# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Information about containers, as plain values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

from ..container.attached import BIND_DEVICE
from ..container.fallback import failed_systems
from ..container.in_force import restart_pending
from ..container.kind import PROFILES_DEVICE, has_init_line, has_profiles_device, is_foreign
from ..container.raw_lxc import INIT_LINE, lines_of
from ..container.secret_device import GUARD, SECRETS_DEVICE, directory_of
from ..container.snapshots import generation_in, is_ours, persistent_places, time_in
from ..incus.addresses import first, ordered
from ..incus.models import Instance, Snapshot
from ..incus.mounted import Replaced
from ..incus.snapshots import Place
from ..nix.profiles import Generations
from ..paths import LOCALTIME, STORE_DIR, profile_dir
from ..runlogs.records import Run, as_data
from ..stored_keys import ACTIVATING, HEALTHY, RESTART, SET, TAGS
from ..text import shown, utc
from .volatile_files import VolatileFiles
from .volumes import Unused
from .volumes import as_data as volume_data

#: What changes between two systems, by the pair of their store paths.
Differences: TypeAlias = Mapping[tuple[str, str], Sequence[str]]

#: How many roots of a container are listed.
ROOTS_SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All that was seen of one container.

    ``generations`` and ``roots`` are None where they could not be read: by this user, or because the container is
    on another member of the cluster. ``is_kept`` says whether the system that the profile leads to is in the store,
    ``replaced`` which of its disks show what was at their source before.
    """

    instance: Instance
    generations: Generations | None = None
    is_kept: bool = True
    roots: Mapping[str, str] | None = None
    replaced: Replaced = field(default_factory=Replaced)
    #: Configuration revisions of its systems, by store path.
    revisions: Mapping[str, str] = field(default_factory=dict)
    #: The last runs that changed it, the newest first; None where their logs could not be read.
    runs: tuple[Run, ...] | None = ()
    #: Volumes that were made for it and that nothing uses; None if they could not be listed.
    volumes: tuple[Unused, ...] | None = ()
    #: When the snapshots of its volumes were taken, by their names, if each start empties its root.
    volume_snapshots: Mapping[Place, Mapping[str, str]] = field(default_factory=dict)
    #: What the next rebuild of its root erases; None if that was not asked for, or could not be read.
    files: VolatileFiles | None = None

    @property
    def system(self) -> str | None:
        """Return the system that the container boots next."""
        return None if self.generations is None else self.generations.system


def _snapshots(seen: Seen) -> list[dict[str, Any]]:
    """Return the snapshots of an instance, and the sets that have volumes only."""
    found = [_snapshot(one, persistent_places(one.devices)) for one in seen.instance.snapshots]
    times = seen.volume_snapshots
    for name in sorted({name for taken in times.values() for name in taken if is_ours(name)}, key=time_in):
        places = [place for place, taken in times.items() if name in taken]
        found.append(_snapshot(Snapshot(name=name, created=min(times[place][name] for place in places)), places))
    return found


def _snapshot(found: Snapshot, places: Iterable[Place]) -> dict[str, Any]:
    return {
        "name": found.name,
        "generation": (generation_in(found.name) or None) if is_ours(found.name) else None,
        "created": found.created,
        "size": found.size,
        # Those with a snapshot of the same name.
        "volumes": ["/".join(place) for place in places] if is_ours(found.name) else [],
    }


def instance_facts(instance: Instance) -> dict[str, Any]:
    """Return what Incus knows about a container, as the info module and the inventory show it."""
    return {
        "name": instance.name,
        "project": instance.project,
        "location": instance.location,
        "status": instance.status,
        "description": instance.description,
        "ephemeral": instance.ephemeral,
        "profiles": list(instance.profiles),
        "set": instance.config.get(SET),
        "tags": instance.config[TAGS].split(",") if instance.config.get(TAGS) else [],
    }


def container_info(seen: Seen, differences: Differences | None = None, family: str = "ipv4") -> dict[str, Any]:
    """Return a container as inx_container_info returns it, with ``differences`` between generations if given.

    Addresses of ``family`` come first.
    """
    instance, found = seen.instance, seen.generations
    pending = restart_pending(instance)
    # A bind mount of ours is mounted anew by the next run, unless something is mounted below it.
    waits = {name for name in _replaced(seen) if not name.startswith(BIND_DEVICE) or name in seen.replaced.under}
    is_required = pending or bool(waits)
    found_problems = list(problems(seen))
    return {
        **instance_facts(instance),
        "addresses": ordered(instance.addresses, family),
        "address": first(instance.addresses, family),
        "disk": dict(instance.disk),
        "system": seen.system,
        "revision": seen.revisions.get(seen.system or ""),
        "running_system": instance.running_system,
        "running_revision": seen.revisions.get(instance.running_system or ""),
        "generation": None if found is None else found.current,
        "generations": None if found is None else _generations(found, seen, differences),
        "health": _health(instance),
        "restart_required": is_required,
        "restart_required_since": instance.notes[RESTART] if pending else None,
        "foreign": is_foreign(instance),
        "problems": found_problems,
        # Its name in 0.1.0.
        "drift": found_problems,
        "runs": None if seen.runs is None else [as_data(run) for run in seen.runs],
        "snapshots": _snapshots(seen),
        "roots": None if seen.roots is None else _roots(seen.roots),
        "unused_volumes": None if seen.volumes is None else [volume_data(one) for one in seen.volumes],
        "volatile_files": None if seen.files is None else {**asdict(seen.files), "paths": list(seen.files.paths)},
    }


def neighbours(found: Generations) -> dict[int, tuple[str, str]]:
    """Return each generation but the oldest with the system before it and its own."""
    numbers = sorted(found.paths)
    return {new: (found.paths[old], found.paths[new]) for old, new in pairwise(numbers)}


def _generations(found: Generations, seen: Seen, differences: Differences | None) -> list[dict[str, Any]]:
    dates = found.made
    pairs = {} if differences is None else neighbours(found)
    return [
        {
            "number": number,
            "system": system,
            "revision": seen.revisions.get(system),
            "date": utc(dates[number]) if number in dates else None,
            "current": number == found.current,
            "packages": list((differences or {}).get(pairs[number], ())) if number in pairs else None,
        }
        for number, system in found.paths.items()
    ]


def _roots(roots: Mapping[str, str]) -> dict[str, Any]:
    first = sorted(roots.items())[:ROOTS_SHOWN]
    return {"number": len(roots), "links": [{"path": shown(path), "target": shown(target)} for path, target in first]}


def _health(instance: Instance) -> dict[str, Any]:
    healthy, failed = instance.notes.get(HEALTHY), failed_systems(instance)
    return {
        "state": _health_state(instance, healthy, failed),
        "healthy_system": healthy,
        "failed_systems": list(failed),
        "activating": instance.notes.get(ACTIVATING),
    }


def _health_state(instance: Instance, healthy: str | None, failed: Sequence[str]) -> str:
    runs = instance.running_system
    if not instance.is_running:
        return "stopped"
    if ACTIVATING in instance.notes:
        return "unfinished"
    if runs is not None and runs in failed:
        return "unhealthy"
    return "healthy" if runs is not None and runs == healthy else "unchecked"


# What is not as the modules leave a container, whatever is declared


def problems(seen: Seen) -> Iterator[str]:
    """Yield what is not as it should be, in words."""
    yield from _problems_of_instance(seen.instance)
    yield from _problems_of_mounts(seen)
    yield from _problems_of_profile(seen)
    yield from _problems_of_running_system(seen)


def _problems_of_instance(instance: Instance) -> Iterator[str]:
    own = profile_dir(instance.project, instance.name)
    if not has_init_line(instance):
        yield f"raw.lxc lacks the line {INIT_LINE!r}: it does not boot its profile's system"
    if not has_profiles_device(instance):
        yield f"the device {PROFILES_DEVICE!r} that shares {own} is missing"
    elif instance.devices[PROFILES_DEVICE].get("source") != own:
        yield f"the device {PROFILES_DEVICE!r} shares {instance.devices[PROFILES_DEVICE].get('source')}, not {own}"
    secrets = instance.devices.get(SECRETS_DEVICE)
    if secrets is not None and secrets.get("source") != directory_of(instance.project, instance.name):
        is_guarded = any(line.startswith(GUARD) for line in lines_of(instance.config.get("raw.lxc", "")))
        sees = "an empty directory" if is_guarded else "its secrets"
        yield f"the device {SECRETS_DEVICE!r} is that of another container, as in a copy: it sees {sees}"
    if not any(device.get("path") == STORE_DIR for device in instance.expanded_devices.values()):
        yield f"nothing shares {STORE_DIR} with it: its store profile is missing"


def _problems_of_mounts(seen: Seen) -> Iterator[str]:
    for name, source in _replaced(seen).items():
        yield f"the device {name!r} shows what was at {source} before it was replaced"


def _replaced(seen: Seen) -> dict[str, str]:
    """Return the sources of the disks that show what was there before."""
    sources = {name: seen.instance.expanded_devices[name].get("source", "") for name in sorted(seen.replaced.disks)}
    return {name: source for name, source in sources.items() if source != LOCALTIME}


def _problems_of_profile(seen: Seen) -> Iterator[str]:
    if seen.generations is None:
        return
    if seen.system is None:
        yield "its profile leads to no system: it would not start"
    elif not seen.is_kept:
        yield f"its profile leads to {seen.system}, which is not in the store: it would not start"
    elif seen.system in failed_systems(seen.instance):
        yield f"its profile leads to {seen.system}, which was found unhealthy"


def _problems_of_running_system(seen: Seen) -> Iterator[str]:
    instance, runs = seen.instance, seen.instance.running_system
    if not instance.is_running:
        return
    if runs is None:
        yield "it does not report which system it runs"
    elif seen.system not in (None, runs):
        yield f"it runs {runs}, and its profile leads to {seen.system}"
    if ACTIVATING in instance.notes:
        yield f"the activation of {instance.notes[ACTIVATING]} failed or is in progress"
