# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host of containers, reached from the control node as Ansible itself reaches it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible import constants
from ansible.errors import AnsibleError
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader

_KINDS = ("ssh", "local")
_BUILTIN = "ansible.builtin."


def open_host(name: str, variables: Mapping[str, Any], templar: Any, task_keys: Mapping[str, Any] | None = None) -> Any:
    """Return a connection to the inventory host ``name``, set up by its variables.

    Raises AnsibleError when it is reached by something else than ssh or local.
    """
    given = templar.template(variables["ansible_connection"]) if "ansible_connection" in variables else None
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
    return connection


def give_up_after(connection: Any, seconds: int) -> None:
    """Let a connection fail, and not ask or wait, when the host does not let it in or is gone."""
    if connection.transport != "ssh":
        return
    connection.set_option("timeout", seconds)
    hurry = [f"-o ServerAliveInterval={seconds}", "-o ServerAliveCountMax=1"]
    if not connection.get_option("password"):
        hurry.append("-o BatchMode=yes")
    connection.set_option("ssh_extra_args", " ".join([connection.get_option("ssh_extra_args") or "", *hurry]).strip())
