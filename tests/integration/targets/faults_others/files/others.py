# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets the others fail: Incus, the Nix daemon, disks, the bridge, and an API that is not as it should be.

Each time a run has to end soon, with an error that says what is wrong and no traceback. A container that runs goes on
under the same init. When the fault is gone, the next run makes it good, and the one after has nothing to do.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import host
import modules
from proxy import PROXY, Rule, proxy
from starts import build_systems, expect, fresh, web, wipe, with_web

SMALL = f"{host.HERE}/small"
#: A storage pool for data and its snapshots.
ROOMY = f"{host.HERE}/roomy"
_UNREACHABLE = "the connection to Incus failed|Incus socket at|Incus says|Incus was shut down"
_INCUS = ("incus.socket", "incus.service")
#: What shuts the containers down when the host goes down, or Incus's socket is stopped.
_SHUTDOWN = "incus-startup.service"
#: No wait for a fault may be longer than this.
_PATIENCE = 120


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault that is there while ``around`` is, or comes through ``meddle``, and what has to be said of it.

    ``message`` is a pattern. With ``may_succeed`` it need not come to an error, but then all must be done.
    ``stays`` is whether the container that ran still runs under the same init, and ``ends`` whether it surely does not.
    One that is ``always`` tried is in the shortest run too: what becomes of builds is no matter of chance.
    """

    part: str
    start: Callable[[], dict[str, Any]]
    message: str
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    meddle: modules.Meddle | None = None
    may_succeed: bool = False
    stays: bool = True
    ends: bool = False
    always: bool = False
    module: str = "inx_container"
    options: dict[str, Any] = field(default_factory=dict)


def main() -> int:
    """Try all faults; 0 if the harness worked, whatever was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=int, default=0, help="how many of the real faults; 0 is all")
    parser.add_argument("--requests", type=int, default=0, help="how many of the requests of a run; 0 is all")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    parser.add_argument("--rows", type=Path, required=True, help="where the rows of the report go")
    parser.add_argument("--only", help="a pattern of the parts to try")
    arguments = parser.parse_args()
    host.copy_fixture()
    wipe()
    build_systems()
    rows: dict[str, dict[str, Any]] = {}
    print(f"seed {arguments.seed}", flush=True)
    chance = random.Random(arguments.seed)  # noqa: S311 - it is to be repeated
    every = list(real_faults())
    chosen = some([fault for fault in every if not fault.always], arguments.real, chance)
    real = [fault for fault in every if fault.always or fault in chosen]
    for fault in chain(real, faults_of_requests(arguments.requests, chance)):
        if arguments.only is None or re.search(arguments.only, fault.part):
            part = f"others fail: {fault.part} (Incus {host.incus_version()})"
            row = rows.setdefault(part, {"part": part, "tried": 0, "survived": 0, "lost": 0})
            problems = tried(fault)
            row["tried"] += 1
            row["lost" if problems else "survived"] += 1
            for problem in problems:
                print(f"LOST {fault.part}: {problem}", flush=True)
            arguments.rows.write_text(json.dumps(list(rows.values())), encoding="utf-8")
    wipe()
    remove_pool(SMALL)
    remove_pool(ROOMY)
    return 0


def some(choices: Sequence[Any], number: int, chance: random.Random) -> list[Any]:
    """So many of the choices in their order; all with 0."""
    chosen = chance.sample(range(len(choices)), min(number or len(choices), len(choices)))
    return [choices[place] for place in sorted(chosen)]


