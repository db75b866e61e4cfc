# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: choose_containers
short_description: Choose declared containers by name or tag
version_added: 0.1.0
description:
  - Gives the names of those containers of a list that are called so, or that have one of the tags. The role
    P(inx.fleet.containers#role) uses it to find out which hosts a run is about.
author:
  - inx.fleet contributors (@inx-fleet)
positional: only, only_tags
options:
  _input:
    description:
      - The containers, as O(inx.fleet.inx_containers#module:containers) takes them.
    type: list
    elements: dict
    required: true
  only:
    description:
      - Names, or patterns such as V(web-*). Without these and O(only_tags), all are chosen.
    type: list
    elements: str
    default: []
  only_tags:
    description:
      - Tags, of which one is enough.
    type: list
    elements: str
    default: []
  defaults:
    description:
      - What holds for every container, as O(inx.fleet.inx_containers#module:defaults) takes it. It may have tags.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Those that begin with web
  ansible.builtin.debug:
    msg: "{{ inx_containers | inx.fleet.choose_containers(['web-*']) }}"
"""

RETURN = r"""
_value:
  description: Their names, in the order of the list.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.declared import is_chosen


def choose_containers(
    containers: Sequence[Any],
    only: Sequence[str] = (),
    only_tags: Sequence[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> list[str]:
    tagged = {
        entry["name"]: entry.get("tags") or (defaults or {}).get("tags") or ()
        for entry in containers
        if isinstance(entry, Mapping) and "name" in entry
    }
    if not only and not only_tags:
        return list(tagged)
    return [name for name, tags in tagged.items() if is_chosen(name, tags, only, only_tags)]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"choose_containers": choose_containers}
