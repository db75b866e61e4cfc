# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Desired config, devices and profiles of an instance. Refuses what is not possible.

Pure, as the plan that it serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import FleetError
from ..incus.models import Config, Devices, Instance, Profile
from ..paths import LOCALTIME
from ..redaction import recorded_secrets
from ..stored_keys import (
    FAILED,
    HIDDEN_KEYS,
    PROFILES_LXC,
    RELEASED,
    SELF_UPDATE,
    SET,
    STORED_FAILED,
    STORED_NOTES,
    TAGS,
    VOLATILE_ROOT,
)
from ..values import Value, same_value, value_text
from .attached import attached_devices
from .boot_order import boot_config
from .declaration import Container, Device
from .devices import check_addresses, check_root_disk, declared_devices, name_of_root
from .expanded import (
    Expanded,
    expanded,
    expanded_config,
    expanded_now,
    is_store_profile,
    root_of,
)
from .in_force import NIC_KEY, mounted_anew, restart_notes, stale_disks, waiting
from .kind import PROFILES_DEVICE, PROFILES_TARGET
from .mounts import Volumes, check_mounts, check_pool, late_changes, mount_devices, volumes_change
from .observed import Observed
from .raw_lxc import lines_of, raw_lxc, without_ours
from .released import left_hidden, without_hiding
from .secret_device import directory_of, secrets_device

# Free text: two spellings of a size or a truth are two texts there.
_FREE_TEXT = ("user.", "environment.", "cloud-init.", "raw.")


@dataclass(frozen=True, kw_only=True)
class Change:
    """What differs on an instance, by part (config, devices, profiles, ...); None stands for "not there".

    ``late`` are the devices, of the instance or of its profiles, that change only while it is stopped.
    """

    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    late: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    #: What else comes into force at the next start, in words, and what is to be noted of the config keys.
    waiting: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    def without_late(self) -> Change:
        """Return what can be done while it runs. Profiles wait as a whole if devices of theirs do."""
        own = self.after.get("devices", {}).keys()
        # What is noted of devices goes with the last of them.
        waits = {RELEASED} if self.late & own else set()

        def rest(side: Mapping[str, Any]) -> dict[str, Any]:
            left = {part: value for part, value in side.items() if not (self.late - own and part == "profiles")}
            for part, late in (("devices", self.late), ("config", waits)):
                left[part] = {name: value for name, value in side.get(part, {}).items() if name not in late}
            return {part: left[part] for part in side if part in left and left[part] != {}}

        return replace(self, before=rest(self.before), after=rest(self.after), late=frozenset())


def creation(declared: Container, observed: Observed) -> dict[str, Any]:
    """Return the body that creates the instance (InstancesPost, without its source)."""
    wanted_config = _declared_config(declared, {})
    config = {key: value_text(value) for key, value in wanted_config.items() if value is not None}
    profiles = _wanted_profiles(declared, None, observed)
    inherited = _inherited_lxc(profiles, observed)
    config["raw.lxc"] = raw_lxc(declared, {}, inherited, observed)
    if inherited:
        config[PROFILES_LXC] = "\n".join(inherited)
    devices: dict[str, dict[str, str]] = {}
    for name, wanted in _wanted_devices(declared, None, observed).items():
        if wanted is not None:
            devices[name] = _merged({}, wanted)
    config[SELF_UPDATE] = _noted_self_update(devices[PROFILES_DEVICE])
    _check_expanded(declared, observed, None, expanded(profiles, observed.profiles, config, devices))
    body: dict[str, Any] = {"name": declared.name, "config": config, "devices": devices, "profiles": list(profiles)}
    if declared.description is not None:
        body["description"] = declared.description
    if declared.ephemeral is not None:
        body["ephemeral"] = declared.ephemeral
    return body


def body_after(instance: Instance, differs: Change) -> dict[str, Any]:
    """Return the config, devices and profiles of an instance when a change is done."""
    return {
        "config": _patched(instance.config, differs.after.get("config", {})),
        "devices": _patched(instance.devices, differs.after.get("devices", {})),
        "profiles": list(differs.after.get("profiles", instance.profiles)),
    }


