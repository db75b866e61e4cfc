# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command inx-gcroots, which the role inx.fleet.host installs on a host with its systemd units.

inx-gcroots sync     once, for all containers and links
inx-gcroots watch    that, and from then on each link as it appears in gcroots/auto
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..errors import FleetError
from ..incus.endpoint import local_endpoint
from ..incus.models import Fleet
from ..text import tail
from .store import AUTO_DIR, auto_links, is_auto_name, is_plain
from .sync import AskIncus, Limits, Report, Scope, sync

# linux/inotify.h
_IN_CREATE = 0x100
_IN_MOVED_TO = 0x80
_IN_Q_OVERFLOW = 0x4000
_IN_CLOEXEC = 0o2000000
_EVENT = struct.Struct("iIII")
_EVENTS_SIZE = 1 << 16
# Builds end in groups: what comes within this many seconds is looked up together.
_GATHER = 0.02
# How often the watch looks after deleted containers and links that are gone, in seconds.
_WHOLE_SYNC_EVERY = 900
_WHOLE_SYNC_PAUSE = 5
# What looking into a container may take before the others' links are served, and into all that do not run.
_QUICK_TIMEOUT = 1.0
_WATCH_STOPPED_TIMEOUT = 5.0


def main() -> int:
    """Run the command; 1 when the roots could not be brought in line.

    A limit that a container hits is reported and is not a failure: a container must not
    be able to make garbage collection fail.
    """
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.command == "watch" and (arguments.check or arguments.scan):
        parser.error("--check and --scan are for 'sync'")
    limits = Limits(
        timeout=arguments.timeout,
        container_timeout=arguments.container_timeout,
        grace_period=arguments.grace_period,
        max_roots=arguments.max_roots,
    )
    try:
        if arguments.command == "watch":
            _watch(limits)
        return _sync_once(limits, arguments.scan, check=arguments.check)
    except (FleetError, OSError) as error:
        _tell(str(error))
        return 1


def _sync_once(limits: Limits, scan: Sequence[str], *, check: bool) -> int:
    fleets: list[Fleet | None] = []

    def ask() -> Fleet | None:
        fleets.append(_fleet())
        return fleets[-1]

    report = sync(ask, limits, Scope(scan=scan), check=check)
    _print(report)
    if report.unknown and None in fleets:
        _tell(f"{report.unknown} links may be those of stopped containers, which could not be read without Incus.")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    defaults = Limits()
    parser = argparse.ArgumentParser(
        prog="inx-gcroots", description="Create GC roots on the host for links inside its containers."
    )
    parser.add_argument("command", choices=["sync", "watch"])
    parser.add_argument("--check", action="store_true", help="only report what 'sync' would change")
    parser.add_argument(
        "--scan",
        action="append",
        default=[],
        type=_plain_path,
        help="with 'sync': also search this directory of each container",
    )
    parser.add_argument(
        "--max-roots", type=_from_one, default=defaults.max_roots, help="for each container (%(default)s)"
    )
    parser.add_argument("--timeout", type=float, default=defaults.timeout, help="seconds in all (%(default)s)")
    parser.add_argument(
        "--container-timeout",
        type=float,
        default=defaults.container_timeout,
        help="seconds for looking into one container (%(default)s)",
    )
    parser.add_argument(
        "--grace-period",
        type=float,
        default=defaults.grace_period,
        help="seconds after its start in which a container's missing links do not count as gone (%(default)s)",
    )
    return parser


def _plain_path(text: str) -> str:
    if not is_plain(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an absolute path without '.', '..' and '//'")
    return text


def _from_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a number from 1 is wanted")
    return number


def _fleet() -> Fleet | None:
    """Return the instances that Incus lists, None without Incus: then no container is taken for deleted."""
    # pylxd takes a quarter of a second to import, which a link that was made just now should not wait for.
    from ..incus.client import Incus  # noqa: PLC0415
    from ..incus.connection import PYLXD_IMPORT_ERROR  # noqa: PLC0415

    if PYLXD_IMPORT_ERROR is not None:
        _tell("without pylxd, deleted and stopped containers are passed over.")
        return None
    try:
        return Incus(local_endpoint()).fleet()
    except FleetError as error:
        _tell(f"{error} Deleted and stopped containers are passed over.")
        return None


def _print(report: Report) -> None:
    for change in report.changes:
        where = tail(repr(change.path))
        store_path = change.after or change.before
        sys.stdout.write(f"{change.action} {change.container}:{where} {store_path} ({change.reason})\n")
    sys.stdout.flush()
    for line in (*report.removed, *report.limits, *report.problems):
        _tell(line)


def _tell(line: str) -> None:
    sys.stderr.write(f"inx-gcroots: {line}\n")


# Watching


def _watch(limits: Limits) -> None:
    """Sync each link as it appears. The watch begins before the first whole sync, so that none falls between."""
    os.makedirs(AUTO_DIR, mode=0o755, exist_ok=True)
    events = _inotify(AUTO_DIR)
    patient = replace(limits, stopped_timeout=_WATCH_STOPPED_TIMEOUT)
    # One slow container must not keep the links of the others waiting; a whole sync gives it its time.
    quick = replace(limits, container_timeout=min(limits.container_timeout, _QUICK_TIMEOUT))
    missing: set[tuple[str, str]] = set()
    last_whole = next_whole = time.monotonic()
    pause = _WHOLE_SYNC_PAUSE
    while True:
        if time.monotonic() >= next_whole:
            report = _attempt(_fleet, patient, Scope(missing=missing))
            missing = set(report.missing)
            last_whole = time.monotonic()
            # What kept it from all of its work may be over soon, or never.
            next_whole = last_whole + (_WHOLE_SYNC_EVERY if report.is_complete else pause)
            pause = _WHOLE_SYNC_PAUSE if report.is_complete else min(2 * pause, _WHOLE_SYNC_EVERY)
        if not select.select([events], [], [], max(0.0, next_whole - time.monotonic()))[0]:
            continue
        time.sleep(_GATHER)
        names = set(_names(events))
        links = {name for name in names if is_auto_name(name)}
        appeared = set(auto_links(links))
        missing = {entry for entry in missing if entry[1] not in appeared}
        report = _attempt(lambda: None, quick, Scope(links=links)) if links else Report()
        if "" in names or report.unknown or report.unrecorded or not report.is_complete:
            # Too many to tell, or of a container that is new, has stopped meanwhile, or was too slow.
            next_whole = min(next_whole, last_whole + _WHOLE_SYNC_PAUSE)


def _attempt(ask: AskIncus, limits: Limits, scope: Scope) -> Report:
    try:
        report = sync(ask, limits, scope)
    except (FleetError, OSError) as error:
        report = Report(problems=(str(error),))
    _print(report)
    return report


def _inotify(directory: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.inotify_init1(_IN_CLOEXEC)
    if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(directory), _IN_CREATE | _IN_MOVED_TO) < 0:
        raise FleetError(
            f"{directory} cannot be watched: {os.strerror(ctypes.get_errno())}.",
            "Run this as root, and see 'sysctl fs.inotify' for a limit that is reached.",
        )
    return descriptor


def _names(events: int) -> Iterator[str]:
    """Names that have appeared; an empty one when there were too many to tell."""
    buffer = os.read(events, _EVENTS_SIZE)
    position = 0
    while position < len(buffer):
        _watch_id, mask, _cookie, length = _EVENT.unpack_from(buffer, position)
        name = buffer[position + _EVENT.size : position + _EVENT.size + length].rstrip(b"\0")
        yield "" if mask & _IN_Q_OVERFLOW else os.fsdecode(name)
        position += _EVENT.size + length
