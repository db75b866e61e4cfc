# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read files and make links in the root of an instance."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from ..errors import ConflictError, FleetError
from ..names import lxc_name
from .endpoint import local_endpoint
from .everywhere import Everywhere, link_by_api
from .rootfs import container_root, exists, read_file, read_link

with suppress(ImportError):
    # require_pylxd ends a module without it.
    from pylxd.exceptions import LXDAPIException, NotFound


_Found = TypeVar("_Found")


class Inside(Everywhere):
    """A connection that reads files and makes links in instances.

    Every method raises FleetError with Incus's own words when it refuses.
    """

    def read_files(self, name: str, *paths: str) -> list[bytes | None] | None:
        """Return files of a running instance, None for one that is not there; None if they cannot be read."""
        return self._in_root(name, lambda root: [read_file(root, path) for path in paths])

    def links_of(self, name: str, *paths: str) -> list[str | None] | None:
        """Return the targets of links in a running instance: "" for anything else there, None for nothing.

        None if they cannot be read.
        """
        return self._in_root(
            name, lambda root: [read_link(root, path) or ("" if exists(root, path) else None) for path in paths]
        )

    def _in_root(self, name: str, look: Callable[[int], _Found]) -> _Found | None:
        """Look into the root of an instance by the init that was seen last; None if that cannot be done here."""
        pid = self._inits.get(name, 0)
        if os.geteuid() != 0 or pid <= 0:
            return None
        with suppress(OSError, FleetError), container_root(lxc_name(self._client.project, name), pid) as root:
            return look(root)
        return None

    def disk_of(self, lxc: str) -> str:
        """Return where on this host the root disk of an instance is, by what liblxc calls it.

        That of a stopped one is not there in pools that mount their disks only for running ones.
        """
        socket = self._endpoint.address if self._endpoint.is_local else local_endpoint().address
        return f"{os.path.dirname(socket)}/containers/{lxc}/rootfs"

    def make_link(self, name: str, path: str, target: str) -> None:
        """Make a link in an instance, and the directories that it is in. Raises ConflictError if something is there."""
        with self._explained(f"make the link {path} in {name}"):
            files = self._client.api.instances[name].files
            found = link_by_api(self._client.api.instances[name], {"path": path, "project": self._client.project})
            if found == target:
                return
            if found is not None or self._is_there(files, path):
                raise ConflictError(f"{name} has something at {path}, where a link is to be.", "Move it away.")
            parents = _parents(path)
            if parents and not self._is_there(files, parents[-1]):
                for parent in parents:
                    if not self._is_there(files, parent):
                        self._post(files, parent, "directory", mode="0755")
            self._post(files, path, "symlink", target)

    def remove_link(self, name: str, path: str, target: str) -> None:
        """Remove a link from an instance, unless it is another one by now."""
        with self._explained(f"remove the link {path} from {name}"):
            node = self._client.api.instances[name]
            if link_by_api(node, {"path": path, "project": self._client.project}) == target:
                with suppress(NotFound):
                    node.files.delete(params={"path": path})

    def _is_there(self, files: Any, path: str) -> bool:
        try:
            with files.get(params={"path": path}, is_api=False, stream=True):
                return True
        except NotFound:
            return False
        except LXDAPIException as error:
            if "not found" in str(error).lower() or "no such file" in str(error).lower():
                return False
            raise

    def _post(self, files: Any, path: str, kind: str, content: str = "", mode: str = "") -> None:
        headers = {
            "X-Incus-type": kind,
            "X-Incus-uid": "0",
            "X-Incus-gid": "0",
            "Content-Type": "application/octet-stream",
        }
        files.post(
            params={"path": path},
            data=content.encode(),
            headers={**headers, **({"X-Incus-mode": mode} if mode else {})},
        )


def _parents(path: str) -> list[str]:
    """Return the directories that a path is in, without the root."""
    parts = posixpath.dirname(path).split("/")[1:]
    return ["/" + "/".join(parts[: number + 1]) for number in range(len(parts)) if parts[number]]
