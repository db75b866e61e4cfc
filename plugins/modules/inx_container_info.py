#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_container_info
short_description: Gather information about NixOS containers
version_added: 0.1.0
description:
  - Returns the state, addresses, systems, generations, health, problems and GC roots of the containers on the shared
    store, and which of them need a restart. These are the containers of M(inx.fleet.inx_container) and
    M(inx.fleet.inx_containers), and those that the tool inx-container made.
  - It does not know what is declared. The playbook C(inx.fleet.drift) compares containers with that.
  - Other instances are left out. Incus is queried once for all containers, and once for each storage pool.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
  - inx.fleet.attributes.info
  - inx.fleet.attributes.actiongroup_inx
  - inx.fleet.incus
notes:
  - Runs on the host itself, as a user who may use the socket of Incus. For users other than root, running systems are
    read through Incus, which takes about 40 ms for each container. Values that the user may not read are V(null),
    with a warning.
seealso:
  - module: inx.fleet.inx_container
  - module: inx.fleet.inx_containers
  - module: inx.fleet.inx_gcroot
  - name: JMESPath
    description: Language of O(query).
    link: https://jmespath.org/
requirements:
  - jmespath on the host, for O(query) (the role P(inx.fleet.host#role) installs it under C(/opt/inx-fleet))
options:
  address_family:
    description:
      - Family of the addresses that come first in RV(containers[].addresses).
    type: str
    choices: [ipv4, ipv6]
    default: ipv4
  all_projects:
    description:
      - Whether to return the containers of all projects. If so, O(project) is ignored.
    type: bool
    default: false
  names:
    description:
      - Names of the containers. By default, all containers are returned. Unknown names are ignored.
    type: list
    elements: str
  packages:
    description:
      - Whether to return the changes of packages for each generation. This runs nix once for each pair of systems.
    type: bool
    default: false
  query:
    description:
      - JMESPath expression over the list RV(containers). Its result is returned as RV(result).
    type: str
  storage:
    description:
      - Whether to return the space of the storage pools and of the Nix store. Incus is queried once for each pool.
    type: bool
    default: false
    version_added: 0.2.0
  volatile_files:
    description:
      - Whether to return the files that the next rebuild of a root disk erases, for containers with
        O(inx.fleet.inx_container#module:volatile_root=rebuild). This reads the names of all files on these disks, on
        the host, for up to 10 seconds each, and up to a minute in all.
    type: bool
    default: false
    version_added: 0.2.0
"""

EXAMPLES = r"""
- name: Gather information about all containers
  inx.fleet.inx_container_info:
    all_projects: true
  register: found

- name: List the generations of web and their changes
  inx.fleet.inx_container_info:
    names: [web]
    packages: true
    query: "[0].generations[].{number: number, date: date, system: system, packages: packages}"

- name: List the containers that wait for a restart
  inx.fleet.inx_container_info:
    query: "[?restart_required].{name: name, since: restart_required_since}"

- name: List what the next restart of web erases
  inx.fleet.inx_container_info:
    names: [web]
    volatile_files: true
    query: "[0].volatile_files"

- name: Fail if a container has a problem
  inx.fleet.inx_container_info:
    query: "[?problems].{name: name, problems: problems}"
  register: found
  failed_when: found is failed or found.result | length > 0
"""

RETURN = r"""
containers:
  description: The containers, sorted by project and name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the container.
      type: str
      sample: web
    project:
      description: Incus project of the container.
      type: str
      sample: default
    location:
      description: Name of the cluster member that has the container, V(null) without a cluster.
      type: str
    status:
      description: Status of the instance in Incus.
      type: str
      sample: Running
    description:
      description: Description of the instance.
      type: str
    ephemeral:
      description: Whether Incus deletes the instance when it stops.
      type: bool
    profiles:
      description: Incus profiles of the instance, in order.
      type: list
      elements: str
      sample: [default, inx-container]
    set:
      description: Set of the container, see O(inx.fleet.inx_containers#module:set), V(null) without a set.
      type: str
      sample: main
    tags:
      description: Tags of the container, see O(inx.fleet.inx_containers#module:containers[].tags).
      type: list
      elements: str
      sample: [canary]
    addresses:
      description:
        - Global addresses of the instance's NICs by interface, those of O(address_family) first.
        - Interfaces that exist only inside the container, such as C(docker0), are left out.
      type: dict
      sample: {"eth0": ["10.166.11.20", "fd42:1c8e::20"]}
    address:
      description: The first of these addresses, of O(address_family) if there is one. V(null) without addresses.
      type: str
      sample: 10.166.11.20
    disk:
      description: Bytes used on each disk, by device name, if the storage pool reports it.
      type: dict
      sample: {"root": 1048576}
    system:
      description: Store path of the system in the profile, which the next start boots.
      type: str
      sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
    revision:
      description:
        - Configuration revision of that system, C(system.configurationRevision). If it has none, the revision of the
          flake that it was built from, with C(-dirty) if its tree had changes. V(null) if neither is known.
      type: str
      sample: 9d0c7a1f5b3e2c4d6a8b0e1f2a3b4c5d6e7f8091
    running_system:
      description: Store path of the running system, V(null) if the container does not run or does not report it.
      type: str
      sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
    running_revision:
      description: Configuration revision of the running system, V(null) if it is not known.
      type: str
      sample: 9d0c7a1f5b3e2c4d6a8b0e1f2a3b4c5d6e7f8091
    generation:
      description: Number of the profile's current generation.
      type: int
      sample: 4
    generations:
      description: Generations of the profile, oldest first. V(null) if they cannot be read on this host.
      type: list
      elements: dict
      contains:
        number:
          description: Number of the generation.
          type: int
          sample: 4
        system:
          description: Store path of the system.
          type: str
          sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
        revision:
          description: Configuration revision of the system, V(null) if it is not known.
          type: str
          sample: 9d0c7a1f5b3e2c4d6a8b0e1f2a3b4c5d6e7f8091
        date:
          description: Date when it was recorded, in UTC.
          type: str
          sample: "2026-11-23T10:15:00Z"
        current:
          description: Whether it is the current generation of the profile.
          type: bool
        packages:
          description:
            - Changes of packages since the generation before it, one line for each, in the format of nix.
            - V(null) for the oldest generation, and without O(packages).
          type: list
          elements: str
          sample: ["hello: 2.10 → 2.12"]
    health:
      description:
        - Health of the container, as the modules found it when they last started or switched it.
        - It is kept on the container's host. For a container on another cluster member, only C(failed_systems) is
          known.
      type: dict
      contains:
        state:
          description:
            - V(healthy) runs a system that was healthy.
            - V(unhealthy) runs a system that was not healthy.
            - V(unfinished) runs, with an activation that failed or is in progress.
            - V(unchecked) runs a system that was not checked, because O(inx.fleet.inx_container#module:health) is not
              declared.
            - V(stopped) does not run.
          type: str
          sample: healthy
        healthy_system:
          description: Store path of the system that was last healthy.
          type: str
          sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
        failed_systems:
          description: Store paths of systems that were unhealthy, and that are not tried again.
          type: list
          elements: str
        activating:
          description: Store path of the system of an activation that failed or is in progress.
          type: str
    restart_required:
      description:
        - Whether changed settings wait for the next start, or a mounted directory or file of the host was replaced, so
          that the container shows the old one until then. The next run of the container mounts its bind mounts anew
          without a restart, if nothing else is mounted below them. These do not count.
      type: bool
    restart_required_since:
      description: Date of the last change of a setting that waits, in UTC. V(null) if none does.
      type: str
      sample: "2026-11-23T10:15:00.123456Z"
    foreign:
      description:
        - Whether the container boots from the profile directory of another one, as a copy or a renamed container does.
          Then RV(containers[].generations) and RV(containers[].system) are those of that directory.
        - A purge never removes it. Declare the container to give it a profile directory of its own.
      type: bool
    problems:
      description:
        - Differences from the state in which the modules leave any container, whatever is declared, such as a missing
          profile or store, or another running system than the recorded one.
      type: list
      elements: str
      sample: ["the device 'nixprofiles' that shares /nix/var/nix/profiles/inx-container/web is missing"]
    drift:
      description:
        - The same list as RV(containers[].problems), under its former name. It is deprecated, and will be removed in
          version 1.0.0. The playbook C(inx.fleet.drift) reports what differs from what is declared.
      type: list
      elements: str
      sample: []
    runs:
      description:
        - Last runs that changed the container, or failed to, the newest first, and at most 5, as their logs on the host
          say. Runs that change nothing leave no log. V(null) for users other than root, who may not read them.
      type: list
      elements: dict
      contains:
        time:
          description: Time of its end, in UTC.
          type: str
          sample: "2026-11-30T10:15:00.123Z"
        module:
          description: Name of the module.
          type: str
          sample: inx_containers
        finished:
          description: Whether it ended by itself. If not, it was killed, or it goes on.
          type: bool
        failed:
          description: Whether it failed, or was killed.
          type: bool
        did:
          description: Steps that were taken. If it was killed, the last one may not be done.
          type: list
          elements: str
          sample: ["update config limits.memory"]
        error:
          description: First line of its error, V(null) if there is none.
          type: str
        log:
          description: Path of its log on the host.
          type: str
          sample: /var/log/inx-fleet/20261130T101458.000001Z-inx_containers-4711.jsonl
    snapshots:
      description:
        - Snapshots of the instance, those of O(inx.fleet.inx_container#module:snapshots) and others. With
          O(inx.fleet.inx_container#module:volatile_root=rebuild), those of its volumes.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the snapshot.
          type: str
          sample: inx-4-20261130T101502Z
        generation:
          description: Generation that wrote the data, V(null) if it is not known.
          type: int
          sample: 4
        created:
          description: Time at which it was taken, in UTC.
          type: str
          sample: "2026-11-30T10:15:02.123456789Z"
        size:
          description: Bytes that it takes, V(null) if the driver does not say.
          type: int
        volumes:
          description: Volumes that have a snapshot of the same name, as POOL/NAME.
          type: list
          elements: str
          sample: [fast/shop_var-lib-postgresql]
    roots:
      description: GC roots of the container on the host, see M(inx.fleet.inx_gcroot). V(null) if they cannot be read.
      type: dict
      contains:
        number:
          description: Number of GC roots.
          type: int
          sample: 1
        links:
          description: The first 100 GC roots, sorted by path.
          type: list
          elements: dict
          contains:
            path:
              description: Path of the link inside the container.
              type: str
              sample: /root/project/result
            target:
              description: Store path that the link points to.
              type: str
              sample: /nix/store/3pzlws8d96cd596i29yy8wnncc6q7xlh-hello-2.12
    unused_volumes:
      description:
        - Volumes that were made for O(inx.fleet.inx_container#module:persist) of the container, and that no instance
          and no profile uses, such as those of paths that are no longer declared. V(null) if this user may not list the
          storage pools.
        - They keep their data until they are deleted. The container uses one again if its path is declared again.
      type: list
      elements: dict
      contains:
        pool:
          description: Storage pool of the volume.
          type: str
          sample: default
        name:
          description: Name of the volume.
          type: str
          sample: web_var-lib-db
        path:
          description: Path in the container that it was made for.
          type: str
          sample: /var/lib/db
        location:
          description: Name of the cluster member that has it, V(null) without a cluster.
          type: str
        used:
          description:
            - Bytes that it takes, V(null) if Incus does not report them. With the driver C(dir) it does not, and with
              C(btrfs) only if the volume has a size.
          type: int
          sample: 104857600
    volatile_files:
      description:
        - Files on the root disk that the next rebuild erases. V(null) without O(volatile_files), for containers without
          O(inx.fleet.inx_container#module:volatile_root=rebuild), and if the disk cannot be read, with a warning. Only
          root may read it, on the container's host. Some pools have no disk of a stopped container to read.
        - What is mounted in the container is not on the disk, so that tmpfs, volumes and bind mounts do not count.
          Directories, sockets, devices and what is in C(/tmp), C(/run) and C(/dev) do not count either.
        - What NixOS makes at each activation does not count, as far as it can be told. This is links to C(/nix),
          C(/etc/static), C(/run), C(/dev) and C(/proc), the files that C(/etc/.clean) lists, and the files C(NIXOS),
          C(passwd), C(group), C(shadow), C(subuid) and C(subgid) in C(/etc). Passwords that were changed in the
          container are erased.
      type: dict
      contains:
        number:
          description: Number of files and links.
          type: int
          sample: 2
        bytes:
          description: Bytes that they take on the disk.
          type: int
          sample: 8192
        paths:
          description: The first 20 paths, sorted.
          type: list
          elements: str
          sample: [/etc/machine-id, /root/notes.txt]
        complete:
          description: Whether all names were read. If not, there may be more, and other ones that come first.
          type: bool
storage:
  description: Space of the storage pools, and of the file system with the Nix store.
  returned: success, with O(storage)
  type: dict
  contains:
    pools:
      description:
        - The storage pools, sorted by name, each with C(name), and the bytes C(used) of those in C(total). These are
          V(null) if Incus does not report them. The list is V(null) if this user may not list pools.
        - A pool with the driver C(dir) reports the file system that it is on.
      type: list
      elements: dict
      sample: [{"name": "default", "used": 5049942016, "total": 20973617152}]
    store:
      description: Bytes C(used) of those in C(total), V(null) if there is no store.
      type: dict
      sample: {"used": 5049942016, "total": 20973617152}
unused_profiles:
  description:
    - Profile directories of O(project), or of all projects with O(all_projects), that no instance uses. V(null) if this
      user may not read them or may not see all instances. The playbook C(inx.fleet.collect_garbage) removes them on
      request.
  returned: success, without O(names)
  type: list
  elements: dict
  contains:
    path:
      description: Path of the directory.
      type: str
      sample: /nix/var/nix/profiles/inx-container/web
    container:
      description: Name of the container that it was for.
      type: str
      sample: web
    project:
      description: Incus project of that container.
      type: str
      sample: default
    system:
      description: Store path of the current system, V(null) if there is none.
      type: str
      sample: /nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11
unused_volumes:
  description:
    - Volumes that were made for containers of O(project), or of all projects with O(all_projects), that do not exist
      any more, and that nothing uses. V(null) if this user may not list the storage pools or may not see all instances.
    - A new container of that name uses them again. Otherwise, delete them with C(incus storage volume delete).
  returned: success, without O(names)
  type: list
  elements: dict
  contains:
    pool:
      description: Storage pool of the volume.
      type: str
      sample: default
    name:
      description: Name of the volume.
      type: str
      sample: web_var-lib-db
    container:
      description: Name of the container that it was made for.
      type: str
      sample: web
    project:
      description: Incus project of that container.
      type: str
      sample: default
    path:
      description: Path in the container that it was made for.
      type: str
      sample: /var/lib/db
    location:
      description: Name of the cluster member that has it, V(null) without a cluster.
      type: str
    used:
      description: Bytes that it takes, V(null) if Incus does not report them.
      type: int
      sample: 104857600
result:
  description: Result of O(query).
  returned: success, with O(query)
  type: raw
"""

from dataclasses import asdict
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments.module import FleetModule
from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import (
    ADDRESS_OPTIONS,
    INCUS_OPTIONS,
    connect,
    find_nix,
    require_jmespath,
    require_pylxd,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.unused import unused_profiles
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.info.facts import container_info
from ansible_collections.inx.fleet.plugins.module_utils.info.gathering import compare, look, storage
from ansible_collections.inx.fleet.plugins.module_utils.info.query import compiled
from ansible_collections.inx.fleet.plugins.module_utils.info.volumes import try_unused, without_container
from ansible_collections.inx.fleet.plugins.module_utils.names import container_name
from ansible_collections.inx.fleet.plugins.module_utils.nix.command import Nix


def run(module: FleetModule) -> dict[str, Any]:
    """Look, and tell what the parameters ask for. Raises FleetError before the look for what is wrong with them."""
    params = module.params
    names = None if params["names"] is None else {container_name(name) for name in params["names"]}
    search = None if params["query"] is None else compiled(params["query"])
    nix = Nix(command=find_nix(module)) if params["packages"] else None
    incus = connect(module, params["all_projects"])
    volumes, notes = try_unused(incus)
    seen, warnings = look(incus, names, volumes, files=params["volatile_files"])
    for warning in (*notes, *warnings):
        module.warn(warning)
    differences = None if nix is None else compare(nix, seen)
    containers = [container_info(one, differences, params["address_family"]) for one in seen]
    found: dict[str, Any] = {"containers": containers}
    if params["storage"]:
        found["storage"] = storage(incus)
    if names is None:
        project = None if params["all_projects"] else params["project"]
        everywhere = connect(module, all_projects=True)
        unused = unused_profiles(everywhere, project)
        found["unused_profiles"] = None if unused is None else [asdict(one) for one in unused]
        found["unused_volumes"] = without_container(volumes, everywhere, project)
    return found if search is None else {**found, "result": search(containers)}


def main() -> None:
    module = FleetModule(
        argument_spec={
            **INCUS_OPTIONS,
            **ADDRESS_OPTIONS,
            "all_projects": {"type": "bool", "default": False},
            "names": {"type": "list", "elements": "str"},
            "packages": {"type": "bool", "default": False},
            "query": {"type": "str"},
            "storage": {"type": "bool", "default": False},
            "volatile_files": {"type": "bool", "default": False},
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
