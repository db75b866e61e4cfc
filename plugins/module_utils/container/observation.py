# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observe everything that the plan for containers depends on."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from typing import TypeAlias

from ..errors import FleetError
from ..incus.addresses import addresses_of
from ..incus.config_keys import ConfigKeys
from ..incus.host_mounts import host_mount_points
from ..incus.idmapped import unshiftable
from ..incus.models import Instance, Profile, Volume, on_member
from ..incus.mounted import Replaced, mounts_of_host, replaced_sources
from ..incus.mountinfo import Mount, read_mountinfo
from ..incus.proxies import lost_proxies
from ..incus.snapshots import Place
from ..incus.start_config import read_start_config
from ..names import lxc_name
from ..nix.profiles import read_generations
from ..nix.rehearsals import read_rehearsal
from ..nix.set_marks import container_of, marked_directories
from ..paths import LOCALTIME, profile_dir
from ..stored_keys import RESTORING, SET, TAKING, VOLUME_CONTAINER
from ..values import value_text
from .booting import with_running_systems
from .declaration import Container
from .ends import Host
from .kind import users_of
from .mount_sources import required_sources, shifted_sources
from .mount_tree import possible_points
from .mounts import attached_volumes, is_in_memory
from .observed import Observed
from .rebuilds import has_volatile_root, is_rebuilt
from .secret_inside import is_mounted, look_at_links, read_ids
from .secrets import SecretsSeen, named_accounts, wanted_links
from .set_declaration import ContainerSet

#: Returns the instances of all projects, and whether none is hidden.
Look: TypeAlias = Callable[[], tuple[list[Instance], bool]]

# The API extension of tmpfs as a device.
_TMPFS_DEVICES = "container_disk_tmpfs"


def observe(host: Host, declared: ContainerSet, chosen: Collection[str] | None = None) -> dict[str, Observed]:
    """Look at all that the plan depends on: the declared containers, and the others of the project for a purge.

    With ``chosen``, at those alone.
    """
    names = [container.name for container in declared.containers]
    marked = _marked_names(declared) if declared.purge else set()
    if declared.name is None and len(names) == 1:
        one = host.incus.instance(names[0])
        instances = {} if one is None else {names[0]: one}
    else:
        instances = host.incus.instances({*names, *marked} if chosen is None else chosen)
    # Asked once, and only if something depends on it.
    look = cache(host.incus.all_instances)
    left = _left_by_set(look, declared, marked.difference(names, instances))
    wanted = dict.fromkeys([*names, *instances, *left] if declared.purge else names) if chosen is None else chosen
    seen = with_running_systems(
        host.incus,
        {name: instances[name] for name in wanted if name in instances},
        # What is to go need not say what it runs, and after a run nothing depends on it.
        {one.name: one.wait.timeout for one in declared.containers if one.state != "absent" and chosen is None},
    )
    profiles, pools, has_localtime = host.incus.profiles(), host.incus.pools(), os.path.exists(LOCALTIME)
    server = host.incus.server
    # What takes a restart matters to what runs.
    config_keys = host.incus.config_keys() if any(one.is_running for one in seen.values()) else ConfigKeys()
    seen = {name: host.notes.with_notes(one) for name, one in seen.items()}
    nothing = Observed(has_tmpfs_devices=_TMPFS_DEVICES in server.extensions, host_mounts=host_mount_points(server.pid))
    looks, mounted = _looks_at_storage(host, declared, pools, seen, nothing), mounts_of_host(server.pid)
    found = {
        name: replace(
            looks.get(name, nothing),
            profiles=profiles,
            pools=pools,
            generations=read_generations(profile_dir(declared.project, name)),
            has_localtime=has_localtime,
            member=server.member,
            is_left=name in left,
            config_keys=config_keys,
            rehearsal=read_rehearsal(declared.project, name),
        )
        for name in wanted
    }
    found |= {name: _with_instance(found[name], one, mounted) for name, one in seen.items()}
    found = {name: _with_users(look, declared, name, one) for name, one in found.items()}
    found |= _with_secrets(host, declared, found)
    looked = [container for container in declared.containers if container.name in found]
    shifted = (shifted_sources(container, found[container.name].instance).values() for container in looked)
    refused = unshiftable(chain.from_iterable(shifted))
    return {
        **found,
        **{one.name: replace(_with_paths(found[one.name], one), unshiftable=refused) for one in looked},
    }