def change(declared: Container, instance: Instance, observed: Observed) -> Change:
    """Return what differs on an instance from what is declared. Raise FleetError for what it must not become."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}

    def differs(part: str, old: Any, new: Any) -> None:
        before[part], after[part] = old, new

    config = _config_change(declared, instance, observed)
    devices = _devices_change(declared, instance, observed)
    if _turns_self_update(instance, devices):
        config[SELF_UPDATE] = _noted_self_update(devices[PROFILES_DEVICE] or {})
    if config:
        differs("config", {key: instance.config.get(key) for key in config}, config)
    if devices:
        differs("devices", {name: _device_or_none(instance, name) for name in devices}, devices)
    profiles = _wanted_profiles(declared, instance, observed)
    if profiles != instance.profiles:
        differs("profiles", list(instance.profiles), list(profiles))
    if declared.description is not None and declared.description != instance.description:
        differs("description", instance.description, declared.description)
    if declared.ephemeral is not None and declared.ephemeral != instance.ephemeral:
        differs("ephemeral", instance.ephemeral, declared.ephemeral)
    now = expanded_now(instance, observed.profiles)
    wanted = expanded(
        profiles, observed.profiles, _patched(instance.config, config), _patched(instance.devices, devices)
    )
    warnings = _check_expanded(declared, observed, now, wanted)
    waits = waiting(now, wanted, instance, observed) if instance.is_running else {}
    stale = stale_disks(now.devices, wanted.devices, observed.replaced.disks - mounted_anew(declared, observed))
    return Change(
        before=before,
        after=after,
        late=late_changes(now, wanted, instance, observed, devices),
        warnings=warnings,
        waiting=(*map(_label, waits), *(f"device {name} (its source was replaced)" for name in sorted(stale))),
        notes=restart_notes(instance, waits),
    )


def _label(key: str) -> str:
    """Return what waits for a start, in words."""
    nic, sign, option = key.partition(NIC_KEY)
    return f"device {nic} ({option})" if sign and option.endswith(".address") else f"config {key}"


def _config_change(declared: Container, instance: Instance, observed: Observed) -> dict[str, str | None]:
    change: dict[str, str | None] = {}
    wanted_config = {**_declared_config(declared, instance.config), **_notes_on(instance, observed)}
    for key, value in wanted_config.items():
        if key != "raw.lxc" and not _same_config(key, value, instance.config.get(key)):
            change[key] = None if value is None else value_text(value)
    inherited = _inherited_lxc(_wanted_profiles(declared, instance, observed), observed)
    wanted = raw_lxc(declared, instance.config, inherited, observed)
    if lines_of(instance.config.get("raw.lxc", "")) != lines_of(wanted):
        change["raw.lxc"] = wanted
    if inherited != lines_of(instance.config.get(PROFILES_LXC, "")):
        change[PROFILES_LXC] = "\n".join(inherited) or None
    return change


def _declared_config(declared: Container, stored: Config) -> Mapping[str, Value]:
    own: dict[str, Value] = {}
    # What was a secret once stays one for as long as the key is there, whatever its value is now.
    once = recorded_secrets(stored) | declared.secrets
    secrets = {key for key in once if declared.config.get(key, stored.get(key)) is not None}
    if secrets or HIDDEN_KEYS in stored:
        own[HIDDEN_KEYS] = " ".join(sorted(secrets)) or None
    if declared.set_name is not None:
        own[SET] = declared.set_name
    if declared.tags is not None:
        own[TAGS] = ",".join(declared.tags) or None
    if declared.volatile.root is not None:
        own[VOLATILE_ROOT] = "rebuild" if declared.volatile.root == "rebuild" else None
    return {**declared.config, **boot_config(declared, stored), **own}


def _notes_on(instance: Instance, observed: Observed) -> dict[str, Value]:
    """Return the notes that an instance is to have on it: those of earlier releases and of killed runs go.

    In a cluster the systems that were found bad stand there, for the member that it moves to.
    """
    on_it = dict.fromkeys(key for key in (*STORED_NOTES, RELEASED) if key in instance.config)
    return on_it if observed.member is None else {**on_it, STORED_FAILED: instance.notes.get(FAILED)}


def _same_config(key: str, declared: Value, stored: str | None) -> bool:
    if key.startswith(_FREE_TEXT) and declared is not None:
        return value_text(declared) == (stored or "")
    return same_value(declared, stored)


def _inherited_lxc(profiles: Sequence[str], observed: Observed) -> list[str]:
    """Return the lines of raw.lxc that profiles have."""
    return without_ours(lines_of(expanded_config(profiles, observed.profiles, {}).get("raw.lxc", "")))


def _wanted_devices(declared: Container, instance: Instance | None, observed: Observed) -> dict[str, Device | None]:
    profiles = _wanted_profiles(declared, instance, observed)
    from_profiles = expanded(profiles, observed.profiles, {}, {}).devices
    stored = {} if instance is None else instance.devices
    wanted: dict[str, Device | None] = {
        PROFILES_DEVICE: _profiles_device(declared, instance, profiles, observed),
        **_localtime_device(declared, stored, from_profiles, observed),
    }
    root = name_of_root(declared, stored, from_profiles)
    if declared.storage_pool is not None or declared.root_size is not None:
        wanted[root] = _root_device(declared, instance, from_profiles, observed)
    wanted.update(declared_devices(declared, root, wanted.get(root), from_profiles))
    root_pool = _root_pool(wanted.get(root), stored, from_profiles)
    for device in declared.devices.values():
        pool = (device or {}).get("pool")
        check_pool(declared, None if pool is None else str(pool), observed)
    return {
        **wanted,
        **attached_devices(declared.publish, declared.bind_mounts, stored),
        **secrets_device(declared.secret_files, directory_of(declared.project, declared.name), stored),
        **mount_devices(declared, instance, root_pool, observed),
    }


def _localtime_device(
    declared: Container, stored: Devices, from_profiles: Devices, observed: Observed
) -> dict[str, Device | None]:
    """Return the share of the host's time zone: to be there, to go, or neither if a profile shares it."""
    if not declared.localtime:
        return {"localtime": None} if stored.get("localtime", {}).get("path") == LOCALTIME else {}
    if any(device.get("path") == LOCALTIME for device in from_profiles.values()):
        return {}
    if not observed.has_localtime:
        raise FleetError(
            f"{declared.name}: the host has no {LOCALTIME} to share.",
            "Install tzdata on the host, or declare 'localtime: false'.",
        )
    return {
        "localtime": {"type": "disk", "source": LOCALTIME, "path": LOCALTIME, "readonly": True, "shift": True},
    }


