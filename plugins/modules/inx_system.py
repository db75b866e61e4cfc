#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_system
short_description: Build the NixOS systems of containers, without touching any container
version_added: 0.1.0
description:
  - Evaluates and builds the systems that a list of containers declares, and keeps them from the
    garbage collection of the host that it runs on.
  - Run it on the host that is to build for others, and give what it returns to M(inx.fleet.inx_containers) on those,
    with O(inx.fleet.inx_containers#module:containers[].copy_from). The role P(inx.fleet.containers#role) does so when
    C(inx_containers_build_host) is set.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
  - inx.fleet.container.set
attributes:
  check_mode:
    support: partial
    details:
      - Check mode evaluates the declared systems, which lets nix copy sources and derivations into the store, and build
        what the evaluation itself imports. It builds nothing else.
notes:
  - The roots are links in C(/nix/var/nix/gcroots/inx-systems/NAME), or in C(NAME:PROJECT:SET) there with O(set), one
    for each container. A new system of a container takes the place of the one before.
  - Roots of a host that is gone stay. The playbook C(inx.fleet.collect_garbage) reports them, and removes those that
    C(inx_forget_hosts) names.
  - Needs no Incus, and no pylxd.
seealso:
  - module: inx.fleet.inx_containers
options:
  name:
    description:
      - Name under which the systems are kept, such as that of the host that they are for. Roots of this name, and of
        this O(set) in this O(project), that are for no container in O(containers) are removed.
    type: str
    required: true
  set:
    description:
      - Name of the set of containers, if the host has several. Each set of each O(project) has roots of its own.
    type: str
  project:
    description:
      - Incus project of the containers. It matters only with O(set).
    type: str
    default: default
  containers:
    description:
      - The containers. Only the options count that say which system it is and how nix is called. Those without
        O(containers[].flake) and O(containers[].file) have nothing to be built.
    type: list
    elements: dict
    required: true
  defaults:
    description:
      - What the containers share, as in O(inx.fleet.inx_containers#module:defaults).
    type: dict
    default: {}
  keep_going:
    description:
      - Do not fail for systems that cannot be built, but return them in RV(build_failures), to be given to
        O(inx.fleet.inx_containers#module:build_failures). All others are built in any case.
    type: bool
    default: false
  only:
    description:
      - Build for those that are called so, or that a pattern such as V(web-*) matches. Roots of others stay, and
        RV(containers) has them without a system, for O(inx.fleet.inx_containers#module:only).
    type: list
    elements: str
  copy_to:
    description:
      - URL of a Nix store that gets what was built, with all that it needs, such as V(ssh-ng://root@cache.example.org),
        V(s3://bucket?region=eu-west-1) or V(file:///srv/cache). What is there already is not copied again.
      - The hosts can name it, or where it is served, with
        O(inx.fleet.inx_containers#module:containers[].copy_from).
    type: str
  signing_key:
    description:
      - Path of a secret key on the host that builds. What O(copy_to) gets is signed with it. Hosts take it if the
        public key is among their C(trusted-public-keys).
      - C(nix-store --generate-binary-cache-key NAME SECRET_FILE PUBLIC_FILE) makes one.
    type: path
  build_timeout:
    description:
      - Seconds that each call of nix may take.
    type: int
    default: 3600
  evaluation_memory:
    description:
      - Memory that all processes of nix may take together while systems are evaluated, such as V(4GiB). As many systems
        are evaluated at a time as it suffices for, and one at the least.
      - If this is not given, the memory that the host has available then, less 1 GiB.
      - A NixOS system takes about 850 MiB, and 450 MiB for each further one in the same process.
    type: str
"""

EXAMPLES = r"""
- name: Build for this host on another one
  inx.fleet.inx_system:
    name: "{{ inventory_hostname }}"
    containers: "{{ my_containers }}"
    defaults:
      flake: /etc/nixos
    keep_going: true
  delegate_to: builder.example.org
  register: built

- name: Run what was built there
  inx.fleet.inx_containers:
    containers: "{{ built.containers }}"
    build_failures: "{{ built.build_failures }}"
    defaults:
      copy_from: ssh-ng://root@builder.example.org

- name: Build, sign, and fill a cache
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
  description: The store path of each container's system, by the container's name.
  returned: always
  type: dict
  sample: {"web": "/nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11"}
copied:
  description: The store paths that O(copy_to) lacked, and got.
  returned: always
  type: list
  elements: str
  sample: []
locked_inputs:
  description: Inputs that the lock file of each container's flake holds where they are, by the container's name.
  returned: always
  type: dict
  sample: {"web": ["nixpkgs"]}
build_failures:
  description: Why the systems of some containers could not be built, by the container's name.
  returned: always
  type: dict
  sample: {}
containers:
  description:
    - O(containers) as it was given, with C(system) in the place of what it was built from, and without
      O(containers[].secret_config). Those that failed, are absent or are not chosen have neither. Ansible hides
      passwords and tokens in them, such as those in C(nix_options).
  returned: always
  type: list
  elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments import (
    NIX_OPTIONS,
    SET_OPTIONS,
    FleetModule,
    declared_containers,
    open_nix,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import chosen_containers
from ansible_collections.inx.fleet.plugins.module_utils.container.results import errors_by_name
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.push import push_from
from ansible_collections.inx.fleet.plugins.module_utils.nix.systems import Built, build_systems, roots_directory

_SOURCE = ("flake", "file", "attribute")
# What Ansible would return as stars.
_SECRET = ("secret_config",)


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
    module = FleetModule(argument_spec=options, required_by={"signing_key": ("copy_to",)}, supports_check_mode=True)
    try:
        directory = roots_directory(module.params["name"], module.params["set"], module.params["project"])
        containers = declared_containers(module.params)
        chosen = chosen_containers(module.params, containers)
        others = {one.name for one in containers} - {one.name for one in chosen}
        declared = {one.name: (one.source, one.nix) for one in chosen if one.source is not None}
        push = push_from(module.params)
        built = build_systems(open_nix(module), declared, others, directory, push=push, check=module.check_mode)
    except FleetError as error:
        module.fail_json(msg=str(error))
    _end_with(module, built)


def _end_with(module: FleetModule, built: Built) -> None:
    result: dict[str, Any] = {
        "changed": built.before != built.after or bool(built.copied),
        "systems": dict(built.systems),
        "copied": list(built.copied),
        "locked_inputs": {name: list(inputs) for name, inputs in built.locked_inputs.items()},
        "build_failures": {name: str(error) for name, error in built.failed.items()},
        "containers": [_with_system(entry, built.systems) for entry in module.params["containers"]],
    }
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
