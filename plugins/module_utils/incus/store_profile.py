# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Incus profile that shares the store: requirements, desired devices, and differences. Pure."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import FleetError
from ..paths import DAEMON_SOCKET_DIR, DB_DIR, LOCALTIME, STORE_DIR, STORE_PROFILE
from ..stored_keys import SELF_UPDATE
from ..text import UNPRINTABLE
from ..values import Value, same_value, value_text
from .models import Config, Devices, Profile, Server, name_in

#: Names as inx-container has them, so that its profile is taken over as it is.
_STORE = {"nixstore": STORE_DIR}
_DAEMON = {"nixsocket": DAEMON_SOCKET_DIR}
_DATABASE = {"nixdb": DB_DIR}
_LOCALTIME = {"localtime": LOCALTIME}
_SHARED_PREFIX = "shared-"
_DESCRIPTION = "The host's Nix store, read-only (inx.fleet)"


def check_host(declared: StoreMount, server: Server, file_type: Callable[[str], int]) -> None:
    """Raise FleetError naming the first thing that the host lacks; ``file_type`` is as of stat.S_IFMT, 0 of nothing."""
    install = "Install Nix with its daemon (the role inx.fleet.host does it)."
    if file_type(STORE_DIR) != stat.S_IFDIR:
        raise FleetError(f"This host has no {STORE_DIR}.", install)
    if declared.daemon and file_type(f"{DAEMON_SOCKET_DIR}/socket") != stat.S_IFSOCK:
        raise FleetError(
            f"The socket of the Nix daemon, {DAEMON_SOCKET_DIR}/socket, does not exist.",
            "Start it (systemctl enable --now nix-daemon.socket), or declare 'daemon: false'.",
        )
    if declared.database and file_type(DB_DIR) != stat.S_IFDIR:
        raise FleetError(f"This host has no {DB_DIR}.", install)
    if not server.idmapped_mounts:
        raise FleetError(
            "The kernel has no idmapped mounts, without which a container cannot see the store as its own.",
            "Use Linux 5.12 or later, and a file system for /nix that supports them.",
        )
    for path in (*declared.shared_paths, *((LOCALTIME,) if declared.localtime else ())):
        if not file_type(path):
            raise FleetError(f"This host has no {path} to share.", "Create it, or do not share it.")


def wanted_profile(declared: StoreMount, found: Profile | None) -> Profile:
    """Return the profile as it should be, from what is declared and what exists.

    Devices that this collection did not make stay, unless ``exclusive``.
    """
    present = found if found is not None else Profile(name=declared.name, description=_DESCRIPTION)
    shared = _shared_paths(declared)
    if declared.database is None and not declared.exclusive:
        # As inx-container made it: containers may have been made to need it.
        shared.update({name: path for name, path in _DATABASE.items() if name in present.devices})
    devices = {
        name: keys
        for name, keys in present.devices.items()
        if name in shared or not (declared.exclusive or _is_ours(name, keys))
    }
    for name, path in shared.items():
        devices[name] = _share(path, devices.get(name, {}), exclusive=declared.exclusive)
    config = {key: value for key, value in present.config.items() if key != SELF_UPDATE}
    if declared.self_update:
        config[SELF_UPDATE] = "true"
    description = present.description if declared.description is None else declared.description
    return replace(present, description=description, config=config, devices=devices)


def warnings(declared: StoreMount, wanted: Profile) -> list[str]:
    """Return warnings about what the profile shares without being declared."""
    if declared.database is not None or _DATABASE.keys().isdisjoint(wanted.devices):
        return []
    return [
        f"The profile {declared.name!r} shares the database of the store, with which a container can block "
        "every nix command on the host. Declare 'database: false' to end this, or true to keep it."
    ]


def check_removal(found: Profile) -> None:
    """Raise FleetError while instances use the profile."""
    users = [name_in(url) for url in found.used_by]
    if users:
        raise FleetError(
            f"The profile {found.name!r} is in use by {', '.join(sorted(users))}.",
            "Remove these containers first, or remove the profile from them.",
        )


