# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring secrets into a container: their files, links and owners, and a restart of the units that use them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from threading import Event, Thread
from typing import Any

from ..errors import FleetError, NotTriedError, UnhealthyError
from ..incus.models import Instance
from ..names import lxc_name
from ..nix.accounts import Account, declared_ids
from ..text import incus_command, tail
from .declaration import Container
from .ends import Host
from .health import asks_systemd, await_boot
from .secret_device import SECRETS_DEVICE
from .secret_inside import is_mounted, make_links, read_ids
from .secrets import Due, Secret, SecretsSeen, file_of, named_accounts, unknown_account, wanted_links
from .steps import Told

# NixOS has made its users some 100 ms before it starts the first service.
_OWNER_POLL = 0.02
_PROPERTIES = "Id,LoadState,ActiveState,InactiveExitTimestampMonotonic"
# Of a unit that has no reason to be started: nobody wants it, or somebody has stopped it.
_RESTING = ("inactive", "deactivating")
_LOOK_TIMEOUT = 20
_RESTART_TIMEOUT = 300


def apply_secrets(host: Host, container: Container, *, removed: bool, system: str | None = None) -> None:
    """Bring the files and links of a container to what is declared, or remove them all.

    ``system`` is what it is to run, if that is known.
    """
    lxc = lxc_name(container.project, container.name)
    seen = host.secrets.look(lxc)
    instance = host.incus.instance(container.name)
    is_here = instance is not None and instance.location == host.incus.server.member
    secrets = () if removed else container.secret_files or ()
    if is_here and not removed:
        make_links(host.incus, container.name, wanted_links(secrets), seen.notes.links)
    if not secrets:
        host.secrets.remove(lxc)
        return
    runs = is_here and instance is not None and instance.status == "Running"
    ids = (read_ids(host.incus, container.name) if runs else None) or {}
    told = declared_ids(system) if system is not None else {}
    is_emptied = container.volatile.root in ("rebuild", "tmpfs")
    before = {**seen.notes.ids, **told} if is_emptied else {**told, **seen.notes.ids}
    _write(host, container, seen, ids_before(before, ids), runs=runs)
    if instance is not None and runs and is_mounted(instance) is False:
        _mount_again(host, container, instance)


def ids_before(before: Mapping[Account, int], now: Mapping[Account, int]) -> dict[Account, int]:
    """Return the ids of users ``now``, and of those to come, except for an id that somebody else has until then."""
    taken = {(kind, number) for (kind, _name), number in now.items()}
    free = {account: number for account, number in before.items() if (account[0], number) not in taken}
    return {**free, **now}


def _mount_again(host: Host, container: Container, instance: Instance) -> None:
    """Take the directory off a container and add it again: Incus mounts it only then, or at a start."""
    device = instance.devices.get(SECRETS_DEVICE)
    if device is not None:
        for keys in (None, dict(device)):
            host.incus.update_instance(container.name, partial(_with_device, keys))


def _with_device(keys: dict[str, str] | None, body: dict[str, Any]) -> dict[str, Any]:
    others = {name: found for name, found in body["devices"].items() if name != SECRETS_DEVICE}
    return {**body, "devices": others if keys is None else {**others, SECRETS_DEVICE: keys}}


def _write(host: Host, container: Container, seen: SecretsSeen, ids: Mapping[Account, int], *, runs: bool) -> list[str]:
    """Write the files with the ids that are known. Return the units that are due then, if the container runs."""
    lxc, secrets = lxc_name(container.project, container.name), container.secret_files or ()
    named = named_accounts(secrets)
    known = {account: number for account, number in ids.items() if account in named}
    now = replace(seen, ids=known, notes=replace(seen.notes, ids=known))
    changed = [one for one in secrets if seen.files.get(one.name) != file_of(one, lxc, now)]
    due = dict(seen.notes.due)
    late = due_of(changed, _uptime()) if runs else {}
    for unit, one in late.items():
        due[unit] = replace(one, reload=one.reload and due.get(unit, one).reload)
    notes = replace(seen.notes, ids=known, links=wanted_links(secrets), due=due)
    sealed = host.secrets.write(lxc, secrets, now, notes, at_rest=container.secrets_at_rest)
    if late:
        # A unit that was started while they were written has read the old ones. Noted before as well, for a kill.
        written = {unit: replace(due[unit], since=_uptime()) for unit in late}
        host.secrets.note(lxc, replace(notes, sealed=sealed, due={**due, **written}))
    return list(late)


