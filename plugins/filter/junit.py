# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: junit
short_description: Write a report of drift as JUnit XML
version_added: 0.2.0
description:
  - Returns JUnit XML with a suite for each host, and a case for the host and for each of its containers. A case fails
    if something would change, and has an error if it could not be compared.
author:
  - inx.fleet contributors (@inx-fleet)
options:
  _input:
    description:
      - Report of the filter P(inx.fleet.drift#filter).
    type: dict
    required: true
seealso:
  - plugin: inx.fleet.drift
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Write a report for a CI
  ansible.builtin.copy:
    dest: drift.xml
    content: "{{ ansible_play_hosts_all | inx.fleet.drift(hostvars) | inx.fleet.junit }}"
    mode: "0600"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: The XML.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.inx.fleet.plugins.plugin_utils.drift import junit


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"junit": junit}
