# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is killed: each scenario brings the host to where it begins, and says what is declared then."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import host
from starts import OLD, OLDER, expect, fresh, ready, web, with_web

SYNCED = "web"
_LINKS = 12
_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"


@dataclass(frozen=True, kw_only=True)
class Start:
    """The arguments of the module, and words for the store paths that differ from one try to the next."""

    arguments: dict[str, Any]
    names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A change that is killed. ``right`` says what is wrong with the end of it, by its census.

    With ``fails`` the run ends with an error that this pattern matches, and so do the runs after it.
    """

    name: str
    module: str
    prepare: Callable[[str], Start]
    right: Callable[[dict[str, Any]], list[str]]
    fails: str = ""


# Containers


_KEPT = [{"path": "/var/lib/kept"}]


def create(version: str) -> Start:
    names = fresh(version)
    return Start(arguments=web(persist=_KEPT, config={"user.kept": "1"}), names=names)


def update(version: str) -> Start:
    with_web(config={"user.kept": "1"})
    names = fresh(version)
    return Start(arguments=web(keep_generations=2, config={"user.kept": "2"}), names=names)


def update_unproven(version: str) -> Start:
    with_web(health=None)
    names = fresh(version)
    devices = {"tmp": {"type": "disk", "source": "/tmp", "path": "/mnt"}}  # noqa: S108 - in the container it is /mnt
    return Start(arguments=web(health=None, persist=_KEPT, devices=devices), names=names)


def secrets(version: str) -> Start:
    """One changes, one goes with its link, and one comes with a link of its own; the system changes as well."""
    gone = {"name": "gone", "content": "gone", "path": "/etc/gone"}
    with_web(secrets=[{"name": "token", "content": "old"}, gone])
    names = fresh(version)
    new = {"name": "new", "content": "new", "path": "/etc/app/new", "owner": "7", "mode": "0440"}
    return Start(arguments=web(secrets=[{"name": "token", "content": "changed"}, new]), names=names)


def test_only(version: str) -> Start:
    with_web()
    return Start(arguments=web(activation="test"), names=fresh(version))


def rollback(version: str) -> Start:
    with_web()
    return Start(arguments=web(), names=fresh(version, switch="after"))


def rehearsal(version: str) -> Start:
    with_web(persist=_KEPT)
    return Start(arguments=web(persist=_KEPT, rehearse=True), names=fresh(version))


def rehearsal_of_bad(version: str) -> Start:
    with_web()
    health = {"command": ["/run/current-system/sw/bin/grep", OLD, "/etc/inx-version"], "timeout": 1}
    return Start(arguments=web(health=health, rehearse=True), names=fresh(version))


def rollback_by_boot(version: str) -> Start:
    with_web()
    host.ask("incus", "stop", "web")
    names = fresh(version)
    health = {"command": ["/run/current-system/sw/bin/grep", OLD, "/etc/inx-version"], "timeout": 1}
    return Start(arguments=web(health=health), names=names)


def migrate(version: str) -> Start:
    """What an earlier release remembered is on the instance."""
    with_web()
    host.ask("noted", "web", "failed=/nix/store/bad")
    notes = host.notes()["web"]
    host.ask("incus", "config", "set", "web", *(f"user.inx.{key}={value}" for key, value in notes.items()))
    Path(host.PROFILES, host.NOTES, "web.json").unlink()
    return Start(arguments=web())


def generation(version: str) -> Start:
    with_web()
    return Start(arguments={**web(generation="1"), "flake": None})


def rebuild(version: str) -> Start:
    with_web(volatile_root="rebuild", persist=_KEPT)
    host.ask("incus", "stop", "web")
    return Start(arguments=web(volatile_root="rebuild", persist=_KEPT))


_SHELL = ["/run/current-system/sw/bin/sh", "-c"]
_WRITES = "echo {0} >> /etc/data; echo {0} >> /var/lib/kept/data"


def _with_data(pool: str, **snapshots: Any) -> dict[str, Any]:
    """A container with data in its root and in a volume, that runs the old system. Returns what is declared of it."""
    declared = {"storage_pool": pool, "persist": _KEPT, "snapshots": {"keep": 2, **snapshots}}
    with_web(**declared)
    _write("old")
    return declared


def _write(word: str) -> None:
    host.ask("inside", "web", *_SHELL, _WRITES.format(word))


def snapshot(version: str) -> Start:
    declared = _with_data("fast")
    return Start(arguments=web(**declared), names=fresh(version))


def snapshot_copied(version: str) -> Start:
    """One that takes its time, while the container is frozen."""
    declared = _with_data("default", full_copy=True)
    return Start(arguments=web(**declared), names=fresh(version))


def snapshot_stopped(version: str) -> Start:
    """The oldest one goes after it."""
    declared = _with_data("fast")
    for number in range(2):
        fresh(f"{version}-{number}")
        ready("inx_container", web(**declared))
    host.ask("incus", "stop", "web")
    return Start(arguments=web(**declared), names=fresh(version))


def rollback_with_data(version: str) -> Start:
    """The new system migrates what it finds, and is ill."""
    declared = _with_data("fast", restore=True)
    check = f"grep -q {OLD} /etc/inx-version || {{ {_WRITES.format('new')}; exit 1; }}"
    health = {"command": [*_SHELL, f"PATH=/run/current-system/sw/bin; {check}"], "timeout": 1}
    return Start(arguments=web(**declared, health=health), names=fresh(version))


def restore_data(version: str) -> Start:
    declared = _with_data("fast")
    names = fresh(version)
    ready("inx_container", web(**declared))
    _write("new")
    return Start(arguments={**web(generation="2", restore_data=True, **declared), "flake": None}, names=names)


def _has_data(number: int, system: str, words: str, *sets: str) -> Callable[[dict[str, Any]], list[str]]:
    def right(found: dict[str, Any]) -> list[str]:
        data = [f"/etc/data: {words}", f"/var/lib/kept/data: {words}"]
        wrong = expect(
            found, status="Running", runs=system, generation=f"system-{number}-link", data=data, snapshots=list(sets)
        )
        volumes = {place: one["snapshots"] for place, one in found["volumes"].items()}
        return wrong + [f"{place} has {there}" for place, there in volumes.items() if there != list(sets)]

    return right


def stop(version: str) -> Start:
    with_web()
    return Start(arguments=web(state="stopped"))


def absent(version: str) -> Start:
    with_web(persist=_KEPT)
    return Start(arguments=web(state="absent", delete_volumes=True))


def _set(*names: str, **more: Any) -> dict[str, Any]:
    defaults = {"flake": f"{host.FLAKE}#web", "health": {"timeout": 30}}
    return {"containers": [{"name": name} for name in names], "defaults": defaults, "set": "killed", **more}


def create_set(version: str) -> Start:
    names = fresh(version)
    return Start(arguments=_set("web", "db", "extra", parallel=3), names=names)


def purge(version: str) -> Start:
    host.declare(OLD)
    ready("inx_containers", _set("web", "db", "extra"))
    return Start(arguments=_set("web", purge=True))


def _with_ports(*ports: int) -> dict[str, Any]:
    """A set of three, each with a port and a MAC address of its own, or none."""
    names = ("web", "db", "extra")
    containers = [
        {"name": name, "publish": [f"{port}:80/tcp"], "devices": {"eth0": {"hwaddr": f"10:66:6a:00:{port}:01"}}}
        for name, port in zip(names, ports, strict=False)
    ]
    return {**_set(), "containers": containers, "purge": True}


def swap(version: str) -> Start:
    """Two swap what only one can have, and a third one goes, whose port and address nobody takes."""
    host.declare(OLD)
    ready("inx_containers", _with_ports(81, 82, 83))
    return Start(arguments=_with_ports(82, 81))


def _with_profiles(*numbers: int) -> dict[str, Any]:
    """A set of three, each with a profile that gives it a port and an address of its own."""
    names = ("web", "db", "extra")
    containers = [
        {"name": name, "profiles": ["default", f"killed-{number}"]} for name, number in zip(names, numbers, strict=True)
    ]
    return {**_set(), "containers": containers, "purge": True}


def swap_profiles(version: str) -> Start:
    """What only one can have goes round between three, and their profiles give it."""
    network = host.ask("incus", "network", "get", "incusbr0", "ipv4.address").rpartition(".")[0]
    for number in (81, 82, 83):
        name, listen = f"killed-{number}", f"listen=tcp:0.0.0.0:{number}"
        nic = ["eth0", "nic", "network=incusbr0", "name=eth0", f"ipv4.address={network}.{number}"]
        mac = [] if number == 83 else [f"hwaddr=10:66:6a:00:{number}:01"]
        host.ask("incus", "profile", "create", name)
        host.ask("incus", "profile", "device", "add", name, *nic, *mac)
        host.ask("incus", "profile", "device", "add", name, "p", "proxy", listen, "connect=tcp:127.0.0.1:80")
    host.declare(OLD)
    ready("inx_containers", _with_profiles(81, 82, 83))
    return Start(arguments=_with_profiles(82, 83, 81))


# Roots, the profile, systems for others


def _auto_link(path: str) -> Path:
    digest = hashlib.sha256(path.encode()).digest()
    return Path(host.AUTO, "".join(_ALPHABET[byte % 32] for byte in digest))


def _link(container_root: str, path: str, target: str | None) -> None:
    """A link inside the container, and Nix's link to it."""
    inside = ["inside", SYNCED, "/run/current-system/sw/bin/sh", "-c"]
    if target is None:
        host.ask(*inside, 'rm "$0"', path)
        return
    host.ask(*inside, 'mkdir -p "$(dirname "$0")" && ln -sfn "$1" "$0"', path, target)
    if not _auto_link(path).is_symlink():
        _auto_link(path).symlink_to(path)


