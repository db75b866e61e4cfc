# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at all that a run may change, with the host's own tools, and mark data that no run may lose."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import host
import rest
import sequences
import systems

_POOL = Path("/var/lib/incus/storage-pools/default")
_MARK = "written-by-hand"
# Below these something may be declared to be mounted.
_DECLARED = ("/mnt", "/srv", "/scratch", "/var/lib/data")
_ALL = "all-projects=true"
#: A container as a key of what is seen.
Key = str


def key_of(project: str, name: str) -> Key:
    """Return what a container is called here."""
    return f"{project}/{name}"


def lxc_name(key: Key) -> str:
    """Return what liblxc calls it."""
    project, name = key.split("/")
    return name if project == "default" else f"{project}_{name}"


def look() -> dict[str, Any]:
    """Return all that there is, once nothing is going on any more."""
    host.until("all operations of Incus end", lambda: not _operations())
    entries = rest.query(f"/1.0/instances?recursion=2&{_ALL}")
    containers = {key_of(entry["project"], entry["name"]): _container(entry) for entry in entries}
    profiles = [path.name for path in sorted(Path(host.PROFILES).glob("[!.]*"))]
    return {
        "containers": containers,
        "volumes": dict(_volumes()),
        "generations": {name: _generations(name) for name in profiles},
        "notes": host.notes(),
        "roots": host.tree(host.ROOTS),
        "temporary": sorted(os.listdir("/tmp")),  # noqa: S108 - to look for what is left
    }