def _with_instance(seen: Observed, instance: Instance, host_mounts: Sequence[Mount]) -> Observed:
    """Return what was seen, with an instance, and with what of it the host shows while it runs here."""
    is_here, lxc = instance.location == seen.member, lxc_name(instance.project, instance.name)
    is_up = is_here and instance.status == "Running"
    return replace(
        seen,
        instance=instance,
        started=read_start_config(lxc) if is_here and instance.is_running else None,
        # Elsewhere the process ids are those of another host.
        addresses=addresses_of(instance.pid) if is_here else None,
        replaced=replaced_sources(instance, host_mounts) if is_here else Replaced(),
        lost_proxies=lost_proxies(lxc, instance.expanded_devices) if is_up else frozenset(),
    )


def _with_secrets(host: Host, declared: ContainerSet, found: Mapping[str, Observed]) -> dict[str, Observed]:
    """Return what was seen of containers that have secrets, or are to have some, with what the host has of them."""
    kept, by_name = host.secrets.kept(), {container.name: container for container in declared.containers}

    def look(name: str, seen: Observed) -> SecretsSeen:
        secrets = host.secrets.look(lxc_name(declared.project, name))
        instance, wanted = seen.instance, by_name.get(name, Container(name=name)).secret_files or ()
        if instance is None or instance.status != "Running" or instance.location != seen.member:
            return secrets
        lost, blocked = look_at_links(host.incus, name, wanted_links(wanted))
        ids = read_ids(host.incus, name) if named_accounts(wanted) else None
        return replace(secrets, ids=ids, is_mounted=is_mounted(instance), lost_links=lost, blocked_links=blocked)

    return {
        name: replace(seen, secrets=look(name, seen))
        for name, seen in found.items()
        if lxc_name(declared.project, name) in kept or (name in by_name and by_name[name].secret_files)
    }


def _missing_sources(declared: Container) -> frozenset[str]:
    """Return the paths that must be there to be mounted and do not exist, as far as this user can tell."""
    return frozenset(path for path in required_sources(declared).values() if _is_missing(path))


def _possible_disks(
    declared: Container, instance: Instance | None, profiles: Mapping[str, Profile]
) -> list[Mapping[str, str]]:
    """Return all disks that the container may have before or after, without a plan of which."""
    stored = {} if instance is None else instance.devices
    inherited = {name: keys for profile in profiles.values() for name, keys in profile.devices.items()}
    given = [
        {**inherited.get(name, {}), **stored.get(name, {}), **{key: value_text(value) for key, value in keys.items()}}
        for name, keys in declared.devices.items()
        if keys is not None
    ]
    of_profiles = [keys for profile in profiles.values() for keys in profile.devices.values()]
    disks = [keys for keys in (*of_profiles, *stored.values(), *given) if keys.get("type") == "disk" and "path" in keys]
    return [*disks, *({"source": entry.source, "path": entry.path} for entry in declared.bind_mounts or ())]


def _with_paths(seen: Observed, declared: Container) -> Observed:
    """Return what was seen, with what the host has at the paths that may be mounted, or be mount points."""
    disks = _possible_disks(declared, seen.instance, seen.profiles)
    paths = [*(keys["path"] for keys in disks), *(entry.path for entry in declared.mounts)]
    sources = {os.path.normpath(keys.get("source", "")) for keys in disks}
    # What is not there is not mounted, so nothing needs a mount point in it.
    there = [keys for keys in disks if not _is_missing(keys.get("source", ""))]
    return replace(
        seen,
        missing=_missing_sources(declared),
        absent_points=frozenset(point for point in possible_points(there, paths) if _is_missing(point)),
        files=frozenset(path for path in sources if path.startswith("/") and os.path.isfile(path)),
    )


