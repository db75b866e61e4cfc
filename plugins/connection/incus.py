# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: incus
short_description: Run tasks in containers through their hosts
version_added: 0.1.0
description:
  - Runs tasks inside the containers of a host, over Ansible's connection to that host, as C(incus exec) does on the
    host. The container needs no address, no sshd and no user, and the control node needs no Incus.
  - The inventory plugin P(inx.fleet.inx#inventory) sets its variables. Without that plugin, set them yourself.
  - For a container without Python, use M(ansible.builtin.raw).
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - connection_pipelining
notes:
  - Commands run as root of the container. Use C(become_user) for another user.
  - A stopped container is unreachable, and so are the containers of an unreachable host.
  - A transferred file is held in memory on the control node.
  - C(incus exec) itself is not used, because it can lose the output of short commands on busy hosts. A small program,
    sent with each command, talks to Incus instead.
requirements:
  - Python 3.9 or newer on the host, and Incus 6.0 or newer at C(/var/lib/incus/unix.socket).
seealso:
  - plugin: inx.fleet.inx
    plugin_type: inventory
options:
  host:
    description:
      - Name of the inventory host that runs the container. Its own variables set the connection to it, which must be
        P(ansible.builtin.ssh#connection) or P(ansible.builtin.local#connection).
    type: str
    required: true
    vars:
      - name: ansible_incus_host
  instance:
    description:
      - Name of the container in Incus.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_incus_instance
  project:
    description:
      - Name of the container's Incus project.
    type: str
    default: default
    vars:
      - name: ansible_incus_project
  sudo:
    description:
      - Whether to become root on the host, with the host's own C(ansible_become_method), C(ansible_become_password) and
        so on, or the password that C(--ask-become-pass) asks for. It is needed if the user on the host is neither root
        nor in the group C(incus-admin).
      - By default, the variable C(ansible_become) of the host. The keyword C(become) of a play is about the container.
    type: bool
    vars:
      - name: ansible_incus_sudo
  python:
    description:
      - Path of the Python interpreter on the host.
      - By default, C(ansible_python_interpreter) of the host, the one that Ansible has discovered there, C(python3), or
        the one in C(/opt/inx-fleet), C(/usr/bin) or C(/run/current-system/sw/bin), whichever exists first.
    type: str
    vars:
      - name: ansible_incus_python
  remote_user:
    description:
      - User that commands run as, which is always root.
    type: str
    choices: [root]
    default: root
"""

EXAMPLES = r"""
# Connect to one container, without the inventory plugin
all:
  hosts:
    metal1:
      ansible_host: metal1.example.org
      ansible_user: root
    web:
      ansible_connection: inx.fleet.incus
      ansible_incus_host: metal1
"""

import inspect
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

from ansible_collections.inx.fleet.plugins.module_utils.incus import exec as container_exec
from ansible_collections.inx.fleet.plugins.plugin_utils.container_host import execute, open_host
from ansible_collections.inx.fleet.plugins.plugin_utils.interpreters import candidates

display = Display()

# Of what Ansible knows of a task, what concerns the way to the host.
_TASK_KEYS = ("timeout", "password")
# Becomes the first Python that the host has. The words are passed on as they are.
_FIRST_PYTHON = """\
for python in {candidates}; do
  if command -v "$python" > /dev/null 2>&1; then exec "$python" -I -S -c "$@"; fi
done
echo "no Python was found: set ansible_python_interpreter of the host to its path" >&2
exit 127
"""


class Connection(ConnectionBase):
    """A container, through the connection to its host."""

    transport = "inx.fleet.incus"
    has_pipelining = True
    has_tty = False

    _host: Any = None
    _hostvars: Mapping[str, Any] = {}
    _templar: Any = None
    _task_keys: Mapping[str, Any] = {}
    _pythons: Sequence[str] = ()

    def _resolve_option_variables(self, variables: Mapping[str, Any], templar: Any) -> dict[str, Any]:
        """Keep what is needed to find the host's variables, which are not among the container's."""
        self._hostvars, self._templar = variables.get("hostvars") or {}, templar
        return dict(super()._resolve_option_variables(variables, templar))

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._task_keys = {key: value for key, value in (task_keys or {}).items() if key in _TASK_KEYS}
        self._connected = False

    def _connect(self) -> Connection:
        if not self._connected:
            host = self.get_option("host")
            if host not in self._hostvars:
                raise AnsibleError(
                    f"ansible_incus_host: the inventory has no host {host!r}. Name the host that the container is on."
                )
            variables = self._hostvars[host]
            password = self._play_context.become_pass
            keys = {**self._task_keys, **({"become_pass": password} if password else {})}
            self._host = open_host(host, variables, self._templar, keys, become=self.get_option("sudo"))
            named = self.get_option("python")
            self._pythons = [named] if named else candidates(variables, self._templar)
            self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a shell command in the container."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        name, host = self.get_option("instance"), self.get_option("host")
        display.vvv(f"EXEC IN {name} {cmd}", host=host)
        _code, output, stderr = execute(self._host, self._on_host(name, cmd), in_data)
        stdout, ending = container_exec.read_ending(output)
        if ending is None:
            said = (stderr or output).decode(errors="replace").strip()
            raise AnsibleConnectionFailure(f"{name} of {host}: the host does not run the command: {said or 'no word'}")
        if "error" in ending:
            raise AnsibleConnectionFailure(f"{name} of {host}: {ending['error']}")
        return ending["return"], stdout, stderr

    def _on_host(self, name: str, cmd: str) -> list[str]:
        start = _FIRST_PYTHON.format(candidates=shlex.join(self._pythons))
        program = inspect.getsource(container_exec)
        return ["sh", "-c", start, "sh", program, name, self.get_option("project"), "/bin/sh", "-c", cmd]

    def put_file(self, in_path: str, out_path: str) -> None:
        """Write a file of the control node into the container."""
        super().put_file(in_path, out_path)
        if not os.path.exists(in_path):
            raise AnsibleFileNotFound(f"The file {in_path} does not exist on the control node.")
        with open(in_path, "rb") as file:
            data = file.read()
        # Without data, the input of the command would be left open.
        source = "cat" if data else ":"
        self._transfer(f"{source} > {shlex.quote(out_path)}", f"write {out_path}", data or None)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Write a file of the container to the control node."""
        super().fetch_file(in_path, out_path)
        data = self._transfer(f"cat < {shlex.quote(in_path)}", f"read {in_path}")
        with open(out_path, "wb") as file:
            file.write(data)

    def _transfer(self, command: str, action: str, data: bytes | None = None) -> bytes:
        code, stdout, stderr = self.exec_command(command, in_data=data, sudoable=False)
        if code != 0:
            raise AnsibleError(
                f"{self.get_option('instance')}: could not {action}: {stderr.decode(errors='replace').strip()}"
            )
        return stdout

    def reset(self) -> None:
        """End the connection to the host that ssh keeps for later commands."""
        self._connect()
        self._host.reset()
        self.close()

    def close(self) -> None:
        """Forget the host; ssh ends its own connections."""
        self._connected = False
