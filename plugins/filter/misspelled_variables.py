# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: misspelled_variables
short_description: Find misspelled variables of this collection
version_added: 0.2.0
description:
  - Returns names that no role, playbook or plugin of this collection knows, but that are similar to one of theirs. The
    roles use it to refuse C(inx_container) instead of C(inx_containers), which Ansible would ignore.
author:
  - inx.fleet contributors (@inx-fleet)
options:
  _input:
    description:
      - Names of variables.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse misspelled variables
  ansible.builtin.assert:
    that: query('ansible.builtin.varnames', '^inx_') | inx.fleet.misspelled_variables == {}
"""

RETURN = r"""
_value:
  description: The correct name, by the misspelled one.
  type: dict
"""

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.inx.fleet.plugins.plugin_utils.variables import misspelled


def misspelled_variables(names: Iterable[str]) -> dict[str, str]:
    """Return the name that is meant, by the misspelled one."""
    return misspelled(names)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"misspelled_variables": misspelled_variables}