def tried(fault: Fault) -> list[str]:
    """What is wrong after a run with a fault, and two without it."""
    wipe()
    host.copy_fixture()
    declared = fault.start()
    host.was_met()
    try:
        with fault.around():
            before = init_of("web")
            ended = modules.run(fault.module, {**declared, **fault.options}, fault=fault.meddle, patience=_PATIENCE)
        print(f"{fault.part}: {ended.message.partition(chr(10))[0][:200] if ended.failed else 'done'}", flush=True)
        problems = said_wrong(fault, ended)
        if fault.meddle is not None and not host.was_met():
            problems.append("the fault did not come")
        if fault.stays and before and init_of("web") != before:
            problems.append("the container that ran does not run on")
        if fault.ends and init_of("web") == before:
            problems.append("the container that ran has not ended")
        host.until("Incus answers", incus_answers, 60)
        again = modules.run(fault.module, declared, patience=_PATIENCE)
        problems += [f"when it was gone: {again.message}"] if again.failed else []
        last = modules.run(fault.module, declared, patience=_PATIENCE)
        problems += [f"the third run: {last.message}"] if last.failed else []
        problems += [f"the third run changed {last.result.get('steps')}"] if last.result.get("changed") else []
        found = host.census({host.system_path("web"): "declared"})
        return problems + expect(found, status="Running", runs="declared")
    except (RuntimeError, TimeoutError) as error:
        return [str(error)]


def said_wrong(fault: Fault, ended: modules.Ended) -> list[str]:
    """What is wrong with the words of a run."""
    if "Traceback" in ended.said:
        return [f"it has a traceback: {ended.said}"]
    if not ended.failed:
        return [] if fault.may_succeed else ["it did not fail"]
    return [] if re.search(fault.message, ended.message) else [f"it said: {ended.message}"]


def init_of(name: str) -> int:
    """The process number of a container's init by the monitor that is its parent, whether Incus answers or not."""
    for entry in os.listdir("/proc"):
        with suppress(OSError, ValueError, IndexError):
            title = Path("/proc", entry, "cmdline").read_bytes().rstrip(b"\0 ").decode()
            if title.startswith("[lxc monitor]") and title.endswith(f" {name}"):
                return int(Path("/proc", entry, "task", entry, "children").read_text().split()[0])
    return 0


def incus_answers() -> bool:
    """Whether Incus is there."""
    return subprocess.run(["incus", "query", "/1.0"], capture_output=True, check=False, timeout=60).returncode == 0


# Where they start


def new() -> dict[str, Any]:
    """A container is to be created."""
    fresh(f"new-{time.time_ns()}")
    return web()


def newer() -> dict[str, Any]:
    """A container that runs is to be switched."""
    with_web()
    fresh(f"newer-{time.time_ns()}")
    return web()


def stopped() -> dict[str, Any]:
    """A container that was stopped is to be started with a new system."""
    declared = newer()
    stop()
    return declared


def stop() -> None:
    """Stop the container; its monitor takes a moment longer than Incus."""
    host.ask("incus", "stop", "web")
    host.until("its monitor ends", lambda: not init_of("web"))


def new_in_small_pool() -> dict[str, Any]:
    """The same, and its root is in a small pool."""
    make_pool(SMALL, "2M")
    return {**new(), "storage_pool": "small"}


def newer_in_small_pool() -> dict[str, Any]:
    """A container that runs with its root in a small pool is to be switched."""
    make_pool(SMALL, "2M")
    with_web(storage_pool="small")
    fresh(f"newer-{time.time_ns()}")
    return web(storage_pool="small", health=None)


def stopped_in_small_pool() -> dict[str, Any]:
    """One that was stopped is to be started."""
    declared = newer_in_small_pool()
    stop()
    return declared


def newer_with_data() -> dict[str, Any]:
    """One with data, which a rollback restores, is to be switched."""
    make_pool(ROOMY, "400M")
    declared = {"storage_pool": "roomy", "snapshots": {"restore": True, "full_copy": True}}
    with_web(**declared)
    # Random: zeros are copied as holes.
    Path(ROOMY, "containers/web/rootfs/data").write_bytes(os.urandom(50_000_000))
    fresh(f"newer-{time.time_ns()}")
    return web(**declared, health={"timeout": 30, "retry_failed": True})


# The faults


@contextmanager
def incus_stopped() -> Iterator[None]:
    """Incus is stopped, its containers run on, and nothing starts it."""
    with kept_and_started_after():
        host.ask("systemctl", "stop", *_INCUS)
        yield


