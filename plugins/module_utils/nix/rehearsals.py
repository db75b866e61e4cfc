# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Record on the host what a rehearsal makes, before it makes it: what a killed run leaves is found by the next one.

A record is beside the Nix profiles, where no container can write. It is the first thing of a rehearsal, and the last
one to go.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from ..names import lxc_name
from ..paths import PROFILES_DIR
from .profiles import explained, make_profiles_dir

#: Not a container's name, and Nix skips files that are not links.
_FILE = ".rehearsal-"


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What one makes: a twin in the container's project, a network for it, and volumes by their pools and names.

    ``turn`` is 0 or 1, the other one than that of a killed run: Incus may still be removing a network of that, which no
    operation tells of, so the names of the next one are others.
    """

    container: str
    project: str
    twin: str
    network: str | None = None
    volumes: tuple[tuple[str, str], ...] = ()
    turn: int = 0

    @property
    def lxc(self) -> str:
        """Return what liblxc calls the container. All that is made has this as its mark."""
        return lxc_name(self.project, self.container)


def read_rehearsal(project: str, name: str) -> Rehearsal | None:
    """Return the rehearsal of a container that was not cleaned up, or goes on; None if there is none."""
    return _read(_path(lxc_name(project, name)))


def rehearsals() -> list[Rehearsal]:
    """Return all of them, as far as this user may read them."""
    with suppress(OSError):
        found = [_read(f"{PROFILES_DIR}/{name}") for name in os.listdir(PROFILES_DIR) if name.startswith(_FILE)]
        return [one for one in found if one is not None]
    return []


def twins() -> frozenset[str]:
    """Return the twins of rehearsals, as liblxc names them."""
    return frozenset(lxc_name(one.project, one.twin) for one in rehearsals())


def write_rehearsal(rehearsal: Rehearsal) -> None:
    """Record a rehearsal. It is on the disk before anything is made."""
    path = _path(rehearsal.lxc)
    with explained(path):
        make_profiles_dir()
        descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(rehearsal), file)
            file.flush()
            os.fsync(descriptor)
        os.replace(f"{path}.new", path)


def remove_record(rehearsal: Rehearsal) -> None:
    """Remove the record of a rehearsal, of which nothing is left."""
    path = _path(rehearsal.lxc)
    with explained(path), suppress(FileNotFoundError):
        os.unlink(path)


def parsed(text: str) -> Rehearsal | None:
    """Return what a record says; None if it says nothing."""
    try:
        found: dict[str, Any] = json.loads(text)
        network = found["network"]
        return Rehearsal(
            container=str(found["container"]),
            project=str(found["project"]),
            twin=str(found["twin"]),
            network=None if network is None else str(network),
            volumes=tuple((str(pool), str(name)) for pool, name in found["volumes"]),
            turn=int(found["turn"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _path(lxc: str) -> str:
    return f"{PROFILES_DIR}/{_FILE}{lxc}"


def _read(path: str) -> Rehearsal | None:
    # A user who may not read it cannot change the container, either.
    with suppress(OSError), open(path, encoding="utf-8") as file:
        return parsed(file.read())
    return None
