# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of raw.lxc of an instance: those of its profiles, its own, and the one of this collection. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..incus.models import Config
from ..incus.start_config import folded
from ..stored_keys import PROFILES_LXC
from ..values import value_text
from .declaration import Container
from .mounts import tmpfs_entries
from .observed import Observed
from .secret_device import GUARD, guard_lines
from .volatile import TMPFS_ENTRY

INIT_LINE = "lxc.init.cmd=/nix/var/nix/profiles/system/init"


def raw_lxc(declared: Container, stored: Config, inherited: Sequence[str], observed: Observed) -> str:
    """Return the lines of raw.lxc: the profiles', the declared ones or those that are there, and ours.

    The instance's raw.lxc takes the place of the profiles' in Incus, so it has theirs in it. They come first, so that
    of a key that counts once the instance's own counts.
    """
    there, noted = lines_of(stored.get("raw.lxc", "")), lines_of(stored.get(PROFILES_LXC, ""))
    is_declared = "raw.lxc" in declared.config
    given = lines_of(value_text(declared.config["raw.lxc"])) if is_declared else there
    old = {*inherited, *(() if is_declared else noted)}
    own = [line for line in without_ours(given) if line not in old]
    stored_devices = {} if observed.instance is None else observed.instance.devices
    guard = guard_lines(declared.secret_files, declared.project, declared.name, stored_devices)
    return "\n".join([*inherited, *own, *guard, *tmpfs_entries(declared, there, observed), INIT_LINE])


def without_ours(lines: Sequence[str]) -> list[str]:
    """Return lines without those that the collection makes."""
    return [line for line in lines if not line.startswith(("lxc.init.cmd=", TMPFS_ENTRY, GUARD))]


def lines_of(text: str) -> list[str]:
    """Return the lines of a liblxc configuration, the white space around "=" folded, ours always last."""
    lines = [folded(line) for line in text.splitlines() if line.strip()]
    return sorted(lines, key=lambda line: (line == INIT_LINE, line.startswith(TMPFS_ENTRY)))