@contextmanager
def incus_started_after() -> Iterator[None]:
    """What stopped Incus is made good at the end."""
    try:
        yield
    finally:
        host.ask("systemctl", "start", *_INCUS, _SHUTDOWN)


@contextmanager
def containers_kept() -> Iterator[None]:
    """A stop of Incus's socket stops a unit too that shuts the containers down; not while this lasts."""
    drop_in = Path("/run/systemd/system", f"{_SHUTDOWN}.d", "kept.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nExecStop=\n", encoding="ascii")
    host.ask("systemctl", "daemon-reload")
    try:
        yield
    finally:
        shutil.rmtree(drop_in.parent)
        host.ask("systemctl", "daemon-reload")


@contextmanager
def kept_and_started_after() -> Iterator[None]:
    """Both."""
    with containers_kept(), incus_started_after():
        yield


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that does not go on."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def incus_frozen() -> AbstractContextManager[None]:
    """Incus takes connections, and answers none."""
    return frozen(int(host.ask("systemctl", "show", "--property=MainPID", "--value", "incus.service")))


@contextmanager
def full(place: str, size: str) -> Iterator[None]:
    """A directory with a small file system over it that has no room left."""
    host.ask("mount", "-t", "tmpfs", "-o", f"size={size},mode=1777", "tmpfs", place)
    try:
        fill(place)
        yield
    finally:
        host.ask("umount", "--lazy", place)