def _paths() -> list[str]:
    return [f"/root/killed/{number % 3}/deep/{number}/result" for number in range(_LINKS)]


def sync(version: str) -> Start:
    """A third of the links goes, a third leads to something else, and as many come."""
    old = with_web()
    older = os.readlink(f"{host.PROFILES}/web/system-1-link")
    kept = _LINKS * 3 // 4
    for path in _paths()[:kept]:
        _link(SYNCED, path, old)
    arguments = {"grace_period": 0}
    ready("inx_gcroot", arguments)
    for number, path in enumerate(_paths()):
        if number >= kept or number % 3 == 0:
            _link(SYNCED, path, older)
        elif number % 3 == 1:
            _link(SYNCED, path, None)
    return Start(arguments=arguments)


def sync_after_removal(version: str) -> Start:
    """The roots of a container that is deleted go."""
    old = with_web()
    for path in _paths():
        _link(SYNCED, path, old)
    ready("inx_gcroot", {"grace_period": 0})
    ready("inx_container", web(state="absent"))
    return Start(arguments={"grace_period": 0})


def right_roots(found: dict[str, Any]) -> list[str]:
    """The root of each link, and of what the container has booted and runs."""
    kept = _LINKS * 3 // 4
    wanted = {"/run/booted-system": OLD, "/run/current-system": OLD}
    for number, path in enumerate(_paths()):
        if number >= kept or number % 3 == 0:
            wanted[path] = OLDER
        elif number % 3 == 2:
            wanted[path] = OLD
    lines = {f"/{SYNCED}{path} -> {target}" for path, target in wanted.items()}
    there = {line for line in found["roots"] if " -> " in line}
    return [f"roots: {line}" for line in sorted(lines ^ there)]


