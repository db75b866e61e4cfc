# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage pool, network and profiles of a host: what Incus should hold, and what it does not. Pure.

What is not declared is as it is found, and gets a default only where there is nothing yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..errors import FleetError
from ..incus.models import Config, Profile, profile_body
from ..incus.store_profile import difference, wanted_profile
from ..text import incus_command
from ..values import same_value
from .declaration import Declared, HostDeclaration
from .observed import Held, IncusState

DEFAULT_PROFILE = "default"
_NEW_POOL = Declared(name="default", kind="dir")
_NEW_NETWORK = Declared(name="incusbr0", kind="bridge")
_NEW_BRIDGE_CONFIG = {"ipv4.address": "10.55.0.1/24", "ipv4.nat": "true", "ipv6.address": "none"}
# Incus: internal/server/db/storage_pools.go, NodeSpecificStorageConfig, and networks.go, NodeSpecificNetworkConfig. It
# neither lists them for a cluster nor lets a cluster change them.
_MEMBER_KEYS = frozenset(
    (
        *("bgp.ipv4.nexthop", "bgp.ipv6.nexthop", "bridge.external_interfaces", "lvm.thinpool_name", "lvm.vg_name"),
        *("parent", "size", "source", "source.wipe", "volatile.initial_source", "zfs.pool_name"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An object that Incus does not hold as it should: the ``body`` has it in the form of Incus' preseed file.

    ``is_new`` says that it does not exist, and ``is_whole`` that the body is all of it. ``before`` and ``after`` have
    what changes.
    """

    kind: Literal["pool", "network", "profile"]
    name: str
    body: Mapping[str, Any]
    is_new: bool
    is_whole: bool = False
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)


def differences(declared: HostDeclaration, state: IncusState) -> list[Difference]:
    """Return what Incus does not hold as declared, in the order in which one needs the other."""
    return [
        *_of_pool(declared.pool, state),
        *_of_network(declared.network, state),
        *_of_default_profile(declared, state),
        *_of_store_profile(declared, state),
    ]


# The storage pool


def _pool_name(declared: Declared, state: IncusState) -> str:
    """Return the pool for containers: as declared, of the default profile, the only one, or a new one."""
    used = _root_device(state)[1].get("pool")
    only = next(iter(state.pools)) if len(state.pools) == 1 else None
    return declared.name or used or only or _NEW_POOL.name


def _of_pool(declared: Declared, state: IncusState) -> Iterator[Difference]:
    name = _pool_name(declared, state)
    found = state.pools.get(name)
    if found is None:
        kind = declared.kind or _NEW_POOL.kind
        yield _creation("pool", replace(declared, name=name, kind=kind), {"driver": kind})
        return
    if declared.kind not in ("", found.kind):
        raise FleetError(
            f"The storage pool {name!r} has the driver {found.kind!r}, and {declared.kind!r} is declared.",
            "Declare another storage_pool, or no storage_driver.",
        )
    yield from _correction("pool", declared.config, found, {"driver": found.kind})


# The network


def _network_name(declared: Declared, state: IncusState) -> str:
    """Return the network for containers. It is empty if their nic is on an interface that Incus does not manage."""
    _name, nic = _nic_device(state)
    managed = {name: held for name, held in state.networks.items() if held.is_managed}
    on = _interface(nic)
    if declared.name or on in managed:
        return declared.name or on
    if nic and not declared:
        return ""
    bridges = [name for name, held in managed.items() if held.kind == "bridge"]
    return bridges[0] if len(bridges) == 1 else _NEW_NETWORK.name


def _of_network(declared: Declared, state: IncusState) -> Iterator[Difference]:
    name = _network_name(declared, state)
    if not name:
        return
    _check_nic(declared, name, state)
    found = state.networks.get(name)
    if found is None:
        kind = declared.kind or _NEW_NETWORK.kind
        config = declared.config or (_NEW_BRIDGE_CONFIG if kind == "bridge" else {})
        yield _creation("network", Declared(name=name, kind=kind, config=config), {"type": kind})
        return
    if not found.is_managed:
        raise FleetError(
            f"{name} is an interface of this host that Incus does not manage.",
            "Declare another network for containers.",
        )
    if declared.kind not in ("", found.kind):
        raise FleetError(
            f"The network {name!r} is of the type {found.kind!r}, and {declared.kind!r} is declared.",
            "Declare another network, or no network_type.",
        )
    # Incus chooses for "auto" once, and keeps what it chose.
    config = {key: value for key, value in declared.config.items() if value != "auto"}
    yield from _correction("network", config, found, {"type": found.kind})


def _check_nic(declared: Declared, name: str, state: IncusState) -> None:
    """Raise FleetError if the default profile's nic is on an interface of the host, and a network is declared."""
    device, nic = _nic_device(state)
    if declared and "nictype" in nic and _interface(nic) != name:
        removal = incus_command(None, "profile", "device", "remove", DEFAULT_PROFILE, device)
        raise FleetError(
            f"The nic {device} of Incus' default profile is on {_interface(nic)}, and the network {name} is declared.",
            f"Remove the nic ('{removal}'), or declare no network, network_type and network_config.",
        )


# Profiles


def _root_device(state: IncusState) -> tuple[str, Config]:
    """Return the root disk of the default profile by its name, empty if it has none."""
    devices = _default_profile(state).devices
    return next(((name, keys) for name, keys in devices.items() if keys.get("path") == "/"), ("root", {}))


def _nic_device(state: IncusState) -> tuple[str, Config]:
    """Return the nic of the default profile by its name, empty if it has none."""
    devices = _default_profile(state).devices
    if "eth0" in devices:
        return "eth0", devices["eth0"]
    return next(((name, keys) for name, keys in devices.items() if keys.get("type") == "nic"), ("eth0", {}))


def _interface(nic: Config) -> str:
    return nic.get("network") or nic.get("parent") or ""


def _default_profile(state: IncusState) -> Profile:
    return state.profiles.get(DEFAULT_PROFILE) or Profile(name=DEFAULT_PROFILE)


def has_root_disk(state: IncusState) -> bool:
    """Return whether containers get a root disk from the default profile."""
    return bool(_root_device(state)[1])


def _of_default_profile(declared: HostDeclaration, state: IncusState) -> Iterator[Difference]:
    found = _default_profile(state)
    root, nic = _root_device(state), _nic_device(state)
    wanted = {root[0]: {"type": "disk", "path": "/", "pool": _pool_name(declared.pool, state)}}
    network = _network_name(declared.network, state)
    if network not in ("", _interface(nic[1])):
        wanted[nic[0]] = {"type": "nic", "name": nic[1].get("name", "eth0"), "network": network}
    changed = {
        name: keys for name, keys in wanted.items() if not keys.items() <= dict(found.devices.get(name, {})).items()
    }
    if changed:
        devices = {name: {**found.devices.get(name, {}), **keys} for name, keys in changed.items()}
        yield Difference(
            kind="profile",
            name=DEFAULT_PROFILE,
            body={"name": DEFAULT_PROFILE, "devices": devices},
            is_new=DEFAULT_PROFILE not in state.profiles,
            before={"devices": {name: found.devices.get(name) for name in devices}},
            after={"devices": devices},
        )


def _of_store_profile(declared: HostDeclaration, state: IncusState) -> Iterator[Difference]:
    name = declared.store.name
    if name == DEFAULT_PROFILE:
        raise FleetError("The store cannot be shared by Incus' default profile.", "Give store_profile another name.")
    found = state.profiles.get(name)
    wanted = wanted_profile(declared.store, found)
    if wanted != found:
        before, after = difference(found, wanted)
        yield Difference(
            kind="profile",
            name=name,
            body={"name": name, **profile_body(wanted)},
            is_new=found is None,
            is_whole=True,
            before=before,
            after=after,
        )


# All of them


def _creation(kind: Literal["pool", "network"], wanted: Declared, of_kind: Mapping[str, str]) -> Difference:
    body = {"name": wanted.name, **of_kind, "config": dict(wanted.config)}
    return Difference(kind=kind, name=wanted.name, body=body, is_new=True, after={**of_kind, "config": body["config"]})


def _correction(
    kind: Literal["pool", "network"], config: Config, found: Held, of_kind: Mapping[str, str]
) -> Iterator[Difference]:
    """Yield the keys that differ. Other keys stay."""
    keys = config.keys() - _MEMBER_KEYS if found.is_clustered else config.keys()
    changed = {key: config[key] for key in sorted(keys) if not same_value(config[key], found.config.get(key))}
    if changed:
        yield Difference(
            kind=kind,
            name=found.name,
            body={"name": found.name, **of_kind, "config": changed},
            is_new=False,
            before={"config": {key: found.config.get(key) for key in changed}},
            after={"config": changed},
        )
