#!/usr/bin/python
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inx_gcroots_command
short_description: Install the command inx-gcroots and its units
version_added: 0.1.0
description:
  - Installs the Python files of the command C(inx-gcroots), which protects what containers build from the garbage
    collection of their host. They are files of this collection.
  - Installs the files that start the command in the same task.
  - M(inx.fleet.inx_host) does the same on a host that it sets up, so that you rarely need this module.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - inx.fleet.attributes
notes:
  - Needs no Incus, no Nix and no pylxd.
seealso:
  - module: inx.fleet.inx_gcroot
  - module: inx.fleet.inx_host
options:
  path:
    description:
      - Directory of the Python package. It is created if it is missing, and only root may write to it. Other Python
        files in it are removed.
    type: path
    required: true
  files:
    description:
      - Other files to install, such as a script that starts the command, and its units. Root owns them.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - Path of the file. Its directory is created if it is missing.
        type: path
        required: true
      content:
        description:
          - Content of the file.
        type: str
        required: true
      mode:
        description:
          - Mode of the file, as four octal digits in quotes.
        type: str
        default: "0644"
"""

EXAMPLES = r"""
- name: Install the files of the command
  inx.fleet.inx_gcroots_command:
    path: /opt/inx-fleet/lib/inx_fleet

- name: Install a unit with them
  inx.fleet.inx_gcroots_command:
    path: /opt/inx-fleet/lib/inx_fleet
    files:
      - path: /etc/systemd/system/inx-gcroots-once.service
        content: |
          [Service]
          Type=oneshot
          ExecStart=/usr/local/sbin/inx-gcroots sync
"""

RETURN = r"""
written:
  description: Files that were written, or would be.
  returned: success
  type: list
  elements: str
  sample: ["/opt/inx-fleet/lib/inx_fleet/gcroots/command.py"]
removed:
  description: Files of another version that were removed, or would be.
  returned: success
  type: list
  elements: str
  sample: []
"""

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.arguments.module import FleetModule
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.files import File
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.package import (
    differences,
    plan_command,
    write_command,
)

_FILE = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0644"},
}


def main() -> None:
    module = FleetModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "dict", "default": [], "options": _FILE},
        },
        supports_check_mode=True,
    )
    try:
        beside = {entry["path"]: _file(entry) for entry in module.params["files"]}
        change = plan_command(module.params["path"], beside)
        if not module.check_mode:
            write_command(change)
    except FleetError as error:
        module.fail_json(msg=str(error))
    result: dict[str, Any] = {"written": sorted(change.written), "removed": list(change.removed)}
    if module._diff:
        result["diff"] = differences(change, beside)
    module.exit_json(changed=bool(change), **result)


def _file(entry: Mapping[str, str]) -> File:
    if not re.fullmatch("0[0-7]{3}", entry["mode"]):
        raise FleetError(f"The mode {entry['mode']!r} of {entry['path']} is not valid.", 'Write it as "0644".')
    return File(content=entry["content"].encode(), mode=int(entry["mode"], 8))


if __name__ == "__main__":
    main()