def profile(version: str) -> Start:
    return Start(arguments={"name": "killed", "shared_paths": ["/srv"]})


def change_profile(version: str) -> Start:
    ready("inx_store_mount", {"name": "killed", "shared_paths": ["/srv"]})
    return Start(arguments={"name": "killed", "daemon": False, "self_update": True})


def remove_profile(version: str) -> Start:
    ready("inx_store_mount", {"name": "killed"})
    return Start(arguments={"name": "killed", "state": "absent"})


def systems(version: str) -> Start:
    """One is new, one is moved on, and one goes."""
    host.declare(OLD)
    containers = [{"name": name, "flake": f"{host.FLAKE}#web"} for name in ("web", "db")]
    ready("inx_system", {"name": "killed", "containers": containers})
    names = fresh(version)
    containers = [{"name": name, "flake": f"{host.FLAKE}#web"} for name in ("web", "extra")]
    return Start(arguments={"name": "killed", "containers": containers}, names=names)


def _devices(*names: str) -> Callable[[dict[str, Any]], list[str]]:
    def right(found: dict[str, Any]) -> list[str]:
        there = found["profiles"].get("killed")
        have = sorted(there["devices"]) if there else []
        return [] if have == sorted(names) else [f"the profile has {have}"]

    return right


def _running(system: str, number: int, **more: Any) -> Callable[[dict[str, Any]], list[str]]:
    wanted = {"status": "Running", "runs": system, "generation": f"system-{number}-link", **more}
    return lambda found: expect(found, **wanted)