def fill(place: str) -> None:
    """Take all the room that a file system has."""
    with suppress(OSError), open(f"{place}/.full", "wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


@contextmanager
def full_store() -> Iterator[None]:
    """What is written to the store goes to a small file system that is full; an overlay keeps the rest in sight."""
    over = f"{host.HERE}/over"
    os.makedirs(over, exist_ok=True)
    host.ask("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", over)
    try:
        for name in ("upper", "work"):
            os.mkdir(f"{over}/{name}")
        options = f"lowerdir=/nix/store,upperdir={over}/upper,workdir={over}/work"
        host.ask("mount", "-t", "overlay", "-o", options, "overlay", "/nix/store")
        try:
            fill(over)
            yield
        finally:
            host.ask("umount", "--lazy", "/nix/store")
    finally:
        host.ask("umount", "--lazy", over)


def make_pool(place: str, size: str) -> None:
    """Make a storage pool of so many bytes, which is called as its directory is."""
    if not os.path.ismount(place):
        os.makedirs(place, exist_ok=True)
        host.ask("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place)
        host.ask("incus", "storage", "create", os.path.basename(place), "dir", f"source={place}")


def remove_pool(place: str) -> None:
    """Remove what make_pool made."""
    if os.path.ismount(place):
        host.ask("incus", "storage", "delete", os.path.basename(place))
        host.ask("umount", "--lazy", place)


@contextmanager
def room_made_after() -> Iterator[None]:
    """Remove at the end what takes the room of a pool."""
    try:
        yield
    finally:
        Path(ROOMY, ".full").unlink(missing_ok=True)


@contextmanager
def small_pool_full() -> Iterator[None]:
    """A pool without any room."""
    fill(SMALL)
    try:
        yield
    finally:
        os.unlink(f"{SMALL}/.full")


@contextmanager
def bridge_gone() -> Iterator[None]:
    """The bridge of the containers is not there under its name."""
    link = ("ip", "link", "set", "dev")
    host.ask(*link, "incusbr0", "name", "gone0")
    try:
        yield
    finally:
        host.ask(*link, "gone0", "name", "incusbr0")


def in_a_build(command: str) -> modules.Meddle:
    """Run a command of the shell a while after a build has begun; $0 is the process of the module."""

    def meddle(number: int, label: str) -> None:
        if label.startswith("subprocess.Popen") and "--no-link" in label:
            host.note_met()
            later = ["sh", "-c", f"sleep 2; {command}", str(os.getpid())]
            subprocess.Popen(later, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    return meddle


def just_ending() -> modules.Meddle:
    """End the container before it is looked at. For a quarter of a second Incus cannot say what has become of it."""
    left = [True]

    def meddle(number: int, label: str) -> None:
        if left and "GET /1.0/instances" in label:
            left.clear()
            host.note_met()
            os.kill(host.until("it runs", lambda: init_of("web")), signal.SIGKILL)
            time.sleep(0.15)

    return meddle


@contextmanager
def through_the_daemon() -> Iterator[None]:
    """Root's nix does without the daemon, unless it is told."""
    os.environ["NIX_REMOTE"] = "daemon"
    try:
        yield
    finally:
        del os.environ["NIX_REMOTE"]


def slow() -> dict[str, Any]:
    """A container is to be switched to a system that takes its time to build."""
    declared = newer()
    build = Path(host.FLAKE, "build", "system.sh")
    text = build.read_text(encoding="utf-8")
    build.write_text(text.replace("set -eu\n", f'set -eu\n"$busybox" sleep 4 # {time.time_ns()}\n'), encoding="utf-8")
    return declared


def held_at_start() -> dict[str, Any]:
    """One that was stopped, with a hook of liblxc that holds its start up as long as it is told to."""
    declared = stopped()
    script = Path(host.HERE, "hook")
    script.write_text(f"#!/bin/sh\n[ ! -e {host.HERE}/hold ] || sleep 12\n", encoding="ascii")
    script.chmod(0o755)
    stored = host.ask("incus", "config", "get", "web", "raw.lxc").strip()
    host.ask("incus", "config", "set", "web", f"raw.lxc={stored}\nlxc.hook.pre-start = {script}")
    return declared


@contextmanager
def held() -> Iterator[None]:
    """The hook holds the starts up that begin now."""
    hold = Path(host.HERE, "hold")
    hold.touch()
    try:
        yield
    finally:
        hold.unlink()


def newer_in_set() -> dict[str, Any]:
    """The same, as one of a set."""
    return {"set": "main", "containers": [newer()]}


def real_faults() -> Iterator[Fault]:
    """Faults of the real Incus, the real Nix and the real host."""
    for name, command, around in (
        ("restarted", ("restart", "incus.service"), incus_started_after),
        ("stopped", ("stop", *_INCUS), kept_and_started_after),
        ("shut down", ("stop", *_INCUS), incus_started_after),
    ):
        for what, start, patterns in (
            ("a creation", new, ("POST /1.0/instances", "/wait")),
            ("a start", stopped, ("PUT .*/state", "/wait")),
            ("a switch", newer, ("POST .*/exec", "/wait")),
            ("a proof", newer, ("POST .*/exec", "/wait", "GET /1.0/instances/web")),
        ):
            yield Fault(
                part=f"Incus {name} in {what}",
                start=start,
                message=_UNREACHABLE,
                around=around,
                meddle=host.at(patterns, "systemctl", "--no-block", *command),
                may_succeed=True,
                stays=name != "shut down",
            )
    yield Fault(
        part="started by somebody else meanwhile",
        start=stopped,
        message="nothing: it must not fail",
        # Before the new system is recorded. Incus 6.0 takes no other request while one is about to be sent.
        meddle=host.at(("os.(symlink|rename) .*/web/system",), "incus", "start", "web"),
        may_succeed=True,
    )
    for part, start, module in (
        ("a container that is just ending", newer, "inx_container"),
        ("one of a set that is just ending", newer_in_set, "inx_containers"),
    ):
        yield Fault(
            part=part,
            start=start,
            module=module,
            message="nothing: it must not fail",
            meddle=just_ending(),
            may_succeed=True,
            stays=False,
            ends=True,
            always=True,
        )
    yield Fault(part="Incus stopped before", start=newer, message="Incus socket|connection", around=incus_stopped)
    yield Fault(
        part="Incus frozen",
        start=newer,
        message="timed out",
        around=incus_frozen,
        options={"request_timeout": 2},
    )
    yield Fault(
        part="the Nix daemon killed in a build",
        start=slow,
        message="build of .* failed",
        around=through_the_daemon,
        meddle=in_a_build("systemctl kill --signal=KILL nix-daemon.service"),
        always=True,
    )
    yield Fault(
        part="nix killed in a build",
        start=slow,
        message="build of .* failed",
        meddle=in_a_build('pkill --signal KILL --parent "$0" --exact nix'),
        always=True,
    )
    yield Fault(
        part="the store full",
        start=newer,
        message="No space left on device",
        around=full_store,
        always=True,
    )
    yield Fault(
        part="the temporary directory full",
        start=newer,
        message="No space left",
        around=lambda: full("/tmp", "64k"),  # noqa: S108 - the one that is filled
        may_succeed=True,
        always=True,
    )
    for what, start in (
        ("a creation", new_in_small_pool),
        ("a switch", newer_in_small_pool),
        ("a start", stopped_in_small_pool),
    ):
        yield Fault(
            part=f"the pool full, {what}",
            start=start,
            message="[Nn]o space left|failed with code",
            around=small_pool_full,
            may_succeed=True,
        )
    yield Fault(
        part="no room to keep what a rollback would replace",
        start=newer_with_data,
        message="and is healthy with it.* Its data was not restored: .*space",
        around=room_made_after,
        # After the snapshot. It is enough for the old system.
        meddle=host.at(
            ("POST .*/snapshots", "POST .*/exec"),
            *("sh", "-c", f"fallocate -l $(($(df -B1 --output=avail {ROOMY} | tail -1) - 20000000)) {ROOMY}/.full"),
        ),
        stays=False,
        options={"health": {"command": ["/run/current-system/sw/bin/grep", "old", "/etc/inx-version"], "timeout": 1}},
        always=True,
    )
    yield Fault(part="the bridge gone, a creation", start=new, message="incusbr0|eth0", around=bridge_gone)
    yield Fault(part="the bridge gone, a start", start=stopped, message="incusbr0|eth0", around=bridge_gone)
    yield Fault(part="the bridge gone, a switch", start=newer, message="", around=bridge_gone, may_succeed=True)
    yield Fault(
        part="a start that does not end",
        start=held_at_start,
        message="not done after 2 s",
        around=held,
        options={"operation_timeout": 2},
    )
    yield Fault(
        part="a build that does not end",
        start=slow,
        message="nix was not done after 2 s",
        options={"build_timeout": 2},
        always=True,
    )


def faults_of_requests(requests: int, chance: random.Random) -> Iterator[Fault]:
    """Faults of single requests, simulated."""
    for what, start in (("a creation", new), ("an update", newer)):
        count = requests_of(start)
        for verdict, words in (
            ("500", "the API answers 500"),
            ("cut", "the connection is cut before a request"),
            ("cut after", "the connection is cut after a request"),
            ("half", "half an answer"),
        ):
            for number in some(range(1, count + 1), requests, chance):
                yield Fault(
                    part=f"{words}, in {what} (simulated)",
                    start=start,
                    message=_UNREACHABLE,
                    around=partial(proxy, only(number, verdict)),
                    options={"url": f"unix:{PROXY}"},
                    may_succeed=True,
                )
        yield Fault(
            part=f"fields that nobody knows, in {what} (simulated)",
            start=start,
            message="nothing: it must not fail",
            around=lambda: proxy(lambda number, method, path: "fields"),
            options={"url": f"unix:{PROXY}"},
            may_succeed=True,
        )
    yield Fault(
        part="an operation that never ends (simulated)",
        start=new,
        message="not done after 3 s",
        around=lambda: proxy(lambda number, method, path: "never ends" if "/operations/" in path else ""),
        options={"url": f"unix:{PROXY}", "operation_timeout": 3, "request_timeout": 2},
    )


def only(number: int, verdict: str) -> Rule:
    """A rule for one request."""
    return lambda place, method, path: verdict if place == number else ""


def requests_of(start: Callable[[], dict[str, Any]]) -> int:
    """How many requests a run makes."""
    wipe()
    declared = start()
    with proxy(lambda number, method, path: "") as seen:
        modules.run("inx_container", {**declared, "url": f"unix:{PROXY}"})
        return len(seen)


if __name__ == "__main__":
    sys.exit(main())
