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
  - Creates, corrects or removes the Incus profile through which containers see the host's C(/nix/store) and the socket
    of its Nix daemon, both read-only and with shifted ids.
  - Checks first that the host has what it shares.
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
      - V(present) holds the shares. V(absent) is refused while an instance uses the profile.
    type: str
    choices: [present, absent]
    default: present
  daemon:
    description:
      - Share the socket of the Nix daemon, so that containers can build through it. Without it they see the store, and
        have no way to the daemon.
    type: bool
    default: true
  database:
    description:
      - Share the database of the store as well. No client of the daemon needs it, and a container that can read it can
        hold its locks, and so keep all of Nix on the host waiting for as long as it likes.
      - By default a new profile does not share it. An existing profile that does, as inx-container made it, keeps
        sharing it, with a warning.
    type: bool
  localtime:
    description:
      - Share C(/etc/localtime) through the profile rather than through each container.
    type: bool
    default: false
  self_update:
    description:
      - What holds for new containers on this profile that do not say O(inx.fleet.inx_container#module:self_update)
        themselves.
    type: bool
    default: false
  shared_paths:
    description:
      - More absolute paths of the host to share read-only, each at the same path in the container.
    type: list
    elements: path
    default: []
  exclusive:
    description:
      - Remove devices from the profile that this module did not put there, and keys from its own devices that it does
        not set.
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

- name: A profile for containers that build nothing
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
  description: The profile after the run, or as it would be in check mode. Empty if it is absent.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: inx-container
    description:
      description: Its description.
      type: str
    config:
      description: Its configuration.
      type: dict
    devices:
      description: Its devices.
      type: dict
"""

import os
import stat
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments import (
    INCUS_OPTIONS,
    FleetModule,
    connect,
    require_pylxd,
)
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
