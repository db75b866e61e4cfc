# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host of containers, reached from the control node as Ansible itself reaches it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ansible import constants
from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader

_KINDS = ("ssh", "local")
_BUILTIN = "ansible.builtin."


def open_host(
    name: str,
    variables: Mapping[str, Any],
    templar: Any,
    task_keys: Mapping[str, Any] | None = None,
    *,
    become: bool | None = None,
) -> Any:
    """Return a connection to the inventory host ``name``, set up by its variables.

    ``become`` says whether to become another user there, by default the host's ``ansible_become`` does. The task key
    ``become_pass`` is the password that the run was given for that.

    Raises AnsibleError when it is reached by something else than ssh or local.
    """
    given = _templated("ansible_connection", variables, templar)
    kind = str(given or constants.DEFAULT_TRANSPORT).removeprefix(_BUILTIN)
    if kind not in _KINDS:
        raise AnsibleError(
            f"The host {name} is reached by the connection plugin {kind!r}, and its containers only by ssh or local."
        )
    context = PlayContext()
    context.remote_addr = name
    connection = connection_loader.get(_BUILTIN + kind, context)
    # By name, one after the other: others of the host's variables may not be there to be templated.
    options = connection._resolve_option_variables(variables, templar)
    connection.set_options(task_keys=dict(task_keys or {}), var_options=options)
    if kind == "ssh":
        # A terminal on the host would alter what passes through it.
        connection.set_option("use_tty", False)
    if become if become is not None else boolean(_templated("ansible_become", variables, templar) or False):
        connection.set_become_plugin(_become(variables, templar, task_keys or {}))
    return connection


def execute(connection: Any, words: Sequence[str], in_data: bytes | None = None) -> tuple[int, bytes, bytes]:
    """Execute a command on a host, as the user that its connection becomes. Return its code and output."""
    command, become = shlex.join(words), connection.become
    if become is None:
        answer: tuple[int, bytes, bytes] = connection.exec_command(command, in_data=in_data, sudoable=False)
        return answer
    command = become.build_become_command(command, connection._shell)
    code, stdout, stderr = connection.exec_command(command, in_data=in_data, sudoable=True)
    # Not every connection takes away the line that says that it became the user.
    return code, re.sub(rb"\A\s*" + re.escape(become.success.encode()) + rb"\r?\n", b"", stdout), stderr


def _become(variables: Mapping[str, Any], templar: Any, task_keys: Mapping[str, Any]) -> Any:
    method = str(_templated("ansible_become_method", variables, templar) or constants.DEFAULT_BECOME_METHOD)
    become = become_loader.get(method)
    if become is None:
        raise AnsibleError(f"ansible_become_method: there is no become plugin {method!r}.")
    names = constants.config.get_plugin_vars("become", become._load_name)
    options = {name: _templated(name, variables, templar) for name in names if name in variables}
    become.set_options(
        task_keys={key: task_keys[key] for key in ("become_pass",) if key in task_keys}, var_options=options
    )
    return become


def _templated(name: str, variables: Mapping[str, Any], templar: Any) -> Any:
    return templar.template(variables[name]) if name in variables else None


def give_up_after(connection: Any, seconds: int) -> None:
    """Let a connection fail, and not ask or wait, when the host does not let it in or is gone."""
    if connection.transport != "ssh":
        return
    connection.set_option("timeout", seconds)
    hurry = [f"-o ServerAliveInterval={seconds}", "-o ServerAliveCountMax=1"]
    if not connection.get_option("password"):
        hurry.append("-o BatchMode=yes")
    connection.set_option("ssh_extra_args", " ".join([connection.get_option("ssh_extra_args") or "", *hurry]).strip())
