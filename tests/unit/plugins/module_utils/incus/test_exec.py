# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that speaks to Incus, with a simulated Incus: a real one cannot be made to break off in the middle."""

from __future__ import annotations

import inspect
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.incus import exec as container_exec
from ansible_collections.inx.fleet.plugins.module_utils.incus.exec import read_ending

BARRIER = b"\x81\x00"
PING = b"\x89\x09keepalive"
NO_WAIT = {"type": "error", "error": "Command not found"}


def message(data: bytes) -> bytes:
    """A binary message, as a server sends it."""
    if len(data) < 126:
        return bytes([0x82, len(data)]) + data
    form, short = (">H", 126) if len(data) < 65536 else (">Q", 127)
    return bytes([0x82, short]) + struct.pack(form, len(data)) + data


class Incus:
    """A simulated Incus: it takes one command, says what it is told to on its streams, and closes them at once."""

    def __init__(self, path: Path, stdout: bytes, stderr: bytes = BARRIER, **operation: Any) -> None:
        self.path = path
        self.asked: dict[str, Any] = {}
        self.stdin = b""
        self.started = threading.Event()
        self._streams = {"1": stdout, "2": stderr}
        self._operation = {"id": "7", "status_code": 200, "metadata": {"return": 0}, "err": "", **operation}
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _address = self._socket.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            method, path = reader.readline().decode().split()[:2]
            length = 0
            while line := reader.readline().strip().lower():
                length = int(line.split(b":")[1]) if line.startswith(b"content-length") else length
            if "websocket" in path:
                self._stream(connection, reader, path[-1])
                return
            if method == "POST":
                self.asked = {"path": path, **json.loads(reader.read(length))}
                fds = {"fds": {"0": "0", "1": "1", "2": "2", "control": "c"}}
                answer: dict[str, Any] = {"type": "async", "metadata": {"id": "7", "metadata": fds}}
            else:
                answer = {"type": "sync", "metadata": self._operation}
                if path.endswith("/wait"):
                    self.started.wait()
                    answer = NO_WAIT if self._operation["status_code"] != 200 else answer
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(answer).encode())

    def _stream(self, connection: socket.socket, reader: BinaryIO, number: str) -> None:
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        if number == "0":
            self._take_stdin(reader)
        else:
            connection.sendall(self._streams[number])
            self.started.set()

    def _take_stdin(self, reader: BinaryIO) -> None:
        while len(head := reader.read(2)) == 2:
            length = head[1] & 0x7F
            if length > 125:
                size, form = (2, ">H") if length == 126 else (8, ">Q")
                (length,) = struct.unpack(form, reader.read(size))
            assert head[1] & 0x80, "a client has to mask what it sends"
            assert reader.read(4) == b"\0\0\0\0"
            self.stdin += reader.read(length)
            if head[0] & 0x0F == 1:
                self.stdin += b"<end>"
                return


Run = Callable[..., tuple[bytes, Any]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the program as a host does, against the socket of the simulated Incus."""

    def run_it(data: bytes = b"") -> tuple[bytes, dict[str, Any] | None]:
        text = inspect.getsource(container_exec).replace(container_exec.SOCKET, str(tmp_path / "s"))
        command = [sys.executable, "-I", "-S", "-c", text, "we b", "a&b", "/bin/sh", "-c", "it's $HOME"]
        done = subprocess.run(command, input=data, capture_output=True, timeout=60, check=True)
        return read_ending(done.stdout)

    return run_it


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def test_what_it_asks_for(run: Run, socket_path: Path) -> None:
    incus = Incus(socket_path, message(b"out") + BARRIER)
    assert run() == (b"out", {"return": 0})
    assert incus.asked["path"] == "/1.0/instances/%77%65%20%62/exec?project=%61%26%62"
    assert incus.asked["command"] == ["/bin/sh", "-c", "it's $HOME"]


def test_pings_of_a_server_that_is_gone_lose_nothing(run: Run, socket_path: Path) -> None:
    """What incus exec gives up at: it answers the ping, nobody is there any more, and the rest is not read."""
    Incus(socket_path, PING + message(b"one ") + PING + message(b"two") + BARRIER, PING + BARRIER)
    assert run() == (b"one two", {"return": 0})


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 300_000])
def test_messages_of_any_length(run: Run, socket_path: Path, size: int) -> None:
    incus = Incus(socket_path, message(b"x" * size) + BARRIER)
    assert run(b"y" * size) == (b"x" * size, {"return": 0})
    assert incus.stdin.rstrip(b"<end>") == b"y" * len(incus.stdin.rstrip(b"<end>"))


def test_an_output_that_breaks_off_is_an_error(run: Run, socket_path: Path) -> None:
    for number, output in enumerate((message(b"half"), message(b"x" * 100)[:50], b"", b"\x88\x00")):
        socket_path.unlink(missing_ok=True)
        Incus(socket_path, output)
        _text, ending = run()
        assert ending == {"error": "The connection to Incus ended before the output did."}, number


@pytest.mark.parametrize("code", [126, 127])
def test_what_a_shell_does_not_find_is_no_failure_of_incus(run: Run, socket_path: Path, code: int) -> None:
    Incus(socket_path, BARRIER, message(b"sh: x: not found") + BARRIER, status_code=400, metadata={"return": code})
    assert run() == (b"", {"return": code})


def test_a_failure_of_incus_is_told_in_its_words(run: Run, socket_path: Path) -> None:
    Incus(socket_path, BARRIER, status_code=400, metadata={"return": -1}, err="Failed to attach")
    assert run() == (b"", {"error": "Incus says: Failed to attach."})


def test_without_incus(run: Run) -> None:
    _text, ending = run()
    assert ending is not None
    assert "No such file or directory" in ending["error"]
    assert "ansible_incus_sudo" in ending["error"]


@pytest.mark.parametrize("output", [b"", b"text", b"\0inx.fleet {", b"Permission denied\n"])
def test_an_output_without_an_ending(output: bytes) -> None:
    assert read_ending(output) == (output, None)


def test_a_command_cannot_write_its_own_ending() -> None:
    output = b'\0inx.fleet {"return": 0}\n\0inx.fleet {"return": 3}'
    assert read_ending(output) == (b'\0inx.fleet {"return": 0}\n', {"return": 3})
