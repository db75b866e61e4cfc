#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_host
short_description: Prepare a host for NixOS containers on its Nix store
version_added: 0.2.0
description:
  - Looks at a whole host, plans what it lacks, and applies the plan. On Debian 13 or newer it sets up Nix and its
    daemon, the libraries of the modules, Incus with a storage pool, a network and its default profile, the Incus
    profile that shares the store, the directory of the containers' profiles, and C(inx-gcroots).
  - It installs no packages. If some are missing, it stops before the first step that needs them and returns
    RV(packages). Install them, and run it again. The role P(inx.fleet.host#role) does that.
  - A Nix of another installer, such as the upstream one, Determinate or Lix, is used as it is. It is not installed
    over, and its daemon is only restarted if its settings change. Running builds continue.
  - Changes nothing on NixOS. It fails with what C(configuration.nix) lacks.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
notes:
  - Run it as root. It needs nothing but Python on the host.
  - A run that was stopped or killed is continued by the next one.
seealso:
  - module: inx.fleet.inx_store_mount
  - module: inx.fleet.inx_gcroots_command
options:
  incus_source:
    description:
      - Source of the Incus packages.
      - V(debian) uses the package of the Debian release. It does not downgrade a newer one.
      - V(backports) adds Debian's backports to the apt sources if they are missing, and upgrades Incus.
    type: str
    choices: [debian, backports]
    default: debian
  debian_mirror:
    description:
      - URL of the Debian mirror for backports. By default the mirror in the host's apt sources.
    type: str
  nix_settings:
    description:
      - Settings of C(nix.conf), as a dictionary. A list is joined with blanks.
      - They are written to C(/etc/nix/inx-fleet.conf), which C(/etc/nix/nix.conf) includes at its end, or
        C(/etc/nix/nix.custom.conf) if C(nix.conf) includes that. Other lines are kept.
      - Flakes and the new command line are always enabled.
    type: dict
    default: {}
  nix_open:
    description:
      - Whether ordinary users of containers and of the host may use the Nix daemon, as on NixOS.
      - If this is V(false), only root may use it in a container, and only root and the group C(nix-users) on the host,
        as in Debian. Users of containers are mapped to ids that are in no group of the host.
    type: bool
    default: true
  python_packages:
    description:
      - Packages that pip installs in C(/opt/inx-fleet), the virtual environment in which the modules look for pylxd.
      - pip only runs if these requirements are not met.
    type: list
    elements: str
    default: ["pylxd>=2.3", jmespath]
  pip_environment:
    description:
      - Environment of pip, such as C(PIP_CERT) or C(PIP_INDEX_URL).
    type: dict
    default: {}
  subid_range:
    description:
      - First id and number of ids for containers. They are used if C(/etc/subuid) or C(/etc/subgid) has no range for
        root.
    type: str
    default: "1000000:1000000000"
  storage_pool:
    description:
      - Name of the storage pool for root disks. It is created if it is missing, and the root disk of the default
        profile of Incus is put on it.
      - By default, the pool of the default profile's root disk, or the only pool, or a new pool V(default).
    type: str
  storage_driver:
    description:
      - Driver of the storage pool. A pool with another driver is an error.
      - By default V(dir) for a new pool. An existing pool keeps its driver.
    type: str
  storage_config:
    description:
      - Configuration of the storage pool. Other keys are kept.
    type: dict
    default: {}
  network:
    description:
      - Name of the Incus network for the containers. It is created if it is missing, and the nic of the default
        profile of Incus is put on it.
      - By default, the network of the default profile's nic, or the only bridge, or a new bridge V(incusbr0). A nic
        on an interface that Incus does not manage is left alone.
    type: str
  network_type:
    description:
      - Type of the network.
      - V(bridge) creates a network on the host, with DHCP from Incus.
      - V(macvlan) connects each container to the host's LAN, with an address from there. Set the host's interface on
        the LAN as C(parent) in O(network_config). The host and its containers cannot reach each other then.
      - By default V(bridge) for a new network. An existing network keeps its type.
    type: str
    choices: [bridge, macvlan]
  network_config:
    description:
      - Configuration of the network. Other keys are kept. For the address V(auto), Incus chooses one once and keeps it.
      - By default C(ipv4.address=10.55.0.1/24), C(ipv4.nat=true) and C(ipv6.address=none) for a new bridge. An existing
        network keeps its configuration.
    type: dict
    default: {}
  store_profile:
    description:
      - Name of the Incus profile that shares the store, see M(inx.fleet.inx_store_mount).
    type: str
    default: inx-container
  store_daemon:
    description:
      - Whether to share the socket of the Nix daemon, so that containers can build.
    type: bool
    default: true
  store_database:
    description:
      - Whether to share the database of the store. No client of the daemon needs it, and a container that can read it
        can block every nix command on the host.
      - By default a new profile does not share it. An existing profile keeps sharing it, with a warning.
    type: bool
  store_localtime:
    description:
      - Whether to share C(/etc/localtime) through the profile, instead of through each container.
    type: bool
    default: false
  store_shared_paths:
    description:
      - Additional paths of the host to share read-only.
    type: list
    elements: path
    default: []
  store_self_update:
    description:
      - Whether new containers may write to their own profile directory, unless they set C(self_update).
    type: bool
    default: false
  gcroots:
    description:
      - Whether to protect what containers build from the host's garbage collection. This installs the command
        C(inx-gcroots), a systemd path unit that watches for builds, and a hook before C(nix-gc.service).
    type: bool
    default: true
  gcroots_max:
    description:
      - Maximum number of GC roots of a container.
    type: int
    default: 10000
"""

EXAMPLES = r"""
- name: Compare a host with the defaults
  inx.fleet.inx_host:
  check_mode: true
  diff: true

- name: Set up a host whose packages are installed
  inx.fleet.inx_host:
    network_config:
      dns.domain: containers.example.org
    nix_settings:
      max-jobs: auto
      trusted-users: [root, "@builders"]
"""

RETURN = r"""
steps:
  description: Steps that were taken, in order, or that would be taken in check mode. On failure, the steps until then.
  returned: always, unless validation fails
  type: list
  elements: dict
  contains:
    action:
      description: >-
        One of V(source), V(configure), V(packages), V(python), V(subids), V(settings), V(start), V(restart), V(store),
        V(directory), V(access), V(pool), V(network), V(profile), V(gcroots), V(watch), V(unwatch).
      type: str
      sample: settings
    summary:
      description: Description of the step.
      type: str
      sample: write the settings of Nix to /etc/nix/inx-fleet.conf
    before:
      description: What the step changes, as it was.
      type: dict
    after:
      description: The same, as it is after the step.
      type: dict
left:
  description:
    - Steps that were not taken, because one of them failed or packages have to be installed first. The first one is the
      one that failed, or V(packages).
  returned: always, unless validation fails
  type: list
  elements: dict
  sample: []
packages:
  description: Packages that the host lacks.
  returned: always, unless validation fails
  type: dict
  contains:
    install:
      description: Packages of the Debian release.
      type: list
      elements: str
      sample: [nix-bin, nix-setup-systemd]
    backports:
      description: Packages to install or upgrade from RV(packages.release).
      type: list
      elements: str
      sample: [incus-base]
    release:
      description: Name of the backports, V(null) if none are needed.
      type: str
      sample: trixie-backports
pending:
  description:
    - What containers have to wait for, of V(Python), V(Nix), V(Incus) and V(the profiles). Empty after a whole run.
  returned: always, unless validation fails
  type: list
  elements: str
  sample: []
python:
  description:
    - Path of the Python interpreter on the host that has the libraries of the modules, if that of this task does not
      have them. V(null) if none has them yet, and on NixOS. Later tasks of the play run the modules of this collection
      with it at once, which would start again with it otherwise.
  returned: always, unless validation fails
  type: str
  sample: /opt/inx-fleet/bin/python
lacking:
  description: Lines that C(configuration.nix) of a NixOS host lacks.
  returned: always, unless validation fails
  type: list
  elements: str
  sample: []
last_run:
  description:
    - Last run before this one that changed the host, or failed to, as its log on the host says. V(null) if
      there is no log of it, or only root may read it. Runs that change nothing leave no log.
  returned: always, unless validation fails
  type: dict
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
log:
  description:
    - Path of the run's log on the host, which only root can read. It has the plan, the steps and their times, and what
      other programs said in full when something failed.
  returned: if something was changed, or failed, on a host where the module runs as root
  type: str
  sample: /var/log/inx-fleet/20261130T101458.000001Z-inx_host-4711.jsonl
"""

from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments.module import FleetModule
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.host.converge import converge
from ansible_collections.inx.fleet.plugins.module_utils.host.declaration import host_from
from ansible_collections.inx.fleet.plugins.module_utils.host.results import (
    failure,
    host_differences,
    host_result,
    last_run,
)
from ansible_collections.inx.fleet.plugins.module_utils.paths import STORE_PROFILE

OPTIONS: dict[str, Any] = {
    "incus_source": {"type": "str", "choices": ["debian", "backports"], "default": "debian"},
    "debian_mirror": {"type": "str"},
    "nix_settings": {"type": "dict", "default": {}},
    "nix_open": {"type": "bool", "default": True},
    "python_packages": {"type": "list", "elements": "str", "default": ["pylxd>=2.3", "jmespath"]},
    "pip_environment": {"type": "dict", "default": {}},
    "subid_range": {"type": "str", "default": "1000000:1000000000"},
    "storage_pool": {"type": "str"},
    "storage_driver": {"type": "str"},
    "storage_config": {"type": "dict", "default": {}},
    "network": {"type": "str"},
    "network_type": {"type": "str", "choices": ["bridge", "macvlan"]},
    "network_config": {"type": "dict", "default": {}},
    "store_profile": {"type": "str", "default": STORE_PROFILE},
    "store_daemon": {"type": "bool", "default": True},
    "store_database": {"type": "bool"},
    "store_localtime": {"type": "bool", "default": False},
    "store_shared_paths": {"type": "list", "elements": "path", "default": []},
    "store_self_update": {"type": "bool", "default": False},
    "gcroots": {"type": "bool", "default": True},
    "gcroots_max": {"type": "int", "default": 10000},
}
_ADVICE = (
    "inx.fleet changes nothing on NixOS. Put this into configuration.nix, run 'nixos-rebuild switch', and then this "
    "play again:"
)


def main() -> None:
    module = FleetModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        declared = host_from(module.params)
        outcome = converge(declared, module.events, check=module.check_mode)
    except FleetError as error:
        module.fail_json(msg=str(error))
    for warning in outcome.warnings:
        module.warn(warning)
    result = {**host_result(outcome), "last_run": last_run(module.run_log)}
    if module._diff:
        result["diff"] = host_differences(declared, outcome)
    if outcome.lacking:
        module.fail_json(msg=f"{_ADVICE}\n{outcome.lacking}", **result)
    if outcome.error is not None:
        module.fail_json(msg=failure(outcome), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
