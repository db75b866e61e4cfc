# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Query and change instances, profiles, storage pools and volumes.

pylxd's models are not used: they ask once per object, and the plan wants one
request for all of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..errors import ConflictError, FleetError, RefusedError
from ..names import lxc_name
from ..paths import store_object
from .config_keys import ConfigKeys, config_keys_from
from .connection import OUTPUT_LIMIT, STREAMS, first_bytes
from .copies import Copies
from .ending import is_refused_as_running, until_settled
from .everywhere import link_by_api
from .models import (
    Cluster,
    Instance,
    Profile,
    Space,
    instance_from,
    location_of,
    profile_body,
    profile_from,
    writable,
)
from .rootfs import container_root, read_link, sees_processes
from .volume_list import VolumeList

with suppress(ImportError):
    # require_pylxd ends a module without it.
    from pylxd.exceptions import LXDAPIException, NotFound


_CURRENT_SYSTEM = "/run/current-system"
# Incus: a member that is emptied for maintenance, or is coming back from it.
_EVACUATED = ("Evacuating", "Evacuated", "Restoring")


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a command inside a container ended; the texts are its first 64 KiB, and not to be trusted."""

    code: int
    stdout: str
    stderr: str


class Incus(VolumeList, Copies):
    """One project of one Incus server, or with None all of them: its instances, profiles, pools and volumes.

    Every method raises FleetError with Incus's own words when it refuses.
    """

    # Looking

    def profiles(self) -> dict[str, Profile]:
        """Return all profiles of the project by name."""
        with self._explained("list the profiles"):
            found = self._list(self._client.api.profiles, recursion=1)
        return {entry["name"]: profile_from(entry) for entry in found}

    def pools(self) -> frozenset[str] | None:
        """Return the names of the storage pools, None when this user may not list them."""
        with self._explained("list the storage pools"):
            try:
                found = self._list(self._client.api["storage-pools"])
            except LXDAPIException as error:
                # Incus 6.0 answers so to a certificate for some projects only, with the code 500.
                if "restricted" in str(error):
                    return None
                raise
        return frozenset(str(url).rpartition("/")[2] for url in found)

    def config_keys(self) -> ConfigKeys:
        """Return which config keys Incus applies while a container runs; nothing when it does not tell this user."""
        if self._config_keys is None:
            with self._explained("read which config keys are applied to a running container"):
                try:
                    self._config_keys = config_keys_from(self._get(self._client.api.metadata.configuration))
                except LXDAPIException:
                    self._config_keys = ConfigKeys()
        return self._config_keys

    def cluster(self) -> Cluster | None:
        """Return the cluster that this host is a member of, None without one."""
        member = self.server.member
        if member is None:
            return None
        with self._explained("list the members of the cluster"):
            found = self._list(self._client.api.cluster.members, recursion=1)
        status = {entry["server_name"]: entry["status"] for entry in found}
        # A member that answers here is online, though the others may not have noticed yet.
        online = {
            name for name, seen in status.items() if seen == "Online" or (name == member and seen not in _EVACUATED)
        }
        return Cluster(member=member, members=frozenset(status), online=frozenset(online))

    def pool_space(self, name: str) -> Space | None:
        """Return the space of a storage pool on this member, None where Incus does not tell."""
        with self._explained(f"look at the space of the storage pool {name}"), suppress(LXDAPIException):
            found = self._get(self._client.api["storage-pools"][name].resources, **self._here)["space"]
            return Space(used=found["used"], total=found["total"]) if found.get("total") else None
        return None

    def has_files(self, name: str, path: str) -> bool:
        """Return whether ``path`` in an instance exists and is not an empty directory."""
        with self._explained(f"look at {path} of {name}"):
            try:
                answer = self._client.api.instances[name].files.get(params={"path": path}, is_api=False, stream=True)
            except NotFound:
                return False
            with answer:
                if answer.headers.get("X-Incus-type") != "directory":
                    return True
                listed = first_bytes(answer)
            # However long the list is, its first name is enough.
            return len(listed) >= OUTPUT_LIMIT or bool(json.loads(listed)["metadata"])

    def instance(self, name: str) -> Instance | None:
        """Return one instance with its state, None when there is none of that name."""
        with self._explained(f"look at {name}"):
            node = self._client.api.instances[name]
            try:
                (found,) = self._settled(lambda: [instance_from(self._get(node, recursion=1))], None)
            except NotFound:
                return None
        if found.location != self.server.member:
            # The number of a process on another member means nothing here.
            return replace(found, pid=0)
        self._inits[name] = found.pid
        return found

    def locations(self) -> dict[str, str | None]:
        """At which member each instance is."""
        with self._explained("list the instances"):
            found = self._list(self._client.api.instances, recursion=1)
        return {entry["name"]: location_of(entry) for entry in found}

    def instances(self, awaited: Collection[str] | None) -> dict[str, Instance]:
        """Return all instances by name, in one request, after those ``awaited`` (None is all) have finished stopping.

        Incus is not asked for their state, which takes it a hundred times as long for a hundred of
        them: their init is found in /proc, and their addresses are left out.
        """

        def look() -> list[Instance]:
            return self._with_inits(map(instance_from, self._list(self._client.api.instances, recursion=1)))

        with self._explained("list the instances"):
            found = {instance.name: instance for instance in self._settled(look, awaited)}
        if not found:
            self._check_project()
        self._inits.update({name: instance.pid for name, instance in found.items()})
        return found

    def instances_with_state(self, awaited: Collection[str] | None) -> list[Instance]:
        """Return all instances with their addresses and disks, in one request that is slow in Incus.

        Those that it cannot look at have the status Error, and no config.
        """
        project = self._client.project
        params = {"recursion": 2} if project is not None else {"recursion": 2, "all-projects": "true"}

        def look() -> list[Instance]:
            return [instance_from(entry) for entry in self._list(self._client.api.instances, **params)]

        with self._explained("list the instances"):
            found = self._settled(look, awaited)
        if not found and project is not None:
            self._check_project()
        return found

    def _check_project(self) -> None:
        """Raise FleetError when the project does not exist, or is not shown: Incus lists no instances then, either."""
        project = self._client.project
        with self._explained(f"look into the project {project}"):
            self._get(self._client.api.projects[project])

    def _settled(self, look: Callable[[], list[Instance]], awaited: Collection[str] | None) -> list[Instance]:
        """Return what ``look`` sees once none of the ``awaited`` is stopping, except those that hang in it."""

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
        """Return whether an instance's init has ended and Incus does not call it stopped yet."""
        if instance.type != "container" or instance.location != self.server.member:
            return False
        if instance.status == "Error":
            return not instance.config
        return instance.status == "Stopping" or (self._runs_here(instance) and instance.pid <= 0 and sees_processes())

    def running_system(self, instance: Instance) -> str | None:
        """Return where /run/current-system leads in a running instance, None when it is not a link into the store."""
        link = self.read_link(instance, _CURRENT_SYSTEM)
        return link if link is not None and store_object(link) == link else None

    def current_system(self, name: str) -> str | None:
        """Return what runs in an instance by the init that was seen last, without a request; None if that is unknown.

        Incus takes long to describe an instance, and this is asked before and after each switch.
        """
        link = self._in_root(name, lambda root: read_link(root, _CURRENT_SYSTEM))
        return link if link is not None and store_object(link) == link else None

    def read_link(self, instance: Instance, path: str) -> str | None:
        """Return the target of the link ``path`` in an instance, None when it is not a link."""
        if os.geteuid() == 0 and instance.pid > 0:
            lxc = lxc_name(instance.project, instance.name)
            with suppress(OSError, FleetError), container_root(lxc, instance.pid) as root:
                return read_link(root, path)
        params = {"path": path, "project": instance.project}
        return link_by_api(self._client.api.instances[instance.name], params)

    # Changing instances

    def create_instance(self, body: Mapping[str, Any]) -> None:
        """Create an instance without an image, on this host; ``body`` is InstancesPost less its source."""
        with self._explained(f"create {body['name']}"):
            answer = self._client.api.instances.post(
                json={**body, "type": "container", "source": {"type": "none"}}, target=self.server.member
            )
            self._wait(answer)

    def fetch_instance(self, name: str, timeout: int) -> None:
        """Move a stopped instance with its root disk from another member to this one."""
        post = self._client.api.instances[name].post
        body = {"name": name, "migration": True, "live": False}
        request = partial(post, json=body, target=self.server.member)
        self._do_to_stopped(name, f"move {name} to {self.server.member}", request, timeout)

    def update_instance(self, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Read the instance and write what ``change`` makes of it if that differs.

        What somebody writes in between is not lost.

        ``change`` gets and returns the writable part (InstancePut), once more for each such write. It may raise
        ConflictError.
        """
        with self._explained(f"update {name}"):
            self._change(self._client.api.instances[name], lambda found: change(writable(found)), {})

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
        """Start, stop, restart, freeze or unfreeze; ``stop_timeout`` seconds are left to a clean stop."""
        body = {"action": action, "timeout": stop_timeout, "force": force}
        put, longest = self._client.api.instances[name].state.put, stop_timeout + self._endpoint.operation_timeout
        if action == "start":
            self._do_to_stopped(name, f"{action} {name}", partial(put, json=body), longest)
            return
        with self._explained(f"{action} {name}"):
            self._do(partial(put, json=body), longest)

    def rebuild_instance(self, name: str) -> None:
        """Empty the root disk of a stopped instance; its configuration and its other disks stay."""
        body = {"source": {"type": "none"}}
        post = self._client.api.instances[name].rebuild.post
        self._do_to_stopped(name, f"empty the root of {name}", partial(post, json=body))

    def delete_instance(self, name: str) -> None:
        """Delete a stopped instance with its root disk."""
        self._do_to_stopped(name, f"delete {name}", self._client.api.instances[name].delete)

    def _do_to_stopped(self, name: str, action: str, request: Callable[[], Any], timeout: int | None = None) -> None:
        """Make a request that Incus refuses for an instance that runs; once more if it has ended since."""
        with self._explained(action):
            try:
                self._do(request, timeout)
            except (LXDAPIException, RefusedError) as error:
                found = self.instance(name) if is_refused_as_running(error) else None
                if found is None or found.is_running:
                    raise
                self._do(request, timeout)

    def execute(
        self,
        name: str,
        command: Sequence[str],
        timeout: int,
        *,
        output_of_success: Collection[str] = ("stdout", "stderr"),
        is_enough: Callable[[], bool] | None = None,
    ) -> Execution:
        """Run ``command`` as root in a running container, no shell between.

        When it succeeds, what is not in ``output_of_success`` is left empty, which saves a request for each.

        Raises LateError when it has not ended after ``timeout`` seconds, or when ``is_enough``, which is asked about
        once a second, says that it was waited for long enough. It goes on then, because Incus has no way to end it.
        """
        body = {
            "command": list(command),
            "wait-for-websocket": False,
            "record-output": True,
            "interactive": False,
            "environment": {"HOME": "/root", "USER": "root"},
        }
        with self._explained(f"run {command[0]} in {name}"):
            done = self._wait(self._client.api.instances[name].exec.post(json=body), timeout, is_enough)
            result = done.get("metadata") or {}
            code = int(result.get("return", -1))
            texts = self._take_outputs(name, result.get("output") or {}, STREAMS if code else output_of_success)
            return Execution(code=code, **texts)

    # Changing volumes

    def create_volume(self, pool: str, name: str, config: Mapping[str, str]) -> None:
        """Create a custom volume."""
        body = {"name": name, "type": "custom", "content_type": "filesystem", "config": dict(config)}
        with self._explained(f"create the volume {pool}/{name}"):
            self._wait(self._volumes(pool).post(json=body, params=self._here))

    def update_volume(self, pool: str, name: str, before: Mapping[str, str], config: Mapping[str, str]) -> None:
        """Set config keys of a custom volume that are as they were ``before``, leaving all else.

        Raises ConflictError when somebody has set one of them meanwhile.
        """

        def changed(found: dict[str, Any]) -> dict[str, Any]:
            for key in config:
                if found["config"].get(key) != before.get(key):
                    raise ConflictError(f"{key} was changed by something else in the meantime.", "Run again.")
            return {"description": found["description"], "config": {**found["config"], **config}}

        with self._explained(f"set {', '.join(config)} of the volume {pool}/{name}"):
            self._change(self._volumes(pool)[name], changed, self._here)

    def delete_volume(self, pool: str, name: str) -> None:
        """Delete a custom volume that nothing uses."""
        with self._explained(f"delete the volume {pool}/{name}"):
            self._wait(self._volumes(pool)[name].delete(params=self._here))

    # Changing profiles

    def create_profile(self, profile: Profile) -> None:
        """Create a profile."""
        with self._explained(f"create the profile {profile.name}"):
            self._client.api.profiles.post(json={"name": profile.name, **profile_body(profile)})

    def update_profile(self, found: Profile, wanted: Profile) -> None:
        """Write a profile whole. Raises ConflictError when it is not as it was ``found`` any more."""
        node = self._client.api.profiles[found.name]
        with self._explained(f"update the profile {found.name}"):
            answer = node.get()
            if profile_body(profile_from(answer.json()["metadata"])) != profile_body(found):
                raise ConflictError(
                    f"The profile {found.name} was changed by something else in the meantime.", "Run again."
                )
            node.put(json=profile_body(wanted), headers={"If-Match": answer.headers["ETag"]})

    def delete_profile(self, name: str) -> None:
        """Delete a profile that nothing uses."""
        with self._explained(f"delete the profile {name}"):
            self._client.api.profiles[name].delete()
