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
options:
  _input:
    description:
      - Containers, as in O(inx.fleet.inx_containers#module:containers).
    type: list
    elements: dict
    required: true
  only:
    description:
      - Names, or patterns such as V(web-*), as a list or separated by commas. An empty list selects nothing.
      - If neither this nor O(only_tags) is given, all containers are selected.
    type: list
    elements: str
  only_tags:
    description:
      - Tags. A container is selected if it has one of them, or if O(only) selects it.
    type: list
    elements: str
  defaults:
    description:
      - Options that all containers share, as in O(inx.fleet.inx_containers#module:defaults). Their C(tags) are used for
        containers without tags.
    type: dict
    default: {}
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

from ansible.errors import AnsibleFilterError

from ansible_collections.inx.fleet.plugins.module_utils.container.selection import selection_from
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.plugin_utils.declared_tags import tags_by_name


def choose_containers(
    containers: Any, only: Any = None, only_tags: Any = None, defaults: Mapping[str, Any] | None = None
) -> list[str]:
    """Return the names of the containers that are selected."""
    try:
        selection = selection_from(only, only_tags)
        tagged = tags_by_name(containers, defaults)
    except FleetError as error:
        raise AnsibleFilterError(str(error)) from error
    return [name for name, tags in tagged.items() if selection.selects(name, tags)]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"choose_containers": choose_containers}
