# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: checked_hosts
short_description: Refuse a host pattern if a part of it matches no host
version_added: 0.2.0
description:
  - Returns a host pattern unchanged, or fails if a part of it matches no host of the inventory. Ansible itself only
    warns and continues with the other parts. The playbooks of this collection use it for C(inx_target).
author:
  - inx.fleet contributors (@inx-fleet)
positional: groups
options:
  _input:
    description:
      - Host pattern, as in the keyword C(hosts) of a play, or a list of patterns.
    type: raw
    required: true
  groups:
    description:
      - Hosts of each group, as in the variable C(groups).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Ping the selected hosts
  hosts: "{{ inx_target | inx.fleet.checked_hosts(groups) }}"
  tasks:
    - name: Ping
      ansible.builtin.ping:
"""

RETURN = r"""
_value:
  description: The same pattern.
  type: raw
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.inventory.manager import InventoryManager, split_host_pattern
from ansible.parsing.dataloader import DataLoader


def checked_hosts(pattern: Any, groups: Mapping[str, Sequence[str]]) -> Any:
    """Return a host pattern whose parts all match a host. Raise AnsibleFilterError otherwise."""
    # As the lookup inventory_hostnames makes one.
    manager = InventoryManager(DataLoader(), parse=False)
    for group, hosts in groups.items():
        manager.add_group(group)
        for host in hosts:
            manager.add_host(host, group=group)
    parts = split_host_pattern(pattern)
    unknown = [part for part in parts if not manager.list_hosts(part.lstrip("!&"))]
    if unknown or not parts:
        raise AnsibleFilterError(
            f"No host of the inventory matches {', '.join(unknown) or repr(pattern)}. "
            "Name hosts, groups or patterns of 'ansible-inventory --graph', or leave 'inx_target' out for all hosts."
        )
    return pattern


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"checked_hosts": checked_hosts}
