# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a command in a container, as a program on the container's host: python3 -c TEXT NAME PROJECT COMMAND...

The connection plugin inx.fleet.incus sends the text of this file to the host, so it takes the standard library alone.

It speaks to Incus as ``incus exec`` does (rest-api: /1.0/instances/NAME/exec), and is there because that one loses
output: it answers each ping that Incus sends along with the output, and when the command has ended by then, the answer
fails, and it gives up on the output that it has yet to read (client/incus_instances.go, and gorilla/websocket). On
busy hosts that was seen in 4 of 600 calls of cat (6.0.4) and in 14 of 600 (7.0.2). This program never answers: Incus
does not wait for it.
"""

from __future__ import annotations

# Few and light ones: the program starts for each command.
import json
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

SOCKET = "/var/lib/incus/unix.socket"
# What stands between the output of the command and how it ended.
_MARK = b"\0inx.fleet "
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_CHUNK = 64 * 1024
# Kinds of messages, RFC 6455. Incus ends a stream with an empty text (shared/ws/rwc.go).
_CONTINUATION, _TEXT, _BINARY, _CLOSE = 0, 1, 2, 8
# The key of a handshake is against caches on the way; here is none.
_UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: aW54LmZsZWV0LmluY3VzIQ==\r\n"
)
_SUCCESS = 200
# What a shell ends with when a program cannot be run, or is not there. Incus calls that its own failure.
_SHELL_CODES = (126, 127)
_ADVICE = (
    "Incus must run there, and its socket is for root and the group incus-admin: "
    "set 'ansible_become' of the host, or 'ansible_incus_sudo', for another user."
)


class ExecError(Exception):
    """The command could not be run, or what became of it is not known."""


class Stream:
    """A websocket, just enough of it."""

    def __init__(self, path: str) -> None:
        self._socket = _connect()
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: incus\r\n{_UPGRADE}\r\n".encode())
        self._reader = self._socket.makefile("rb")
        status = self._reader.readline()
        while self._reader.readline().strip():
            pass
        if b" 101 " not in status:
            raise ExecError(f"Incus opens no stream: {status.decode(errors='replace').strip()}.")

    def messages(self) -> Iterator[bytes]:
        """Yield the messages until the end of the stream. Raises ExecError when it breaks off."""
        with suppress(ConnectionError):
            while len(head := self._reader.read(2)) == 2:
                kind, length = head[0] & 0x0F, head[1] & 0x7F
                if length > 125:
                    size, form = (2, ">H") if length == 126 else (8, ">Q")
                    (length,) = struct.unpack(form, self._reader.read(size).rjust(size, b"\0"))
                data = self._reader.read(length)
                if kind == _TEXT:
                    return
                if len(data) < length or kind == _CLOSE:
                    break
                if kind in (_CONTINUATION, _BINARY):
                    yield data
        raise ExecError("The connection to Incus ended before the output did.")

    def send(self, data: bytes, kind: int = _BINARY) -> None:
        """Send one message. A mask of zeros leaves the data as it is; it is against proxies, and here is none."""
        length = len(data)
        short = length if length < 126 else 126 if length < 65536 else 127
        size = b"" if length < 126 else struct.pack(">H" if length < 65536 else ">Q", length)
        self._socket.sendall(bytes([0x80 | kind, 0x80 | short]) + size + b"\0\0\0\0" + data)


class _Task(threading.Thread):
    """A function that runs beside the others. It does not keep the process when that ends."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        super().__init__(daemon=True)
        self._function, self._arguments = function, arguments
        self._result: Any = None
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._function(*self._arguments)
        except Exception as error:
            self._error = error

    def result(self) -> Any:
        """Return or raise what the function has, after its end."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._result


def _connect() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(SOCKET)
    return connection


def ask(method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Return the answer of Incus. Raises ExecError with Incus's words when it refuses."""
    sent = b"" if body is None else json.dumps(body).encode()
    with _connect() as connection:
        # In this version the answer is in one piece, and the connection ends after it.
        head = f"{method} {path} HTTP/1.0\r\nHost: incus\r\nContent-Length: {len(sent)}\r\n\r\n"
        connection.sendall(head.encode() + sent)
        with connection.makefile("rb") as reader:
            text = reader.read().partition(b"\r\n\r\n")[2]
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise ExecError("Incus broke off its answer.") from error
    if answer["type"] == "error":
        raise ExecError(f"Incus says: {answer['error']}.")
    return answer["metadata"]


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode(errors="surrogateescape"))


def run(name: str, project: str, command: Sequence[str]) -> int:
    """Run the command with this process's input and output, and return the code that it ended with."""
    wish = {"command": list(command), "wait-for-websocket": True, "interactive": False}
    operation = ask("POST", f"/1.0/instances/{_quoted(name)}/exec?project={_quoted(project)}", wish)
    path, secrets = f"/1.0/operations/{operation['id']}", operation["metadata"]["fds"]
    stdin, stdout, stderr = (Stream(f"{path}/websocket?secret={secrets[fd]}") for fd in "012")
    # Asked for before the end: Incus forgets an operation soon after it.
    ending = _Task(_ending, path)
    _Task(_feed, stdin)
    outputs = [_Task(_drain, stdout, _STDOUT), _Task(_drain, stderr, _STDERR)]
    done = ending.result()
    code = int(done["metadata"].get("return", -1))
    if done["status_code"] != _SUCCESS and code not in _SHELL_CODES:
        raise ExecError(f"Incus says: {done['err']}.")
    for output in outputs:
        output.result()
    return code


def _ending(path: str) -> Any:
    """Return an operation after its end. Incus answers the wait for a failed one with an error, which says less."""
    try:
        return ask("GET", f"{path}/wait")
    except ExecError:
        return ask("GET", path)


def _feed(stream: Stream) -> None:
    """Give the command what this process is given, until it ends; the command may have ended before."""
    with suppress(OSError):
        while data := os.read(_STDIN, _CHUNK):
            stream.send(data)
        stream.send(b"", _TEXT)


def _drain(stream: Stream, target: int) -> None:
    try:
        for data in stream.messages():
            _write(target, data)
    except BrokenPipeError:
        # Nobody listens any more. Incus ends the command when this process is gone.
        os._exit(1)


def _write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


def read_ending(output: bytes) -> tuple[bytes, dict[str, Any] | None]:
    """Return what the command wrote, and its ``return`` or ``error``, None when this program could not report it."""
    text, mark, ending = output.rpartition(_MARK)
    if not mark:
        return output, None
    try:
        return text, dict(json.loads(ending))
    except ValueError:
        return output, None


def main(arguments: Sequence[str]) -> None:
    """Run the command, and say in the output how it ended: exit codes are for whoever brings it here."""
    name, project, *command = arguments
    ending: dict[str, Any]
    try:
        ending = {"return": run(name, project, command)}
    except OSError as error:
        ending = {"error": f"{SOCKET}: {error.strerror}. {_ADVICE}"}
    except ExecError as error:
        ending = {"error": str(error)}
    _write(_STDOUT, _MARK + json.dumps(ending).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
