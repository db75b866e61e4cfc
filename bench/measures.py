# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of containers.py that runs on the lab host: measures.py COMMAND, with arguments and answer in JSON.

What is measured runs in a process of its own, from its start to its end. The floor is the requests to
Incus that have to be made, side by side, and one nix build: no plan, no comparison, no second look.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import io
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from onhost import FIXTURE, THERE, run

FLAKE = "/srv/inx-bench"
PROFILES = "/nix/var/nix/profiles/inx-container"
SOCKET = "/var/lib/incus/unix.socket"
PREFIX = "bench-"
# As many as the modules take by themselves.
WORKERS = max(4, 2 * (os.cpu_count() or 1))
INIT = "lxc.init.cmd=/nix/var/nix/profiles/system/init"
_DEADLINE = 60


def main() -> None:
    """Run one command."""
    answer = _COMMANDS[sys.argv[1]](**json.load(sys.stdin))
    print(json.dumps(answer))


def names_of(size: int) -> list[str]:
    """The containers of a benchmark of that size."""
    return [f"{PREFIX}{number}" for number in range(1, size + 1)]


def flake_of(name: str) -> str:
    """The system of a container."""
    return f"{FLAKE}#c{name.removeprefix(PREFIX)}"


# Around what is measured


def prepare() -> dict[str, Any]:
    """A flake that may be edited; what all systems share is built. Returns what the host is."""
    if run("incus", "list", "--all-projects", "--format", "csv"):
        raise SystemExit("There are instances on this host already. Measure on a fresh one.")
    shutil.rmtree(FLAKE, ignore_errors=True)
    shutil.copytree(FIXTURE, FLAKE)
    versions(everywhere="0")
    build(names_of(1))
    described = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in described if line.startswith("model name")]
    server = the_api().ask("GET", "/1.0")["environment"]
    return {
        "cpus": f"{os.cpu_count()} CPUs ({models[0] if models else os.uname().machine})",
        "incus": server["server_version"],
        "nix": run("nix", "--version").split()[-1],
        "kernel": os.uname().release,
        "storage": server["storage"],
    }


def versions(everywhere: str, first: str | None = None) -> None:
    """The version of all systems, and that of the first one if it is another."""
    systems = {"default": everywhere, **({} if first is None else {"c1": first})}
    content = {name: {"version": version, "packages": {"hello": "2.10"}} for name, version in systems.items()}
    Path(FLAKE, "versions.json").write_text(json.dumps(content))


def clean(size: int) -> None:
    """Remove the containers and their profiles."""
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        list(pool.map(_remove, names_of(size)))


def _remove(name: str) -> None:
    subprocess.run(["incus", "delete", "--quiet", "--force", name], stderr=subprocess.DEVNULL, check=False)
    shutil.rmtree(f"{PROFILES}/{name}", ignore_errors=True)
    Path(f"{PROFILES}/.notes/{name}.json").unlink(missing_ok=True)


def end() -> None:
    """Remove what prepare made."""
    shutil.rmtree(FLAKE)
    run("nix-store", "--gc", "--quiet")


def verify(size: int) -> None:
    """Fail unless each container comes to run the system of the flake, and boots it: else nothing was measured."""
    for name, system in zip(names_of(size), build(names_of(size)), strict=True):
        recorded = os.path.realpath(f"{PROFILES}/{name}/system")
        if recorded != system:
            raise SystemExit(f"{name}: {recorded} is recorded, and not {system}")
        _await_system(the_api(), name, system)


def make_profiles(size: int) -> None:
    """Profiles of systems that are built, for what cannot make them."""
    for name, system in zip(names_of(size), build(names_of(size)), strict=True):
        record(name, 1, system)


# What is measured


def floor(size: int, phase: str) -> dict[str, float]:
    """The floor of a phase."""
    return timed("floor_here", {"size": size, "phase": phase})


def module(arguments: dict[str, Any]) -> dict[str, float]:
    """inx_containers alone, as it is when Ansible has brought it here."""
    return timed("module_here", {"arguments": arguments})


def tool(size: int, phase: str) -> dict[str, float]:
    """inx-container in a loop. It does not wait for a system, and starts nothing."""
    script = 'set -e; for n in "$@"; do bash %s/tool/inx-container %s "bench-$n" --flake "%s#c$n" %s; done'
    verb, then = ("create", '&& incus start "bench-$n"') if phase == "cold" else ("update", "")
    numbers = [name.removeprefix(PREFIX) for name in names_of(size)]
    started = time.perf_counter()
    run("bash", "-c", script % (THERE, verb, FLAKE, then), "bash", *numbers)
    return {"seconds": time.perf_counter() - started}


def timed(command: str, arguments: dict[str, Any]) -> dict[str, float]:
    """Run a command of this file in a process of its own, and time that."""
    started = time.perf_counter()
    answer = run(sys.executable, __file__, command, stdin=json.dumps(arguments).encode())
    return {"seconds": time.perf_counter() - started, **json.loads(answer)}


