#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_system
short_description: Build the NixOS systems of containers
version_added: 0.1.0
description:
  - Evaluates and builds the systems that a list of containers declares, and creates GC roots for them on the host
    that it runs on. It changes no container.
  - Run it on a build host, and pass the result to M(inx.fleet.inx_containers) on the other hosts, with
    O(inx.fleet.inx_containers#module:containers[].copy_from). The role P(inx.fleet.containers#role) does this if
    C(inx_containers_build_host) is set.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
  - inx.fleet.container.set
  - inx.fleet.nix
attributes:
  check_mode:
    support: partial
    details:
      - Check mode evaluates the declared systems. Nix then copies sources and derivations into the store, and builds
        what the evaluation itself imports. It builds nothing else without O(build_in_check_mode).
notes:
  - The GC roots are links in C(/nix/var/nix/gcroots/inx-systems/NAME), or C(.../NAME:PROJECT:SET) with O(set), one
    for each container. A new system of a container replaces the one before.
  - The GC roots for a host that is gone are kept. The playbook C(inx.fleet.collect_garbage) reports them, and removes
    those of hosts in C(inx_forget_hosts).
  - Needs no Incus, and no pylxd.
seealso:
  - module: inx.fleet.inx_containers
options:
  name:
    description:
      - Name for the GC roots, such as the name of the host that the systems are for. GC roots of this name, O(set) and
        O(project) that belong to no container in O(containers) are removed.
    type: str
    required: true
  set:
    description:
      - Name of the set of containers, if the host has several. Each set of each O(project) has its own GC roots.
    type: str
  project:
    description:
      - Incus project of the containers. It is only used with O(set).
    type: str
    default: default
  containers:
    description:
      - Containers, as in O(inx.fleet.inx_containers#module:containers). Only the options that select the system and
        configure nix are used. Containers without O(containers[].flake) and O(containers[].file) need no build.
    type: list
    elements: dict
    required: true
  defaults:
    description:
      - Options that all containers share, as in O(inx.fleet.inx_containers#module:defaults).
    type: dict
    default: {}
  keep_going:
    description:
      - Whether to succeed if systems cannot be built, and return them in RV(build_failures) for
        O(inx.fleet.inx_containers#module:build_failures). The others are built in any case.
    type: bool
    default: false
  only:
    description:
      - Names of the containers to build for, or patterns such as V(web-*). The GC roots of others are kept, and
        RV(containers) has them without a system, for O(inx.fleet.inx_containers#module:only).
    type: list
    elements: str
  copy_to:
    description:
      - URL of a Nix store to copy the systems to, with their closures, such as V(ssh-ng://root@cache.example.org),
        V(s3://bucket?region=eu-west-1) or V(file:///srv/cache). Paths that are there already are not copied again.
      - Hosts copy from this store, or the address that serves it, with
        O(inx.fleet.inx_containers#module:containers[].copy_from).
    type: str
  signing_key:
    description:
      - Path of a secret key on the build host, to sign what is copied to O(copy_to). Hosts accept it if the
        public key is in their C(trusted-public-keys).
      - C(nix-store --generate-binary-cache-key NAME SECRET_FILE PUBLIC_FILE) creates a key.
    type: path
"""

EXAMPLES = r"""
- name: Build for this host on a build host
  inx.fleet.inx_system:
    name: "{{ inventory_hostname }}"
    containers: "{{ my_containers }}"
    defaults:
      flake: /etc/nixos
    keep_going: true
  delegate_to: builder.example.org
  register: built

- name: Run the systems from the build host
  inx.fleet.inx_containers:
    containers: "{{ built.containers }}"
    build_failures: "{{ built.build_failures }}"
    defaults:
      copy_from: ssh-ng://root@builder.example.org

- name: Build and sign systems, and copy them to a cache
  inx.fleet.inx_system:
    name: "{{ inventory_hostname }}"
    containers: "{{ my_containers }}"
    defaults:
      flake: /etc/nixos
    copy_to: file:///srv/cache
    signing_key: /etc/nix/cache.key
  delegate_to: builder.example.org
"""

RETURN = r"""
systems:
  description: Store path of each container's system, by the name of the container.
  returned: always
  type: dict
  sample: {"web": "/nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11"}
copied:
  description: Store paths that were copied to O(copy_to), or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: []
locked_inputs:
  description: Inputs that the lock file of each container's flake pins, by the name of the container.
  returned: always
  type: dict
  sample: {"web": ["nixpkgs"]}
build_failures:
  description: Errors of systems that could not be built, by the name of the container.
  returned: always
  type: dict
  sample: {}
containers:
  description:
    - O(containers) with C(system) instead of its sources, and without O(containers[].secret_config) and
      O(containers[].secrets). Containers that failed, are absent or are not selected have neither sources nor
      C(system). Ansible hides passwords and tokens in them, such as those in C(nix_options).
  returned: always
  type: list
  elements: dict
log:
  description:
    - Path of the run's log on the host, which only root can read. It has the plan, the steps and their times, and what
      other programs said in full when something failed.
  returned: if something was changed, or failed, on a host where the module runs as root
  type: str
  sample: /var/log/inx-fleet/20261130T101458.000001Z-inx_system-4711.jsonl
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import (
    NIX_OPTIONS,
    SET_OPTIONS,
    SetModule,
    declared_containers,
    open_nix,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.results import errors_by_name
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import chosen_containers
from ansible_collections.inx.fleet.plugins.module_utils.container.telling import tell_end
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.push import push_from
from ansible_collections.inx.fleet.plugins.module_utils.nix.systems import Built, build_systems, roots_directory

_SOURCE = ("flake", "file", "attribute")
# What Ansible would return as stars.
_SECRET = ("secret_config", "secrets")


def main() -> None:
    options: dict[str, Any] = {
        **NIX_OPTIONS,
        **SET_OPTIONS,
        "name": {"type": "str", "required": True},
        "set": {"type": "str"},
        "project": {"type": "str", "default": "default"},
        "keep_going": {"type": "bool", "default": False},
        "copy_to": {"type": "str"},
        "signing_key": {"type": "path"},
    }
    module = SetModule(argument_spec=options, required_by={"signing_key": ("copy_to",)}, supports_check_mode=True)
    try:
        directory = roots_directory(module.params["name"], module.params["set"], module.params["project"])
        containers = declared_containers(module.params)
        chosen = chosen_containers(module.params, containers)
        others = {one.name for one in containers} - {one.name for one in chosen}
        declared = {one.name: (one.source, one.nix) for one in chosen if one.source is not None}
        push = push_from(module.params)
        built = build_systems(
            open_nix(module),
            declared,
            others,
            directory,
            push=push,
            check=module.check_mode,
            build=module.params["build_in_check_mode"],
        )
    except FleetError as error:
        module.fail_json(msg=str(error))
    _end_with(module, built)


def _end_with(module: SetModule, built: Built) -> None:
    result: dict[str, Any] = {
        "changed": built.before != built.after or bool(built.copied),
        "systems": dict(built.systems),
        "copied": list(built.copied),
        "locked_inputs": {name: list(inputs) for name, inputs in built.locked_inputs.items()},
        "build_failures": {name: str(error) for name, error in built.failed.items()},
        "containers": [_with_system(entry, built.systems) for entry in module.params["containers"]],
    }
    for name, error in built.failed.items():
        tell_end(module.events, name, error)
    for warning in built.warnings:
        module.warn(warning)
    if module._diff:
        copied = {"copied": list(built.copied)} if built.copied else {}
        result["diff"] = {"before": dict(built.before), "after": {**built.after, **copied}}
    if built.failed and not module.params["keep_going"]:
        total = len(built.failed) + len(built.systems)
        module.fail_json(msg=errors_by_name(built.failed, f"{len(built.failed)} of {total} systems failed:"), **result)
    module.exit_json(**result)


def _with_system(entry: Mapping[str, Any], systems: Mapping[str, str]) -> dict[str, Any]:
    name = entry["name"]
    without_source = {key: value for key, value in entry.items() if key not in (*_SOURCE, *_SECRET)}
    return without_source | ({"system": systems[name]} if name in systems else {})


if __name__ == "__main__":
    main()
