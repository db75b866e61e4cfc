# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A model of Incus and of a host's profiles, as small as following sequences of plans takes.

It is a model: it knows what Incus refuses in a few cases that matter for the order of steps, and nothing of what really
happens. Real hosts meet the same sequences in the integration target faults_sequences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.container.apply import patched
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.rehearsal import is_rehearsal
from ansible_collections.inx.fleet.plugins.module_utils.container.steps import PROVING, Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance, Volume
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generations
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import ACTIVATING, FAILED, HEALTHY, RESTART
from ansible_collections.inx.fleet.plugins.module_utils.text import utc
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import (
    after_step,
    body_of,
    with_body,
    with_instance,
)

_TMPFS = "tmpfs:"


class RefusedByModelError(AssertionError):
    """A step that Incus would refuse, or that would lose something."""


@dataclass(kw_only=True)
class Data:
    """What a container has written, and how often it was booted: what no instance of Incus shows."""

    root: int = 0
    boots: int = 0


@dataclass(kw_only=True)
class Model:
    """A host with one project; ``host`` is what all containers see of it."""

    host: Observed
    seen: dict[str, Observed] = field(default_factory=dict)
    data: dict[str, Data] = field(default_factory=dict)
    volumes: dict[tuple[str, str], Volume] = field(default_factory=dict)
    written: dict[tuple[str, str], int] = field(default_factory=dict)
    store: set[str] = field(default_factory=set)
    #: What was remembered of each instance before the last step.
    noted: dict[str, Mapping[str, str]] = field(default_factory=dict)
    clock: float = 0.0

    def observe(self, name: str) -> Observed:
        """Return what is seen of a container."""
        found = self.seen.get(name, replace(self.host, generations=Generations(directory=False)))
        volumes = {place: replace(volume, used_by=self._users(place)) for place, volume in self.volumes.items()}
        return replace(found, volumes=volumes)

    def names(self) -> list[str]:
        """Return the names of the instances."""
        return [name for name, seen in self.seen.items() if seen.instance is not None]

    def apply(self, plan: Plan) -> bool:
        """Do the steps of a plan up to one that brings up an ill system, and return whether all were done.

        Raises RefusedByModelError for a step that cannot be done.
        """
        for step in plan.steps:
            try:
                if self._is_bad(plan, step):
                    self._go_back(plan, step)
                    return False
                self._apply(plan, step)
            except RefusedByModelError as error:
                summaries = [one.summary for one in plan.steps]
                raise RefusedByModelError(f"{step.summary}: {error}; the steps are {summaries}") from error

        return True

    def _is_bad(self, plan: Plan, step: Step) -> bool:
        """Return whether a step brings up a system that its declared health command finds ill."""
        health = plan.container.health
        return (
            (step.action in PROVING or is_rehearsal(step))
            and health is not None
            and bool(health.command)
            and "-ill-" in _system_of(step)
        )

    def _go_back(self, plan: Plan, step: Step) -> None:
        """Do what a run does when a system is ill (container/rollback.py, container/rehearse.py)."""
        if is_rehearsal(step):
            seen = self.observe(plan.container.name)
            notes = dict(_there(seen).notes)
            known = [path for path in notes.get(FAILED, "").split() if path != _system_of(step)]
            notes[FAILED] = " ".join([*known, _system_of(step)])
            self.seen[plan.container.name] = with_instance(seen, notes=notes)
            return
        self._apply(plan, step)
        name, bad, good = plan.container.name, _system_of(step), plan.fallback
        seen = self.observe(name)
        instance = _there(seen)
        notes = {key: value for key, value in instance.notes.items() if key != HEALTHY}
        if HEALTHY in (before := self.noted.get(name, {})):
            notes[HEALTHY] = before[HEALTHY]
        health = plan.container.health
        if good is None or good.system == bad or health is None or not health.rollback:
            self.seen[name] = replace(seen, instance=replace(instance, notes={**notes, ACTIVATING: bad}))
            return
        failed = [path for path in notes.get(FAILED, "").split() if path not in (bad, good.system)]
        notes.update({FAILED: " ".join([*failed, bad]), HEALTHY: good.system})
        notes.pop(ACTIVATING, None)
        gone_back = replace(instance, notes=notes, running_system=good.system)
        generations = replace(seen.generations, current=good.number)
        self.seen[name] = replace(seen, instance=gone_back, generations=generations)

    def _apply(self, plan: Plan, step: Step) -> None:
        self.clock += 1
        container, name = plan.container, plan.container.name
        before = self.observe(name)
        self.noted[name] = {} if before.instance is None else dict(before.instance.notes)
        self._check(step, before, goes=any(one.action == "delete" for one in plan.steps))
        now = self._followed(container, step, before)
        if step.action == "volume":
            gone = self.volumes.keys() - now.volumes.keys()
            self.volumes = dict(now.volumes)
            for place in gone:
                self.written.pop(place, None)
        if step.action == "create":
            self.data[name] = Data(root=int(self.clock))
        if step.action in ("build", "copy"):
            self.store.add(step.after["system"])
        if step.action == "rebuild":
            self.data[name].root = int(self.clock)
        if step.action in ("start", "restart"):
            self.data[name].boots += 1
            now = self._booted(now)
        self.seen[name] = _without_ended(before, now)

    def _followed(self, container: Container, step: Step, before: Observed) -> Observed:
        if step.action != "update":
            return after_step(container, step, before)
        now = with_body(before, patched(body_of(before), step.before, step.after))
        if not step.notes:
            return now
        return with_instance(now, notes={**_there(now).notes, RESTART: utc(self.clock, "microseconds"), **step.notes})

    def _booted(self, now: Observed) -> Observed:
        instance = _there(now)
        minutes, seconds = divmod(int(self.clock), 60)
        started = f"1970-01-01T00:{minutes:02}:{seconds:02}.5Z"
        return replace(now, instance=replace(instance, last_started=started))

    def _check(self, step: Step, seen: Observed, *, goes: bool) -> None:
        instance, action = seen.instance, step.action
        if action == "create" and instance is not None:
            raise RefusedByModelError("there is one already")
        needs = ("update", "unfreeze", "rebuild", "start", "restart", "activate", "rollback", "stop")
        if action in needs and instance is None:
            raise RefusedByModelError("there is no instance any more")
        if instance is None:
            return
        if action in ("rebuild", "start", "delete") and instance.is_running:
            raise RefusedByModelError("it is running")
        if action in ("activate", "stop", "restart", "unfreeze") and not instance.is_running:
            raise RefusedByModelError("it is not running")
        if action in ("start", "restart") and seen.generations.system is None:
            raise RefusedByModelError("there is nothing to boot")
        # An ephemeral one that is to go is gone with its stop.
        if action == "stop" and instance.ephemeral and not goes:
            raise RefusedByModelError("it is ephemeral, and gone with its root")
        if action == "update" and instance.is_running:
            self._check_live(step)
        if action == "volume":
            self._check_volumes(step)

    def _check_live(self, step: Step) -> None:
        for side in (step.before, step.after):
            for device, keys in side.get("devices", {}).items():
                if keys and keys.get("source") == _TMPFS:
                    raise RefusedByModelError(f"a tmpfs comes and goes while it is stopped, and {device} does not")

    def _check_volumes(self, step: Step) -> None:
        for place, config in step.after["volumes"].items():
            pool, name = place.split("/", 1)
            if config is None and self._users((pool, name)):
                raise RefusedByModelError(f"{place} is in use")

    def _users(self, place: tuple[str, str]) -> tuple[str, ...]:
        return tuple(
            f"/1.0/instances/{name}"
            for name, seen in self.seen.items()
            if seen.instance is not None
            and any((keys.get("pool"), keys.get("source")) == place for keys in seen.instance.devices.values())
        )

    # By hand

    def by_hand(self, what: str, name: str) -> None:
        """Do to a container what somebody may do with the command of Incus, if it is there."""
        seen = self.observe(name)
        if seen.instance is None or what not in _DEEDS:
            return
        changed = _DEEDS[what](seen.instance)
        if changed is None:
            self.seen[name] = replace(seen, instance=None)
            return
        if changed.is_running and what in ("start", "restart") and changed is not seen.instance:
            self.data[name].boots += 1
            changed = replace(changed, running_system=seen.generations.system)
            changed = _there(self._booted(replace(seen, instance=changed)))
        self.seen[name] = _without_ended(seen, replace(seen, instance=changed))

    def write(self) -> None:
        """Let all volumes have data."""
        for place in self.volumes:
            self.written.setdefault(place, int(self.clock))


