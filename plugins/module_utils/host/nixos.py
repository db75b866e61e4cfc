# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a NixOS host lacks, as lines of configuration.nix. Pure.

NixOS is configured by its configuration alone, so nothing is changed there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..incus.models import Profile, Server
from ..incus.store_profile import check_host
from ..paths import PROFILES_DIR
from ..redaction import is_secret_setting
from .declaration import HostDeclaration
from .managed import GCROOTS_PATH, GCROOTS_SERVICE, NIX_GC_SERVICE, PROFILES_GROUP, PROFILES_MODE, wanted_settings
from .objects import differences
from .observed import IncusState, Observed

# Settings that NixOS takes as lists, which merge with those of the configuration. See nixos/modules/config/nix.nix of
# nixpkgs; those that it does not name take both.
_LISTS = frozenset(
    (
        *("allowed-users", "experimental-features", "substituters", "system-features"),
        *("trusted-public-keys", "trusted-substituters", "trusted-users"),
    )
)
_PYTHON = (
    "environment.systemPackages = [ (pkgs.python3.withPackages (packages: [ packages.pylxd packages.jmespath ])) ];"
)
_EXTRA = "extra-"
_STARS = "********"
_SECTIONS = {"pool": "storage_pools", "network": "networks", "profile": "profiles"}
_NOTHING = IncusState(
    server=Server(name="", version="", extensions=frozenset(), idmapped_mounts=True),
    profiles={"default": Profile(name="default")},
)


def lacking_lines(declared: HostDeclaration, observed: Observed) -> str:
    """Return the lines that configuration.nix lacks, empty if it lacks nothing."""
    return "\n".join(_lines(declared, observed))


def _lines(declared: HostDeclaration, observed: Observed) -> Iterator[str]:
    if not observed.has_incus:
        yield "virtualisation.incus.enable = true;"
        yield "networking.nftables.enable = true;"
    yield from _settings(declared, observed)
    if not observed.has_python_packages:
        yield _PYTHON
    found = observed.paths.get(PROFILES_DIR)
    if found is None or (found.mode, found.owner, found.group) != (PROFILES_MODE, "root", PROFILES_GROUP):
        yield f'systemd.tmpfiles.rules = [ "d {PROFILES_DIR} {PROFILES_MODE:o} root {PROFILES_GROUP} -" ];'
    if declared.gcroots and not _is_watched(declared, observed):
        yield "# with nix/host.nix of the collection among the imports. Install the collection beside configuration.nix"
        yield "# (ansible-galaxy collection install -p . FILE), and import ./ansible_collections/inx/fleet/nix/host.nix"
        yield "inx.host.enable = true;"
        yield f"inx.host.gcroots.maxRoots = {declared.gcroots_max};"
    preseed = _preseed(declared, observed)
    if preseed:
        yield "virtualisation.incus.preseed = builtins.fromJSON ''"
        yield json.dumps(preseed, indent=2)
        yield "'';"


def _settings(declared: HostDeclaration, observed: Observed) -> Iterator[str]:
    for name, words in wanted_settings(declared).items():
        in_force = observed.nix_settings.get(name.removeprefix(_EXTRA), "")
        if not set(words.lower().split()) <= set(in_force.lower().split()):
            value = json.dumps(_STARS) if is_secret_setting(name) else _typed(name, words)
            yield f"nix.settings.{name} = {value};"


def _typed(name: str, words: str) -> str:
    """Return a setting of nix.conf with the type that NixOS gives it."""
    if name.startswith(_EXTRA) or name in _LISTS:
        return f"[ {' '.join(map(json.dumps, words.split()))} ]"
    if words in ("true", "false") or words.isdecimal():
        return words
    return json.dumps(words)


def _is_watched(declared: HostDeclaration, observed: Observed) -> bool:
    limit = f"--max-roots {declared.gcroots_max} "
    return (
        observed.unit(GCROOTS_PATH).is_active
        and f"inx-gcroots watch {limit}" in observed.commands.get(GCROOTS_SERVICE, "")
        and f"inx-gcroots sync {limit}" in observed.commands.get(NIX_GC_SERVICE, "")
    )


def _preseed(declared: HostDeclaration, observed: Observed) -> dict[str, list[Mapping[str, Any]]]:
    """Return what Incus does not hold as declared, in the form of its preseed file."""
    if observed.incus is not None:
        check_host(declared.store, observed.incus.server, observed.kind)
    preseed: dict[str, list[Mapping[str, Any]]] = {}
    for entry in differences(declared, observed.incus or _NOTHING):
        preseed.setdefault(_SECTIONS[entry.kind], []).append(entry.body)
    return preseed