def _root_pool(wanted: Device | None, stored: Devices, from_profiles: Devices) -> str | None:
    pool = (wanted or {}).get("pool") or root_of(stored).get("pool") or root_of(from_profiles).get("pool")
    return None if pool is None else str(pool)


def volume_change(declared: Container, instance: Instance | None, observed: Observed) -> tuple[Volumes, Volumes]:
    """Return the container's volumes that are missing or have another size, before and after."""
    return volumes_change(declared, _wanted_devices(declared, instance, observed), observed)


def _profiles_device(
    declared: Container, instance: Instance | None, profiles: Sequence[str], observed: Observed
) -> Device:
    """Return the device for the container's own Nix profile."""
    device: dict[str, Value] = {
        "type": "disk",
        "source": declared.profile_dir,
        "path": PROFILES_TARGET,
        "shift": True,
    }
    self_update = _self_update(declared, instance, profiles, observed)
    return device if self_update is None else {**device, "readonly": not self_update}


def _self_update(
    declared: Container, instance: Instance | None, profiles: Sequence[str], observed: Observed
) -> bool | None:
    """Return whether the container may write its profile, as declared or as created. None leaves what exists.

    That is for one that somebody else has made, which may be updating itself.
    """
    if declared.self_update is not None:
        return declared.self_update
    noted = None if instance is None else instance.config.get(SELF_UPDATE)
    if noted is not None:
        return noted == "true"
    if instance is not None and PROFILES_DEVICE in instance.devices:
        return None
    return expanded_config(profiles, observed.profiles, {}).get(SELF_UPDATE) == "true"


def _turns_self_update(instance: Instance, devices: Mapping[str, Mapping[str, str] | None]) -> bool:
    """Return whether a change of devices decides on self_update, and does not only repair the mount."""
    new = devices.get(PROFILES_DEVICE)
    if new is None or "readonly" not in new:
        return False
    old = instance.devices.get(PROFILES_DEVICE, {})
    noted = instance.config.get(SELF_UPDATE) == _noted_self_update(new)
    return not noted and not same_value(new["readonly"], old.get("readonly"))


