#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_store_mount
short_description: Manage the Incus profile that shares the host's Nix store
version_added: 0.1.0
description:
  - Creates, updates or removes the Incus profile that mounts the host's C(/nix/store) and the socket of its Nix daemon
    into containers, both read-only and with shifted ids.
  - Fails before it changes anything if the host lacks one of the shared paths.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
  - inx.fleet.attributes.actiongroup_inx
  - inx.fleet.incus
seealso:
  - module: inx.fleet.inx_container
options:
  name:
    description:
      - Name of the Incus profile.
    type: str
    default: inx-container
  state:
    description:
      - V(present) creates or updates the profile.
      - V(absent) removes it. This is refused while an instance uses the profile.
    type: str
    choices: [present, absent]
    default: present
  daemon:
    description:
      - Whether to share the socket of the Nix daemon, so that containers can build. Without it they can only read the
        store.
    type: bool
    default: true
  database:
    description:
      - Whether to share the database of the store. No client of the daemon needs it, and a container that can read it
        can lock it, and so block every nix command on the host.
      - By default a new profile does not share it. An existing profile, such as one of inx-container, keeps sharing it,
        with a warning.
    type: bool
  localtime:
    description:
      - Whether to share C(/etc/localtime) through the profile, instead of through each container.
    type: bool
    default: false
  self_update:
    description:
      - Default of O(inx.fleet.inx_container#module:self_update) for new containers with this profile.
    type: bool
    default: false
  shared_paths:
    description:
      - Additional absolute paths of the host to share read-only, each at the same path in the container.
    type: list
    elements: path
    default: []
  exclusive:
    description:
      - Whether to remove devices that this module did not create from the profile, and keys that it does not set from
        its own devices.
    type: bool
    default: false
  description:
    description:
      - Description of the profile.
    type: str
"""

EXAMPLES = r"""
- name: Share the store and the daemon
  inx.fleet.inx_store_mount:

- name: Create a profile for containers that build nothing
  inx.fleet.inx_store_mount:
    name: inx-store-only
    daemon: false

- name: Share a directory with all containers
  inx.fleet.inx_store_mount:
    shared_paths:
      - /srv/reference
"""

RETURN = r"""
profile:
  description: The profile after the run, in check mode as it would be. Empty if it is absent.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the profile.
      type: str
      sample: inx-container
    description:
      description: Description of the profile.
      type: str
    config:
      description: Configuration of the profile.
      type: dict
    devices:
      description: Devices of the profile.
      type: dict
log:
  description:
    - Path of the run's log on the host, which only root can read. It has the plan, the steps and their times, and what
      other programs said in full when something failed.
  returned: if something was changed, or failed, on a host where the module runs as root
  type: str
  sample: /var/log/inx-fleet/20261130T101458.000001Z-inx_store_mount-4711.jsonl
"""

import os
import stat
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments.module import FleetModule
from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import INCUS_OPTIONS, connect, require_pylxd
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.store_profile import (
    check_host,
    check_removal,
    difference,
    store_mount_from,
    wanted_profile,
    warnings,
)
from ansible_collections.inx.fleet.plugins.module_utils.paths import STORE_PROFILE


def _file_type(path: str) -> int:
    try:
        return stat.S_IFMT(os.stat(path).st_mode)
    except OSError:
        return 0


def converge(module: FleetModule) -> dict[str, Any]:
    """Bring the profile to what is declared and return the module's result."""
    declared = store_mount_from(module.params)
    incus = connect(module)
    found = incus.profiles().get(declared.name)
    if declared.state == "absent":
        wanted = None
        if found is not None:
            check_removal(found)
    else:
        check_host(declared, incus.server, _file_type)
        wanted = wanted_profile(declared, found)
    changed = wanted != found
    if changed and not module.check_mode:
        if wanted is None:
            incus.delete_profile(declared.name)
        elif found is None:
            incus.create_profile(wanted)
        else:
            incus.update_profile(found, wanted)
    for warning in [] if wanted is None else warnings(declared, wanted):
        module.warn(warning)
    before, after = difference(found, wanted)
    result: dict[str, Any] = {
        "changed": changed,
        "profile": {"name": declared.name, **after} if wanted is not None else {},
    }
    if module._diff:
        result["diff"] = {"before": before, "after": after}
    return result


def main() -> None:
    module = FleetModule(
        argument_spec={
            **INCUS_OPTIONS,
            "name": {"type": "str", "default": STORE_PROFILE},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "daemon": {"type": "bool", "default": True},
            "database": {"type": "bool"},
            "localtime": {"type": "bool", "default": False},
            "self_update": {"type": "bool", "default": False},
            "shared_paths": {"type": "list", "elements": "path", "default": []},
            "exclusive": {"type": "bool", "default": False},
            "description": {"type": "str"},
        },
        supports_check_mode=True,
    )
    require_pylxd(module)
    try:
        result = converge(module)
    except FleetError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
