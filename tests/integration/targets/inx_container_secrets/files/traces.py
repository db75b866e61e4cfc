# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Searches all that runs with secrets leave on a host: FLAKE

The secrets are made here, and are in the memory of this process alone before the module has them. So what is found
elsewhere is the module's doing. Each way to search is tried first on something that is there.
"""

from __future__ import annotations

import base64
import glob
import json
import os
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modules

MEMORY = "/run/inx-fleet/secrets"
NAME = "c2"
#: What is searched for: a word, and how it begins in base64.
WORD = f"hush-{secrets.token_hex(12)}"
PATTERNS = [WORD.encode(), base64.b64encode(WORD.encode())[:20]]
#: The same for what must be found, which shows that a search works.
CONTROL = f"plain-{secrets.token_hex(12)}"
_DAEMONS = ("incusd", "systemd-journal", "nix-daemon")
_CORES = "/srv/inx-cores"


def main(flake: str) -> int:
    """Run, search, and print what was found: nothing."""
    found: list[str] = []
    with Watch() as watch:
        for problem in tried(flake):
            found.append(problem)
        found += cores(flake)
    found += watch.found()
    found += list(left())
    ended = modules.run("inx_container", {"name": NAME, "flake": flake, "state": "absent", "force": True})
    found += [] if not ended.failed else [f"it was not removed: {ended.message}"]
    found += [f"after its removal: {path}" for path in files_with(PATTERNS, "/run", "/var", "/root")]
    for line in found:
        print(line)
    return 1 if found else 0


# Runs


def tried(flake: str) -> Iterator[str]:
    """Run the module in all ways in which it may tell something, and yield what tells it."""
    base = {"name": NAME, "flake": flake, "description": CONTROL, "_ansible_diff": True, "_ansible_verbosity": 4}
    one = {"name": "one", "content": WORD, "units": ["app"]}
    two = {"name": "two", "content": base64.b64encode(WORD.encode()).decode(), "encoding": "base64", "path": "/etc/two"}
    runs: list[tuple[dict[str, Any], bool]] = [
        ({"secrets": [one, two], "_ansible_check_mode": True}, True),
        ({"secrets": [one, two]}, True),
        ({"secrets": [{**one, "content": f"{WORD}-changed"}, two]}, True),
        ({"secrets": [{**one, "mode": "0440"}], "state": "restarted"}, True),
        ({"secrets": [{**one, "encoding": "base64"}]}, False),
        ({"secrets": [{**one, "owner": "a:b"}]}, False),
        ({"secrets": [{**one, "content": WORD, "path": "/etc/inx-version"}]}, False),
        ({"secrets": [one, one]}, False),
        ({"secrets": [{**one, "contents": WORD}]}, False),
        ({"secrets": [one, two], "secrets_at_rest": False}, True),
        ({"secrets": [one, two], "secrets_at_rest": True, "state": "stopped"}, True),
        ({"secrets": [one, two]}, True),
    ]
    for number, (more, works) in enumerate(runs, 1):
        ended = modules.run("inx_container", {**base, **more})
        if ended.failed == works:
            yield f"run {number} ended with: {ended.message}"
        told = (json.dumps(ended.result) + ended.said).encode()
        if any(pattern in told for pattern in PATTERNS):
            yield f"run {number} tells it"
    # One that is killed leaves what it was about to do.
    for event in ("systemd-creds", "os.rename"):
        killed = modules.run(
            "inx_container", {**base, "secrets": [{**one, "content": f"{WORD}-{event}"}]}, fault=dying(event)
        )
        if killed.result:
            yield f"it was not killed at {event}: {killed.message}"


def dying(event: str, how: int = signal.SIGKILL) -> modules.Meddle:
    """Return what kills a run when it is about to do something with the secrets."""

    def die(_number: int, label: str) -> None:
        if event in label and ("secrets" in label):
            os.kill(os.getpid(), how)

    return die


# Core files


def cores(flake: str) -> list[str]:
    """Abort a run that has secrets, and return what is in core files then."""
    if Path("/proc/sys/kernel/core_pattern").read_text(encoding="utf-8").startswith(("|", "/")):
        # Core files of this host are not for it to look at.
        return []
    os.makedirs(_CORES, exist_ok=True)
    os.chdir(_CORES)
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    subprocess.run([sys.executable, "-c", "import os; x = os.environ; os.abort()"], env={"X": CONTROL}, check=False)
    control = list(glob.glob(f"{_CORES}/core*"))
    problems = [] if control and files_with([CONTROL.encode()], _CORES) else ["no core file is written on this host"]
    for path in control:
        os.unlink(path)
    run = {"name": NAME, "flake": flake, "secrets": [{"name": "one", "content": f"{WORD}-core"}]}
    ended = modules.run("inx_container", run, fault=dying("systemd-creds", signal.SIGABRT))
    problems += [f"it was not aborted: {ended.message}"] if ended.result else []
    return problems + [f"a core file: {path}" for path in glob.glob(f"{_CORES}/core*")]


# Searches


class Watch:
    """Looks at all processes, and at what shows progress, again and again while there are runs."""

    def __init__(self) -> None:
        self._hits: set[str] = set()
        self._rounds = 0
        self._saw_control = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            self._rounds += 1
            for path in (
                *glob.glob("/proc/[0-9]*/cmdline"),
                *glob.glob("/proc/[0-9]*/environ"),
                *glob.glob("/proc/[0-9]*/comm"),
                *glob.glob("/run/inx-fleet/progress/*"),
            ):
                try:
                    text = Path(path).read_bytes()
                except OSError:
                    continue
                self._saw_control |= NAME.encode() in text
                if any(pattern in text for pattern in PATTERNS):
                    self._hits.add(path)

    def found(self) -> list[str]:
        """Return what it saw, and whether it looked."""
        looked = self._rounds > 20 and self._saw_control
        return sorted(self._hits) + ([] if looked else [f"it looked {self._rounds} times only"])


def left() -> Iterator[str]:
    """Yield where the secrets are after the runs, but for where they are to be."""
    allowed = f"{MEMORY}/{NAME}/"
    in_place = [path for path in files_with(PATTERNS, MEMORY) if path.startswith(allowed)]
    if len(in_place) != 2:
        yield f"they are at {in_place}"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        yield from (f"said by {name}" for name in told_by(f"{directory}/backup.tar"))
        yield from (path for path in files_with(PATTERNS, "/") if not path.startswith(allowed))
    if not files_with([CONTROL.encode()], "/var/lib/incus"):
        yield "files, of which none has what is plain"
    yield from memory()


def told_by(backup: str) -> Iterator[str]:
    """Yield what tells the secrets of all that can be asked, and what does not tell what it should."""
    queries: dict[str, list[str]] = {
        "the database of Incus": ["incus", "admin", "sql", "global", ".dump"],
        "the database of the member": ["incus", "admin", "sql", "local", ".dump"],
        "the configuration": ["incus", "config", "show", "--expanded", NAME],
        "the API": ["incus", "query", "/1.0/instances?recursion=2"],
        "the journal": ["journalctl", "--output=export", "--no-pager", "--all"],
        "the kernel": ["dmesg"],
        "the log of Incus": ["incus", "info", "--show-log", NAME],
        "the store's database": ["nix-store", "--dump-db"],
    }
    has_control = ("the database of Incus", "the configuration", "the API")
    subprocess.run(["incus", "snapshot", "create", NAME, "searched"], check=True)
    for name, command in queries.items():
        done = subprocess.run(command, capture_output=True, check=False)
        text = done.stdout + done.stderr
        if any(pattern in text for pattern in PATTERNS):
            yield name
        if name in has_control and CONTROL.encode() not in text:
            yield f"{name}, which does not even have what is plain: {text[:200]!r}"
    export = ["incus", "export", NAME, backup, "--compression", "none", "--quiet"]
    subprocess.run(export, check=True, stdout=subprocess.DEVNULL)
    if files_with([CONTROL.encode()], os.path.dirname(backup)) != [backup]:
        yield "a backup, which does not even have what is plain"
    yield from (path for path in files_with(PATTERNS, os.path.dirname(backup)))


def files_with(patterns: list[bytes], *places: str) -> list[str]:
    """Return the files below directories that have a pattern. That is not in the words of a process either."""
    skipped = [f"--exclude-dir={name}" for name in ("proc", "sys", "dev")]
    command = ["grep", "-r", "-l", "-a", "-F", "--devices=skip", *skipped, "-f", "-", "--", *places]
    done = subprocess.run(command, input=b"\n".join(patterns), capture_output=True, check=False)
    return sorted(done.stdout.decode(errors="replace").splitlines())


def memory() -> Iterator[str]:
    """Yield the daemons that have them in memory."""
    looked = 0
    for comm in glob.glob("/proc/[0-9]*/comm"):
        directory = os.path.dirname(comm)
        try:
            name = Path(comm).read_text(encoding="utf-8").strip()
            if name not in _DAEMONS:
                continue
            looked += 1
            if any(pattern in part for part in parts_of(directory) for pattern in PATTERNS):
                yield f"the memory of {name}"
        except OSError:
            continue
    if looked < 2:
        yield f"the memory of {looked} daemons was searched"


def parts_of(directory: str) -> Iterator[bytes]:
    """Yield the writable memory of a process."""
    with open(f"{directory}/mem", "rb", buffering=0) as file:
        for line in Path(directory, "maps").read_text(encoding="utf-8").splitlines():
            area, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(word, 16) for word in area.split("-"))
                try:
                    file.seek(start)
                    yield file.read(end - start)
                except (OSError, ValueError, OverflowError):
                    continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
