# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give lab hosts the names that an example's inventory has: lab_inventory.py EXAMPLE > INVENTORY

The lab's own inventory is the one in ANSIBLE_INVENTORY. Both are given to ansible-playbook, this one last.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml


def main(example: str) -> int:
    """Print the inventory."""
    asked = ["ansible-inventory", "--inventory", example, "--list"]
    listed = json.loads(subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout)
    names = sorted(listed["_meta"]["hostvars"])
    lab = yaml.safe_load(Path(os.environ["ANSIBLE_INVENTORY"]).read_text(encoding="utf-8"))["all"]
    hosts = dict(zip(names, lab["hosts"].values(), strict=True))
    yaml.safe_dump({"all": {"vars": lab["vars"], "hosts": hosts}}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
