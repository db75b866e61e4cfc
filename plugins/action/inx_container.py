# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin of all modules: meta/runtime.yml routes them here."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.utils.display import Display

from ansible_collections.inx.fleet.plugins.module_utils.progress.file import RUN_VARIABLE
from ansible_collections.inx.fleet.plugins.plugin_utils.built_modules import kept_between_runs
from ansible_collections.inx.fleet.plugins.plugin_utils.interpreters import facts_about, with_interpreters
from ansible_collections.inx.fleet.plugins.plugin_utils.progress import (
    command,
    followed,
    pace,
    second,
    writes_to_terminal,
)
from ansible_collections.inx.fleet.plugins.plugin_utils.variables import misspelled, refusal

_DELEGATED = "ansible_delegated_vars"
_OUR_ROLES = "inx.fleet."
_WITHOUT_LIBRARIES = "inx_host"
#: The modules that may work for long.
_LONG = frozenset(("inx_container", "inx_containers", "inx_generations", "inx_host", "inx_system"))


class ActionModule(Normal):
    """Run a module as Ansible does, also on hosts without python3 in PATH, and show its progress."""

    #: The name of this run on its host, "" if nobody follows it.
    _run_name = ""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        self._refuse_misspelled(task_vars or {})
        needs_libraries = self._module != _WITHOUT_LIBRARIES
        variables = with_interpreters(task_vars or {}, needs_libraries=needs_libraries)
        if _DELEGATED in variables:
            delegated = variables[_DELEGATED]
            variables[_DELEGATED] = {
                host: with_interpreters(theirs, needs_libraries=needs_libraries) for host, theirs in delegated.items()
            }
        if not self._is_followed(variables):
            return self._run_module(tmp, variables)
        self._run_name = secrets.token_hex(8)
        speed = pace(len(variables.get("ansible_play_batch") or ()), is_terminal=writes_to_terminal())
        with followed(self._look(), self._show(variables), speed):
            return self._run_module(tmp, variables)

    def _refuse_misspelled(self, variables: Iterable[str]) -> None:
        """Refuse misspelled variables in the roles: Ansible ignores a variable that nothing reads."""
        role = self._task._role
        if role is not None and role.get_name().startswith(_OUR_ROLES) and (found := misspelled(variables)):
            raise AnsibleActionFail(refusal(found))

    def _run_module(self, tmp: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
        with kept_between_runs(self._module):
            result: dict[str, Any] = super().run(tmp, variables)
        facts = {} if self._task.delegate_to else facts_about(result)
        return {**result, "ansible_facts": {**result.get("ansible_facts", {}), **facts}} if facts else result

    @property
    def _module(self) -> str:
        return str(self._task.action.rpartition(".")[2])

    def _is_followed(self, variables: Mapping[str, Any]) -> bool:
        """Return whether to show the progress. A task with ``async`` is looked at by Ansible, in pauses."""
        if self._module not in _LONG or self._task.async_val or self._task.no_log:
            return False
        return bool(boolean(self._templar.template(variables.get("inx_progress", True))))

    def _look(self) -> Callable[[], str]:
        """Return what reads the file of the run, as the user that the task becomes."""
        other = copy.copy(self)
        other._connection = second(self._connection)
        return lambda: str(other._low_level_execute_command(command(self._run_name))["stdout"])

    def _show(self, variables: Mapping[str, Any]) -> Callable[[str], None]:
        """Return what shows a line of the host. Warnings go the same way: what a program reads has none of them."""
        host, other = str(variables.get("inventory_hostname", "")), self._task.delegate_to
        label = f"{host} -> {other}" if other not in (None, host) else host
        return lambda line: Display().display(f"[{label}] {line}", stderr=True, screen_only=True)

    def _compute_environment_string(self, raw_environment_out: Any = None) -> str:
        """Give the module the name of its run."""
        given: str = super()._compute_environment_string(raw_environment_out)
        if not self._run_name:
            return given
        return " ".join(filter(None, (self._connection._shell.env_prefix(**{RUN_VARIABLE: self._run_name}), given)))
