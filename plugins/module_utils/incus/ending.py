# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell what passes: a container between the end of its init and stopped, and an Incus that comes up.

Of such a container Incus says one thing and another. From Incus's stop hook on, until its stop is done, it calls it
running, and has no state of it: it answers 500 for one, and has it as an Error in a list
(internal/server/instance/drivers: driver_lxc.go, statusCode; driver_common.go, processStartedAt). Asked just before, it
calls it stopped: liblxc says so when it closes its command socket, which is after the hook. What it is asked to start
then is refused as running.

Incus answers requests before it has brought up its networks and its storage pools (cmd/incusd/daemon.go, init), and
refuses what needs one of them until then. That says nothing of the system that was to start.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress

from ..waiting import poll
from .models import Instance

with suppress(ImportError):
    # require_pylxd ends a module without it.
    from pylxd.exceptions import LXDAPIException

#: How long a container may take from the end of its init to what Incus calls stopped, in seconds.
STOP_GRACE = 10
STOP_POLL = 0.1
# Once a minute Incus tries again what it could not bring up, as with the dnsmasq of one that was killed still there
# (cmd/incusd: networks.go, networkStartup; storage.go, storageStartup).
_UPCOMING_GRACE = 70
#: The longest time for which anything is asked for again, in seconds.
LONGEST_GRACE = max(STOP_GRACE, _UPCOMING_GRACE)
# Incus: internal/server/instance/operationlock/operationlock.go
_BUSY = "Instance is busy running"
# Incus: internal/server/device (PreStartCheck).
_UPCOMING = re.compile(r"(Network|[Pp]ool) .*unavailable on this server")
_NO_PROCESS = re.compile(r"Invalid PID|/proc/\d+")
# Incus: internal/server/instance/drivers/driver_common.go (isStartableStatusCode); cmd/incusd: instance_delete.go,
# instance_post.go, instance_rebuild.go.
_AS_RUNNING = re.compile(r"nstance is (already )?running|nstance must be stopped")


def is_refused_as_running(error: Exception) -> bool:
    """Return whether Incus has refused what it does only to stopped instances."""
    return _AS_RUNNING.search(str(error)) is not None


def grace_for(error: Exception) -> int:
    """Return for how many seconds what Incus refuses so is asked for again, 0 for what does not pass."""
    if _BUSY in str(error):
        return STOP_GRACE
    return _UPCOMING_GRACE if _UPCOMING.search(str(error)) else 0


def until_settled(look: Callable[[], list[Instance]], is_ending: Callable[[Instance], bool]) -> list[Instance]:
    """Return what ``look`` sees once no container is ending, or after ten seconds."""

    def attempt() -> list[Instance] | LXDAPIException:
        try:
            return look()
        except LXDAPIException as error:
            if not _NO_PROCESS.search(str(error)):
                raise
            return error

    def is_settled(found: list[Instance] | LXDAPIException) -> bool:
        return not isinstance(found, LXDAPIException) and not any(map(is_ending, found))

    found = attempt()
    if not is_settled(found):
        found = poll(attempt, time.monotonic() + STOP_GRACE, until=is_settled, pause=STOP_POLL)
    if isinstance(found, LXDAPIException):
        raise found
    return found
