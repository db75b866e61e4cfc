# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host as plain data for tests of the pure parts: what is declared, what is seen, what a step would leave.

Nothing here stands in for Incus or nix: it is the meaning of each step on the
data that the plan looks at, so that plans can be followed to their end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import CONTAINER_OPTIONS
from ansible_collections.inx.fleet.plugins.module_utils.container.apply import patched
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, container_from
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.secrets import (
    SecretsSeen,
    file_of,
    seal_mark,
    wanted_links,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.snapshots import (
    generation_in,
    seconds_in,
    snapshot_name,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import PROVING, Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance, Profile, Volume
from ansible_collections.inx.fleet.plugins.module_utils.names import lxc_name
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generations
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import StorePath, System
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import (
    ACTIVATING,
    HEALTHY,
    RAN,
    RAN_SINCE,
    RESTORED,
    RESTORING,
    TAKEN,
    TAKING,
)

OLD = "/nix/store/00000000000000000000000000000000-nixos-system-web-1"
NEW = "/nix/store/11111111111111111111111111111111-nixos-system-web-2"

#: Before all snapshots of tests, in seconds since 1970.
FIRST_SNAPSHOT = 1_800_000_000.0

_DEFAULTS = {name: option.get("default") for name, option in CONTAINER_OPTIONS.items()}
_SNAPSHOTS = {name: option.get("default") for name, option in CONTAINER_OPTIONS["snapshots"]["options"].items()}
_HEALTH = {name: option.get("default") for name, option in CONTAINER_OPTIONS["health"]["options"].items()}

WEB = Container(name="web", source=StorePath(path=NEW))
BUILT = System(path=NEW, built=True)

#: The parameters of inx_containers beside the containers.
SET = {
    "set": "main",
    "project": "default",
    "purge": False,
    "purge_limit": 3,
    "parallel": None,
    "max_unavailable": None,
    "rollback_limit": 3,
    "only": None,
    "only_tags": None,
    "build_failures": {},
}

DEFAULT_PROFILE = Profile(
    name="default",
    devices={
        "root": {"type": "disk", "path": "/", "pool": "default"},
        "eth0": {"type": "nic", "network": "incusbr0"},
    },
)
STORE_PROFILE = Profile(
    name="inx-container",
    devices={
        "nixstore": {"type": "disk", "source": "/nix/store", "path": "/nix/store", "readonly": "true"},
        "nixsocket": {
            "type": "disk",
            "source": "/nix/var/nix/daemon-socket",
            "path": "/nix/var/nix/daemon-socket",
            "readonly": "true",
        },
    },
)


def running_host(container: Container = WEB, path: str = NEW) -> Observed:
    """Return the host when ``container`` has been applied with the system ``path``."""
    host = empty_host()
    return after(plan_container(container, System(path=path, built=True), host), host)


def with_instance(observed: Observed, **changes: Any) -> Observed:
    """Return the host with some of its instance changed."""
    return replace(observed, instance=replace(_instance(observed), **changes))


def body_of(observed: Observed) -> dict[str, Any]:
    """Return the instance as Incus shows it to whoever changes it."""
    instance = _instance(observed)
    return {
        "config": dict(instance.config),
        "devices": {name: dict(keys) for name, keys in instance.devices.items()},
        "profiles": list(instance.profiles),
        "description": instance.description,
        "ephemeral": instance.ephemeral,
    }


def with_body(observed: Observed, body: Mapping[str, Any]) -> Observed:
    """Return the host with what was written of its instance."""
    return with_instance(observed, **{**body, "profiles": tuple(body["profiles"])})


def declared(**options: Any) -> Container:
    """Return the container that parameters of inx_container declare, the others at their defaults."""
    if options.get("health"):
        options["health"] = _HEALTH | options["health"]
    if options.get("snapshots") is not None:
        options["snapshots"] = _SNAPSHOTS | options["snapshots"]
    return container_from({"project": "default", **_DEFAULTS, "name": "web", **options})


def empty_host(*profiles: Profile) -> Observed:
    """A host on which the role has run and no container stands."""
    found = profiles or (DEFAULT_PROFILE, STORE_PROFILE)
    return Observed(
        profiles={profile.name: profile for profile in found},
        pools=frozenset(("default",)),
        generations=Generations(directory=False),
    )


def actions(plan: Plan) -> list[str]:
    """Return the actions of a plan in their order."""
    return [step.action for step in plan.steps]


def after(plan: Plan, observed: Observed) -> Observed:
    """What would be seen when every step of ``plan`` has been done."""
    for step in plan.steps:
        observed = after_step(plan.container, step, observed)
    return observed


def after_step(container: Container, step: Step, observed: Observed) -> Observed:
    """Return what would be seen when one step has been done."""
    now = _AFTER.get(step.action, _unchanged)(container, step, observed)
    return _with_runner(container, step, now) if step.action in (*PROVING, "rollback") else now


def _unchanged(container: Container, step: Step, observed: Observed) -> Observed:
    return observed


def _with_volumes(container: Container, step: Step, observed: Observed) -> Observed:
    volumes = dict(observed.volumes)
    for place, config in step.after["volumes"].items():
        pool, name = place.split("/", 1)
        stored = volumes.pop((pool, name), Volume()).config
        if config is not None:
            volumes[pool, name] = Volume(config={**stored, **config})
    return replace(observed, volumes=volumes)


def _with_secrets(container: Container, step: Step, observed: Observed) -> Observed:
    seen, secrets = observed.secrets, container.secret_files or ()
    if container.state == "absent" or not secrets:
        return replace(observed, secrets=SecretsSeen(key=seen.key))
    files = {one.name: file_of(one, lxc_name(container.project, container.name), seen) for one in secrets}
    sealed = seal_mark(seen.key, files) if container.secrets_at_rest else ""
    notes = replace(seen.notes, links=wanted_links(secrets), sealed=sealed)
    return replace(observed, secrets=replace(seen, files=files, notes=notes, is_kept=True, lost_links=frozenset()))


def _units_restarted(container: Container, step: Step, observed: Observed) -> Observed:
    return replace(observed, secrets=replace(observed.secrets, notes=replace(observed.secrets.notes, due={})))


def _with_runner(container: Container, step: Step, observed: Observed) -> Observed:
    """Return what is seen with what is noted of the system that runs on the data now."""
    instance = _instance(observed)
    system = step.after["running_system" if step.action in ("activate", "rollback") else "system"]
    notes = {key: value for key, value in instance.notes.items() if key != TAKEN}
    if container.snapshots is not None and system is not None:
        if notes.get(RAN) != system:
            notes.pop(RESTORED, None)
        notes |= {RAN: system, RAN_SINCE: instance.last_started}
    return with_instance(observed, notes=notes)


def with_set(observed: Observed, name: str, volumes: Sequence[str], *, root: bool) -> Observed:
    """Return the host with a set of snapshots more."""
    places = {(pool, volume) for pool, _slash, volume in (text.partition("/") for text in volumes)}
    seen = {
        place: replace(one, snapshots=one.snapshots | {name}) if place in places else one
        for place, one in observed.volumes.items()
    }
    snapshots = observed.snapshots | {name} if root else observed.snapshots
    return replace(observed, volumes=seen, snapshots=snapshots, has_snapshots=bool(snapshots))


def _new_set(observed: Observed, data: Mapping[str, Any]) -> str:
    """Return a name for a set, newer than all that there are."""
    there = {*observed.snapshots, *(name for one in observed.volumes.values() for name in one.snapshots)}
    newest = max((seconds_in(name) for name in there), default=FIRST_SNAPSHOT)
    return snapshot_name(data["generation"], newest + 1)


def _without_sets(observed: Observed, names: set[str]) -> Observed:
    """Return the host without some sets."""
    volumes = {place: replace(one, snapshots=one.snapshots - names) for place, one in observed.volumes.items()}
    left = observed.snapshots - names
    return replace(observed, snapshots=left, has_snapshots=bool(left), volumes=volumes)


def _snapshotted(container: Container, step: Step, observed: Observed) -> Observed:
    data = step.after["snapshot"]
    name = _new_set(observed, data)
    now = with_set(observed, name, data["volumes"], root=data["root"] is not None)
    now = _without_sets(now, {step.before["superseded"]} if "superseded" in step.before else set())
    notes = {key: value for key, value in _instance(now).notes.items() if key not in (TAKING, RESTORED)}
    return with_instance(now, notes={**notes, TAKEN: f"{name} {data['system']}"})


def _restored(container: Container, step: Step, observed: Observed) -> Observed:
    data = step.after["data"]
    now = with_set(observed, _new_set(observed, data), data["volumes"], root=data["root"] is not None)
    gone = (RESTORING, TAKEN, RAN, RAN_SINCE)
    notes = {key: value for key, value in _instance(now).notes.items() if key not in gone}
    system = observed.generations.paths.get(generation_in(data["from"]))
    ran = {} if system is None else {RAN: system, RAN_SINCE: _instance(now).last_started}
    return with_instance(now, notes={**notes, **ran, RESTORED: data["from"]})


def _created(container: Container, step: Step, observed: Observed) -> Observed:
    body = step.after
    instance = Instance(
        name=container.name,
        config=body["config"],
        devices=body["devices"],
        profiles=tuple(body["profiles"]),
        description=body.get("description", ""),
        ephemeral=body.get("ephemeral", False),
    )
    return replace(observed, instance=instance, generations=replace(observed.generations, directory=True))


def _rehearsed(container: Container, step: Step, observed: Observed) -> Observed:
    """Nothing of a rehearsal stays, and nothing of an earlier one."""
    return replace(observed, rehearsal=None)


def _updated(container: Container, step: Step, observed: Observed) -> Observed:
    return with_body(observed, patched(body_of(observed), step.before, step.after))


def _recorded(container: Container, step: Step, observed: Observed) -> Observed:
    found = observed.generations
    number = step.after["generation"]
    paths = {**found.paths, number: step.after["system"]}
    return replace(observed, generations=replace(found, directory=True, paths=paths, current=number))


def _running(container: Container, step: Step, observed: Observed) -> Observed:
    instance = _instance(observed)
    system = step.after.get("system", instance.running_system)
    cleared = {ACTIVATING} if "activating" in step.before else set()
    notes = {key: value for key, value in instance.notes.items() if key not in cleared}
    if step.action != "unfreeze":
        notes = _proven(container, system, notes)
    return replace(observed, instance=replace(instance, status="Running", running_system=system, notes=notes))


def _proven(container: Container, system: str | None, notes: Mapping[str, str]) -> dict[str, str]:
    """What is noted of an instance when the system has been brought up."""
    return {**notes, HEALTHY: system} if container.health is not None and system is not None else dict(notes)


def _stopped(container: Container, step: Step, observed: Observed) -> Observed:
    return replace(observed, instance=replace(_instance(observed), status="Stopped", running_system=None))


def _activated(container: Container, step: Step, observed: Observed) -> Observed:
    instance = _instance(observed)
    notes = {key: value for key, value in instance.notes.items() if key != ACTIVATING}
    system = step.after["running_system"]
    notes = _proven(container, system, notes)
    if step.after.get("activation") == "test":
        observed = replace(observed, generations=replace(observed.generations, tried=system))
    return replace(observed, instance=replace(instance, notes=notes, running_system=system))


def _rolled_back(container: Container, step: Step, observed: Observed) -> Observed:
    return _activated(container, step, _recorded(container, step, observed))


def _pruned(container: Container, step: Step, observed: Observed) -> Observed:
    found = observed.generations
    old = step.before.get("generations", {})
    kept = {number: path for number, path in found.paths.items() if str(number) not in old}
    tried = None if "tried" in step.before else found.tried
    gone = step.before.get("snapshots", {})
    if gone:
        observed = _without_sets(observed, set(gone))
        notes = {key: one for key, one in _instance(observed).notes.items() if key != TAKING or one not in gone}
        observed = with_instance(observed, notes=notes)
    if "restoring" in step.before:
        notes = {key: one for key, one in _instance(observed).notes.items() if key != RESTORING}
        observed = with_instance(observed, notes=notes)
    return replace(observed, generations=replace(found, paths=kept, tried=tried))


def _moved(container: Container, step: Step, observed: Observed) -> Observed:
    instance = replace(_instance(observed), status="Stopped", running_system=None, location=observed.member)
    return replace(observed, instance=instance)


def _deleted(container: Container, step: Step, observed: Observed) -> Observed:
    return replace(observed, instance=None)


def _forgotten(container: Container, step: Step, observed: Observed) -> Observed:
    return replace(observed, generations=Generations(directory=False))


def _instance(observed: Observed) -> Instance:
    assert observed.instance is not None
    return observed.instance


_AFTER = {
    "rehearse": _rehearsed,
    "volume": _with_volumes,
    "secrets": _with_secrets,
    "restart_units": _units_restarted,
    "create": _created,
    "update": _updated,
    "record": _recorded,
    "move": _moved,
    "snapshot": _snapshotted,
    "restore": _restored,
    "unfreeze": _running,
    "start": _running,
    "restart": _running,
    "activate": _activated,
    "rollback": _rolled_back,
    "prune": _pruned,
    "stop": _stopped,
    "delete": _deleted,
    "forget": _forgotten,
}