def _system_of(step: Step) -> str:
    """Return the system that a step brings up."""
    keys = {"activate": "running_system", "rehearse": "rehearsed"}
    return str(step.after.get(keys.get(step.action, "system")))


def _without_ended(before: Observed, now: Observed) -> Observed:
    """Return what is seen once Incus has deleted an ephemeral instance because it has ended."""
    old, new = before.instance, now.instance
    ended = old is not None and new is not None and old.is_running and not new.is_running
    return replace(now, instance=None) if ended and new is not None and new.ephemeral else now


def _there(seen: Observed) -> Instance:
    if seen.instance is None:
        raise RefusedByModelError("there is no instance any more")
    return seen.instance


def _with(instance: Instance, key: str, value: str | None) -> Instance:
    config = {name: text for name, text in instance.config.items() if name != key}
    return replace(instance, config=config if value is None else {**config, key: value})


def _without_device(instance: Instance, *, new: bool) -> Instance:
    devices = dict(instance.devices)
    for name in ("proxy", "disk", "localtime"):
        if name in devices:
            keys = devices.pop(name)
            if new:
                devices[f"{name}x"] = keys
            break
    return replace(instance, devices=devices)


_STOPPED: Mapping[str, Any] = {"status": "Stopped", "running_system": None}
_DEEDS: Mapping[str, Any] = {
    "stop": lambda one: replace(one, **_STOPPED),
    "start": lambda one: one if one.is_running else replace(one, status="Running"),
    "pause": lambda one: replace(one, status="Frozen") if one.is_running else one,
    "restart": lambda one: replace(one, status="Running") if one.is_running else one,
    "delete": lambda one: None,
    "rename a device": lambda one: _without_device(one, new=True),
    "remove a device": lambda one: _without_device(one, new=False),
    "set a key": lambda one: _with(one, "user.colour", "blue"),
    "unset a key": lambda one: _with(one, "user.colour", None),
    "set a description": lambda one: replace(one, description="by hand"),
}