def due_of(changed: Sequence[Secret], now: int) -> dict[str, Due]:
    """Return the units of changed secrets. One that is restarted for any of them is not reloaded."""
    due: dict[str, Due] = {}
    for secret in changed:
        for unit in secret.units:
            due[unit] = Due(since=now, reload=secret.reload and due.get(unit, Due(since=0, reload=True)).reload)
    return due


def _uptime() -> int:
    """Return the microseconds of uptime, as systemd in a container counts them as well."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


# Owners


class Owners:
    """The owners of a container's secrets while a system comes up, which may have other users than the one before.

    On the way back, a user or unit that the earlier system does not have is not its fault: the secret is root's there.
    """

    def __init__(self, host: Host, container: Container, system: str, *, is_way_back: bool = False) -> None:
        self._host, self._container, self._system = host, container, system
        self._is_way_back = is_way_back
        self._accounts = named_accounts(container.secret_files or ())
        self._late: list[str] = []

    def after_start(self) -> None:
        """Give the files of a container that has just started their owners, as soon as its system has its users."""
        if self._accounts:
            # Its init is another one than before.
            self._host.incus.instance(self._container.name)
            deadline = time.monotonic() + self._container.wait.timeout
            if not self._watch(lambda is_current: is_current or time.monotonic() > deadline):
                self._await_users()
        self._settle()

    def _await_users(self) -> None:
        """Wait for users that a service of the system makes, as with userborn, until its boot is over."""
        if asks_systemd(self._system):
            with self._beside(), suppress(FleetError):
                await_boot(self._host.incus, self._container, self._system)

    @contextmanager
    def meanwhile(self) -> Iterator[Callable[[], None]]:
        """Give files their owners beside a switch. Yield a function to call after it, before its units are judged."""
        if not self._accounts:
            yield lambda: None
            return
        with self._beside() as end:

            def settle() -> None:
                end()
                self._settle()

            yield settle

    @contextmanager
    def _beside(self) -> Iterator[Callable[[], None]]:
        """Watch for users in a thread. Yield a function that ends it."""
        over = Event()
        thread = Thread(target=self._watch_quietly, args=(over,), daemon=True)
        thread.start()

        def end() -> None:
            over.set()
            thread.join()

        try:
            yield end
        finally:
            end()

    def _watch_quietly(self, over: Event) -> None:
        # What fails here fails again afterwards, where it is reported.
        with suppress(FleetError, OSError):
            self._watch(lambda _is_current: over.is_set())

    def _watch(self, is_over: Callable[[bool], bool]) -> bool:
        """Write the files when their owners are known, until that is so in the system, and return whether it is.

        ``is_over`` is asked with whether the system is the current one.
        """
        name = self._container.name
        known: Mapping[Account, int] = {}
        while True:
            # In this order: what is read after it became the current one are its users.
            is_current = self._host.incus.current_system(name) == self._system
            ids = read_ids(self._host.incus, name) or {}
            found = {account: number for account, number in ids.items() if account in self._accounts}
            if found != known:
                known = found
                self._give(found)
            if is_current and self._accounts <= found.keys():
                return True
            if is_over(is_current):
                return False
            time.sleep(_OWNER_POLL)

    def _give(self, ids: Mapping[Account, int], *, are_all: bool = False) -> None:
        lxc = lxc_name(self._container.project, self._container.name)
        seen = self._host.secrets.look(lxc)
        if seen.files:
            noted = {} if are_all else seen.notes.ids
            self._late += _write(self._host, self._container, seen, {**noted, **ids}, runs=True)

    def _settle(self) -> None:
        """Restart units that were faster than the owners.

        Raise UnhealthyError for an owner or unit that the system does not have, or a unit that does not start: another
        system may be better.
        """
        if self._accounts:
            try:
                self._give_late()
            except FleetError as error:
                if not self._is_way_back:
                    raise UnhealthyError(error.problem, error.advice) from error

    def _give_late(self) -> None:
        container = self._container
        ids = read_ids(self._host.incus, container.name)
        if ids is not None:
            # An id of another system's may be that of somebody else here.
            self._give(ids, are_all=True)
            error = unknown_account(container.secret_files or (), ids)
            if error is not None and not self._is_way_back:
                raise FleetError(f"{container.name}: {error.problem}", error.advice)
        if self._late:
            with suppress(NotTriedError):
                await_boot(self._host.incus, container, self._system)
            restart_due(self._host, container, self._system, self._late)


def forget_due(host: Host, container: Container) -> None:
    """Forget which units are due: all of the container was started since."""
    lxc = lxc_name(container.project, container.name)
    if container.secret_files is not None:
        notes = host.secrets.look(lxc).notes
        if notes.due:
            host.secrets.note(lxc, replace(notes, due={}))


# Units


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What systemd says of a unit; ``started`` is when it was started last, in microseconds of uptime."""

    name: str
    is_known: bool
    state: str
    started: int


