# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sync GC roots on the host with the links inside containers."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TypeAlias, TypeVar

from ..errors import FleetError
from ..incus.models import Fleet
from ..incus.rootfs import Running, has_ended, running_containers, store_path_behind
from ..incus.visibility import FULL_VIEW
from ..nix.rehearsals import twins
from ..waiting import poll
from .hazards import remove_hazards
from .lookup import Answers, Bounds, Questions, look_into
from .others import Searched, gone_and_doubted, search_stopped
from .plan import Change, Look, Roots, plan_roots, with_changes
from .renames import Renames, follow_renames, record_containers, recorded_identities
from .store import apply_changes, auto_links, in_store, kept_roots, locked_roots, remove_left

# What a container runs: a root wherever Nix runs (NixOS links both from gcroots), but not from the host's view.
_SYSTEM_LINKS = ("/run/booted-system", "/run/current-system")
# Links are held and looked up so many at a time, however many there are.
_BATCH = 20_000
# What Incus may take to call a container stopped whose init has ended, in seconds.
_STOPPING = 3
_POLL = 0.1

_Entry = TypeVar("_Entry")

#: Asks Incus which containers there are; None when it is not to be asked, or does not answer.
AskIncus: TypeAlias = Callable[[], "Fleet | None"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What bounds a sync. Times are in seconds.

    ``timeout`` is for the whole sync, ``container_timeout`` for looking into one
    running container, ``stopped_timeout`` for all that do not run. ``grace_period`` is the
    age of a container from which a link that is missing is gone, ``max_roots`` a
    number for each container.
    """

    timeout: float = 120
    container_timeout: float = 10
    stopped_timeout: float = 60
    grace_period: float = 60
    max_roots: int = 10_000


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a sync is about: the containers in ``only`` or all, the links of gcroots/auto that are named or
    all of them and what is rooted already, and directories to search in each container. ``missing`` are paths
    of which an earlier sync has reported that a container, which has not run since, does not have them."""

    only: Collection[str] | None = None
    links: Collection[str] | None = None
    scan: Sequence[str] = ()
    missing: Collection[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a sync did, or would do; ``limits`` and ``problems`` are for the administrator.

    ``unknown`` is the number of links that no running container and not the host
    has, ``missing`` what was looked for in stopped containers and is not there,
    ``ended`` the containers that stopped while they were looked at, ``doubted``
    those that are not listed, and of which Incus does not say that they are gone.
    ``unrecorded`` tells that a container got its first root without Incus having
    said which one it is. ``removed`` tells of what would have stopped Nix's
    garbage collection.
    """

    changes: tuple[Change, ...] = ()
    removed: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    links: int = 0
    unknown: int = 0
    missing: tuple[tuple[str, str], ...] = ()
    ended: tuple[str, ...] = ()
    doubted: frozenset[str] = frozenset()
    unrecorded: bool = False
    containers: int = 0

    @property
    def is_complete(self) -> bool:
        """Return whether every link of a container was looked up and has its root."""
        return not self.limits and not self.problems


def sync(ask_incus: AskIncus, limits: Limits, scope: Scope, *, check: bool = False) -> Report:
    """Bring the roots in line with the links inside containers; with ``check`` only say what that would change.

    ``ask_incus`` gives None when Incus is not to be asked: deleted containers, and
    links of stopped ones, wait for another sync then. Raises FleetError when another
    sync holds the roots for too long, or they cannot be written.
    """
    deadline = time.monotonic() + limits.timeout
    with nullcontext() if check else locked_roots(limits.timeout):
        if not check and scope.links is None:
            remove_left()
        report = _sync_all(ask_incus, limits, scope, deadline=deadline, check=check)
        return replace(report, removed=tuple(remove_hazards(scope.links, check=check)))


def _sync_all(ask_incus: AskIncus, limits: Limits, scope: Scope, *, deadline: float, check: bool) -> Report:
    # Under the lock: a container that was created, rooted and stopped during the wait is not deleted.
    fleet = ask_incus()
    kept, recorded = kept_roots(), recorded_identities()
    renames = Renames() if fleet is None else follow_renames(fleet, kept, recorded, check=check)
    kept = {name: roots for name, roots in with_changes(kept, renames.done).items() if name not in renames.stuck}
    sync_links = partial(_sync_links, ask_incus, fleet, limits, scope, deadline=deadline, check=check)
    report, _kept = sync_links(_chosen(kept, scope.only))
    report = _joined(Report(changes=renames.done, problems=renames.problems), report)
    if fleet is None:
        first = {change.container for change in report.changes} - recorded.keys()
        report = replace(report, unrecorded=bool(first))
    elif not check:
        record_containers(fleet, kept_roots(), recorded)
    told = _left_undone(report, None if fleet is None else fleet.filtered)
    return replace(report, problems=(*report.problems, *told))


def _left_undone(report: Report, filtered: str | None) -> Iterator[str]:
    """Yield what the administrator should know of containers that could not be looked at, or looked for."""
    yield from (f"{name} keeps its roots and gets no new ones: it stopped in the meantime." for name in report.ended)
    names = ", ".join(sorted(report.doubted))
    if filtered is not None:
        some = f" (here: {names})" if names else ""
        kept = f"Containers that are not listed keep their roots{some} and get no new ones."
        yield f"{filtered} {kept} {FULL_VIEW}"
    elif names:
        yield f"{names}: the roots stay, since Incus neither lists this nor says that it is deleted. Run again."


def _sync_links(
    ask_incus: AskIncus,
    fleet: Fleet | None,
    limits: Limits,
    scope: Scope,
    kept: Mapping[str, Roots],
    *,
    deadline: float,
    check: bool,
) -> tuple[Report, Mapping[str, Roots]]:
    """Sync the links batch by batch. Returns what changed, and the roots after that."""
    report = Report()
    for number, paths in enumerate(_batches(auto_links(scope.links))):
        if number and time.monotonic() >= deadline:
            left = f"The sync ended after {limits.timeout:.0f} s; the links after the first {report.links} wait."
            return _joined(report, Report(limits=(left,))), kept
        batch = _Batch(
            paths=paths,
            limits=limits,
            scope=scope,
            deadline=deadline,
            whole=number == 0 and scope.links is None,
            check=check,
        )
        part = _sync_batch(batch, fleet, kept)
        kept = with_changes(kept, part.changes)
        report = _joined(report, part)
        if part.ended and fleet is not None:
            # What they have is read as that of stopped ones.
            fleet = _when_stopped(ask_incus, part.ended, deadline)
            ended = replace(batch, scope=replace(scope, only=part.ended))
            part = _sync_batch(ended, fleet, _chosen(kept, part.ended))
            kept = with_changes(kept, part.changes)
            report = _joined(replace(report, ended=()), replace(part, links=0, unknown=0))
    return report, kept


def _when_stopped(ask_incus: AskIncus, names: Sequence[str], deadline: float) -> Fleet | None:
    """Return the instances once Incus lists the named containers, whose init has ended, as stopped or not at all."""
    fleets: list[Fleet | None] = []

    def are_stopped() -> bool:
        fleets.append(fleet := ask_incus())
        awaited = _chosen(running_containers(), names)
        alive = {name for name, container in awaited.items() if not has_ended(name, container.pid)}
        return fleet is None or not set(names) & fleet.running - alive

    poll(are_stopped, min(deadline, time.monotonic() + _STOPPING), pause=_POLL)
    return fleets[-1]


def root_one(fleet: Fleet, limits: Limits, name: str, path: str, *, check: bool) -> Report:
    """Root what one link of one container leads to. Raises FleetError when that cannot be."""
    with nullcontext() if check else locked_roots(limits.timeout):
        look = _look_at(fleet, limits, name, path)
        plan = plan_roots(
            {name: kept_roots().get(name, {})},
            {name: look},
            gone=(),
            valid=in_store([store for store in look.links.values() if store is not None]),
            max_roots=limits.max_roots,
        )
        if look.links.get(path) is None or any(change.after is None for change in plan.changes):
            raise FleetError(
                f"{path} in {name} is not a link to a path that exists in the store.",
                f"See 'ls -l {path}' in the container.",
            )
        done, problems = (list(plan.changes), []) if check else apply_changes(plan.changes)
        if plan.limits or problems:
            advice = "Remove roots that are not needed, or raise max_roots."
            raise FleetError(" ".join((*plan.limits, *problems)), advice)
    return Report(changes=tuple(done), links=1)


def _look_at(fleet: Fleet, limits: Limits, name: str, path: str) -> Look:
    container = running_containers().get(name)
    if container is None:
        return Look(links={path: store_path_behind(partial(fleet.read_stopped, name), path)})
    deadline = time.monotonic() + limits.timeout
    answers = look_into([Questions(container=container, kept=[path])], _bounds(limits, deadline))
    if name in answers.ended:
        raise FleetError(f"{name} stopped in the meantime.", "Run again.")
    if name not in answers.looks:
        raise FleetError(" ".join((*answers.problems, *answers.limits)), "Run again, with more time if it is slow.")
    return answers.looks[name]


def forget_root(limits: Limits, name: str, path: str, *, check: bool) -> Report:
    """Remove the root of one link, if there is one."""
    with nullcontext() if check else locked_roots(limits.timeout):
        before = kept_roots().get(name, {}).get(path)
        if before is None:
            return Report()
        change = Change(action="drop", container=name, path=path, before=before, after=None, reason="as declared")
        done, problems = ([change], []) if check else apply_changes([change])
        if problems:
            raise FleetError(" ".join(problems), "Run this as root.")
    return Report(changes=tuple(done))


def _bounds(limits: Limits, deadline: float) -> Bounds:
    return Bounds(
        timeout=limits.container_timeout, deadline=deadline, max_new=limits.max_roots, grace_period=limits.grace_period
    )


def _batches(links: Iterator[str]) -> Iterator[list[str]]:
    """Yield at least one batch: the first one also looks after the existing roots."""
    yield sorted(islice(links, _BATCH))
    while batch := sorted(islice(links, _BATCH)):
        yield batch


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """One batch of links, sorted, and what bounds its sync.

    ``whole`` adds what runs, the roots that are there, and what a scan finds.
    """

    paths: Sequence[str]
    limits: Limits
    scope: Scope
    deadline: float
    whole: bool
    check: bool


def _sync_batch(batch: _Batch, fleet: Fleet | None, kept: Mapping[str, Roots]) -> Report:
    """Sync one batch of links: look into running containers, then into all others, plan and apply."""
    running = _chosen(running_containers(), batch.scope.only)
    answers = look_into(
        [_questions(container, kept.get(name, {}), batch) for name, container in running.items()],
        _bounds(batch.limits, batch.deadline),
    )
    unknown = _unknown(batch.paths, answers)
    others = _Others() if fleet is None else _look_at_others(batch, fleet, kept, running, unknown)
    looks = {**answers.looks, **others.searched.looks}
    plan = plan_roots(
        kept,
        looks,
        gone=others.gone,
        valid=in_store({store for look in looks.values() for store in look.links.values() if store is not None}),
        max_roots=batch.limits.max_roots,
    )
    done, problems = (list(plan.changes), []) if batch.check else apply_changes(plan.changes)
    return Report(
        changes=tuple(done),
        limits=(*plan.limits, *answers.limits, *others.searched.limits),
        problems=(*answers.problems, *others.searched.problems, *others.unread, *problems),
        links=len(batch.paths),
        unknown=len(unknown),
        missing=others.searched.missing,
        ended=tuple(sorted({*answers.ended, *others.ended})),
        doubted=others.doubted,
        containers=len(running),
    )


@dataclass(frozen=True, kw_only=True)
class _Others:
    """What Incus says of containers that do not run here.

    ``ended`` are those that it takes for running though they have ended, ``unread`` says which it cannot look at.
    """

    searched: Searched = field(default_factory=Searched)
    ended: Collection[str] = ()
    gone: Collection[str] = ()
    doubted: frozenset[str] = frozenset()
    unread: Sequence[str] = ()


def _look_at_others(
    batch: _Batch, fleet: Fleet, kept: Mapping[str, Roots], running: Mapping[str, Running], unknown: Sequence[str]
) -> _Others:
    """Look at the containers that do not run, those that ``unknown`` links may be in first."""
    only = batch.scope.only
    until = min(batch.deadline, time.monotonic() + batch.limits.stopped_timeout)
    # Those that nobody else has come first: the others are safe with whoever has them.
    in_order = dict.fromkeys((*unknown, *batch.paths))
    stopped = _chosen_names(fleet.stopped - running.keys(), only)
    searched = search_stopped(
        fleet, stopped, in_order, kept=kept, missing=frozenset(batch.scope.missing), deadline=until
    )
    unread = _chosen_names(fleet.unreadable - running.keys(), only) if unknown else []
    unlisted = [name for name, roots in kept.items() if roots and name not in fleet.names | running.keys()]
    gone, doubted = gone_and_doubted(fleet, unlisted, until)
    return _Others(
        searched=searched,
        # Incus takes one for running that has nothing to look at any more, or not yet.
        ended=_chosen_names(fleet.running - running.keys(), only),
        gone=gone,
        doubted=doubted,
        unread=[f"{name} keeps its roots and gets no new ones: Incus cannot look at it." for name in unread],
    )


def _questions(container: Running, roots: Roots, batch: _Batch) -> Questions:
    """Return the questions about a container. A root in the place of a new link's directory is looked up as well."""
    if batch.whole:
        kept = list(roots)
        new = dict.fromkeys((*_SYSTEM_LINKS, *batch.paths))
    else:
        new = dict.fromkeys(batch.paths)
        kept = [path for path in roots if path in new or _has_below(batch.paths, path)]
    return Questions(
        container=container,
        new=[path for path in new if path not in roots],
        kept=kept,
        scan=batch.scope.scan if batch.whole else (),
    )


def _has_below(paths: Sequence[str], directory: str) -> bool:
    """Return whether one of the sorted paths is below a directory."""
    place = bisect_left(paths, f"{directory}/")
    return place < len(paths) and paths[place].startswith(f"{directory}/")


def _chosen(found: Mapping[str, _Entry], only: Collection[str] | None) -> dict[str, _Entry]:
    """Return the selected entries by name."""
    return {name: found[name] for name in _chosen_names(found, only)}


def _chosen_names(names: Iterable[str], only: Collection[str] | None) -> list[str]:
    """Return the selected names in their order, without the twins of rehearsals, which keep nothing for long."""
    ignored = twins()
    return sorted(name for name in names if name not in ignored and (only is None or name in only))


def _unknown(paths: Sequence[str], answers: Answers) -> list[str]:
    """Return the links that neither a running container nor the host has: a stopped container may have them."""
    found = {path for look in answers.looks.values() for path, store in look.links.items() if store is not None}
    return [path for path in paths if path not in found and not os.path.lexists(path)]


def _joined(first: Report, second: Report) -> Report:
    return Report(
        changes=first.changes + second.changes,
        limits=first.limits + second.limits,
        problems=first.problems + second.problems,
        links=first.links + second.links,
        unknown=first.unknown + second.unknown,
        missing=first.missing + second.missing,
        ended=first.ended + second.ended,
        doubted=first.doubted | second.doubted,
        containers=max(first.containers, second.containers),
    )
