# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the tries of faults begin: the container web with its systems, and a host without any of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import host
import modules
import rest

#: Systems that are built once: what there was before a run.
OLDER, OLD = "older", "old"


def wipe() -> None:
    """Take away all that scenarios make, by hand."""
    for entry in rest.query("/1.0/instances"):
        host.ask("incus", "delete", "--force", entry.rpartition("/")[2])
    for network in rest.query("/1.0/networks"):
        if "/inxr-" in network:
            host.ask("incus", "network", "delete", network.rpartition("/")[2])
    for pool in rest.query("/1.0/storage-pools"):
        for volume in rest.query(f"{pool}/volumes/custom?recursion=1"):
            if "/" not in volume["name"]:
                host.ask("incus", "storage", "volume", "delete", pool.rpartition("/")[2], volume["name"])
    for entry in rest.query("/1.0/profiles"):
        if entry.rpartition("/")[2].startswith("killed"):
            host.ask("incus", "profile", "delete", entry.rpartition("/")[2])
    # What they are in stays, with its owner and mode: the role host made it, and others use it after us.
    for place in (host.PROFILES, host.ROOTS, host.SYSTEMS, host.SECRETS, host.SECRETS_AT_REST):
        if os.path.isdir(place):
            host.ask("find", place, "-mindepth", "1", "-delete")
    for link in Path(host.AUTO).iterdir():
        if os.readlink(link).startswith("/root/killed/"):
            link.unlink()


def build_systems() -> dict[str, str]:
    """Build what there is before the runs, and return words for it."""
    names = {}
    for version in (OLDER, OLD):
        host.declare(version)
        names[host.built("web")] = version
    return names


def ready(module: str, arguments: dict[str, Any]) -> None:
    """Run a module for a scenario that is to begin with what it makes."""
    ended = modules.run(module, arguments)
    if ended.failed:
        raise RuntimeError(f"could not prepare: {ended.message}")


def web(**more: Any) -> dict[str, Any]:
    """The container that most of them are about."""
    return {"name": "web", "flake": host.FLAKE, "health": {"timeout": 30}, "stop_timeout": 20, **more}


def with_web(**more: Any) -> str:
    """A container that runs the old system, its second generation. Returns its path."""
    host.declare(OLDER)
    older = host.system_path("web")
    host.declare(OLD)
    old = host.system_path("web")
    directory = Path(host.PROFILES, "web")
    directory.mkdir(parents=True)
    for number, path in enumerate((older, old), 1):
        (directory / f"system-{number}-link").symlink_to(path)
    (directory / "system").symlink_to("system-2-link")
    ready("inx_container", web(**more))
    return old


def fresh(version: str, **how: str) -> dict[str, str]:
    """A system that nobody has built yet, from now on."""
    host.declare(version, **how)
    return {host.system_path("web"): "new"}


def expect(found: dict[str, Any], **wanted: Any) -> list[str]:
    """What is wrong with the container web; ``wanted`` are keys of an instance, and its generation."""
    instance = dict(found["instances"].get("web") or {})
    current = [line for line in found["generations"] if line.startswith("/web/system -> ")]
    instance["generation"] = current[0].rpartition(" ")[2] if current else None
    return [
        f"web: {key} is {instance.get(key)!r}, not {value!r}"
        for key, value in wanted.items()
        if instance.get(key) != value
    ]
