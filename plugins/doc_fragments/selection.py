# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What the filters have that select among declared containers."""

    DOCUMENTATION = r"""
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
"""
