# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role host prints for a NixOS host, rendered as the role does it."""

from __future__ import annotations

from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.inx.fleet.tests.nixos.evaluation import COLLECTION

ROLE = COLLECTION / "roles" / "host"
# A host that lacks everything, as the role's tasks would have found it.
_BARE: dict[str, Any] = {
    "role_path": str(ROLE),
    "ansible_facts": {"distribution": "NixOS"},
    "__inx_host_incus_on_nixos": {"stat": {"exists": False}},
    "__inx_host_nix_config": {"stdout": "{}"},
    "__inx_host_pythons": {"results": [{"rc": 1}, {"rc": 2}]},
    "__inx_host_profiles": {"stat": {"exists": False}},
    "__inx_host_gcroots_shown": {"stdout": "ActiveState=inactive\n\n\n\n"},
    "__inx_host_held": {"storage_pools": [], "networks": [], "profiles": []},
    "__inx_host_store": {"changed": False},
}
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
    "with settings": {"inx_host_nix_settings": _SETTINGS},
    "without roots": {"inx_host_gcroots": False},
}


def rendered() -> dict[str, str]:
    """Return the advice by host, each as a module beside the host's own configuration."""
    advice = {name: _lines(more) for name, more in _HOSTS.items()}
    modules = {name: f"{{ config, lib, pkgs, ... }}:\n{{\n{lines}\n}}\n" for name, lines in advice.items()}
    # Beside what people have already.
    own = 'nix.settings.experimental-features = [ "nix-command" ]; nix.settings.trusted-users = [ "alice" ];'
    modules["beside own settings"] = f"{{ imports = [ ({modules['with settings']}) {{ {own} }} ]; }}"
    return modules


def _lines(more: dict[str, Any]) -> str:
    variables = {**_read("defaults/main.yml"), **_read("vars/main.yml"), **_BARE, **more}
    wanted = variables["__inx_host_wanted"]
    variables["__inx_host_different"] = {
        section: wanted[section] for section in ("storage_pools", "networks", "profiles")
    }
    templar = Templar(loader=DataLoader(), variables=_trusted(variables))
    text = (ROLE / "templates" / "configuration.nix.j2").read_text(encoding="utf-8")
    answer: str = templar.template(trust_as_template(text))
    return answer


def _trusted(node: Any) -> Any:
    """Return the same with every text as a template, as Ansible reads a role's files."""
    if isinstance(node, dict):
        return {key: _trusted(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_trusted(value) for value in node]
    return trust_as_template(node) if isinstance(node, str) else node


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / name).read_text(encoding="utf-8"))
    return found
