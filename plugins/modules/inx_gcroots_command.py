#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_gcroots_command
short_description: Install the command inx-gcroots as a Python package
version_added: 0.1.0
description:
  - Writes the Python files of the command C(inx-gcroots), which keeps what containers build from the garbage collection
    of their host, into a directory of their own. They are files of this collection, and come along with this module.
  - The role P(inx.fleet.host#role) uses it, and puts beside it what starts the command. There is little reason to use
    it elsewhere.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
notes:
  - Needs no Incus, no Nix and no pylxd.
seealso:
  - module: inx.fleet.inx_gcroot
options:
  path:
    description:
      - The directory of the package, which must be there. Python files in it that are not of the command are removed.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Have the command's files in place
  inx.fleet.inx_gcroots_command:
    path: /opt/inx-fleet/lib/inx_fleet
"""

RETURN = r"""
written:
  description: The names of the files that were written, or would be.
  returned: success
  type: list
  elements: str
  sample: ["gcroots_command.py"]
removed:
  description: The names of the files of another version that were removed, or would be.
  returned: success
  type: list
  elements: str
  sample: []
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.gcroots_package import plan_package, write_package


def main() -> None:
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    path = module.params["path"]
    try:
        change = plan_package(path)
        if not module.check_mode:
            write_package(path, change)
    except FleetError as error:
        module.fail_json(msg=str(error))
    result: dict[str, Any] = {"written": sorted(change.written), "removed": list(change.removed)}
    if module._diff:
        # By name: a program is not what somebody who reads a diff looks for.
        result["diff"] = {"before": {"removed": result["removed"]}, "after": {"written": result["written"]}}
    module.exit_json(changed=bool(change.written or change.removed), **result)


if __name__ == "__main__":
    main()