def _rehearsed(system: str, number: int) -> Callable[[dict[str, Any]], list[str]]:
    """The container has run on under the same init, and nothing of a twin is left."""

    def right(found: dict[str, Any]) -> list[str]:
        left = [f"there is {name}" for name in (*found["instances"], *found["networks"]) if name != "web"]
        left += [f"there is {line}" for line in found["generations"] if "rehearsal" in line]
        boots = host.ask(
            "inside", "web", "/run/current-system/sw/bin/grep", "-c", "^boot ", "/var/log/switch.log"
        ).strip()
        left += [] if boots == "1" else [f"it was booted {boots} times"]
        return [*_running(system, number)(found), *left]

    return right


def _has_secrets(found: dict[str, Any]) -> list[str]:
    in_memory = [line for line in found["secrets"] if not line.startswith("at rest ")]
    wrong = in_memory != ["web/new 7:0 100440 new", "web/token 0:0 100400 changed"] or len(found["secrets"]) != 4
    return [*_running("new", 3)(found), *([f"its secrets are {found['secrets']}"] if wrong else [])]


def _migrated(found: dict[str, Any]) -> list[str]:
    """Nothing that was remembered is lost, and it is in one place."""
    on_it = {key for key in found["instances"]["web"]["config"] if key.startswith("user.inx.")}
    left = [f"web has {key}" for key in sorted(on_it - {"user.inx.self_update"})]
    notes = found["notes"].get("web", {})
    lost = [] if notes == {"failed": "/nix/store/bad", "healthy": OLD} else [f"what is remembered is {notes}"]
    return [*_running(OLD, 2)(found), *left, *lost]


def _gone(found: dict[str, Any]) -> list[str]:
    left = {key: found[key] for key in ("instances", "volumes", "secrets", "generations", "notes", "roots")}
    return [f"{key} has {value}" for key, value in left.items() if value]


def _all_run(*names: str) -> Callable[[dict[str, Any]], list[str]]:
    def right(found: dict[str, Any]) -> list[str]:
        there = {name: entry["status"] for name, entry in found["instances"].items()}
        return [] if there == dict.fromkeys(names, "Running") else [f"instances: {there}"]

    return right


def _swapped(found: dict[str, Any]) -> list[str]:
    there = {name: entry["devices"] for name, entry in found["instances"].items()}
    has = {
        name: (devices["eth0"]["hwaddr"][-5:-3], [keys["listen"][-2:] for keys in devices.values() if "listen" in keys])
        for name, devices in there.items()
    }
    wanted = {"web": ("82", ["82"]), "db": ("81", ["81"])}
    return [*_all_run("web", "db")(found), *([] if has == wanted else [f"addresses and ports: {has}"])]


def _profiles_swapped(found: dict[str, Any]) -> list[str]:
    """The census has what is in the configuration: what each container has of it in truth is looked at here."""
    wrong = _all_run("web", "db", "extra")(found)
    for name, number in (("web", 82), ("db", 83), ("extra", 81)):
        entry = found["instances"].get(name, {})
        own = [device for device in ("eth0", "p") if device in entry.get("devices", {})]
        if own or entry.get("profiles", [])[1:2] != [f"killed-{number}"] or "user.inx.released" in entry["config"]:
            wrong.append(f"{name} has {entry}")
        host.ask("inside", name, "/run/current-system/sw/bin/test", "-e", "/sys/class/net/eth0")
        if not host.ask("ss", "-Hltn", f"sport = :{number}"):
            wrong.append(f"nobody listens at {number}")
    return wrong