def marked(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Leave a token in each root and each volume that has none, and return all with their tokens."""
    containers = {
        key: {**container, "token": container["token"] or _write(root_of(key), key)}
        for key, container in seen["containers"].items()
    }
    volumes = {place: token or _write(_volume(place), place) for place, token in seen["volumes"].items()}
    return {**seen, "containers": containers, "volumes": volumes}


def settled(container: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a container should be the same whenever the same is declared."""
    config = dict(container["config"])
    raw = sorted(config.pop("raw.lxc", "").splitlines())
    devices = {name: dict(sorted(keys.items())) for name, keys in container["devices"].items()}
    kept = ("profiles", "description", "ephemeral", "status", "runs")
    return {"config": config, "raw.lxc": raw, "devices": devices, **{key: container[key] for key in kept}}


def inode(path: str) -> tuple[int, int] | None:
    """Return which file a path is; None if it is not there."""
    with suppress(OSError):
        found = os.stat(path)
        return (found.st_dev, found.st_ino)
    return None


def volume_path(project: str, device: Mapping[str, str]) -> str:
    """Return where the host has the volume of a device."""
    return str(_volume(f"{project}/{device['source']}"))


def _container(entry: Mapping[str, Any]) -> dict[str, Any]:
    key = key_of(entry["project"], entry["name"])
    config = {name: value for name, value in entry["config"].items() if not name.startswith("volatile.")}
    pid = max(0, (entry["state"] or {}).get("pid", 0))
    return {
        "status": entry["status"],
        "pid": pid,
        "mounts": _mounts(pid) if pid else {},
        "runs": host.current_system(dict(entry)),
        "config": config,
        "token": _read(root_of(key)),
        "snapshots": len(entry.get("snapshots") or ()),
        **{part: entry[part] for part in ("devices", "expanded_devices", "profiles", "description", "ephemeral")},
    }


def _mounts(pid: int) -> dict[str, tuple[int, int] | None]:
    """Return the mount points that are declared in a container, with the file that is seen at each."""
    found = {}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/mountinfo").read_text(errors="surrogateescape").splitlines():
            path = line.split(" ")[4]
            if path.startswith(_DECLARED):
                found[path] = inode(f"/proc/{pid}/root{path}")
    return found


def root_of(key: Key) -> Path:
    """Return where the host has the root of a container."""
    return _POOL / "containers" / lxc_name(key) / "rootfs"


def _volume(place: str) -> Path:
    return _POOL / "custom" / place.replace("/", "_", 1)


def _volumes() -> Iterator[tuple[str, str | None]]:
    """Yield PROJECT/NAME of each custom volume, and its token."""
    for volume in rest.query(f"/1.0/storage-pools/default/volumes/custom?recursion=1&{_ALL}"):
        if "/" not in volume["name"]:
            place = f"{volume['project']}/{volume['name']}"
            yield place, _read(_volume(place))


def _read(directory: Path) -> str | None:
    with suppress(OSError):
        return (directory / _MARK).read_text(encoding="utf-8")
    return None


def _write(directory: Path, text: str) -> str | None:
    with suppress(FileNotFoundError):
        (directory / _MARK).write_text(text, encoding="utf-8")
        return text
    return None


def _generations(name: str) -> dict[str, str]:
    directory = Path(host.PROFILES, name)
    return {path.name: os.readlink(path) for path in sorted(directory.iterdir()) if path.is_symlink()}


def _operations() -> list[str]:
    answer = rest.query(f"/1.0/operations?recursion=1&{_ALL}") or {}
    return [entry["description"] for status in ("running", "pending") for entry in answer.get(status) or ()]


# By hand


def by_hand(step: Mapping[str, Any]) -> None:
    """Do to a container what a step says, if it is there and that can be done to it."""
    key = key_of(step["project"], step["name"])
    found = look()["containers"].get(key)
    if found is not None:
        _DEEDS[step["do"]](key, found)


def _incus(key: Key, *words: str) -> None:
    host.ask("incus", f"--project={key.split('/')[0]}", *words)


def _state(*words: str, when: str) -> Any:
    def do(key: Key, found: Mapping[str, Any]) -> None:
        if found["status"] == when:
            _incus(key, *words, key.split("/")[1])

    return do


def _start(key: Key, found: Mapping[str, Any]) -> None:
    # One that has no system, or whose root was declared to be in a pool that is gone, does not start.
    if found["status"] == "Stopped":
        with suppress(RuntimeError):
            _incus(key, "start", key.split("/")[1])


def _rename_device(key: Key, found: Mapping[str, Any]) -> None:
    """Give a device another name, and the same keys."""
    name = key.split("/")[1]
    for device, keys in sorted(found["devices"].items()):
        # Incus takes no disk out of a running container that is in use there, and no tmpfs at all.
        if device in ("proxy", "disk", "localtime") and f"{device}x" not in found["devices"]:
            words = [f"{key}={value}" for key, value in keys.items() if key != "type"]
            _incus(key, "config", "device", "remove", name, device)
            _incus(key, "config", "device", "add", name, f"{device}x", keys["type"], *words)
            return


def _remove_device(key: Key, found: Mapping[str, Any]) -> None:
    device = next((name for name in ("disk", "localtime", "proxy") if name in found["devices"]), None)
    if device is not None:
        _incus(key, "config", "device", "remove", key.split("/")[1], device)


def _unset(key: Key, found: Mapping[str, Any]) -> None:
    if "user.colour" in found["config"]:
        _incus(key, "config", "unset", key.split("/")[1], "user.colour")


def _older(key: Key, found: Mapping[str, Any]) -> None:
    """Let the profile lead to its oldest generation."""
    link = Path(host.PROFILES, lxc_name(key), "system")
    numbers = sorted(int(path.name.split("-")[1]) for path in link.parent.glob("system-*-link"))
    if numbers:
        link.unlink(missing_ok=True)
        link.symlink_to(f"system-{numbers[0]}-link")


def _snapshot(key: Key, found: Mapping[str, Any]) -> None:
    if not found["snapshots"]:
        _incus(key, "snapshot", "create", key.split("/")[1], "by-hand")


def _add_root(key: Key, found: Mapping[str, Any]) -> None:
    """Leave a link into the store in a container, and Nix's link to it, as 'nix build' in there does."""
    target = systems.paths({})[sequences.SYSTEMS[0]]
    work = root_of(key) / "root" / "builds"
    work.mkdir(parents=True, exist_ok=True)
    link = work / f"result-{lxc_name(key)}"
    if not link.is_symlink():
        link.symlink_to(target)
        name = f"/root/builds/{link.name}"
        auto = Path(host.AUTO, host.auto_name(name))
        if not auto.is_symlink():
            auto.symlink_to(name)


_DEEDS: Mapping[str, Any] = {
    "stop": _state("stop", "--force", when="Running"),
    "start": _start,
    "pause": _state("pause", when="Running"),
    "restart": _state("restart", "--force", when="Running"),
    "delete": lambda key, found: _incus(key, "delete", "--force", key.split("/")[1]),
    "rename a device": _rename_device,
    "remove a device": _remove_device,
    "set a key": lambda key, found: _incus(key, "config", "set", key.split("/")[1], "user.colour=blue"),
    "unset a key": _unset,
    "set a description": lambda key, found: host.ask(
        *("incus", "query", f"/1.0/instances/{key.split('/')[1]}?project={key.split('/')[0]}", "--request", "PATCH"),
        *("--data", json.dumps({"description": "by hand"})),
    ),
    "an older generation": _older,
    "take a snapshot": _snapshot,
    "add a root": _add_root,
}