def units_from(text: str, asked: Sequence[str]) -> list[Unit]:
    """Return the units in an answer of "systemctl show", which has them in the order in which they were asked for."""
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    return [
        Unit(
            name=name,
            is_known=block.get("LoadState", "not-found") not in ("not-found", "bad-setting", "error"),
            state=block.get("ActiveState", ""),
            started=int(block.get("InactiveExitTimestampMonotonic") or 0),
        )
        for name, block in zip(asked, blocks, strict=False)
    ]


def chosen(units: Sequence[Unit], due: Mapping[str, Due]) -> tuple[list[str], list[str]]:
    """Return the units to restart, and those to reload: none that rests, or that was started since it is due."""
    late = [unit for unit in units if unit.state not in _RESTING and unit.started < due[unit.name].since]
    reloads = [unit.name for unit in late if due[unit.name].reload and unit.state == "active"]
    return [unit.name for unit in late if unit.name not in reloads], reloads


def restart_due(host: Host, container: Container, system: str, only: Sequence[str] | None = None) -> Told:
    """Restart or reload the units that are due, each once. Raise FleetError for those that are not there, or fail."""
    name, lxc = container.name, lxc_name(container.project, container.name)
    notes = host.secrets.look(lxc).notes
    due = {unit: one for unit, one in notes.due.items() if only is None or unit in only}
    if not due:
        return Told()
    if not asks_systemd(system):
        host.secrets.note(lxc, replace(notes, due={}))
        units = ", ".join(sorted(due))
        return Told(warnings=(f"{name} has no systemd to restart {units}, whose secrets have changed.",))
    systemctl, asked = f"{system}/sw/bin/systemctl", sorted(due)
    show = [systemctl, "show", f"--property={_PROPERTIES}", "--", *asked]
    shown = host.incus.execute(name, show, _LOOK_TIMEOUT)
    found = units_from(shown.stdout, asked)
    if shown.code != 0 or len(found) != len(asked):
        raise FleetError(
            f"{name}: systemd does not tell of {', '.join(asked)}, whose secrets have changed: {tail(shown.stderr, 1)}",
            "Correct 'units', or run again.",
        )
    restarts, reloads = chosen(found, due)
    for command, names in (("restart", restarts), ("reload-or-restart", reloads)):
        if names:
            done = host.incus.execute(name, [systemctl, command, "--", *names], _RESTART_TIMEOUT)
            if done.code != 0:
                look = incus_command(container.project, "exec", name, "--", systemctl, "status", *names)
                raise FleetError(
                    f"{name}: {', '.join(names)} did not {command} with the changed secrets: {tail(done.stderr, 1)}",
                    f"See '{look}', and run again.",
                )
    unknown = [unit.name for unit in found if not unit.is_known]
    left = {unit: one for unit, one in notes.due.items() if unit not in due or unit in unknown}
    host.secrets.note(lxc, replace(notes, due=left))
    if unknown:
        raise FleetError(
            f"{name}: its system has no unit {', '.join(unknown)}, which 'secrets' name.", "Correct 'units'."
        )
    done_units = {"restarted": tuple(restarts), "reloaded": tuple(reloads)}
    return Told(units={done: names for done, names in done_units.items() if names})
