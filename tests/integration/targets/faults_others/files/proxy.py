# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A socket before the real one of Incus, for faults that the real one cannot be brought to: they are simulated.

All requests are passed on but those that a rule names, and those it answers in its own way.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

SOCKET = "/var/lib/incus/unix.socket"
PROXY = "/run/faults-incus.socket"
_HOP = ("connection", "transfer-encoding", "content-length")
_RUNNING = {"status": "Running", "status_code": 103}

#: What is done to a request, by its number, method and path: "500", "cut" before it is passed on, "cut after",
#: "half" of its answer, "fields" that nobody knows, an operation that "never ends"; "" passes it on.
Rule = Callable[[int, str, str], str]


@contextmanager
def proxy(rule: Rule) -> Iterator[list[str]]:
    """Serve while the block runs; yields the requests that came, with what was done to them."""
    if os.path.exists(PROXY):
        os.unlink(PROXY)
    with _Server(PROXY, _Handler) as server:
        server.rule, server.seen = rule, []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.seen
        finally:
            server.shutdown()
            thread.join()
            os.unlink(PROXY)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    rule: Rule
    seen: list[str]


class _Incus(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(SOCKET)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        verdict = self.server.rule(len(self.server.seen) + 1, self.command, self.path)
        self.server.seen.append(f"{self.command} {self.path} {verdict}")
        if verdict == "cut":
            self._cut()
        elif verdict == "500":
            self._answer(500, {}, json.dumps({"type": "error", "error": "not today", "error_code": 500}).encode())
        else:
            status, headers, data = self._ask(body)
            self._answer_as(verdict, status, headers, data)

    def _answer_as(self, verdict: str, status: int, headers: dict[str, str], data: bytes) -> None:
        if verdict == "cut after":
            self._cut()
            return
        if verdict == "fields":
            data = _with_fields(data)
        elif verdict == "never ends":
            answer = json.loads(data)
            data = json.dumps({**answer, "metadata": {**answer["metadata"], **_RUNNING}}).encode()
        self._answer(status, headers, data, half=verdict == "half")

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        incus = _Incus("incus")
        incus.request(self.command, self.path, body, dict(self.headers.items()))
        answer = incus.getresponse()
        headers = {key: value for key, value in answer.getheaders() if key.lower() not in _HOP}
        return answer.status, headers, answer.read()

    def _answer(self, status: int, headers: dict[str, str], data: bytes, *, half: bool = False) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if half else data)
        if half:
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 - the names that http.server calls


def _with_fields(data: bytes) -> bytes:
    """The same answer from a version of Incus that says more."""
    try:
        answer = json.loads(data)
    except ValueError:
        return data
    for known in (answer, answer.get("metadata"), *_entries(answer.get("metadata"))):
        if isinstance(known, dict):
            known["not_known_yet"] = {"of": ["some", {"kind": 1}]}
    return json.dumps(answer).encode()


def _entries(metadata: Any) -> list[Any]:
    found = metadata if isinstance(metadata, list) else []
    if isinstance(metadata, dict) and isinstance(metadata.get("state"), dict):
        found = [*found, metadata["state"]]
    return found
