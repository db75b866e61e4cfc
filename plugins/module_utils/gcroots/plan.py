# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan which GC roots to add, move and drop. Pure.

A container is named as liblxc names it: the instance's name, with ``PROJECT_``
before it outside the default project. A root is a link's path inside the
container and the store path that it led to when it was last seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

#: Path of a link inside its container -> store path.
Roots: TypeAlias = Mapping[str, str]
Action: TypeAlias = Literal["add", "move", "drop"]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen inside one container.

    ``links`` has the paths that were looked up: the store path that each leads to,
    or None when the link does not exist. ``settled`` means that what is missing is
    gone rather than not mounted yet. ``more`` is the number of links into the store
    that are left out of ``links``.
    """

    links: Mapping[str, str | None] = field(default_factory=dict)
    settled: bool = True
    more: int = 0


@dataclass(frozen=True, kw_only=True)
class Change:
    """One root that comes, moves or goes, and why."""

    action: Action
    container: str
    path: str
    before: str | None
    after: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class RootsPlan:
    """The changes, and what was left undone because a limit was hit."""

    changes: tuple[Change, ...] = ()
    limits: tuple[str, ...] = ()


def plan_roots(
    kept: Mapping[str, Roots],
    looks: Mapping[str, Look],
    *,
    gone: Collection[str],
    valid: Collection[str],
    max_roots: int,
) -> RootsPlan:
    """Return what changes when the roots that are ``kept`` follow what was seen.

    ``gone`` names the containers of which Incus has said that they do not exist on
    this host. A container that a list merely lacks is not among them: lists can be
    incomplete. ``valid`` are the store paths that are there.
    """
    changes: list[Change] = []
    limits: list[str] = []
    for container in sorted(kept):
        if container in gone:
            reason = "the container no longer exists"
            changes += [_drop(container, path, before, reason) for path, before in sorted(kept[container].items())]
    for container, look in sorted(looks.items()):
        if container in gone:
            continue
        roots = kept.get(container, {})
        old = list(_changes_of_kept(container, roots, look, valid))
        dropped = sum(change.action == "drop" for change in old)
        new = list(_additions(container, roots, look, valid))
        room = max(0, max_roots - (len(roots) - dropped))
        beyond = len(new) - room + look.more
        if beyond > 0:
            limits.append(f"{container} has {beyond} links more than its {max_roots} roots (max_roots).")
        changes += [*old, *new[:room]]
    return RootsPlan(changes=tuple(changes), limits=tuple(limits))


def plan_renames(
    kept: Mapping[str, Roots],
    recorded: Mapping[str, str],
    current: Mapping[str, str],
    gone: Collection[str],
) -> list[Change]:
    """Return what changes when the roots that are ``kept`` follow their containers to new names.

    ``recorded`` has the identity of the container that roots were made for, ``current`` those of the containers that
    there are now, both by name. What a container has under its new name already stays. Roots go from the old name
    when they are under the new one, and the old one is ``gone``. Additions come first, so that no path is ever without
    a root.
    """
    moved = dict(_renamed(kept, recorded, current))
    replaceable = _replaceable(kept, moved)
    wanted = {name: dict(roots) for name, roots in kept.items()}
    for old, names in moved.items():
        for name in names:
            replaces = name in replaceable
            for path, store in kept[old].items():
                if replaces or path not in wanted.get(name, {}):
                    wanted.setdefault(name, {})[path] = store
    drops = [
        _drop(old, path, store, f"{old} is called {', '.join(names)} now")
        for old, names in moved.items()
        for path, store in sorted(kept[old].items())
        if old in gone and all(wanted[name].get(path) == store for name in names)
    ]
    return [*_taken_along(kept, wanted), *drops]


def _renamed(
    kept: Mapping[str, Roots], recorded: Mapping[str, str], current: Mapping[str, str]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the old name of each container that was renamed, and its new one: several if it was imported twice."""
    for old in sorted(kept):
        identity = recorded.get(old)
        if identity is not None and current.get(old) != identity:
            names = sorted(name for name, found in current.items() if found == identity)
            if names:
                yield old, names


def _replaceable(kept: Mapping[str, Roots], moved: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the old names whose roots others may replace: they are all rooted under the container's new names.

    They are not where another root is at the same path of the new name: one that is kept there and is not replaced
    itself, or one of another container that comes to the same name.
    """

    def is_stuck(old: str) -> bool:
        return any(
            (name not in free and kept.get(name, {}).get(path, store) != store)
            or any(name in moved[other] and kept[other].get(path, store) != store for other in moved)
            for name in moved[old]
            for path, store in kept[old].items()
        )

    free = set(moved)
    while stuck := {old for old in free if is_stuck(old)}:
        free -= stuck
    return free


def _taken_along(kept: Mapping[str, Roots], wanted: Mapping[str, Roots]) -> Iterator[Change]:
    reason = "its container was renamed"
    for name, roots in sorted(wanted.items()):
        for path, after in sorted(roots.items()):
            before = kept.get(name, {}).get(path)
            if before != after:
                action: Action = "add" if before is None else "move"
                yield Change(action=action, container=name, path=path, before=before, after=after, reason=reason)


def with_changes(kept: Mapping[str, Roots], changes: Iterable[Change]) -> dict[str, dict[str, str]]:
    """Return the roots as they are when the changes are made."""
    roots = {container: dict(links) for container, links in kept.items()}
    for change in changes:
        if change.after is None:
            roots[change.container].pop(change.path, None)
        else:
            roots.setdefault(change.container, {})[change.path] = change.after
    return roots


def _changes_of_kept(container: str, roots: Roots, look: Look, valid: Collection[str]) -> Iterator[Change]:
    for path, before in sorted(roots.items()):
        if path not in look.links:
            continue
        now = look.links[path]
        if now == before:
            if now not in valid:
                yield _drop(container, path, before, "what it led to is not in the store any more")
        elif now is not None and now in valid:
            reason = "the link leads elsewhere now"
            yield Change(action="move", container=container, path=path, before=before, after=now, reason=reason)
        elif now is not None:
            yield _drop(container, path, before, "the link leads to what is not in the store")
        elif look.settled:
            yield _drop(container, path, before, "the link is gone")


def _additions(container: str, roots: Roots, look: Look, valid: Collection[str]) -> Iterator[Change]:
    for path, now in sorted(look.links.items()):
        if path not in roots and now is not None and now in valid:
            reason = "a link into the store"
            yield Change(action="add", container=container, path=path, before=None, after=now, reason=reason)


def _drop(container: str, path: str, before: str, reason: str) -> Change:
    return Change(action="drop", container=container, path=path, before=before, after=None, reason=reason)
