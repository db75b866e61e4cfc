# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module inx_host prints for a NixOS host."""

from __future__ import annotations

from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.host.declaration import host_from
from ansible_collections.inx.fleet.plugins.module_utils.host.nixos import lacking_lines
from ansible_collections.inx.fleet.plugins.module_utils.host.observed import Observed, Release
from ansible_collections.inx.fleet.plugins.modules.inx_host import OPTIONS

# A host that lacks everything.
_BARE = Observed(release=Release(id="nixos"))
_SETTINGS = {
    "cores": 7,
    "max-jobs": "auto",
    "auto-optimise-store": True,
    "sandbox": "relaxed",
    "trusted-users": ["root", "@builders"],
    "substituters": "https://cache.example.org https://cache.nixos.org",
    "min-free": "1073741824",
}
_HOSTS: dict[str, dict[str, Any]] = {
    "bare": {},
    "with settings": {"nix_settings": _SETTINGS},
    "without roots": {"gcroots": False},
}


def rendered() -> dict[str, str]:
    """Return the advice by host, each as a module beside the host's own configuration."""
    advice = {name: _lines(options) for name, options in _HOSTS.items()}
    modules = {name: f"{{ config, lib, pkgs, ... }}:\n{{\n{lines}\n}}\n" for name, lines in advice.items()}
    # Beside what people have already.
    own = 'nix.settings.experimental-features = [ "nix-command" ]; nix.settings.trusted-users = [ "alice" ];'
    modules["beside own settings"] = f"{{ imports = [ ({modules['with settings']}) {{ {own} }} ]; }}"
    return modules


def _lines(options: dict[str, Any]) -> str:
    defaults = {name: option.get("default") for name, option in OPTIONS.items()}
    return lacking_lines(host_from({**defaults, **options}), _BARE)
