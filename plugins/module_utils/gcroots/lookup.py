# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look up paths inside running containers, in a process that can be killed.

A container's file systems may answer slowly or never. What looks into them is a
forked child with a time limit for each container; the parent goes on without it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

from ..errors import FleetError
from ..incus.rootfs import (
    Running,
    container_root,
    has_ended,
    open_directory,
    read_link,
    store_path_behind,
    target_in_store,
)
from ..paths import store_object
from ..waiting import poll
from .plan import Look
from .store import is_plain

_CHUNK = 1 << 16
_MAX_DESCRIPTOR = 1 << 12
_REAP_TIMEOUT = 1.0
# A scan looks for result links, not through a whole home directory.
SCAN_DEPTH = 6
SCAN_ENTRIES = 50_000
# A directory is listed when so many names are asked of it, if it does not have too many itself.
_WORTH_LISTING = 8
_LISTED_ENTRIES = 20_000
# How far down that goes: beyond, a hostile container's paths would only cost memory.
_LISTED_DEPTH = 6


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What to look up in one container: links that are new, links that have a root, directories to search."""

    container: Running
    new: Sequence[str] = ()
    kept: Sequence[str] = ()
    scan: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The looks by container, those that stopped meanwhile, what kept others from being looked at, and limits that
    were hit."""

    looks: Mapping[str, Look] = field(default_factory=dict)
    ended: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Seconds for each container, a point of time.monotonic() for all, links to report of each container that have
    no root yet, and the age in seconds from which what is missing in a container is gone."""

    timeout: float
    deadline: float
    max_new: int
    grace_period: float


def look_into(questions: Sequence[Questions], bounds: Bounds) -> Answers:
    """Look into running containers."""
    looks: dict[str, Look] = {}
    ended: list[str] = []
    problems: list[str] = []
    limits: list[str] = []
    remaining = list(questions)
    while remaining:
        if time.monotonic() >= bounds.deadline:
            limits.append(f"The time limit was reached before {len(remaining)} containers were looked at.")
            break
        for asked, answer in _ask_child(tuple(remaining), bounds):
            del remaining[0]
            name = asked.container.name
            if isinstance(answer, str):
                problems.append(f"{name} keeps its roots and gets no new ones: {answer}")
            elif answer["ended"]:
                ended.append(name)
            else:
                looks[name] = _look_of(asked, answer, settled=asked.container.age >= bounds.grace_period)
                limits += [f"{name}: the search ended after {SCAN_ENTRIES} entries."] if answer["cut"] else []
    return Answers(looks=looks, ended=tuple(ended), problems=tuple(problems), limits=tuple(limits))


#: What the child says of a container (_answer), or why it could not.
_Answer: TypeAlias = "dict[str, Any] | str"


def _look_of(asked: Questions, answer: dict[str, Any], *, settled: bool) -> Look:
    paths = (*asked.new, *asked.kept)
    links: dict[str, str | None] = {paths[index]: store for index, store in answer["found"]}
    links.update({paths[index]: None for index in answer["gone"]})
    # JSON has no bytes: latin-1 keeps each of them, whatever a path is made of.
    links.update({os.fsdecode(path.encode("latin-1")): store for path, store in answer["scanned"]})
    return Look(links=links, settled=settled, more=answer["more"])


def _ask_child(questions: Sequence[Questions], bounds: Bounds) -> Iterator[tuple[Questions, _Answer]]:
    """Answers in the order of the questions; ends early when one takes too long."""
    timeout = max(0.1, min(bounds.timeout, bounds.deadline - time.monotonic()))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer_all(questions, writing, bounds.max_new)
    os.close(writing)
    late = False
    try:
        answered = 0
        for line in _lines(reading, timeout):
            late = line is None
            if line is not None:
                answer = json.loads(line)
                yield questions[answered], answer.get("problem") or answer
                answered += 1
        if answered < len(questions):
            why = f"its file systems did not answer within {timeout:.0f} s." if late else "the look-up ended early."
            yield questions[answered], why
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        _reap(child)


def _lines(descriptor: int, timeout: float) -> Iterator[bytes | None]:
    """Lines of a pipe until its end; None at last when one takes longer than ``timeout`` seconds."""
    rest = bytearray()
    deadline = time.monotonic() + timeout
    while select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        searched = len(rest)
        rest += os.read(descriptor, _CHUNK)
        if len(rest) == searched:
            return
        while (end := rest.find(b"\n", searched)) >= 0:
            yield bytes(rest[:end])
            del rest[: end + 1]
            searched = 0
            deadline = time.monotonic() + timeout
    yield None


def _reap(child: int) -> None:
    """Collect the child; one that the kernel cannot end yet is left to it."""
    poll(lambda: os.waitpid(child, os.WNOHANG)[0], time.monotonic() + _REAP_TIMEOUT, pause=0.01)


# In the child


def _answer_all(questions: Sequence[Questions], writing: int, max_new: int) -> None:
    code = 1
    with suppress(BaseException):
        # Locks of the parent above all: a child that hangs must not hold them.
        os.closerange(3, writing)
        os.closerange(writing + 1, _MAX_DESCRIPTOR)
        with os.fdopen(writing, "wb") as pipe:
            for question in questions:
                pipe.write(json.dumps(_answer(question, max_new)).encode() + b"\n")
                pipe.flush()
        code = 0
    os._exit(code)


def _answer(question: Questions, max_new: int) -> dict[str, Any]:
    """Links into the store by their index in the question, those of kept ones that are gone, what was searched."""
    container = question.container
    try:
        with container_root(container.name, container.pid) as root:
            new = [entry for entry in _looked_up(root, _perhaps_there(root, question.new)) if entry[1] is not None]
            # A root is dropped only for what a look at its very link says.
            kept = dict(_looked_up(root, enumerate(question.kept)))
            scanned, cut = _searched(root, question.scan)
    except FleetError as error:
        return {"ended": True} if has_ended(container.name, container.pid) else {"problem": str(error)}
    # Its file systems go when it stops, and then nothing that is missing is gone.
    if has_ended(container.name, container.pid):
        return {"ended": True}
    first = len(question.new)
    found = [(first + index, store) for index, store in kept.items() if store is not None]
    return {
        "ended": False,
        "found": new[:max_new] + found,
        "gone": [first + index for index, store in kept.items() if store is None],
        "scanned": scanned[:max_new],
        "more": max(0, len(new) - max_new) + max(0, len(scanned) - max_new),
        "cut": cut,
    }


def _perhaps_there(root: int, paths: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the paths with their indexes, without those for which a directory on the way lacks a name.

    Most links of gcroots/auto are in one container out of many, and to list a
    directory costs less than to ask it for a thousand names. A list may miss a name
    that is replaced at that moment: Nix, which replaces it, recreates the auto link.
    """
    tree: _Tree = {}
    for index, path in enumerate(paths):
        node = tree
        *way, last = path[1:].split("/", _LISTED_DEPTH)[:_LISTED_DEPTH]
        for part in way:
            node = node.setdefault(part, ({}, []))[0]
        node.setdefault(last, ({}, []))[1].append(index)
    levels = [("", tree)]
    while levels:
        directory, entries = levels.pop()
        there = _names_in(root, directory or "/") if len(entries) >= _WORTH_LISTING else None
        for name, (below, indices) in entries.items():
            if there is None or name in there:
                yield from ((index, paths[index]) for index in indices)
                if below:
                    levels.append((f"{directory}/{name}", below))


