# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask the Incus of this host with the standard library alone: a host that is being set up has no pylxd yet."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConflictError, FleetError
from .hints import advice_on

SOCKET = "/var/lib/incus/unix.socket"
# Incus that was not used starts with the first request, and a pool takes as long as its file system.
_TIMEOUT = 300
_PRECONDITION_FAILED = 412


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What Incus has answered, and the mark of what was read."""

    metadata: Any
    etag: str


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket of this host."""

    def __init__(self, path: str) -> None:
        super().__init__("incus", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def listens() -> bool:
    """Return whether Incus, or systemd for it, listens at the socket."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            asked.connect(SOCKET)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except PermissionError as error:
        raise FleetError(f"This user may not use the Incus socket {SOCKET}.", "Become root.") from error
    return True


def get(path: str, action: str) -> Any:
    """Return what Incus has at a path. Raise FleetError that ``action`` could not be done."""
    return _request("GET", path, action).metadata


def create(path: str, body: Mapping[str, Any], action: str) -> None:
    """Create an object in a list of Incus. Raise FleetError that ``action`` could not be done."""
    _request("POST", path, action, body)


def change(path: str, changed: Callable[[Mapping[str, Any]], Mapping[str, Any]], action: str) -> None:
    """Write what ``changed`` makes of an object. Raise ConflictError if it was changed in between."""
    found = _request("GET", path, action)
    _request("PUT", path, action, changed(found.metadata), {"If-Match": found.etag})


def _request(
    method: str, path: str, action: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    connection = _Connection(SOCKET)
    text = None if body is None else json.dumps(body)
    try:
        connection.request(method, path, text, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FleetError(
            f"Could not {action}: Incus does not answer at {SOCKET} ({error}).",
            "See 'journalctl -u incus' on the host.",
        ) from error
    finally:
        connection.close()
    _check(answer, action)
    if answer["type"] == "async":
        done = get(f"/1.0/operations/{answer['metadata']['id']}/wait", action)
        _check({"error": done.get("err")}, action)
    return Answer(metadata=answer["metadata"], etag=response.headers.get("ETag", ""))


def _check(answer: Mapping[str, Any], action: str) -> None:
    said = answer.get("error")
    if not said:
        return
    if answer.get("error_code") == _PRECONDITION_FAILED:
        raise ConflictError(f"Could not {action}: it was changed by something else in the meantime.", "Run again.")
    raise FleetError(f"Could not {action}: Incus says: {said}.", advice_on(str(said), "default"))
