# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection to a container, over a host whose connection is simulated: what it is given to run, and its answer."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.playbook.play_context import PlayContext
from ansible.plugins.connection import ConnectionBase

from ansible_collections.inx.fleet.plugins.connection import incus
from ansible_collections.inx.fleet.plugins.connection.incus import Connection

HOSTILE = 'it\'s $(touch no) `x` "y"; z\nend'
OK = b'\0inx.fleet {"return": 0}'


class Host:
    """A simulated connection to a host, which notes the command."""

    become: Any = None
    _shell: Any = None

    def __init__(self, *answer: Any) -> None:
        self._answer = answer or (0, OK, b"")
        self.words: list[str] = []
        self.given: bytes | None = None
        self.was_reset = False

    def reset(self) -> None:
        self.was_reset = True

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        assert sudoable == (self.become is not None)
        self.words, self.given = shlex.split(cmd), in_data
        return self._answer


class Tried(Connection):
    """The connection with options of the test's own: Ansible's loader is not there to read them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(PlayContext())
        defaults = {"host": "metal1", "instance": "web", "project": "default", "sudo": None, "python": None}
        self.options = {**defaults, **options}

    def get_option(self, option: str, hostvars: Any = None) -> Any:
        return self.options[option]


class Become:
    """A simulated become plugin, which lets a line go before the output."""

    success = "BECOME-SUCCESS-x"

    def build_become_command(self, cmd: str, _shell: Any) -> str:
        return f"become {cmd}"


def connection_through(host: Host, *, pythons: Sequence[str] = ("python3",), **options: Any) -> Connection:
    connection = Tried(**options)
    connection._host, connection._connected, connection._pythons = host, True, pythons
    return connection


def test_no_word_meets_a_shell_of_the_host_unquoted() -> None:
    host = Host()
    connection_through(host, instance=HOSTILE, project=HOSTILE).exec_command(HOSTILE, in_data=b"data")
    assert host.words[5:] == [HOSTILE, HOSTILE, "/bin/sh", "-c", HOSTILE]
    assert host.given == b"data"


def test_the_first_python_that_the_host_has_runs_it(tmp_path: Path) -> None:
    python = tmp_path / HOSTILE
    python.symlink_to(sys.executable)
    host = Host()
    connection_through(host, pythons=["/nowhere/python", str(python), "/bin/false"]).exec_command("true")
    host.words[4] = "import sys; print(sys.executable, *sys.argv[1:], sep='\\0', end='')"
    done = subprocess.run(host.words, capture_output=True, text=True, check=True)
    assert done.stdout.split("\0") == [str(python), "web", "default", "/bin/sh", "-c", "true"]
    connection_through(host, pythons=["/nowhere/python"]).exec_command("true")
    assert subprocess.run(host.words, capture_output=True, check=False).returncode == 127


def test_the_host_becomes_another_user_by_its_plugin() -> None:
    host = Host(0, b"BECOME-SUCCESS-x\r\nBECOME-SUCCESS-x\n" + OK, b"")
    host.become = Become()
    _code, stdout, _stderr = connection_through(host).exec_command("true")
    assert host.words[:3] == ["become", "sh", "-c"]
    # Only the first line is the plugin's.
    assert stdout == b"BECOME-SUCCESS-x\n"


def test_how_it_ended() -> None:
    answer = connection_through(Host(0, b'out\0inx.fleet {"return": 255}', b"err")).exec_command("x")
    assert answer == (255, b"out", b"err")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((0, b'\0inx.fleet {"error": "Incus says: no."}', b""), "web of metal1: Incus says: no."),
        ((127, b"", b"sh: python3: not found"), "does not run the command: sh: python3: not found"),
        ((1, b"Sorry", b""), "does not run the command: Sorry"),
        ((0, b"", b""), "does not run the command: no word"),
    ],
)
def test_what_keeps_it_from_running_is_unreachable(answer: tuple[int, bytes, bytes], problem: str) -> None:
    with pytest.raises(AnsibleConnectionFailure, match=problem):
        connection_through(Host(*answer)).exec_command("x")


def test_files_by_any_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for data, program in ((b"data", "cat"), (b"", ":")):
        host = Host()
        file.write_bytes(data)
        connection_through(host).put_file(str(file), HOSTILE)
        assert host.words[-1] == f"{program} > {shlex.quote(HOSTILE)}"
        assert host.given == (data or None)
    connection_through(Host(0, b"back" + OK, b"")).fetch_file(HOSTILE, str(file))
    assert file.read_bytes() == b"back"


def test_files_that_cannot_be_transferred(tmp_path: Path) -> None:
    connection = connection_through(Host(0, b'\0inx.fleet {"return": 1}', b"read-only"))
    with pytest.raises(AnsibleError, match="does not exist on the control node"):
        connection.put_file(str(tmp_path / "none"), "/x")
    with pytest.raises(AnsibleError, match="web: could not read /x: read-only"):
        connection.fetch_file("/x", str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_host_that_the_inventory_does_not_have() -> None:
    with pytest.raises(AnsibleError, match="ansible_incus_host: the inventory has no host 'nowhere'"):
        Tried(host="nowhere").exec_command("true")


def test_what_ssh_keeps_open_is_ended_by_a_reset() -> None:
    host = Host()
    connection = connection_through(host)
    connection.reset()
    assert (host.was_reset, connection._connected) == (True, False)


def test_a_task_brings_its_timeout_and_password_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(incus, "open_host", lambda *arguments, **options: opened.append((*arguments, options)))
    monkeypatch.setattr(ConnectionBase, "set_options", lambda *_arguments, **_options: None)
    connection = Tried(sudo=True)
    connection._hostvars = {"metal1": {"ansible_user": "root"}}
    connection._play_context.become_pass = "b"  # noqa: S105
    connection.set_options(task_keys={"timeout": 5, "password": "p", "port": 22})
    assert connection._connect()._connected
    keys = {"timeout": 5, "password": "p", "become_pass": "b"}
    assert opened == [("metal1", {"ansible_user": "root"}, None, keys, {"become": True})]
    assert connection._pythons[0] == "python3"
    connection.close()
    assert not connection._connected