def _is_missing(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _looks_at_storage(
    host: Host,
    declared: ContainerSet,
    pools: frozenset[str] | None,
    instances: Mapping[str, Instance],
    nothing: Observed,
) -> dict[str, Observed]:
    """Return what is known of volumes, pools and roots, for the containers whose plan depends on it."""
    names = _depending_on_volumes(host, declared, pools, instances)
    looks = dict.fromkeys(names, _with_volumes(host, names[0], pools, nothing)) if names else {}
    for entry in declared.containers:
        instance = instances.get(entry.name)
        if instance is not None and entry.state != "absent":
            is_looked_at = is_rebuilt(entry, instance) or _has_sets(entry, instance)
            snapshots = host.incus.snapshots(entry.name) if is_looked_at else frozenset()
            look = looks.get(entry.name, nothing)
            own = _volumes_of(entry, instance, look) if _has_sets(entry, instance) else {}
            looks[entry.name] = replace(
                look,
                volumes={**look.volumes, **host.incus.with_snapshots(own)},
                occupied=_occupied(host, entry, instance),
                has_snapshots=bool(snapshots),
                snapshots=snapshots,
            )
    return looks


def _depending_on_volumes(
    host: Host, declared: ContainerSet, pools: frozenset[str] | None, instances: Mapping[str, Instance]
) -> list[str]:
    """Return the names of the containers whose plan depends on volumes."""
    may_move = pools is not None and host.incus.server.member is not None
    return [
        entry.name
        for entry in declared.containers
        if entry.volatile.persist
        or entry.volatile.delete_volumes
        or (entry.state != "absent" and _has_sets(entry, instances.get(entry.name)))
        # A move to another member may leave their volumes behind, or has done so.
        or (may_move and _has_volumes(instances.get(entry.name)))
        # They are what its twin gets copies of.
        or (entry.rehearse and pools is not None)
    ]


def _with_volumes(host: Host, name: str, pools: frozenset[str] | None, nothing: Observed) -> Observed:
    """Return what is known of volumes and pools. Raise FleetError if this user may not know it, as ``name`` has to."""
    if pools is None:
        raise FleetError(
            f"{name}: 'persist' and 'snapshots' need access to the storage pools, which Incus denies this user.",
            "Use the socket, or a certificate that is not restricted.",
        )
    mounted = read_mountinfo("self")
    details = host.incus.pool_details()
    volumes = host.incus.volumes(sorted(pools))
    here = (None, host.incus.server.member)
    return replace(
        nothing,
        volumes=on_member(volumes, host.incus.server.member),
        far_volumes={
            place: frozenset(str(one.location) for one in found if one.location not in here)
            for place, found in volumes.items()
        },
        memory_pools=frozenset(name for name, pool in details.items() if is_in_memory(pool.source, mounted)),
        pool_details=details,
    )


def _has_sets(declared: Container, instance: Instance | None) -> bool:
    """Return whether a container has snapshots of its data, or is to have some, as far as this run is about them."""
    notes = {} if instance is None else instance.notes
    return declared.snapshots is not None or declared.restore_data or bool(notes.keys() & {TAKING, RESTORING})


def _volumes_of(declared: Container, instance: Instance, seen: Observed) -> dict[Place, Volume]:
    """Return the volumes that a container has, or that were made for it."""
    owner, attached = lxc_name(declared.project, declared.name), attached_volumes(instance)
    return {
        place: one
        for place, one in seen.volumes.items()
        if place in attached or one.config.get(VOLUME_CONTAINER) == owner
    }


def _has_volumes(instance: Instance | None) -> bool:
    return instance is not None and bool(attached_volumes(instance))


def _occupied(host: Host, declared: Container, instance: Instance) -> frozenset[str]:
    """Return the paths that are to get a volume and have files that it would hide."""
    if not instance.is_running and has_volatile_root(instance):
        # What was left there was volatile.
        return frozenset()
    new = [entry.path for entry in declared.volatile.persist or () if entry.device not in instance.devices]
    return frozenset(path for path in new if host.incus.has_files(declared.name, path))


def members_of_set(host: Host, declared: ContainerSet) -> set[str]:
    """Return the names of the containers of a set that are here, declared or not, while they may be changing."""
    instances = host.incus.instances(()).values()
    return _marked_names(declared) | {one.name for one in instances if one.config.get(SET) == declared.name}


def _marked_names(declared: ContainerSet) -> set[str]:
    """Return the names of the containers of a set that have a profile directory."""
    if declared.name is None:
        return set()
    names = (container_of(path, declared.project) for path in marked_directories(declared.name))
    return {name for name in names if name is not None}


def _with_users(look: Look, declared: ContainerSet, name: str, seen: Observed) -> Observed:
    """Return what was seen, with the other instances that use the profile directory, where that matters."""
    if not seen.generations.directory or not (seen.instance is None or _may_go(declared, seen.instance, seen)):
        return seen
    others = users_of(profile_dir(declared.project, name), look()[0]) - {lxc_name(declared.project, name)}
    return replace(seen, users=others)


def _may_go(declared: ContainerSet, instance: Instance, seen: Observed) -> bool:
    """Return whether a run may remove the profile directory of an instance: with it, or because it has moved away."""
    states = {container.name: container.state for container in declared.containers}
    is_purged = declared.name is not None and instance.config.get(SET) == declared.name
    state = states.get(instance.name, "absent" if is_purged else "present")
    return state == "absent" or seen.is_elsewhere


def _left_by_set(look: Look, declared: ContainerSet, left: Collection[str]) -> frozenset[str]:
    """Return which of the set's containers are left, that have a profile directory and are neither declared nor there.

    Ephemeral ones end so. A directory that any instance still has, such as a renamed one, is left alone.
    """
    if not left or not look()[1]:
        return frozenset()
    return frozenset(name for name in left if not users_of(profile_dir(declared.project, name), look()[0]))
