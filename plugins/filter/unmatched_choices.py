# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: unmatched_choices
short_description: Find names and tags that select no declared container
version_added: 0.2.0
description:
  - Returns the names, patterns and tags that select no container of a list. The role
    P(inx.fleet.containers#role) uses it to refuse a selection that no host of a play declares.
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
      - Names, or patterns such as V(web-*), as a list or separated by commas.
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
  - plugin: inx.fleet.choose_containers
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Refuse a misspelled name
  ansible.builtin.assert:
    that: inx_containers | inx.fleet.unmatched_choices(['web', 'bd']) == []
"""

RETURN = r"""
_value:
  description: The unmatched values in order, each after the name of its option, such as V(only bd).
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.inx.fleet.plugins.module_utils.container.selection import selection_from
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.plugin_utils.declared_tags import tags_by_name


def unmatched_choices(
    containers: Any, only: Any = None, only_tags: Any = None, defaults: Mapping[str, Any] | None = None
) -> list[str]:
    """Return what selects no container, with the option that it is of."""
    try:
        selection = selection_from(only, only_tags)
        tagged = tags_by_name(containers, defaults)
    except FleetError as error:
        raise AnsibleFilterError(str(error)) from error
    return [f"{option} {item}" for option, item in selection.unmatched(tagged)]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"unmatched_choices": unmatched_choices}