def module_here(arguments: dict[str, Any]) -> dict[str, float]:
    """Run the module from the archive that it would come in, so that it is compiled anew as with Ansible.

    What is "inside" is its main function, as with the floor.
    """
    sys.path.insert(0, f"{THERE}/modules.zip")
    from ansible.module_utils import basic  # noqa: PLC0415 - from the archive

    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    main = importlib.import_module("ansible_collections.inx.fleet.plugins.modules.inx_containers").main
    said = io.StringIO()
    started = time.perf_counter()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main()
    seconds = time.perf_counter() - started
    result = json.loads(said.getvalue())
    if result.get("failed"):
        raise SystemExit(result["msg"])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"inside": seconds, "memory": memory, "changed": sum(one["changed"] for one in result["containers"])}


def floor_here(size: int, phase: str) -> dict[str, float]:
    """The bare requests of a phase: "cold", "unchanged", "all" or "one"."""
    started = time.perf_counter()
    names, work = names_of(size), make_container if phase == "cold" else switch_container
    for question in ("instances?recursion=1", "profiles?recursion=1", "storage-pools"):
        the_api().ask("GET", f"/1.0/{question}")
    systems = dict(zip(names, build(names), strict=True))
    touched = {"cold": names, "all": names, "one": names[:1], "unchanged": []}[phase]
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        list(pool.map(lambda name: work(name, systems[name]), touched))
    return {"inside": time.perf_counter() - started}


def build(names: Sequence[str]) -> list[str]:
    """The systems of containers, in one process of nix."""
    installables = [
        '{}#nixosConfigurations."{}".config.system.build.toplevel'.format(*flake_of(name).split("#")) for name in names
    ]
    features = ("--extra-experimental-features", "nix-command flakes")
    return run("nix", "--quiet", *features, "build", "--no-link", "--print-out-paths", "--", *installables).splitlines()


def make_container(name: str, system: str) -> None:
    """Create and start one, and wait until its system is up."""
    api = the_api()
    record(name, 1, system)
    body = {
        "name": name,
        "type": "container",
        "source": {"type": "none"},
        "profiles": ["default", "inx-container"],
        "config": {"raw.lxc": INIT},
        "devices": devices_of(name),
    }
    api.do("POST", "/1.0/instances", body)
    api.do("PUT", f"/1.0/instances/{name}/state", {"action": "start", "timeout": _DEADLINE})
    _await_system(api, name, system)


def switch_container(name: str, system: str) -> None:
    """Record a system and switch to it."""
    record(name, len(os.listdir(f"{PROFILES}/{name}")), system)
    body = {"command": [f"{system}/bin/switch-to-configuration", "switch"], "wait-for-websocket": False}
    the_api().do("POST", f"/1.0/instances/{name}/exec", body)


def devices_of(name: str) -> dict[str, dict[str, str]]:
    """What a container on the shared store has of its own."""
    profiles = {"type": "disk", "source": f"{PROFILES}/{name}", "path": "/nix/var/nix/profiles", "shift": "true"}
    localtime = {"type": "disk", "source": "/etc/localtime", "path": "/etc/localtime", "shift": "true"}
    return {"nixprofiles": {**profiles, "readonly": "true"}, "localtime": {**localtime, "readonly": "true"}}


def record(name: str, number: int, system: str) -> None:
    """Make a system the generation of that number."""
    directory = f"{PROFILES}/{name}"
    os.makedirs(directory, exist_ok=True)
    os.symlink(system, f"{directory}/system-{number}-link")
    os.symlink(f"system-{number}-link", f"{directory}/.new")
    os.replace(f"{directory}/.new", f"{directory}/system")


def _await_system(api: Api, name: str, system: str) -> None:
    pid, deadline = 0, time.monotonic() + _DEADLINE
    while time.monotonic() < deadline:
        pid = pid or api.ask("GET", f"/1.0/instances/{name}/state")["pid"]
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/root/run/current-system") == system:
                return
        time.sleep(0.005)
    raise SystemExit(f"{name} does not come to run {system}")


class Api:
    """Requests to Incus over one connection, and nothing else.

    One that says nothing after it has connected keeps Incus 6.0 from taking others.
    """

    def __init__(self) -> None:
        self._connection = http.client.HTTPConnection("incus")
        self._connection.sock = socket.socket(socket.AF_UNIX)
        self._connection.sock.connect(SOCKET)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The metadata of an answer."""
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, {"Content-Type": "application/json"})
        answer = json.loads(self._connection.getresponse().read())
        if answer["type"] == "error":
            raise SystemExit(f"{method} {path}: {answer['error']}")
        return answer["metadata"]

    def do(self, method: str, path: str, body: object) -> None:
        """Have something done, and wait until it is."""
        done = self.ask("GET", f"/1.0/operations/{self.ask(method, path, body)['id']}/wait")
        if done["status"] != "Success" or (done.get("metadata") or {}).get("return", 0) != 0:
            raise SystemExit(f"{method} {path}: {done}")


class _Connections(threading.local):
    """A connection for each thread."""

    api: Api | None = None


_connections = _Connections()


def the_api() -> Api:
    """Return the connection of this thread."""
    if _connections.api is None:
        _connections.api = Api()
    return _connections.api


_COMMANDS: dict[str, Callable[..., Any]] = {
    command.__name__: command
    for command in (
        prepare,
        versions,
        clean,
        end,
        verify,
        make_profiles,
        floor,
        module,
        tool,
        module_here,
        floor_here,
    )
}


if __name__ == "__main__":
    main()