#: Name -> what is asked for below it, and the indices of the paths that are followed no further.
_Tree: TypeAlias = "dict[str, tuple[_Tree, list[int]]]"


def _names_in(root: int, directory: str) -> frozenset[str] | None:
    """Return the names in a directory, None when there are too many or the file system fails."""
    try:
        descriptor = open_directory(root, directory, follow=True)
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError:
        return None
    try:
        with os.scandir(descriptor) as entries:
            names = frozenset(entry.name for entry in islice(entries, _LISTED_ENTRIES + 1))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return names if len(names) <= _LISTED_ENTRIES else None


def _looked_up(root: int, paths: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str | None]]:
    """Yield what each path leads to. Paths on which the file system fails are left out."""
    for index, path in paths:
        with suppress(OSError):
            yield index, store_path_behind(partial(read_link, root), path)


def _searched(root: int, directories: Sequence[str]) -> tuple[list[tuple[str, str]], bool]:
    """Links in and below directories that lead to a whole store path, and whether the search was cut short.

    Breadth first, so that a deep directory hides no other. Links to a part of a
    store path are not results of builds: home directories can be full of them.
    """
    found: list[tuple[str, str]] = []
    entries = 0
    level = [directory.rstrip("/") for directory in directories]
    for _depth in range(SCAN_DEPTH):
        below: list[str] = []
        for parent in level:
            for path, is_link in _entries(root, parent):
                entries += 1
                if entries > SCAN_ENTRIES:
                    return found, True
                if not is_link:
                    below.append(path)
                elif is_plain(path) and (store := _whole_store_path(root, path)) is not None:
                    found.append((os.fsencode(path).decode("latin-1"), store))
        level = below
    return found, False


def _whole_store_path(root: int, path: str) -> str | None:
    with suppress(OSError):
        target = target_in_store(partial(read_link, root), path)
        if target is not None and target == store_object(target):
            return target
    return None


def _entries(root: int, directory: str) -> Iterator[tuple[str, bool]]:
    """Links and directories in a directory, and which of the two they are."""
    with suppress(OSError):
        descriptor = open_directory(root, directory or "/")
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
                    if kind in (stat.S_IFLNK, stat.S_IFDIR):
                        yield f"{directory}/{entry.name}", kind == stat.S_IFLNK
        finally:
            os.close(descriptor)
