# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which systems run, if other programs have just started some of the containers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone

from ..errors import FleetError
from ..incus.client import Incus
from ..incus.models import Instance
from ..waiting import LONGEST_PAUSE, poll

# For containers that have run for long: /run/current-system is replaced during a switch, too.
_GRACE = 5.0
_SECONDS = len("2026-11-23T10:15:00")


def with_running_systems(
    incus: Incus, instances: Mapping[str, Instance], timeouts: Mapping[str, int]
) -> dict[str, Instance]:
    """Return the instances with the system that each runs, once those that boot say so.

    A container that was started less than its timeout ago, in seconds, may still boot. It is waited for until then:
    one that does not say what it runs would be switched for nothing, in the middle of its boot.
    """
    seen = dict(instances)
    here = [one for one in seen.values() if one.is_running and one.location == incus.server.member]
    deadlines = {one.name: _deadline(one, timeouts.get(one.name, 0)) for one in here}
    for one in here:
        seen[one.name] = replace(one, running_system=incus.running_system(one))

    def unknown() -> list[str]:
        now = time.monotonic()
        return [name for name, deadline in deadlines.items() if _is_unknown(seen.get(name)) and now < deadline]

    def all_known() -> bool:
        for name in unknown():
            try:
                instance = incus.instance(name)
            except FleetError:
                # It is looked at again, or planned as one that does not say what it runs.
                continue
            if instance is None:
                # An ephemeral one that has ended.
                del seen[name]
            else:
                runs = incus.running_system(instance) if instance.is_running else None
                seen[name] = replace(instance, running_system=runs)
        return not unknown()

    if unknown():
        poll(all_known, max(deadlines.values()), longest=LONGEST_PAUSE)
    return seen


def _is_unknown(instance: Instance | None) -> bool:
    return instance is not None and instance.is_running and instance.running_system is None


def _deadline(instance: Instance, timeout: int) -> float:
    """Return the time, of time.monotonic(), until which an instance may not say what it runs."""
    left = started_at(instance.last_started) + timeout - time.time()
    return time.monotonic() + max(_GRACE, left)


def started_at(text: str) -> float:
    """Return a time stamp of Incus, which is in UTC, as seconds since 1970; 0 for none."""
    try:
        moment = datetime.strptime(text[:_SECONDS], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=timezone.utc).timestamp()
