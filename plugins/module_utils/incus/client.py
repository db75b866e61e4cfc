# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that is said to Incus, through pylxd's access to its REST API.

The API is the one of https://linuxcontainers.org/incus/docs/main/rest-api/.
pylxd's models are not used: they ask once per object, and the plan wants one
request for all of them.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..errors import ConflictError, FleetError, LateError, RefusedError
from ..names import lxc_name
from ..paths import store_object
from .endpoint import Endpoint, local_endpoint
from .hints import advice_on
from .models import (
    Cluster,
    Fleet,
    Instance,
    Profile,
    Volume,
    instance_from,
    instances_of,
    location_of,
    profile_body,
    profile_from,
    server_from,
    volume_from,
    writable,
)
from .rootfs import container_root, read_link, running_containers, sees_processes

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
    False: "Have its certificate added there: incus config trust add-certificate FILE.",
}
# Reading a link of a stopped container takes 40 ms; its root file system may hold it up.
_LINK_TIMEOUT = 10
# How long a container may take from the end of its init to what Incus calls stopped.
_STOP_GRACE = 10
_STOP_POLL = 0.1
_NO_PROCESS = re.compile(r"Invalid PID|/proc/\d+")
# An operation is waited for in slices, so that a lost answer is noticed.
_WAIT_SLICE = 30
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
# Incus: internal/server/instance/operationlock/operationlock.go
_BUSY = "Instance is busy running"
# Incus: a member that is emptied for maintenance, or is coming back from it.
_EVACUATED = ("Evacuating", "Evacuated", "Restoring")
_OUTPUT_LIMIT = 64 * 1024
_CHUNK = 16 * 1024
# Incus: shared/api/status_code.go
_RUNNING = 103
_PENDING = 105
_SUCCESS = 200
_PRECONDITION_FAILED = 412


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a command inside a container ended; the texts are its first 64 KiB, and not to be trusted."""

    code: int
    stdout: str
    stderr: str


class Incus:
    """One project of one Incus server, or with None all of them.

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
        self.server = server_from(self._client.host_info)

    def _trusted(self, project: str | None) -> Any:
        client = self._connect(self._endpoint, project, self._endpoint.request_timeout)
        if client.host_info.get("auth") != "trusted":
            address, is_local = self._endpoint.address, self._endpoint.is_local
            raise FleetError(f"Incus at {address} does not trust this user.", _TRUST[is_local])
        return client

    @staticmethod
    def _connect(endpoint: Endpoint, project: str | None, timeout: float) -> Any:
        with _explained("connect to Incus"):
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
                f"Whether Incus at {where} is the one of this host cannot be told: {error.problem}", error.advice
            ) from error
        if local != _identity(info):
            raise FleetError(
                f"Incus at {where} is {server_from(info).name!r}, and not the one of the host that this task runs on.",
                "Run the task on that host: the systems and generations of its containers are there.",
            )

    # Looking

    def profiles(self) -> dict[str, Profile]:
        """All profiles of the project by name."""
        with _explained("list the profiles"):
            found = self._get(self._client.api.profiles, recursion=1)
        return {entry["name"]: profile_from(entry) for entry in found}

    def pools(self) -> frozenset[str] | None:
        """The names of the storage pools; None when this user may use them, and not list them."""
        with _explained("list the storage pools"):
            try:
                found = self._get(self._client.api["storage-pools"])
            except pylxd.exceptions.LXDAPIException as error:
                # Incus 6.0 answers so to a certificate for some projects only, with the code 500.
                if "restricted" in str(error):
                    return None
                raise
        return frozenset(str(url).rpartition("/")[2] for url in found)

    def cluster(self) -> Cluster | None:
        """The cluster that this host is a member of; None, and no request, without one."""
        member = self.server.member
        if member is None:
            return None
        with _explained("list the members of the cluster"):
            found = self._get(self._client.api.cluster.members, recursion=1)
        status = {entry["server_name"]: entry["status"] for entry in found}
        # A member that answers here is online, though the others may not have noticed yet.
        online = {
            name for name, seen in status.items() if seen == "Online" or (name == member and seen not in _EVACUATED)
        }
        return Cluster(member=member, members=frozenset(status), online=frozenset(online))

    def volumes(self, pools: Iterable[str]) -> dict[tuple[str, str], list[Volume]]:
        """The custom volumes that the project has in some pools, by pool and name: one for each member that has it."""
        with _explained("list the storage volumes"):
            found = {pool: self._get(self._volumes(pool), recursion=1) for pool in pools}
        volumes: dict[tuple[str, str], list[Volume]] = {}
        for pool, entries in found.items():
            for entry in entries:
                volumes.setdefault((pool, entry["name"]), []).append(volume_from(entry))
        return volumes

    def pool_sources(self) -> dict[str, str]:
        """Where each storage pool has what it holds: a path or a device, "" when it does not say."""
        with _explained("look at the storage pools"):
            found = self._get(self._client.api["storage-pools"], recursion=1)
        return {entry["name"]: (entry.get("config") or {}).get("source", "") for entry in found}

    def has_snapshots(self, name: str) -> bool:
        """Whether an instance has snapshots."""
        with _explained(f"list the snapshots of {name}"):
            return bool(self._get(self._client.api.instances[name].snapshots))

    def has_files(self, name: str, path: str) -> bool:
        """Whether there is anything at ``path`` in an instance but an empty directory."""
        with _explained(f"look at {path} of {name}"):
            try:
                answer = self._client.api.instances[name].files.get(params={"path": path}, is_api=False, stream=True)
            except pylxd.exceptions.NotFound:
                return False
            with answer:
                if answer.headers.get("X-Incus-type") != "directory":
                    return True
                listed = _first_bytes(answer)
            # However long the list is, its first name is enough.
            return len(listed) >= _OUTPUT_LIMIT or bool(json.loads(listed)["metadata"])

    def instance(self, name: str) -> Instance | None:
        """One instance with its state; None when there is none of that name."""
        with _explained(f"look at {name}"):
            node = self._client.api.instances[name]
            try:
                (found,) = self._settled(lambda: [instance_from(self._get(node, recursion=1))], None)
            except pylxd.exceptions.NotFound:
                return None
        # The number of a process on another member means nothing here.
        return found if found.location == self.server.member else replace(found, pid=0)

    def locations(self) -> dict[str, str | None]:
        """At which member each instance is."""
        with _explained("list the instances"):
            found = self._get(self._client.api.instances, recursion=1)
        return {entry["name"]: location_of(entry) for entry in found}

    def instances(self, awaited: Collection[str] | None) -> dict[str, Instance]:
        """All instances by name, in one request; those of them that are ``awaited`` (None is all) are not in between.

        Incus is not asked for their state, which takes it a hundred times as long for a hundred of
        them: their init is found in /proc, and their addresses are left out.
        """

        def look() -> list[Instance]:
            return self._with_inits(map(instance_from, self._get(self._client.api.instances, recursion=1)))

        with _explained("list the instances"):
            return {instance.name: instance for instance in self._settled(look, awaited)}

    def instances_with_state(self, awaited: Collection[str] | None) -> list[Instance]:
        """All instances with their addresses and disks, in one request that takes Incus its time.

        Those that it cannot look at have the status Error, and no config.
        """
        project = self._client.project
        params = {"recursion": 2} if project is not None else {"recursion": 2, "all-projects": "true"}

        def look() -> list[Instance]:
            return [instance_from(entry) for entry in self._get(self._client.api.instances, **params)]

        with _explained("list the instances"):
            found = self._settled(look, awaited)
        if not found and project is not None:
            with _explained(f"look into the project {project}"):
                # One that is not there has no instances either, as Incus says it.
                self._get(self._client.api.projects[project])
        return found

    def _with_inits(self, instances: Iterable[Instance]) -> list[Instance]:
        found = list(instances)
        running = running_containers() if any(map(self._runs_here, found)) else {}
        member = self.server.member
        inits = [running.get(lxc_name(one.project, one.name)) if one.location == member else None for one in found]
        return [one if init is None else replace(one, pid=init.pid) for one, init in zip(found, inits, strict=True)]

    def _runs_here(self, instance: Instance) -> bool:
        return instance.is_running and instance.location == self.server.member

    def _settled(self, look: Callable[[], list[Instance]], awaited: Collection[str] | None) -> list[Instance]:
        """What ``look`` sees when none of those that are ``awaited`` is in between, but those that stay so."""

        def is_awaited(instance: Instance) -> bool:
            return (
                (awaited is None or instance.name in awaited)
                and (instance.project, instance.name) not in self._stuck
                and self._is_ending(instance)
            )

        found = until_settled(look, is_awaited)
        self._stuck.update((instance.project, instance.name) for instance in found if is_awaited(instance))
        return found

    def _is_ending(self, instance: Instance) -> bool:
        """Whether its init has ended, and it does not count as stopped yet."""
        if instance.type != "container" or instance.location != self.server.member:
            return False
        if instance.status == "Error":
            return not instance.config
        return instance.status == "Stopping" or (self._runs_here(instance) and instance.pid <= 0 and sees_processes())

    def running_system(self, instance: Instance) -> str | None:
        """Where /run/current-system leads inside a running instance; None when it is no link into the store."""
        link = self.read_link(instance, "/run/current-system")
        return link if link is not None and store_object(link) == link else None

    def read_link(self, instance: Instance, path: str) -> str | None:
        """Where the link ``path`` inside ``instance`` points to, None when it is no link."""
        if os.geteuid() == 0 and instance.pid > 0:
            lxc = lxc_name(instance.project, instance.name)
            with suppress(OSError, FleetError), container_root(lxc, instance.pid) as root:
                return read_link(root, path)
        params = {"path": path, "project": instance.project}
        return _link_by_api(self._client.api.instances[instance.name], params)

    def fleet(self) -> Fleet:
        """All instances of all projects at this host, by the names that liblxc gives them, for the sync of roots."""
        with _explained("list the instances of all projects"):
            # With a project, Incus refuses a request for all of them.
            api = self._connect(self._endpoint, None, min(_LINK_TIMEOUT, self._endpoint.request_timeout)).api
            everywhere = self._get(api.instances, **{"recursion": 1, "all-projects": "true"})
        here = [one for one in map(instance_from, everywhere) if one.location == self.server.member]
        found = {lxc_name(one.project, one.name): one for one in here}
        containers = {lxc: one for lxc, one in found.items() if one.type == "container"}

        def read_stopped(lxc: str, path: str) -> str | None:
            project, name = found[lxc].project, found[lxc].name
            with suppress(FleetError):
                return _link_by_api(api.instances[name], {"path": path, "project": project})
            return None

        return Fleet(
            names=frozenset(found),
            running=frozenset(lxc for lxc, one in containers.items() if one.is_running),
            stopped=frozenset(lxc for lxc, one in containers.items() if one.status == "Stopped"),
            read_stopped=read_stopped,
        )

    # Changing instances

    def create_instance(self, body: Mapping[str, Any]) -> None:
        """Create an instance without an image, on this host; ``body`` is InstancesPost less its source."""
        with _explained(f"create {body['name']}"):
            answer = self._client.api.instances.post(
                json={**body, "type": "container", "source": {"type": "none"}}, target=self.server.member
            )
            self._wait(answer)

    def fetch_instance(self, name: str, timeout: int) -> None:
        """Move a stopped instance with its root disk from another member to this one."""
        with _explained(f"move {name} to {self.server.member}"):
            answer = self._client.api.instances[name].post(
                json={"name": name, "migration": True, "live": False}, target=self.server.member
            )
            self._wait(answer, timeout)

    def update_instance(self, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Read the instance and write what ``change`` makes of it if that differs.

        What somebody writes in between is not lost.

        ``change`` gets and returns the writable part (InstancePut), once more for each such write. It may raise
        ConflictError.
        """
        with _explained(f"update {name}"):
            self._change(self._client.api.instances[name], lambda found: change(writable(found)), {})

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

    def note(self, name: str, notes: Mapping[str, str], unless: Mapping[str, str] | None = None) -> None:
        """Set config keys of the collection's own on an instance; an empty value removes its key.

        Nothing is done if its config has all that is in ``unless``.

        (Incus's PATCH takes a description that is left out for an empty one: cmd/incusd/instance_patch.go.)
        """

        def noted(body: dict[str, Any]) -> dict[str, Any]:
            if unless is not None and body["config"].items() >= unless.items():
                return body
            config = {**body["config"], **notes}
            return {**body, "config": {key: value for key, value in config.items() if value != "" or key not in notes}}

        self.update_instance(name, noted)

    def set_state(self, name: str, action: str, stop_timeout: int = 0, force: bool = False) -> None:
        """Start, stop, restart or unfreeze; ``stop_timeout`` seconds are left to a clean stop."""
        with _explained(f"{action} {name}"):
            put = self._client.api.instances[name].state.put
            body = {"action": action, "timeout": stop_timeout, "force": force}
            self._do(partial(put, json=body), stop_timeout + self._endpoint.operation_timeout)

    def rebuild_instance(self, name: str) -> None:
        """Empty the root disk of a stopped instance; its configuration and its other disks stay."""
        with _explained(f"empty the root of {name}"):
            body = {"source": {"type": "none"}}
            self._do(partial(self._client.api.instances[name].rebuild.post, json=body))

    def delete_instance(self, name: str) -> None:
        """Delete a stopped instance with its root disk."""
        with _explained(f"delete {name}"):
            self._do(self._client.api.instances[name].delete)

    def execute(self, name: str, command: Sequence[str], timeout: int, *, output_of_success: bool = True) -> Execution:
        """Run ``command`` as root in a running container, no shell between.

        Without ``output_of_success`` the texts are left empty when it succeeds, which saves a request for each.

        Raises FleetError when it has not ended after ``timeout`` seconds; it goes on then,
        because Incus has no way to end it.
        """
        body = {
            "command": list(command),
            "wait-for-websocket": False,
            "record-output": True,
            "interactive": False,
            "environment": {"HOME": "/root", "USER": "root"},
        }
        with _explained(f"run {command[0]} in {name}"):
            done = self._wait(self._client.api.instances[name].exec.post(json=body), timeout)
            result = done.get("metadata") or {}
            outputs, code = result.get("output") or {}, int(result.get("return", -1))
            read = output_of_success or code != 0
            texts = [self._take_output(outputs.get(stream), read=read) for stream in ("1", "2")]
            return Execution(code=code, stdout=texts[0], stderr=texts[1])

    def _take_output(self, url: str | None, *, read: bool) -> str:
        """Remove a recorded output from the host's disk, and return it if it is to be ``read``."""
        if not url:
            return ""
        node, text = self._client.api, ""
        for part in url.partition("?")[0].removeprefix("/1.0/").split("/"):
            node = node[part]
        if read:
            with node.get(is_api=False, stream=True) as answer:
                text = _first_bytes(answer).decode(errors="replace")
        node.delete()
        return text

    # What goes on

    def settle(self, names: Collection[str] | None) -> dict[str, FleetError]:
        """Wait until what was begun with some instances, or with any, has ended. Returns those that are still busy.

        A run that was killed does not end what it has asked for, and a person with ``incus`` may be at it as well.
        Meanwhile an instance looks neither as before nor as after.
        """
        deadline, busy = time.monotonic() + self._endpoint.operation_timeout, dict[str, FleetError]()
        with _explained("wait for what is going on with the instances"):
            for operation in self._operations():
                about = [name for name in instances_of(operation) if names is None or name in names]
                if about and operation["description"] in _TRANSITIONS:
                    try:
                        self._await_operation(operation, deadline)
                    except LateError as error:
                        busy.update(dict.fromkeys(about, error))
        return busy

    def runs_commands(self, name: str) -> bool:
        """Whether commands run in an instance for which nobody waits at a terminal."""
        with _explained(f"list what goes on in {name}"):
            return any(True for _command in self._commands(name))

    def await_commands(self, name: str, timeout: int) -> None:
        """Wait until they have ended. Raises LateError when that takes longer than ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        with _explained(f"wait for what runs in {name}"):
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
                    f"{operation['description']!r} goes on since {operation['created_at']}.",
                    f"See 'incus operation show {operation['id']}' on the host, and run again when it has ended.",
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

    # Changing volumes

    def create_volume(self, pool: str, name: str, config: Mapping[str, str]) -> None:
        """Create a custom volume."""
        body = {"name": name, "type": "custom", "content_type": "filesystem", "config": dict(config)}
        with _explained(f"create the volume {pool}/{name}"):
            self._wait(self._volumes(pool).post(json=body, params=self._here))

    def update_volume(self, pool: str, name: str, before: Mapping[str, str], config: Mapping[str, str]) -> None:
        """Set config keys of a custom volume that are as they were ``before``, leaving all else.

        Raises ConflictError when somebody has set one of them meanwhile.
        """

        def changed(found: dict[str, Any]) -> dict[str, Any]:
            for key in config:
                if found["config"].get(key) != before.get(key):
                    raise ConflictError(f"{key} was changed by somebody else meanwhile.", "Run again.")
            return {"description": found["description"], "config": {**found["config"], **config}}

        with _explained(f"set {', '.join(config)} of the volume {pool}/{name}"):
            self._change(self._volumes(pool)[name], changed, self._here)

    def delete_volume(self, pool: str, name: str) -> None:
        """Delete a custom volume that nothing uses."""
        with _explained(f"delete the volume {pool}/{name}"):
            self._wait(self._volumes(pool)[name].delete(params=self._here))

    @property
    def _here(self) -> dict[str, str]:
        """What tells this member's volume from one of the same name on another."""
        return {} if self.server.member is None else {"target": self.server.member}

    def _volumes(self, pool: str) -> Any:
        return self._client.api["storage-pools"][pool].volumes.custom

    # Changing profiles

    def create_profile(self, profile: Profile) -> None:
        """Create a profile."""
        with _explained(f"create the profile {profile.name}"):
            self._client.api.profiles.post(json={"name": profile.name, **profile_body(profile)})

    def update_profile(self, found: Profile, wanted: Profile) -> None:
        """Write a profile whole. Raises ConflictError when it is not as it was ``found`` any more."""
        node = self._client.api.profiles[found.name]
        with _explained(f"update the profile {found.name}"):
            answer = node.get()
            if profile_body(profile_from(answer.json()["metadata"])) != profile_body(found):
                raise ConflictError(f"The profile {found.name} was changed by somebody else meanwhile.", "Run again.")
            node.put(json=profile_body(wanted), headers={"If-Match": answer.headers["ETag"]})

    def delete_profile(self, name: str) -> None:
        """Delete a profile that nothing uses."""
        with _explained(f"delete the profile {name}"):
            self._client.api.profiles[name].delete()

    # Requests

    @staticmethod
    def _get(node: Any, **params: Any) -> Any:
        return node.get(params=params).json()["metadata"]

    def _do(self, request: Callable[[], Any], timeout: int | None = None) -> None:
        """Make a request and wait for what it begins; once more while Incus is at something else with the instance.

        It is when a container has just ended: its stop is not done.
        """
        deadline = time.monotonic() + _STOP_GRACE
        while True:
            try:
                self._wait(request(), timeout)
            except (pylxd.exceptions.LXDAPIException, RefusedError) as error:
                if _BUSY not in str(error) or time.monotonic() >= deadline:
                    raise
            else:
                return
            time.sleep(_STOP_POLL)

    def _wait(self, answer: Any, timeout: int | None = None) -> Mapping[str, Any]:
        """Wait for a background operation and return it; a synchronous answer is returned as it is."""
        body = answer.json()
        if body.get("type") != "async":
            return {}
        identifier = body["metadata"]["id"]
        timeout = self._endpoint.operation_timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        while True:
            operation = self._wait_slice(identifier, deadline)
            if operation["status_code"] == _SUCCESS:
                return operation
            if operation["status_code"] != _RUNNING:
                raise _refused(operation)
            if time.monotonic() >= deadline:
                raise LateError(
                    f"it is not done after {timeout} s ({operation.get('description')}).",
                    "See 'incus operation list' on the host; a later run goes on from where it is.",
                )

    def _wait_slice(self, identifier: str, deadline: float) -> dict[str, Any]:
        """What an operation is when it has ended, or when some of the time until a deadline is over."""
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


def until_settled(look: Callable[[], list[Instance]], is_ending: Callable[[Instance], bool]) -> list[Instance]:
    """What ``look`` sees when no container is between the end of its init and stopped, or after ten seconds of that.

    Until the stop is done Incus calls it running, and has no state of it: it answers 500 for one, and has it as an
    Error in a list (internal/server/instance/drivers: driver_lxc.go, statusCode; driver_common.go, processStartedAt).
    """
    deadline = None
    while True:
        try:
            found = look()
        except pylxd.exceptions.LXDAPIException as error:
            if not _NO_PROCESS.search(str(error)) or _is_over(deadline):
                raise
        else:
            if not any(map(is_ending, found)) or _is_over(deadline):
                return found
        deadline = deadline or time.monotonic() + _STOP_GRACE
        time.sleep(_STOP_POLL)


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


@contextmanager
def _explained(action: str) -> Iterator[None]:
    """Turn what pylxd raises into one sentence for the user."""
    try:
        yield
    except pylxd.exceptions.LXDAPIException as error:
        if error.response.status_code == _PRECONDITION_FAILED:
            raise ConflictError(
                f"Could not {action}: it was changed by somebody else at the same moment.", "Run again."
            ) from error
        raise FleetError(f"Could not {action}: Incus says: {error}.", advice_on(str(error))) from error
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


def _refused(operation: Mapping[str, Any]) -> RefusedError:
    said = str(operation.get("err") or operation.get("status"))
    name = next(iter(sorted(instances_of(operation))), None)
    return RefusedError(f"Incus says: {said}.", advice_on(said, str(operation.get("description")), name))


def _link_by_api(node: Any, params: dict[str, str]) -> str | None:
    """The target of a link through the files API, which tells links by a header; None when it is no link."""
    with _explained(f"read {params['path']} of a container"):
        try:
            answer = node.files.get(params=params, is_api=False, stream=True)
        except pylxd.exceptions.NotFound:
            return None
        with answer:
            if answer.headers.get("X-Incus-type") != "symlink":
                return None
            return _first_bytes(answer).decode(errors="surrogateescape")


def _first_bytes(answer: Any) -> bytes:
    """As much of a body as is wanted, and no more of it in memory."""
    first = b""
    for chunk in answer.iter_content(_CHUNK):
        first += chunk
        if len(first) >= _OUTPUT_LIMIT:
            break
    return first[:_OUTPUT_LIMIT]


def _identity(info: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells one server from another."""
    return tuple(info["environment"][key] for key in ("certificate_fingerprint", "server_name", "server_pid"))
