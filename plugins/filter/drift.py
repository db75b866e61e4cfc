# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: drift
short_description: Report what differs from what is declared
version_added: 0.2.0
description:
  - Returns a report of what the roles P(inx.fleet.host#role) and P(inx.fleet.containers#role) would change, after they
    have run in check mode. The playbook C(inx.fleet.drift) writes it.
author:
  - inx.fleet contributors (@inx-fleet)
positional: hostvars
options:
  _input:
    description:
      - Names of the hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description:
      - Variables of all hosts, as in the variable C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what would change
  ansible.builtin.debug:
    msg: "{{ (ansible_play_hosts_all | inx.fleet.drift(hostvars)).problems }}"
"""

RETURN = r"""
_value:
  description:
    - C(clean) is whether nothing would change, no container waits for a restart, and every host was reached.
    - C(problems) has a line for each host and container for which this is not so.
    - C(hosts) has for each host its C(name), C(state), C(error), C(changes) and C(containers). Containers have the same
      keys, and C(restart_required), C(status), C(system), C(revision), C(running_system), C(running_revision),
      C(generation), C(units) and C(units_unknown), as M(inx.fleet.inx_containers) returns them. C(last_run) of a host
      or a container is the last run that changed it, or failed to. A state is V(clean), V(drifted), V(failed) or
      V(unreachable). A change has a C(summary), and the C(steps) of its plan.
    - In the playbook C(inx.fleet.drift), if a report as HTML or JSON is asked for, hosts also have C(storage), and
      containers what else M(inx.fleet.inx_container_info) knows of them, such as C(health), C(disk) and C(roots).
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.inx.fleet.plugins.plugin_utils.drift import report


def drift(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the report on some hosts."""
    return report({host: hostvars[host] for host in hosts})


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"drift": drift}
