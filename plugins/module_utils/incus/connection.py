# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connection to Incus: requests, waiting for operations, and errors with hints.

pylxd gives access to the REST API of https://linuxcontainers.org/incus/docs/main/rest-api/.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any

from ..errors import ConflictError, FleetError, LateError, RefusedError
from ..names import lxc_name
from ..text import incus_command
from ..waiting import poll
from .config_keys import ConfigKeys
from .ending import LONGEST_GRACE, STOP_POLL, grace_for
from .endpoint import Endpoint, local_endpoint
from .hints import advice_on
from .models import instances_of, server_from

try:
    import pylxd
    import pylxd.exceptions
    import requests.exceptions
except ImportError as error:
    PYLXD_IMPORT_ERROR: ImportError | None = error
else:
    PYLXD_IMPORT_ERROR = None

_CONNECT_TIMEOUT = 5
# What to do about a user that is not trusted, at a socket and elsewhere.
_TRUST = {
    True: "Become root, or use a member of the group incus-admin.",
    False: f"Have its certificate added there: {incus_command(None, 'config', 'trust', 'add-certificate', 'FILE')}.",
}
# An operation is waited for in slices, so that a lost answer is noticed. Incus closes a connection that was idle for
# 30 s (cmd/incusd/api.go, IdleTimeout), and pylxd has one for each URL: a request at that moment would fail.
_WAIT_SLICE = 20
_CHANGE_TRIES = 5
# Incus: internal/server/db/operationtype/operation_type.go. While one of these goes on, an instance is in between.
_TRANSITIONS = frozenset(
    f"{verb} instance"
    for verb in (
        *("Creating", "Deleting", "Starting", "Stopping", "Restarting", "Rebuilding", "Updating", "Renaming"),
        *("Migrating", "Live-migrating", "Freezing", "Unfreezing"),
    )
)
_COMMAND = "Executing command"
#: The numbers of a command's outputs.
STREAMS = {"stdout": "1", "stderr": "2"}
OUTPUT_LIMIT = 64 * 1024
_CHUNK = 16 * 1024
# Incus: shared/api/status_code.go
_RUNNING = 103
_PENDING = 105
_SUCCESS = 200
_PRECONDITION_FAILED = 412


