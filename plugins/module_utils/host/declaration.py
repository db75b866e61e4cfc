# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declare a host: the options of inx_host, checked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import FleetError
from ..incus.store_profile import StoreMount, store_mount_from
from ..text import UNPRINTABLE
from ..values import value_text

_RANGE = re.compile(r"[1-9]\d*:[1-9]\d*\Z")
_SETTING = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")
_MIRROR = re.compile(r"[a-z][a-z0-9+]*:/{1,2}[^\s]+\Z")


@dataclass(frozen=True, kw_only=True)
class Declared:
    """An object of Incus. What is empty is as it is found, or a default where there is nothing yet.

    ``kind`` is the driver of a pool, or the type of a network.
    """

    name: str = ""
    kind: str = ""
    config: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether anything of it is declared."""
        return bool(self.name or self.kind or self.config)


@dataclass(frozen=True, kw_only=True)
class HostDeclaration:
    """A host as declared. The settings of Nix are as nix.conf has them."""

    backports: bool = False
    debian_mirror: str | None = None
    nix_settings: Mapping[str, str] = field(default_factory=dict)
    nix_open: bool = True
    python_packages: tuple[str, ...] = ("pylxd>=2.3", "jmespath")
    pip_environment: Mapping[str, str] = field(default_factory=dict)
    subid_range: str = "1000000:1000000000"
    pool: Declared = Declared()
    network: Declared = Declared()
    store: StoreMount = field(default_factory=StoreMount)
    gcroots: bool = True
    gcroots_max: int = 10000


def host_from(params: Mapping[str, Any]) -> HostDeclaration:
    """Make a HostDeclaration of the parameters of inx_host. Raise FleetError for what is wrong with them."""
    _check(params)
    return HostDeclaration(
        backports=params["incus_source"] == "backports",
        debian_mirror=params["debian_mirror"] or None,
        nix_settings={name: setting_words(value) for name, value in params["nix_settings"].items()},
        nix_open=params["nix_open"],
        python_packages=tuple(params["python_packages"]),
        pip_environment={name: value_text(value) for name, value in params["pip_environment"].items()},
        subid_range=params["subid_range"],
        pool=Declared(
            name=params["storage_pool"] or "",
            kind=params["storage_driver"] or "",
            config=_config(params["storage_config"]),
        ),
        network=Declared(
            name=params["network"] or "", kind=params["network_type"] or "", config=_config(params["network_config"])
        ),
        store=_store_from(params),
        gcroots=params["gcroots"],
        gcroots_max=params["gcroots_max"],
    )


def _check(params: Mapping[str, Any]) -> None:
    if not _RANGE.match(params["subid_range"]):
        raise FleetError(
            f"subid_range: {params['subid_range']!r} is not a range of ids.", "Write it as FIRST:COUNT, in quotes."
        )
    mirror = params["debian_mirror"]
    if mirror and not _MIRROR.match(mirror):
        raise FleetError(f"debian_mirror: {mirror!r} is not a URL.", "Write it as https://HOST/debian.")
    if params["gcroots_max"] < 1:
        raise FleetError(f"gcroots_max is {params['gcroots_max']}.", "Use a number from 1.")
    for name, value in params["nix_settings"].items():
        if not _SETTING.match(str(name)) or UNPRINTABLE.search(setting_words(value)):
            raise FleetError(
                f"nix_settings: {name!r} is not a setting on one line.", "Use names of nix.conf, and lists for words."
            )


def _store_from(params: Mapping[str, Any]) -> StoreMount:
    return store_mount_from(
        {
            "name": params["store_profile"],
            "state": "present",
            "daemon": params["store_daemon"],
            "database": params["store_database"],
            "localtime": params["store_localtime"],
            "self_update": params["store_self_update"],
            "shared_paths": params["store_shared_paths"],
            "exclusive": False,
            "description": None,
        }
    )


def _config(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): value_text(value) for key, value in values.items()}


def setting_words(value: Any) -> str:
    """Return the value of a setting of Nix as nix.conf has it."""
    if isinstance(value, (list, tuple)):
        return " ".join(map(value_text, value))
    return value_text(value)
