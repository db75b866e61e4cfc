# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Query the instances of all projects, and whether unlisted ones exist."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..names import lxc_name, lxc_name_parts
from .connection import Connection, explained, first_bytes
from .models import Fleet, Instance, instance_from
from .rootfs import running_containers
from .visibility import hidden_because

with suppress(ImportError):
    # require_pylxd ends a module without it.
    from pylxd.exceptions import LXDAPIException, NotFound

# Reading a link of a stopped container takes 40 ms; its root file system may hold it up.
_LINK_TIMEOUT = 10
# Incus sets it on what leaves a member for its maintenance, until it is back.
_EVACUATED_FROM = "volatile.evacuate.origin"
# How the files API says that nothing can be at a path. Names come before it, and end with a quotation mark.
_NO_SUCH_PATH = re.compile(
    r": (not a directory|file name too long|too many levels of symbolic links|invalid argument)\\?\" \(SSH_FX_FAILURE\)"
)


class Everywhere(Connection):
    """A connection that looks beyond its own project.

    Every method raises FleetError with Incus's own words when it refuses.
    """

    def fleet(self) -> Fleet:
        """Return the instances of all projects at this host, by the names that liblxc gives them."""
        client, everywhere = self._everywhere()
        here = [one for one in everywhere if self._belongs_here(one)]
        found = {lxc_name(one.project, one.name): one for one in here}
        there = (None, self.server.member)
        containers = {lxc: one for lxc, one in found.items() if one.type == "container" and one.location in there}
        running = frozenset(lxc for lxc, one in containers.items() if one.is_running)
        stopped = frozenset(lxc for lxc, one in containers.items() if one.status == "Stopped")

        def read_stopped(lxc: str, path: str) -> str | None:
            project, name = found[lxc].project, found[lxc].name
            return link_by_api(client.api.instances[name], {"path": path, "project": project})

        return Fleet(
            names=frozenset(found),
            running=running,
            stopped=stopped,
            read_stopped=read_stopped,
            is_gone=lambda lxc: self._is_gone(client.api, lxc),
            unreadable=frozenset(containers) - running - stopped,
            filtered=self._hidden_because(client),
            identities={lxc: one.identity for lxc, one in found.items() if one.identity},
        )

    def instances_everywhere(self) -> list[Instance]:
        """Return the instances of all projects, with the inits of those that run here."""
        return self._with_inits(self._everywhere()[1])

    def all_instances(self) -> tuple[list[Instance], bool]:
        """Return the instances of all projects, and whether they are known in full: none is hidden from this user."""
        client, everywhere = self._everywhere()
        return everywhere, self._hidden_because(client) is None and not any(one.is_unreadable for one in everywhere)

    def all_names(self) -> frozenset[str] | None:
        """Return the instances of all projects by what liblxc calls them, None if some may be hidden from this user."""
        instances, are_all = self.all_instances()
        return frozenset(lxc_name(one.project, one.name) for one in instances) if are_all else None

    def _everywhere(self) -> tuple[Any, list[Instance]]:
        """Return a connection without a project, with which alone Incus takes a request for all, and what it lists."""
        with self._explained("list the instances of all projects"):
            client = self._connect(self._endpoint, None, min(_LINK_TIMEOUT, self._endpoint.request_timeout))
            found = self._list(client.api.instances, **{"recursion": 1, "all-projects": "true"})
        return client, [instance_from(entry) for entry in found]

    def is_gone(self, lxc: str) -> bool:
        """Return whether an instance does not exist on this host, by the name that liblxc gives it.

        It takes a connection to all projects. Raises FleetError when Incus does not tell.
        """
        return self._is_gone(self._client.api, lxc)

    def _belongs_here(self, instance: Instance) -> bool:
        """Return whether an instance is on this member, returns to it after maintenance, or may be here."""
        member = self.server.member
        return instance.location in (None, member) or instance.config.get(_EVACUATED_FROM) == member

    def _is_gone(self, api: Any, lxc: str) -> bool:
        """Return whether an instance does not exist on this host. Raises FleetError when Incus does not tell."""
        project, name = lxc_name_parts(lxc)
        with explained(f"look whether {name} exists in the project {project}", project):
            try:
                found = self._get(api.instances[name], project=project)
            except NotFound:
                return True
        return not self._belongs_here(instance_from(found))

    def _hidden_because(self, client: Any) -> str | None:
        """Return why lists may lack instances, None when this user sees all of them."""
        info, certificate = client.host_info, None
        if info.get("auth_user_method") == "tls":
            # A user whom a CA made known has no certificate there, and others may not be shown it.
            with self._explained("look at this user's certificate"), suppress(LXDAPIException):
                certificate = self._get(client.api.certificates[info["auth_user_name"]])
        return hidden_because(info, certificate)

    def _with_inits(self, instances: Iterable[Instance]) -> list[Instance]:
        found = list(instances)
        running = running_containers() if any(map(self._runs_here, found)) else {}
        member = self.server.member
        inits = [running.get(lxc_name(one.project, one.name)) if one.location == member else None for one in found]
        return [one if init is None else replace(one, pid=init.pid) for one, init in zip(found, inits, strict=True)]

    def _runs_here(self, instance: Instance) -> bool:
        return instance.is_running and instance.location == self.server.member


def link_by_api(node: Any, params: dict[str, str]) -> str | None:
    """Return the target of a link through the files API, which marks links by a header; None when it is not a link."""
    with explained(f"read {params['path']} of a container", params.get("project")):
        try:
            answer = node.files.get(params=params, is_api=False, stream=True)
        except NotFound:
            return None
        except LXDAPIException as error:
            if _NO_SUCH_PATH.search(str(error)):
                return None
            raise
        with answer:
            if answer.headers.get("X-Incus-type") != "symlink":
                return None
            return first_bytes(answer).decode(errors="surrogateescape")
