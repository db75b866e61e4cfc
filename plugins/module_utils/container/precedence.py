# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Precedence of declarations: an entry overrides defaults per choice, not per key. Pure.

The table for users is in roles/containers/README.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from ..values import combined

Declaration: TypeAlias = Mapping[str, Any]

#: What says which system a container has, of which it has one, each with the options that belong to it.
SOURCES: Mapping[str, tuple[str, ...]] = {
    "flake": (),
    "file": ("attribute",),
    "system": ("copy_from",),
    "generation": ("restore_data",),
}
# Options whose own nulls say that Incus is to have no such key.
_NULL_REMOVES = ("config", "secret_config", "devices")
_AUTOSTART = "boot.autostart"
# The two ways to say where a nic is attached.
_MANAGED, _UNMANAGED = ("network",), ("nictype", "parent")


def laid_over(shared: Declaration, own: Declaration) -> dict[str, Any]:
    """Return a declaration with another one on top of it.

    Dictionaries are combined key by key, anything else is replaced. What the own one chooses takes the place of what
    the shared one chose, also where that used other keys. A null stays, for what the result is laid over in turn.
    """
    dropped = {*_other_sources(shared, own), *_other_volatile(shared, own), *_other_waiting(own)}
    left: dict[str, Any] = {key: value for key, value in shared.items() if key not in dropped}
    for option, keys in _other_keys(own).items():
        if isinstance(left.get(option), Mapping):
            left[option] = _without(left[option], keys)
    if _AUTOSTART in _keys(own, "config") and "autostart" not in own:
        left.pop("autostart", None)
    result = combined(left, own)
    if isinstance(shared.get("devices"), Mapping) and isinstance(own.get("devices"), Mapping):
        result["devices"] = {**shared["devices"], **_devices(shared["devices"], own["devices"])}
    if isinstance(shared.get("secrets"), Sequence) and isinstance(own.get("secrets"), Sequence) and own["secrets"]:
        result["secrets"] = _secrets(shared["secrets"], own["secrets"])
    return result


def without_nulls(declaration: Declaration) -> dict[str, Any]:
    """Return a declaration without the options that are null: what was to be taken away is not there any more."""
    return {
        key: _settled(value) if key not in _NULL_REMOVES else value
        for key, value in declaration.items()
        if value is not None
    }


def _settled(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_settled(entry) for entry in value]
    if isinstance(value, Mapping):
        return {key: entry for key, entry in value.items() if entry is not None}
    return value


def _other_sources(shared: Declaration, own: Declaration) -> set[str]:
    """Return the shared options that say another system than the own ones, or how to get it.

    A container that is to be absent has none.
    """
    if own.get("state") == "absent":
        return {key for source, companions in SOURCES.items() for key in (source, *companions) if key not in own}
    chosen = [key for key in SOURCES if own.get(key) is not None]
    replaced = {key for key in SOURCES if shared.get(key) is not None and (chosen or key in own)}
    # What belongs to a shared choice goes with it; alone, it is for whoever makes that choice.
    companions = {companion for key in replaced for companion in SOURCES[key]}
    foreign = {companion for key in SOURCES if chosen and key not in chosen for companion in SOURCES[key]}
    return {key for key in replaced | companions | foreign if key not in own}


def _other_volatile(shared: Declaration, own: Declaration) -> set[str]:
    """Return what is left of a shared volatile root: paths of a tmpfs without it, or it without paths."""
    if "volatile_root" in own and own["volatile_root"] in (None, "keep") and "tmpfs" not in own:
        return {"tmpfs"}
    emptied = "tmpfs" in own and not own["tmpfs"] and "volatile_root" not in own
    return {"volatile_root"} if emptied and shared.get("volatile_root") == "tmpfs" else set()


def _other_waiting(own: Declaration) -> set[str]:
    """Return the shared one of 'wait' and 'health' that the own one excludes: health cannot be seen without waiting."""
    if own.get("wait") in (False, "false", "no") and "health" not in own:
        return {"health"}
    return {"wait"} if own.get("health") is not None and "wait" not in own else set()


def _other_keys(own: Declaration) -> dict[str, set[str]]:
    """Return the shared keys, by option, for which the own declaration has another place."""
    config, secret = _keys(own, "config"), _keys(own, "secret_config")
    autostart = {_AUTOSTART} if own.get("autostart") is not None else set[str]()
    return {"config": (secret | autostart) - config, "secret_config": config - secret}


def _keys(declaration: Declaration, option: str) -> set[str]:
    value = declaration.get(option)
    return set(value) if isinstance(value, Mapping) else set()


def _devices(shared: Declaration, own: Declaration) -> dict[str, Any]:
    """Return the own devices, each with the shared keys below it that go with its own."""
    return {
        name: combined(_device_below(shared[name], keys), keys)
        if isinstance(keys, Mapping) and isinstance(shared.get(name), Mapping)
        else keys
        for name, keys in own.items()
    }


def _device_below(shared: Declaration, own: Declaration) -> Declaration:
    """Return the keys of a shared device that go with the own ones: none if it is a device of another type."""
    if own.get("type") is not None and shared.get("type") is not None and own["type"] != shared["type"]:
        return {}
    if any(own.get(key) is not None for key in _MANAGED):
        return _without(shared, _UNMANAGED)
    if any(own.get(key) is not None for key in _UNMANAGED):
        return _without(shared, _MANAGED)
    return shared


def _secrets(shared: Sequence[Any], own: Sequence[Any]) -> list[Any]:
    """Return the secrets of both by name, each own one with the shared keys below it."""
    names = [entry.get("name") if isinstance(entry, Mapping) else None for entry in shared]
    result = list(shared)
    for entry in own:
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if name is None or name not in names:
            result.append(entry)
            continue
        below = result[names.index(name)]
        # How a content is encoded belongs to it.
        replaced = {"encoding"} if entry.get("content") is not None else set[str]()
        result[names.index(name)] = combined(_without(below, replaced), entry)
    return result


def _without(declaration: Declaration, keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in declaration.items() if key not in keys}
