# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Config and devices of an instance with those of its profiles, as Incus expands them: later ones override. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..incus.models import Config, Devices, Instance, Profile
from ..paths import DAEMON_SOCKET_DIR
from ..stored_keys import SELF_UPDATE
from ..values import Value, same_value
from .mount_tree import STORE


@dataclass(frozen=True, kw_only=True)
class Expanded:
    """What an instance has of its own and of its profiles. ``profile_of`` names the profile of a device."""

    config: Config
    devices: Devices
    profile_of: Mapping[str, str]

    @property
    def is_privileged(self) -> bool:
        """Return whether root in the container is root on the host."""
        return same_value(True, self.config.get("security.privileged", ""))

    @property
    def is_host_root(self) -> bool:
        """Return whether a user in the container is the host's uid 0."""
        return self.is_privileged or maps_host_root(self.config.get("raw.idmap", ""))

    @property
    def has_daemon(self) -> bool:
        """Return whether the socket of the Nix daemon is mounted."""
        socket = f"{DAEMON_SOCKET_DIR}/socket/"
        sources = [keys.get("source", "").rstrip("/") + "/" for keys in self.devices.values() if keys.get("source")]
        return any(source.startswith("/") and socket.startswith(source) for source in sources)


def expanded(names: Sequence[str], profiles: Mapping[str, Profile], config: Config, devices: Devices) -> Expanded:
    """Return what an instance has with these profiles, and this config and these devices of its own."""
    of_profiles: dict[str, Mapping[str, str]] = {}
    profile_of: dict[str, str] = {}
    for name in names:
        found = profiles[name].devices if name in profiles else {}
        of_profiles.update(found)
        profile_of.update(dict.fromkeys(found, name))
    return Expanded(
        config=expanded_config(names, profiles, config),
        devices={**of_profiles, **devices},
        profile_of={device: name for device, name in profile_of.items() if device not in devices},
    )


def expanded_now(instance: Instance, profiles: Mapping[str, Profile]) -> Expanded:
    """Return what an instance has now."""
    return expanded(instance.profiles, profiles, instance.config, instance.devices)


def expanded_config(names: Sequence[str], profiles: Mapping[str, Profile], own: Config) -> Config:
    """Return the config of an instance with these profiles."""
    config: dict[str, str] = {}
    for name in names:
        config.update(profiles[name].config if name in profiles else {})
    return {**config, **own}


def is_store_profile(profile: Profile) -> bool:
    """Return whether a profile shares the store, and nothing but paths of the host at their own places."""
    disks = [keys for keys in profile.devices.values() if keys.get("type") == "disk"]
    shares = [keys for keys in disks if keys.get("source", "").rstrip("/") == keys.get("path", "").rstrip("/")]
    has_store = any(keys.get("path", "").rstrip("/") == STORE for keys in shares)
    return has_store and len(shares) == len(profile.devices) and profile.config.keys() <= {SELF_UPDATE}


def maps_host_root(raw_idmap: str) -> bool:
    """Return whether lines of raw.idmap give some user of the container the host's uid 0."""
    lines = [line.split() for line in raw_idmap.splitlines()]
    return any(len(words) == 3 and words[0] in ("uid", "both") and words[1].partition("-")[0] == "0" for words in lines)


def root_names(devices: Mapping[str, Mapping[str, Value]]) -> list[str]:
    """Return the names of all root disks among devices."""
    return [name for name, keys in devices.items() if keys.get("type") == "disk" and keys.get("path") == "/"]


def root_name(devices: Mapping[str, Mapping[str, Value]]) -> str | None:
    """Return the name of the root disk among devices, None if there is none."""
    return next(iter(root_names(devices)), None)


def root_of(devices: Devices) -> Mapping[str, str]:
    """Return the root disk among devices, empty if there is none."""
    return devices.get(root_name(devices) or "", {})