def _is_ours(name: str, keys: Config) -> bool:
    """Return whether a device is the collection's: by its name, or by how it shares where others may use the name."""
    if name in {**_STORE, **_DAEMON, **_DATABASE}:
        return True
    path = keys.get("path", "")
    if name != _shared_name(path) and (name, path) not in _LOCALTIME.items():
        return False
    return all(same_value(value, keys.get(key)) for key, value in _sharing(path).items())


def _shared_paths(declared: StoreMount) -> dict[str, str]:
    """Device name to the path that it shares."""
    shared = dict(_STORE)
    if declared.daemon:
        shared.update(_DAEMON)
    if declared.database:
        shared.update(_DATABASE)
    if declared.localtime:
        shared.update(_LOCALTIME)
    for path in declared.shared_paths:
        shared[_shared_name(path)] = path
    if len(set(shared.values())) < len(shared) or len(shared) < _expected_count(declared):
        raise FleetError(
            f"shared_paths: {', '.join(declared.shared_paths)}: a path is named twice, or two make one device name.",
            "Name each path once, and none that the profile shares anyway.",
        )
    return shared


def _shared_name(path: str) -> str:
    return _SHARED_PREFIX + path.strip("/").replace("/", "-")


def _expected_count(declared: StoreMount) -> int:
    own = (True, declared.daemon, bool(declared.database), declared.localtime)
    return sum(own) + len(declared.shared_paths)


def _share(path: str, stored: Mapping[str, str], *, exclusive: bool) -> Mapping[str, str]:
    """Return the device that shares ``path``. Stored spellings that mean the same stay."""
    wanted = _sharing(path)
    kept = {} if exclusive else {key: value for key, value in stored.items() if key not in wanted}
    for key, value in wanted.items():
        kept[key] = stored[key] if same_value(value, stored.get(key)) else value_text(value)
    return kept


def _sharing(path: str) -> dict[str, Value]:
    """Return a read-only disk at the same path in the container."""
    return {"type": "disk", "source": path, "path": path, "readonly": True, "shift": True}


def difference(found: Profile | None, wanted: Profile | None) -> tuple[dict[str, object], dict[str, object]]:
    """Return two profiles as the sides of a diff. An absent profile is empty."""
    return _side(found), _side(wanted)


def _side(profile: Profile | None) -> dict[str, object]:
    if profile is None:
        return {}
    devices: Devices = profile.devices
    return {
        "description": profile.description,
        "config": dict(profile.config),
        "devices": {name: dict(keys) for name, keys in devices.items()},
    }


@dataclass(frozen=True, kw_only=True)
class StoreMount:
    """The declared Incus profile that shares the store."""

    name: str = STORE_PROFILE
    state: Literal["present", "absent"] = "present"
    daemon: bool = True
    #: None leaves it as it is; a new profile is without.
    database: bool | None = None
    localtime: bool = False
    self_update: bool = False
    shared_paths: tuple[str, ...] = ()
    exclusive: bool = False
    description: str | None = None


def store_mount_from(params: Mapping[str, Any]) -> StoreMount:
    """Make a StoreMount of the parameters of inx_store_mount; raises FleetError on bad paths."""
    name = params["name"]
    if not name or "/" in name or UNPRINTABLE.search(name) or name.startswith("-"):
        raise FleetError(f"{name!r} is not a name for an Incus profile.", "Use letters, digits and dashes.")
    for path in params["shared_paths"]:
        if not path.startswith("/") or ".." in path.split("/") or UNPRINTABLE.search(path) or path.strip("/") == "":
            raise FleetError(
                f"shared_paths: {path!r} cannot be shared.", "Name absolute paths below / and without '..'."
            )
    return StoreMount(
        name=name,
        state=params["state"],
        daemon=params["daemon"],
        database=params["database"],
        localtime=params["localtime"],
        self_update=params["self_update"],
        shared_paths=tuple(path.rstrip("/") for path in params["shared_paths"]),
        exclusive=params["exclusive"],
        description=params["description"],
    )
