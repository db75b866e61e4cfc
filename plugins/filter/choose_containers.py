# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: choose_containers
short_description: Select declared containers by name or tag
version_added: 0.1.0
description:
  - Returns the names of the containers that have one of the names or one of the tags. The role
    P(inx.fleet.containers#role) uses it to find the hosts of the selected containers.
author:
  - inx.fleet contributors (@inx-fleet)
positional: only, only_tags
extends_documentation_fragment: inx.fleet.selection
seealso:
  - plugin: inx.fleet.unmatched_choices
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the containers whose names begin with web
  ansible.builtin.debug:
    msg: "{{ inx_containers | inx.fleet.choose_containers(['web-*']) }}"
"""

RETURN = r"""
_value:
  description: Names of the selected containers, in the order of the list.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.inx.fleet.plugins.plugin_utils.declared_tags import selection_among


def choose_containers(
    containers: Any, only: Any = None, only_tags: Any = None, defaults: Mapping[str, Any] | None = None
) -> list[str]:
    """Return the names of the containers that are selected."""
    selection, tagged = selection_among(containers, only, only_tags, defaults)
    return [name for name, tags in tagged.items() if selection.selects(name, tags)]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"choose_containers": choose_containers}
