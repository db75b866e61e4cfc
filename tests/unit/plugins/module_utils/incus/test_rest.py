# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to a server that answers as Incus does, over a socket."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import ConflictError, FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus import rest

Pool = dict[str, Any]


class FakeIncus(BaseHTTPRequestHandler):
    """An Incus with one storage pool. It asks for the mark of what was read, and creates others in the background."""

    pool: ClassVar[Pool] = {}
    etag: ClassVar[str] = "1"
    created: ClassVar[list[Pool]] = []

    def do_GET(self) -> None:
        if self.path.startswith("/1.0/operations/"):
            failed = self.created[-1]["name"] == "full"
            self._answer({"type": "sync", "metadata": {"err": "No space left on device" if failed else ""}})
        else:
            self._answer({"type": "sync", "metadata": self.pool})

    def do_POST(self) -> None:
        self.created.append(self._body())
        self._answer({"type": "async", "metadata": {"id": "7"}})

    def do_PUT(self) -> None:
        body = self._body()
        if self.headers["If-Match"] != "1":
            self._answer({"type": "error", "error": "Precondition failed", "error_code": 412})
            return
        self.pool.update(body)
        self._answer({"type": "sync", "metadata": None})

    def _body(self) -> Pool:
        body: Pool = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return body

    def _answer(self, answer: Pool) -> None:
        body = json.dumps(answer).encode()
        self.send_response(answer.get("error_code", 200))
        self.send_header("ETag", self.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@pytest.fixture
def incus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeIncus]]:
    path = str(tmp_path / "unix.socket")
    monkeypatch.setattr(rest, "SOCKET", path)
    monkeypatch.setattr(FakeIncus, "pool", {"config": {"size": "5GiB"}, "description": "mine", "driver": "dir"})
    monkeypatch.setattr(FakeIncus, "created", [])
    with socketserver.UnixStreamServer(path, FakeIncus) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield FakeIncus
        server.shutdown()
        thread.join()


def test_what_incus_holds_is_read_and_changed(incus: type[FakeIncus]) -> None:
    assert rest.listens()
    assert rest.get("/1.0/storage-pools/a", "look")["driver"] == "dir"
    rest.change("/1.0/storage-pools/a", lambda found: {"description": found["description"], "config": {}}, "change it")
    assert incus.pool == {"config": {}, "description": "mine", "driver": "dir"}


def test_a_change_in_between_is_not_overwritten(incus: type[FakeIncus], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incus, "etag", "2")
    with pytest.raises(ConflictError, match="Could not change it: it was changed by something else"):
        rest.change("/1.0/storage-pools/a", lambda _found: {"config": {}}, "change it")
    assert incus.pool["config"] == {"size": "5GiB"}


def test_what_is_done_in_the_background_is_waited_for(incus: type[FakeIncus]) -> None:
    rest.create("/1.0/storage-pools", {"name": "b"}, "create the pool")
    assert incus.created == [{"name": "b"}]
    with pytest.raises(FleetError, match=r"Could not create the pool: Incus says: No space left on device\. Make room"):
        rest.create("/1.0/storage-pools", {"name": "full"}, "create the pool")


def test_an_incus_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "SOCKET", str(tmp_path / "missing"))
    assert not rest.listens()
    with pytest.raises(FleetError, match="Could not look: Incus does not answer"):
        rest.get("/1.0", "look")
