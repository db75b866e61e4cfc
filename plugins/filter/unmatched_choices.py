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
extends_documentation_fragment: inx.fleet.selection
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

from ansible_collections.inx.fleet.plugins.plugin_utils.declared_tags import selection_among


def unmatched_choices(
    containers: Any, only: Any = None, only_tags: Any = None, defaults: Mapping[str, Any] | None = None
) -> list[str]:
    """Return what selects no container, with the option that it is of."""
    selection, tagged = selection_among(containers, only, only_tags, defaults)
    return [f"{option} {item}" for option, item in selection.unmatched(tagged)]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"unmatched_choices": unmatched_choices}
