# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
short_description: Sum up a run of the roles of this collection
version_added: 0.2.0
description:
  - Returns a line for each host and container that changed or failed in the roles P(inx.fleet.host#role) and
    P(inx.fleet.containers#role), in check mode for each that would change. The playbooks of this collection end with
    these lines.
author:
  - inx.fleet contributors (@inx-fleet)
positional: hostvars, active
options:
  _input:
    description:
      - Names of the hosts, as in the variable C(ansible_play_hosts_all).
    type: list
    elements: str
    required: true
  hostvars:
    description:
      - Variables of all hosts, as in the variable C(hostvars).
    type: dict
    required: true
  active:
    description:
      - Names of the hosts that neither failed nor were unreachable, as in the variable C(ansible_play_hosts).
    type: list
    elements: str
    required: true
  batch:
    description:
      - Names of the hosts to report, as in the variable C(ansible_play_batch), for plays with the keyword C(serial).
        Hosts that are not in O(active) are reported, too. By default all hosts are.
    type: list
    elements: str
  check:
    description:
      - Whether the run was in check mode.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Run the containers
  hosts: metal
  become: true
  tasks:
    - name: Run the role, and sum up
      block:
        - name: Run the containers
          ansible.builtin.import_role:
            name: inx.fleet.containers
      always:
        - name: Sum up
          ansible.builtin.debug:
            msg: "{{ ansible_play_hosts_all | inx.fleet.summary(hostvars, ansible_play_hosts) }}"
          run_once: true
"""

RETURN = r"""
_value:
  description: The lines, such as C(web-1 on metal1). The host is named if there are several.
  type: list
  elements: str
  sample: ["web-1: updated config limits.memory, generation 4 → 5"]
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ansible_collections.inx.fleet.plugins.plugin_utils import summary as lines


def summary(
    hosts: Sequence[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    active: Collection[str],
    batch: Collection[str] | None = None,
    check: bool = False,
) -> list[str]:
    """Return a line for each host and container that changed or failed."""
    lost = [host for host in hosts if host not in active]
    reported = [host for host in hosts if batch is None or host in batch or host in lost]
    return lines.summary({host: hostvars[host] for host in reported}, lost=lost, check=check, name_hosts=len(hosts) > 1)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"summary": summary}
