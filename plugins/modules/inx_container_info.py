#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_container_info
short_description: Tell what is known of the NixOS containers on the host's Nix store
version_added: 0.1.0
description:
  - Tells of the containers on the shared store, those that M(inx.fleet.inx_container) and M(inx.fleet.inx_containers)
    manage and those that the tool inx-container made, their state and addresses, their systems and generations, what a
    restart is due for, what has drifted, and their roots.
  - Incus is asked once for all of them. Other instances are left out.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
  - inx.fleet.attributes.info
  - inx.fleet.attributes.actiongroup_inx
  - inx.fleet.incus
notes:
  - Runs on the host itself, as a user who may use the socket of Incus. Without root the systems that run are read
    through Incus, which takes about 40 ms for each container. What this user may not read is V(null), with a warning.
seealso:
  - module: inx.fleet.inx_container
  - module: inx.fleet.inx_containers
  - module: inx.fleet.inx_gcroot
  - name: JMESPath
    description: The language of O(query).
    link: https://jmespath.org/
requirements:
  - jmespath, for O(query) (the role P(inx.fleet.host#role) installs it as well)
options:
  all_projects:
    description:
      - Tell of the containers of all projects. O(project) does not count then.
    type: bool
    default: false
  names:
    description:
      - Names of the containers, all by default. Unknown names are ignored.
    type: list
    elements: str
  packages:
    description:
      - Tell of each generation what changed since the one before it, in packages. This takes a process of nix for each
        pair of systems.
    type: bool
    default: false
  query:
    description:
      - A JMESPath expression over the list RV(containers), whose result is RV(result).
    type: str
"""

EXAMPLES = r"""
- name: All that is known of all containers
  inx.fleet.inx_container_info:
    all_projects: true
  register: found

- name: How web became what it is
  inx.fleet.inx_container_info:
    names: [web]
    packages: true
    query: "[0].generations[].{number: number, date: date, system: system, packages: packages}"

- name: Which containers wait for a restart, and since when
  inx.fleet.inx_container_info:
    query: "[?restart_required].{name: name, since: restart_required_since}"

- name: Fail when anything has drifted
  inx.fleet.inx_container_info:
    query: "[?drift].{name: name, drift: drift}"
  register: drifted
  failed_when: drifted is failed or drifted.result | length > 0
"""

RETURN = r"""
containers:
  description: The containers, in the order of their projects and names.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: web
    project:
      description: Its project.
      type: str
      sample: default
    location:
      description: The member of the cluster that it is on, V(null) without a cluster.
      type: str
    status:
      description: The instance's status as Incus has it.
      type: str
      sample: Running
    description:
      description: Its description.
      type: str
    ephemeral:
      description: Whether Incus deletes it when it stops.
      type: bool
    profiles:
      description: Its Incus profiles in their order.
      type: list
      elements: str
      sample: [default, inx-container]
    set:
      description: The set that it belongs to, see O(inx.fleet.inx_containers#module:set), V(null) if it is in none.
      type: str
      sample: main
    tags:
      description: Its tags, see O(inx.fleet.inx_containers#module:containers[].tags).
      type: list
      elements: str
      sample: [canary]
    addresses:
      description: Global addresses by interface.
      type: dict
      sample: {"eth0": ["10.166.11.20"]}
    disk:
      description: Bytes used on its disks by their devices' names, of those whose storage pool can tell.
      type: dict
      sample: {"root": 1048576}
    system:
      description: Store path that the profile leads to, and that the next start boots.
      type: str
      sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
    running_system:
      description: Store path of the system that runs, V(null) if it does not run, or does not say.
      type: str
      sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
    generation:
      description: Number of the profile's current generation.
      type: int
      sample: 4
    generations:
      description: The generations of its profile, the oldest first. V(null) if they cannot be read on this host.
      type: list
      elements: dict
      contains:
        number:
          description: Its number.
          type: int
          sample: 4
        system:
          description: Its store path.
          type: str
          sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
        date:
          description: When it was recorded, in UTC.
          type: str
          sample: "2026-11-23T10:15:00Z"
        current:
          description: Whether the profile leads to it.
          type: bool
        packages:
          description:
            - What changed since the generation before it, a line per package, in the words of nix.
            - V(null) for the oldest one, and without O(packages).
          type: list
          elements: str
          sample: ["hello: 2.10 → 2.12"]
    health:
      description: What the modules know of its health. They look when they start or switch it.
      type: dict
      contains:
        state:
          description:
            - V(healthy) is running a system that was healthy when it was started or switched to last.
            - V(unhealthy) is running a system that was not.
            - V(unfinished) is running, with an activation that did not end well, or goes on.
            - V(unchecked) is running a system that was not looked at, because O(inx.fleet.inx_container#module:health)
              is not declared for it.
            - V(stopped) is not running.
          type: str
          sample: healthy
        healthy_system:
          description: The last system that was found healthy.
          type: str
          sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
        failed_systems:
          description: Systems that were found unhealthy, and that are not tried again.
          type: list
          elements: str
        activating:
          description: The system of an activation that did not end well, or goes on.
          type: str
    restart_required:
      description: Whether it runs without a changed setting that takes effect only at its next start.
      type: bool
    restart_required_since:
      description: When such a setting was changed last, in UTC.
      type: str
      sample: "2026-11-23T10:15:00.123456Z"
    drift:
      description: What is not as the modules leave a container, in words.
      type: list
      elements: str
      sample: ["the device 'nixprofiles' that shares /nix/var/nix/profiles/inx-container/web is missing"]
    roots:
      description: Its roots on the host, see M(inx.fleet.inx_gcroot). V(null) if they cannot be read on this host.
      type: dict
      contains:
        number:
          description: How many there are.
          type: int
          sample: 1
        links:
          description: The first 100 of them in the order of their paths.
          type: list
          elements: dict
          contains:
            path:
              description: Path of the link inside the container.
              type: str
              sample: /root/project/result
            target:
              description: The store path that it leads to.
              type: str
              sample: /nix/store/3pzlws8d96cd596i29yy8wnncc6q7xlh-hello-2.12
result:
  description: What O(query) finds.
  returned: success, with O(query)
  type: raw
"""

from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments import (
    INCUS_OPTIONS,
    FleetModule,
    connect,
    find_nix,
    require_jmespath,
    require_pylxd,
)
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.info.facts import container_info
from ansible_collections.inx.fleet.plugins.module_utils.info.gathering import compare, look
from ansible_collections.inx.fleet.plugins.module_utils.info.query import compiled
from ansible_collections.inx.fleet.plugins.module_utils.names import container_name
from ansible_collections.inx.fleet.plugins.module_utils.nix.command import Nix


def run(module: FleetModule) -> dict[str, Any]:
    """Look, and tell what the parameters ask for. Raises FleetError before the look for what is wrong with them."""
    params = module.params
    names = None if params["names"] is None else {container_name(name) for name in params["names"]}
    search = None if params["query"] is None else compiled(params["query"])
    nix = Nix(command=find_nix(module)) if params["packages"] else None
    seen, warnings = look(connect(module, params["all_projects"]), names)
    for warning in warnings:
        module.warn(warning)
    differences = None if nix is None else compare(nix, seen)
    containers = [container_info(one, differences) for one in seen]
    return {"containers": containers} if search is None else {"containers": containers, "result": search(containers)}


def main() -> None:
    module = FleetModule(
        argument_spec={
            **INCUS_OPTIONS,
            "all_projects": {"type": "bool", "default": False},
            "names": {"type": "list", "elements": "str"},
            "packages": {"type": "bool", "default": False},
            "query": {"type": "str"},
        },
        supports_check_mode=True,
    )
    require_pylxd(module)
    if module.params["query"] is not None:
        require_jmespath(module)
    try:
        result = run(module)
    except FleetError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
