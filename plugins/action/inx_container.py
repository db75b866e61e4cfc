# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin of all modules: meta/runtime.yml routes them here."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action.normal import ActionModule as Normal

from ansible_collections.inx.fleet.plugins.plugin_utils.interpreters import with_fallbacks

_DELEGATED = "ansible_delegated_vars"


class ActionModule(Normal):
    """Run a module as Ansible does, also on hosts without python3 in PATH."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        variables = with_fallbacks(task_vars or {})
        if _DELEGATED in variables:
            delegated = variables[_DELEGATED]
            variables[_DELEGATED] = {host: with_fallbacks(theirs) for host, theirs in delegated.items()}
        result: dict[str, Any] = super().run(tmp, variables)
        return result