class Connection:
    """A connection to one project of one Incus server, or with None to all of them.

    Every method raises FleetError with Incus's own words when it refuses.
    """

    def __init__(self, endpoint: Endpoint, project: str | None = "default") -> None:
        """Connect. Raises FleetError that says what is missing: Incus, or the permission, or that it is elsewhere."""
        self._endpoint = endpoint
        if not endpoint.is_local:
            # Without the project, for which pylxd looks into what a server does not tell a stranger.
            self._check_is_here(self._trusted(None).host_info)
        self._client = self._trusted(project)
        self._stuck: set[tuple[str, str]] = set()
        #: The inits of this host's instances, as they were seen last.
        self._inits: dict[str, int] = {}
        self._config_keys: ConfigKeys | None = None
        self.server = server_from(self._client.host_info)

    @property
    def project(self) -> str | None:
        """Return the project that it is a connection to, None for all of them."""
        found: str | None = self._client.project
        return found

    def _explained(self, action: str) -> AbstractContextManager[None]:
        return explained(action, self.project)

    def _trusted(self, project: str | None) -> Any:
        client = self._connect(self._endpoint, project, self._endpoint.request_timeout)
        if client.host_info.get("auth") != "trusted":
            address, is_local = self._endpoint.address, self._endpoint.is_local
            raise FleetError(f"Incus at {address} does not trust this user.", _TRUST[is_local])
        return client

    @staticmethod
    def _connect(endpoint: Endpoint, project: str | None, timeout: float) -> Any:
        with explained("connect to Incus", project):
            return pylxd.Client(**endpoint.arguments, project=project, timeout=(_CONNECT_TIMEOUT, timeout))

    def _check_is_here(self, info: Mapping[str, Any]) -> None:
        """Raise FleetError unless this is the Incus of this host, where generations and processes are looked at.

        Names can be the same on two hosts. A server's certificate is its own, but for the members of a cluster, which
        have names of their own; and its process is the one that answers at this host's socket.
        """
        where = self._endpoint.address
        try:
            local = _identity(self._connect(local_endpoint(), None, self._endpoint.request_timeout).host_info)
        except FleetError as error:
            raise FleetError(
                f"It is not known whether Incus at {where} is the one of this host: {error.problem}", error.advice
            ) from error
        if local != _identity(info):
            raise FleetError(
                f"Incus at {where} is {server_from(info).name!r}, and not the one of the host that this task runs on.",
                "Run the task on that host: the systems and generations of its containers are there.",
            )

    def _change(self, node: Any, change: Callable[[dict[str, Any]], dict[str, Any]], params: Mapping[str, Any]) -> None:
        """Write what ``change`` makes of what is there. If somebody wrote in between, it is asked again."""
        for left in reversed(range(_CHANGE_TRIES)):
            # pylxd adds to the parameters.
            answer = node.get(params=dict(params))
            found = answer.json()["metadata"]
            body = change(found)
            if all(found.get(key) == value for key, value in body.items()):
                return
            unchanged = {"If-Match": answer.headers["ETag"]}
            try:
                self._do(partial(node.put, json=body, params=dict(params), headers=unchanged))
            except pylxd.exceptions.LXDAPIException as error:
                if error.response.status_code != _PRECONDITION_FAILED or not left:
                    raise
            else:
                return

    def await_operations(self, names: Callable[[], Collection[str]]) -> dict[str, FleetError]:
        """Wait until what was begun with some instances has ended. Returns those that are still busy.

        A run that was killed does not end what it has asked for, and a person with ``incus`` may be at it as well.
        Meanwhile an instance looks neither as before nor as after. ``names`` is asked once, if anything goes on.
        """
        deadline, busy = time.monotonic() + self._endpoint.operation_timeout, dict[str, FleetError]()
        with self._explained("wait for running operations of the instances"):
            found = [one for one in self._operations() if one["description"] in _TRANSITIONS]
            awaited = names() if found else ()
            for operation in found:
                about = instances_of(operation).intersection(awaited)
                if about:
                    try:
                        self._await_operation(operation, deadline)
                    except LateError as error:
                        busy.update(dict.fromkeys(about, error))
        return busy

    def runs_commands(self, name: str) -> bool:
        """Return whether commands without a terminal run in an instance."""
        with self._explained(f"list what goes on in {name}"):
            return any(True for _command in self._commands(name))

    def await_commands(self, name: str, timeout: int) -> None:
        """Wait until they have ended. Raises LateError when that takes longer than ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        with self._explained(f"wait for what runs in {name}"):
            for operation in self._commands(name):
                self._await_operation(operation, deadline)

    def _commands(self, name: str) -> Iterator[Mapping[str, Any]]:
        for entry in self._operations():
            if entry["description"] == _COMMAND and entry["class"] == "task" and name in instances_of(entry):
                yield entry

    def _await_operation(self, operation: Mapping[str, Any], deadline: float) -> None:
        """Wait until an operation has ended, however it does."""
        while self._is_going_on(operation["id"], deadline):
            if time.monotonic() >= deadline:
                raise LateError(
                    f"Incus is busy with {', '.join(sorted(instances_of(operation)))}: "
                    f"{operation['description']!r} is running since {operation['created_at']}.",
                    f"See '{incus_command(self.project, 'operation', 'show', operation['id'])}' on the host, "
                    "and run again when it has ended.",
                )

    def _operations(self) -> list[Mapping[str, Any]]:
        found = self._get(self._client.api.operations, recursion=1) or {}
        return [entry for status in ("pending", "running") for entry in found.get(status) or ()]

    def _is_going_on(self, identifier: str, deadline: float) -> bool:
        try:
            operation = self._wait_slice(identifier, deadline)
        except pylxd.exceptions.NotFound:
            # Incus forgets them seconds after their end.
            return False
        return operation["status_code"] in (_PENDING, _RUNNING)

    def _take_outputs(self, name: str, urls: Mapping[str, str], wanted: Collection[str]) -> dict[str, str]:
        return {
            stream: self._take_output(name, urls.get(number), read=stream in wanted)
            for stream, number in STREAMS.items()
        }

    def _take_output(self, name: str, url: str | None, *, read: bool) -> str:
        """Remove a recorded output from the host's disk, and return it if it is to be ``read``."""
        if not url:
            return ""
        node, text = self._client.api, ""
        for part in url.partition("?")[0].removeprefix("/1.0/").split("/"):
            node = node[part]
        if read:
            with node.get(is_api=False, stream=True) as answer:
                text = first_bytes(answer).decode(errors="replace")
        if not self._removed_output(name, url):
            node.delete()
        return text

    def _removed_output(self, name: str, url: str) -> bool:
        """Remove what Incus has recorded of a command where it is, and return whether that could be done.

        It is beside the root of the instance (internal/server/instance/drivers/driver_common.go, ExecOutputPath). Root
        saves two requests for each command so.
        """
        project, file = self._client.project, os.path.basename(url.partition("?")[0])
        if not self._endpoint.is_local or project is None or not file.startswith("exec_"):
            return False
        top = os.path.dirname(self._endpoint.address)
        with suppress(OSError):
            os.unlink(f"{top}/containers/{lxc_name(project, name)}/exec-output/{file}")
            return True
        return False

    @staticmethod
    def _get(node: Any, **params: Any) -> Any:
        return node.get(params=params).json()["metadata"]

    def _list(self, node: Any, **params: Any) -> list[Any]:
        """Return a list of Incus, which answers null for some that are empty."""
        return list(self._get(node, **params) or ())

    def _do(self, request: Callable[[], Any], timeout: int | None = None) -> None:
        """Make a request and wait for what it begins; once more while Incus refuses it for what passes.

        It is at something else with the instance when a container has just ended: its stop is not done. And it answers
        before it has brought up its networks and pools.
        """
        began = time.monotonic()

        def attempt() -> Exception | None:
            try:
                self._wait(request(), timeout)
            except (pylxd.exceptions.LXDAPIException, RefusedError) as error:
                if time.monotonic() >= began + grace_for(error):
                    raise
                return error
            return None

        left = poll(attempt, began + LONGEST_GRACE, until=lambda error: error is None, pause=STOP_POLL)
        if left is not None:
            raise left

    def _wait(
        self, answer: Any, timeout: int | None = None, is_enough: Callable[[], bool] | None = None
    ) -> Mapping[str, Any]:
        """Wait for a background operation and return it; a synchronous answer is returned as it is.

        Raises LateError when it takes longer than ``timeout`` seconds, or when ``is_enough`` says so.
        """
        body = answer.json()
        if body.get("type") != "async":
            return {}
        identifier = body["metadata"]["id"]
        timeout = self._endpoint.operation_timeout if timeout is None else timeout
        started = time.monotonic()
        deadline = started + timeout
        operations = incus_command(self.project, "operation", "list")
        while True:
            slice_end = deadline if is_enough is None else min(deadline, time.monotonic() + 1)
            operation = self._wait_slice(identifier, slice_end)
            if operation["status_code"] == _SUCCESS:
                return operation
            if operation["status_code"] != _RUNNING:
                raise _refused(operation, self.project)
            if is_enough is not None and is_enough():
                raise LateError(
                    f"it still runs after {round(time.monotonic() - started)} s ({operation.get('description')}).",
                    f"See '{operations}' on the host.",
                )
            if time.monotonic() >= deadline:
                raise LateError(
                    f"it is not done after {timeout} s ({operation.get('description')}).",
                    f"See '{operations}' on the host; a later run continues.",
                )

    def _wait_slice(self, identifier: str, deadline: float) -> dict[str, Any]:
        """Return an operation when it has ended, or after a slice of the time until the deadline."""
        longest = min(_WAIT_SLICE, self._endpoint.request_timeout // 2)
        seconds = max(1, min(longest, int(deadline - time.monotonic() + 0.999)))
        node = self._client.api.operations[identifier]
        try:
            return dict(self._get(node.wait, timeout=seconds))
        except pylxd.exceptions.LXDAPIException as error:
            # The wait's own time-out is answered as an error; the operation tells which it was.
            if isinstance(error, pylxd.exceptions.NotFound):
                raise
            return dict(self._get(node))


@contextmanager
def explained(action: str, project: str | None) -> Iterator[None]:
    """Turn what pylxd raises into one sentence for the user, about a project or None."""
    try:
        yield
    except pylxd.exceptions.LXDAPIException as error:
        if error.response.status_code == _PRECONDITION_FAILED:
            raise ConflictError(
                f"Could not {action}: it was changed by something else in the meantime.", "Run again."
            ) from error
        raise FleetError(f"Could not {action}: Incus says: {error}.", advice_on(str(error), project)) from error
    except (pylxd.exceptions.ClientConnectionFailed, requests.exceptions.RequestException) as error:
        raise FleetError(
            f"Could not {action}: the connection to Incus failed ({error}).",
            "Check 'systemctl status incus' on the host, and with https the address and the certificates.",
        ) from error
    except ConflictError:
        raise
    except FleetError as error:
        if error.problem.startswith("Could not "):
            raise
        raise type(error)(f"Could not {action}: {error.problem}", error.advice) from error


def _refused(operation: Mapping[str, Any], project: str | None) -> RefusedError:
    said = str(operation.get("err") or operation.get("status"))
    name = next(iter(sorted(instances_of(operation))), None)
    return RefusedError(f"Incus says: {said}.", advice_on(said, project, str(operation.get("description")), name))


def first_bytes(answer: Any) -> bytes:
    """Return the first 64 KiB of a body, without reading more into memory."""
    first = b""
    for chunk in answer.iter_content(_CHUNK):
        first += chunk
        if len(first) >= OUTPUT_LIMIT:
            break
    return first[:OUTPUT_LIMIT]


def _identity(info: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what distinguishes one server from another."""
    return tuple(info["environment"][key] for key in ("certificate_fingerprint", "server_name", "server_pid"))
