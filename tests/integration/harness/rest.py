# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks Incus as `incus query` does, without a process for each of thousands of requests."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

_SOCKET = "/var/lib/incus/unix.socket"
_PATIENCE = 120


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(_SOCKET)


def query(path: str) -> Any:
    """What Incus answers to GET; RuntimeError when it does not, or not with what was asked for."""
    answer = _answer("GET", path)
    if answer["type"] != "sync":
        raise RuntimeError(f"Incus answered to {path}: {answer}")
    return answer["metadata"]


def change(method: str, path: str, body: Any = None) -> None:
    """Have Incus change something, and wait for the end; RuntimeError when it does not succeed."""
    answer = _answer(method, path, None if body is None else json.dumps(body))
    if answer["type"] == "async":
        done = query(f"{answer['operation']}/wait")
        if done["status_code"] != http.client.OK:
            raise RuntimeError(f"Incus did not {method} {path}: {done['err']}")
    elif answer["type"] != "sync":
        raise RuntimeError(f"Incus answered to {method} {path}: {answer}")


def _answer(method: str, path: str, body: str | None = None) -> Any:
    connection = _Connection("incus", timeout=_PATIENCE)
    try:
        connection.request(method, path, body)
        return json.load(connection.getresponse())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RuntimeError(f"Incus did not answer to {path}: {error!r}") from error
    finally:
        connection.close()
