# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: report_page
short_description: Write a report of drift as an HTML page
version_added: 0.2.0
description:
  - Returns one HTML page with the hosts and containers of a report, their states, and what would change. The page loads
    nothing else, and allows no script but its own, which filters what is shown.
author:
  - inx.fleet contributors (@inx-fleet)
positional: about
options:
  _input:
    description:
      - Report of the filter P(inx.fleet.drift#filter).
    type: dict
    required: true
  about:
    description:
      - What the page says of itself at its top, by labels. Empty texts are left out.
    type: dict
    default: {}
seealso:
  - plugin: inx.fleet.drift
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Write a report for a browser
  ansible.builtin.copy:
    dest: fleet.html
    content: "{{ ansible_play_hosts_all | inx.fleet.drift(hostvars) | inx.fleet.report_page({'Made': now(utc=true)}) }}"
    mode: "0600"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.inx.fleet.plugins.plugin_utils import report_page as page


def report_page(report: Mapping[str, Any], about: Mapping[str, Any] | None = None) -> str:
    """Return the page of a report."""
    return page.report_page(report, {label: str(value) for label, value in (about or {}).items()})


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"report_page": report_page}
