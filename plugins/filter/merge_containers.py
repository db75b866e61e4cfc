# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: merge_containers
short_description: Merge lists of containers by name
version_added: 0.1.0
description:
  - Merges several lists of declared containers into one, such as those of a host and its groups. The role
    P(inx.fleet.containers#role) uses it.
author:
  - inx.fleet contributors (@inx-fleet)
options:
  _input:
    description:
      - Lists, each as in O(inx.fleet.inx_containers#module:containers). If two of them declare the same container, the
        later declaration overrides the earlier one. Dictionaries such as C(config) and C(devices) are merged key by
        key, other values are replaced, and options that exclude each other are one choice. See the table in
        C(roles/containers/README.md).
      - An entry without a name, and a name that is twice in one list, are kept. The module refuses them.
    type: list
    elements: list
    required: true
"""

EXAMPLES = r"""
- name: Run the containers of all hosts, with settings of this host
  inx.fleet.inx_containers:
    containers: "{{ [everywhere, here] | inx.fleet.merge_containers }}"
  vars:
    everywhere:
      - name: proxy
        flake: /etc/nixos
        config: {limits.memory: 1GiB}
    here:
      - name: proxy
        config: {limits.memory: 4GiB}
"""

RETURN = r"""
_value:
  description: The containers, in the order in which they first appear.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.inx.fleet.plugins.module_utils.container.precedence import laid_over


def merge_containers(lists: Any) -> list[Any]:
    if not _is_list(lists) or not all(_is_list(entries) for entries in lists):
        raise AnsibleFilterError(
            "merge_containers takes a list of lists of containers. See whether 'inx_containers' and each "
            "'inx_containers_of_NAME' are lists."
        )
    merged: list[Any] = []
    for entries in lists:
        # As before this list, so that what is twice in it is not taken for a merge.
        known = {_name(entry): index for index, entry in enumerate(merged)}
        for entry in entries:
            index = known.get(_name(entry)) if _name(entry) is not None else None
            if index is None:
                merged.append(entry)
            else:
                merged[index] = laid_over(merged[index], entry)
    return merged


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _name(entry: Any) -> str | None:
    return entry.get("name") if isinstance(entry, Mapping) else None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"merge_containers": merge_containers}
