# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Config keys that the collection keeps on instances, profiles and volumes."""

from __future__ import annotations

#: On a volume: the container that it was made for, as liblxc names it, and its path there.
VOLUME_CONTAINER = "user.inx.container"
VOLUME_PATH = "user.inx.path"
# What the host remembers of an instance, see container/notes.py.
#: A system while it is activated; found later, it tells of an activation that did not end well.
ACTIVATING = "activating"
#: The last system that was found healthy.
HEALTHY = "healthy"
#: Systems that were not, and that are not tried again; the last ones, with spaces between.
FAILED = "failed"
#: When a setting was changed last that takes effect at the next start, as Incus writes its own time stamps.
RESTART = "restart_since"
#: The start that those settings wait for the end of, and marks of the values that were in force at it.
RESTART_KEYS = "restart_keys"
#: Of a volatile root: the time of the start that it was last emptied for.
EMPTIED = "emptied"
#: That what 'wait_for' asks for has not come since a start: the next run waits for it again.
WAITING = "waiting"
#: The revisions of the flakes that its generations were built from: HASH=REVISION of each system, with spaces between.
REVISIONS = "revisions"
#: With snapshots: the system that ran last on its data, and the start, by Incus's time stamp, since which it did.
RAN = "ran"
RAN_SINCE = "ran_since"
#: The snapshot that is being taken: it may be incomplete, and the container may be frozen for it.
TAKING = "taking"
#: NAME SYSTEM of the last snapshot, and of what was to run after it, until that has run.
TAKEN = "taken"
#: NAME REPLACED of the data that is being restored and the snapshot of what it replaces; "kept" follows once that is
#: complete. Until it is done nothing may run on the data.
RESTORING = "restoring"
#: The snapshot that the data was restored from, until another system runs on it.
RESTORED = "restored"
#: The same on an instance, by its config key: 0.1.0 kept all of it there.
STORED_NOTES = {f"user.inx.{note}": note for note in (ACTIVATING, HEALTHY, FAILED, RESTART, RESTART_KEYS, EMPTIED)}
#: In a cluster an instance has this one on it, so that it comes along when it moves.
STORED_FAILED = f"user.inx.{FAILED}"
#: On an instance that ran, while it is moved to another member: it is to be started there.
MOVING = "user.inx.moving"
#: Set on an Incus profile by inx_store_mount: what containers do that do not say self_update themselves.
SELF_UPDATE = "user.inx.self_update"
#: On an instance: the declared set that it belongs to, which alone may purge it.
SET = "user.inx.set"
#: On an instance: its declared tags, with commas between.
TAGS = "user.inx.tags"
#: On an instance: the config keys with secret values, separated by spaces.
HIDDEN_KEYS = "user.inx.secret"
#: On an instance: the lines of its raw.lxc that its profiles have.
PROFILES_LXC = "user.inx.profiles_lxc"
#: On an instance: "rebuild" when its root is emptied at every start.
VOLATILE_ROOT = "user.inx.volatile_root"
#: On an instance: the priority at which it starts with the host, if that was derived from the order of its set.
BOOT_PRIORITY = "user.inx.boot_priority"
#: On an instance: its own devices that hide those of its profiles between a release and a claim, as JSON.
RELEASED = "user.inx.released"
#: On what a rehearsal has made: the container that it is the rehearsal of, as liblxc names it.
REHEARSAL = "user.inx.rehearsal"
