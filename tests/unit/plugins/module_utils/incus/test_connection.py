# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.incus.client import Incus
from ansible_collections.inx.fleet.plugins.module_utils.incus.endpoint import Endpoint


class _ClosesIdle(BaseHTTPRequestHandler):
    """Stand in for an Incus whose idle time is over whenever a connection is used again: it closes it unread."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        metadata = {"auth": "trusted", "environment": {}} if self.path.partition("?")[0] == "/1.0" else []
        body = json.dumps({"type": "sync", "metadata": metadata}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if not self.close_connection:
            self.wfile.flush()
            # Until the next request is there, so that it is lost as in the race.
            self.connection.recv(1)
            self.close_connection = True

    def address_string(self) -> str:
        return "a socket has none"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def socket_path(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "s")
    with _Server(path, _ClosesIdle) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield path
        server.shutdown()


def test_a_connection_that_was_idle_is_not_used_again(socket_path: str) -> None:
    incus = Incus(Endpoint(address=socket_path))
    assert [incus.profiles(), incus.profiles()] == [{}, {}]
