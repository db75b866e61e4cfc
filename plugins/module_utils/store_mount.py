# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Incus profile that shares the store: what it should hold, and what differs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .declared import DAEMON_SOCKET_DIR, DB_DIR, LOCALTIME, STORE_DIR, StoreMount
from .desired import SELF_UPDATE
from .errors import FleetError
from .observed import Devices, Profile
from .values import Value, same_value, value_text

#: Names as inx-container has them, so that its profile is taken over as it is.
_STORE = {"nixstore": STORE_DIR}
_DAEMON = {"nixsocket": DAEMON_SOCKET_DIR}
_DATABASE = {"nixdb": DB_DIR}
_LOCALTIME = {"localtime": LOCALTIME}
_SHARED_PREFIX = "shared-"
_DESCRIPTION = "The host's Nix store, read-only (inx.fleet)"


def wanted_profile(declared: StoreMount, found: Profile | None) -> Profile:
    """The profile as it should be, made of what is declared and what is there.

    Devices that this collection does not name stay, unless ``exclusive``.
    """
    present = found if found is not None else Profile(name=declared.name, description=_DESCRIPTION)
    shared = _shared_paths(declared)
    devices = {
        name: keys
        for name, keys in present.devices.items()
        if name in shared or not (declared.exclusive or _is_ours(name))
    }
    for name, path in shared.items():
        devices[name] = _share(path, devices.get(name, {}), exclusive=declared.exclusive)
    config = {key: value for key, value in present.config.items() if key != SELF_UPDATE}
    if declared.self_update:
        config[SELF_UPDATE] = "true"
    description = present.description if declared.description is None else declared.description
    return replace(present, description=description, config=config, devices=devices)


def check_removal(found: Profile) -> None:
    """Raise FleetError while instances use the profile."""
    users = [url.partition("?")[0].rpartition("/")[2] for url in found.used_by]
    if users:
        raise FleetError(
            f"The profile {found.name!r} is in use by {', '.join(sorted(users))}.",
            "Remove these containers first, or take the profile from them.",
        )


def _is_ours(name: str) -> bool:
    return name in {**_STORE, **_DAEMON, **_DATABASE, **_LOCALTIME} or name.startswith(_SHARED_PREFIX)


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
        shared[_SHARED_PREFIX + path.strip("/").replace("/", "-")] = path
    if len(set(shared.values())) < len(shared) or len(shared) < _expected_count(declared):
        raise FleetError(
            f"shared_paths: {', '.join(declared.shared_paths)}: a path is named twice, or two make one device name.",
            "Name each path once, and none that the profile shares anyway.",
        )
    return shared


def _expected_count(declared: StoreMount) -> int:
    own = (True, declared.daemon, declared.database, declared.localtime)
    return sum(own) + len(declared.shared_paths)


def _share(path: str, stored: Mapping[str, str], *, exclusive: bool) -> Mapping[str, str]:
    """A read-only disk device at the same path in the container; spellings that mean the same stay."""
    wanted: dict[str, Value] = {"type": "disk", "source": path, "path": path, "readonly": True, "shift": True}
    kept = {} if exclusive else {key: value for key, value in stored.items() if key not in wanted}
    for key, value in wanted.items():
        kept[key] = stored[key] if same_value(value, stored.get(key)) else value_text(value)
    return kept


def difference(found: Profile | None, wanted: Profile | None) -> tuple[dict[str, object], dict[str, object]]:
    """The two profiles as the sides of a diff; an absent one is empty."""
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