def _systems(found: dict[str, Any]) -> list[str]:
    wanted = ["/killed", "/killed/extra -> new", "/killed/web -> new"]
    return [] if found["systems"] == wanted else [f"systems: {found['systems']}"]


_WENT_BACK = "went back to generation 2|was found unhealthy by an earlier run"

SCENARIOS = (
    Scenario(name="create", module="inx_container", prepare=create, right=_running("new", 1)),
    Scenario(name="create a set", module="inx_containers", prepare=create_set, right=_all_run("web", "db", "extra")),
    Scenario(name="update", module="inx_container", prepare=update, right=_running("new", 3)),
    Scenario(name="update without health", module="inx_container", prepare=update_unproven, right=_running("new", 3)),
    Scenario(name="bring secrets", module="inx_container", prepare=secrets, right=_has_secrets),
    Scenario(name="test a system", module="inx_container", prepare=test_only, right=_running("new", 2)),
    Scenario(
        name="roll back a switch", module="inx_container", prepare=rollback, right=_running(OLD, 2), fails=_WENT_BACK
    ),
    Scenario(
        name="roll back a boot",
        module="inx_container",
        prepare=rollback_by_boot,
        right=_running(OLD, 2),
        fails=_WENT_BACK,
    ),
    Scenario(name="rehearse", module="inx_container", prepare=rehearsal, right=_rehearsed("new", 3)),
    Scenario(
        name="rehearse a bad system",
        module="inx_container",
        prepare=rehearsal_of_bad,
        right=_rehearsed(OLD, 2),
        fails="is not healthy in its rehearsal|was found unhealthy by an earlier run",
    ),
    Scenario(name="move old notes", module="inx_container", prepare=migrate, right=_migrated),
    Scenario(name="go to a generation", module="inx_container", prepare=generation, right=_running(OLDER, 1)),
    Scenario(name="rebuild the root", module="inx_container", prepare=rebuild, right=_running(OLD, 2)),
    Scenario(
        name="take a snapshot",
        module="inx_container",
        prepare=snapshot,
        right=_has_data(3, "new", "old", "inx-2-TIME"),
    ),
    Scenario(
        name="take a snapshot that copies",
        module="inx_container",
        prepare=snapshot_copied,
        right=_has_data(3, "new", "old", "inx-2-TIME"),
    ),
    Scenario(
        name="take a snapshot of what is stopped",
        module="inx_container",
        prepare=snapshot_stopped,
        right=_has_data(5, "new", "old", "inx-3-TIME", "inx-4-TIME"),
    ),
    Scenario(
        name="roll back with its data",
        module="inx_container",
        prepare=rollback_with_data,
        right=_has_data(2, OLD, "old", "inx-2-TIME", "inx-3-TIME"),
        fails=_WENT_BACK,
    ),
    Scenario(
        name="restore data",
        module="inx_container",
        prepare=restore_data,
        right=_has_data(2, OLD, "old", "inx-2-TIME", "inx-3-TIME"),
    ),
    Scenario(
        name="stop",
        module="inx_container",
        prepare=stop,
        right=lambda found: expect(found, status="Stopped", runs=None, generation="system-2-link"),
    ),
    Scenario(name="remove", module="inx_container", prepare=absent, right=_gone),
    Scenario(name="purge", module="inx_containers", prepare=purge, right=_all_run("web")),
    Scenario(name="swap ports and addresses", module="inx_containers", prepare=swap, right=_swapped),
    Scenario(name="swap what profiles give", module="inx_containers", prepare=swap_profiles, right=_profiles_swapped),
    Scenario(name="sync roots", module="inx_gcroot", prepare=sync, right=right_roots),
    Scenario(name="sync roots of a removed one", module="inx_gcroot", prepare=sync_after_removal, right=_gone),
    Scenario(
        name="mount the store",
        module="inx_store_mount",
        prepare=profile,
        right=_devices("nixsocket", "nixstore", "shared-srv"),
    ),
    Scenario(
        name="change the store mount", module="inx_store_mount", prepare=change_profile, right=_devices("nixstore")
    ),
    Scenario(name="remove the store mount", module="inx_store_mount", prepare=remove_profile, right=_devices()),
    Scenario(name="build systems for others", module="inx_system", prepare=systems, right=_systems),
)