def _noted_self_update(profiles_device: Mapping[str, str]) -> str:
    return value_text(not same_value(True, profiles_device.get("readonly", "")))


def _root_device(declared: Container, instance: Instance | None, from_profiles: Devices, observed: Observed) -> Device:
    pool = declared.storage_pool
    check_pool(declared, pool, observed)
    inherited = root_of({} if instance is None else instance.devices) or root_of(from_profiles)
    device: dict[str, Value] = {"type": "disk", "path": "/", "pool": pool or inherited.get("pool")}
    if declared.root_size is not None:
        device["size"] = declared.root_size
    return device


def _devices_change(declared: Container, instance: Instance, observed: Observed) -> dict[str, dict[str, str] | None]:
    own = without_hiding(instance)
    # What hides a device of the profiles since a release is as good as gone.
    change: dict[str, dict[str, str] | None] = dict.fromkeys(left_hidden(instance))
    for name, wanted in _wanted_devices(declared, own, observed).items():
        stored = own.devices.get(name)
        if wanted is None:
            if stored is not None:
                change[name] = None
        elif stored is None or not all(same_value(value, stored.get(key)) for key, value in wanted.items()):
            change[name] = _merged({} if stored is None or _is_other_kind(stored, wanted) else stored, wanted)
    return {name: keys for name, keys in change.items() if keys != instance.devices.get(name)}


def _is_other_kind(stored: Mapping[str, str], wanted: Device) -> bool:
    """Return whether a device is to be of another type, so that keys of the old one mean nothing to it."""
    if not same_value(wanted.get("type"), stored.get("type")) and wanted.get("type") is not None:
        return True
    # Incus: doc/reference/devices_nic: a network says what these say otherwise, and is refused beside them.
    return bool(wanted.get("network") and "nictype" in stored) or bool(wanted.get("nictype") and "network" in stored)


def _merged(stored: Mapping[str, str], wanted: Device) -> dict[str, str]:
    """Return a device with declared keys set, keys declared as null removed, and the others kept."""
    merged = {key: value for key, value in stored.items() if key not in wanted}
    for key, value in wanted.items():
        if key in stored and same_value(value, stored[key]):
            merged[key] = stored[key]
        elif value is not None:
            merged[key] = value_text(value)
    return merged


def _device_or_none(instance: Instance, name: str) -> dict[str, str] | None:
    stored = instance.devices.get(name)
    return None if stored is None else dict(stored)


def _wanted_profiles(declared: Container, instance: Instance | None, observed: Observed) -> tuple[str, ...]:
    """Return the profiles, with one store profile among them unless others are declared."""
    store = declared.store_profile
    if declared.profiles is not None:
        profiles = declared.profiles
    elif instance is None:
        profiles = ("default",)
    else:
        profiles = _with_one_store_profile(instance.profiles, store, observed.profiles)
    return profiles if store in profiles else (*profiles, store)


def _with_one_store_profile(names: Sequence[str], store: str, profiles: Mapping[str, Profile]) -> tuple[str, ...]:
    """Return profiles with ``store`` in the place of another store profile: later ones win, so the place counts."""
    others = [name for name in names if name != store and name in profiles and is_store_profile(profiles[name])]
    if not others:
        return tuple(names)
    place = names.index(store if store in names else others[0])
    return tuple(
        store if number == place else name for number, name in enumerate(names) if number == place or name not in others
    )


# What is refused


def _check_expanded(declared: Container, observed: Observed, now: Expanded | None, wanted: Expanded) -> tuple[str, ...]:
    """Raise FleetError for what profiles and instance together must not be; return warnings of what they are.

    ``now`` is what an instance has.
    """
    warnings = check_mounts(declared, observed, now, wanted)
    check_root_disk(declared, observed, now, wanted)
    check_addresses(declared, wanted)
    if not declared.allow_privileged and wanted.is_host_root and wanted.has_daemon:
        raise FleetError(
            f"{declared.name} is privileged and has the socket of the Nix daemon: "
            "its root would be the daemon's trusted root, and so the host's.",
            "Make it unprivileged, give it a store profile with 'daemon: false', "
            "or declare 'allow_privileged: true' if that is what you want.",
        )
    return warnings


def _patched(stored: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    patched = {**stored, **change}
    return {key: value for key, value in patched.items() if value is not None}
