# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab host that faults meet: what it has, seen with its own tools, and the systems that are tried on it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import modules
import rest

HERE = "/srv/faults"
FLAKE = f"{HERE}/flake"
FIXTURE = "/srv/fixtures/small"
PROFILES = "/nix/var/nix/profiles/inx-container"
ROOTS = "/nix/var/nix/gcroots/inx-fleet"
SYSTEMS = "/nix/var/nix/gcroots/inx-systems"
SECRETS, SECRETS_AT_REST = "/run/inx-fleet/secrets", "/var/lib/inx-fleet/secrets"
AUTO = "/nix/var/nix/gcroots/auto"
NOTES = ".notes"
_FEATURES = ("--extra-experimental-features", "nix-command flakes")
_STORE_PATH = re.compile(r"/nix/store/[0-9a-z]{32}-[^\s/\"]+")
#: Of what the host remembers, the values that are times.
_TIMES = ("restart_since", "restart_keys", "emptied")
#: A start that a run has not lived to note is unknown: then a snapshot more is taken.
_UNNOTED = "ran_since"
_SNAPSHOT = re.compile(r"inx-(\d+)-\d{8}T\d{6}Z")
_SETTLE = 30
_MET = Path(HERE, "met")


def ask(*command: str, timeout: float = 120) -> str:
    """What a command prints; CalledProcessError when it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def at(patterns: Sequence[str], *command: str) -> modules.Meddle:
    """Run a command once, before the module does what matches the last pattern, after what matches the others."""
    left = list(patterns)

    def meddle(number: int, label: str) -> None:
        if left and re.search(left[0], label):
            del left[0]
            if not left:
                note_met()
                ask(*command)
                time.sleep(0.2)

    return meddle


def note_met() -> None:
    """Note that a fault has come, for who waits for the end of the run: a run that does not meet it proves nothing."""
    _MET.touch()


def was_met() -> bool:
    """Whether a fault has come since this was asked last."""
    met = _MET.exists()
    _MET.unlink(missing_ok=True)
    return met


def auto_name(path: str) -> str:
    """Return a name for Nix's link to a path, in the form that Nix gives it (32 digits of its base 32)."""
    digits = "0123456789abcdfghijklmnpqrsvwxyz"
    return "".join(digits[byte % 32] for byte in hashlib.sha256(path.encode()).digest())


def incus_version() -> str:
    """As 6.0."""
    return ".".join(rest.query("/1.0")["environment"]["server_version"].split(".")[:2])


def until(what: str, look: Callable[[], Any], seconds: float = _SETTLE) -> Any:
    """Wait until ``look`` gives something, and return that; RuntimeError when it does not."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() >= deadline:
            raise RuntimeError(f"{what}: not after {seconds} s")
        time.sleep(0.05)
    return found


# Systems


def copy_fixture() -> None:
    """A flake that may be edited."""
    shutil.rmtree(FLAKE, ignore_errors=True)
    shutil.copytree(FIXTURE, FLAKE, symlinks=True)


def declare(version: str, **how: str) -> None:
    """What the flake's systems are from now on; ``switch`` says how they fail."""
    system = {"version": version, "packages": {"hello": "2.10"}, **how}
    names = ("default", "web", "db", "extra")
    Path(FLAKE, "versions.json").write_text(json.dumps(dict.fromkeys(names, system)))


def installable(name: str) -> str:
    """The system of a container, as nix takes it."""
    return f'{FLAKE}#nixosConfigurations."{name}".config.system.build.toplevel'


def system_path(name: str) -> str:
    """The store path of a system as it is declared now, which is not built for it."""
    return system_paths([name])[name]


def system_paths(names: Sequence[str]) -> dict[str, str]:
    """The same for several. What was asked of the same flake before, nix is not asked again."""
    files = sorted(path for path in Path(FLAKE).rglob("*") if path.is_file())
    return _system_paths(tuple(names), tuple(path.read_bytes() for path in files))


@cache
def _system_paths(names: Sequence[str], _flake: Sequence[bytes]) -> dict[str, str]:
    command = ["nix", *_FEATURES, "build", "--dry-run", "--json", "--", *map(installable, names)]
    answer = json.loads(ask(*command, timeout=600))
    return {name: entry["outputs"]["out"] for name, entry in zip(names, answer, strict=True)}


def built(name: str) -> str:
    """The same, and it is built."""
    return ask("nix", *_FEATURES, "build", "--no-link", "--print-out-paths", "--", installable(name)).strip()


# What there is


def census(names: Mapping[str, str]) -> dict[str, Any]:
    """All that a run may leave, once what was begun is done. ``names`` are words for store paths."""
    until("all processes of nix end", lambda: not _nix_clients())
    until("all operations of Incus end", lambda: not _operations())
    found = {
        "instances": _instances(),
        "volumes": _volumes(),
        "networks": [
            entry["name"] for entry in rest.query("/1.0/networks?recursion=1") if entry["name"][:5] == "inxr-"
        ],
        "secrets": _secrets(),
        "profiles": {entry["name"]: _plain(entry) for entry in rest.query("/1.0/profiles?recursion=1")},
        "generations": [line for line in tree(PROFILES) if not line.startswith(f"/{NOTES}")],
        "notes": notes(),
        "roots": tree(ROOTS),
        "systems": tree(SYSTEMS),
        "temporary": sorted(os.listdir("/tmp")),  # noqa: S108 - to look for what is left
        "locks": [place for place in (PROFILES, ROOTS) if os.path.isdir(place) and _is_locked(place)],
    }
    text = json.dumps(found, sort_keys=True)
    for path, name in names.items():
        text = text.replace(path, name)
    text = _SNAPSHOT.sub(r"inx-\1-TIME", text)
    return dict(json.loads(_STORE_PATH.sub("(another store path)", text)))


def differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """How two censuses differ, a line for each place."""
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = sorted(expected.keys() | found.keys())
        return [line for key in keys for line in differences(expected.get(key), found.get(key), f"{where}/{key}")]
    return [] if expected == found else [f"{where}: {expected!r} is right, {found!r} is there"]


def _instances() -> dict[str, Any]:
    found = rest.query("/1.0/instances?recursion=2&all-projects=true")
    return {
        entry["name"]: {
            "status": entry["status"],
            "runs": current_system(entry),
            "data": _data(entry),
            "snapshots": sorted(one["name"] for one in entry["snapshots"] or ()),
            **_plain(entry),
        }
        for entry in found
    }


def _data(entry: dict[str, Any]) -> list[str]:
    """What scenarios about data have written into a running container, into its root and into a volume."""
    root, found = f"/proc/{(entry['state'] or {}).get('pid', 0)}/root", []
    for path in ("/etc/data", "/var/lib/kept/data"):
        with suppress(OSError):
            found.append(f"{path}: {' '.join(Path(root + path).read_text().split())}")
    return found


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    config = {key: value for key, value in entry["config"].items() if not key.startswith("volatile.")}
    return {"config": config, **{key: entry.get(key) for key in ("devices", "profiles", "description", "ephemeral")}}


def notes() -> dict[str, dict[str, str]]:
    """What the host remembers of containers, by liblxc's names for them; a name alone for any other file.

    What a killed run did not finish is written anew by the next change, and removed with its container.
    """
    found = {}
    for path in sorted(Path(PROFILES, NOTES).glob("*")):
        if path.name.endswith(".json.new") and Path(PROFILES, path.name.removesuffix(".json.new")).is_dir():
            continue
        known = json.loads(path.read_text())["notes"] if path.suffix == ".json" else {}
        known.pop(_UNNOTED, None)
        found[path.name.removesuffix(".json")] = {key: "a time" if key in _TIMES else known[key] for key in known}
    return found


def current_system(entry: dict[str, Any]) -> str | None:
    """Where /run/current-system leads in a container, as Incus has it with its state; None when it does not run."""
    pid = (entry["state"] or {}).get("pid", 0)
    if pid <= 0:
        return None
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/root/run/current-system")
    return "(no link)"


def statuses(prefix: str) -> dict[str, str]:
    """What Incus says of the instances whose names begin so."""
    found = rest.query("/1.0/instances?recursion=1")
    return {entry["name"]: entry["status"] for entry in found if entry["name"].startswith(prefix)}


def running_systems() -> dict[str, str | None]:
    """The system that runs in each instance, None for one that does not run."""
    return {entry["name"]: current_system(entry) for entry in rest.query("/1.0/instances?recursion=2")}


def remove_instances(prefix: str) -> None:
    """Take away by hand the instances whose names begin so, with their volumes and profiles."""
    names = list(statuses(prefix))
    if names:
        ask("incus", "delete", "--force", *names, timeout=1800)
    for volume in rest.query("/1.0/storage-pools/default/volumes/custom"):
        name = volume.rpartition("/")[2]
        if name.startswith(prefix):
            ask("incus", "storage", "volume", "delete", "default", name)
    for directory in Path(PROFILES).glob(f"{prefix}*"):
        shutil.rmtree(directory)
    for file in Path(PROFILES, NOTES).glob(f"{prefix}*"):
        file.unlink()


def _secrets() -> list[str]:
    """The files of secrets, and what is encrypted and noted of them, without what differs from run to run."""
    found = []
    for path in sorted(Path(SECRETS).glob("*/[!.]*")):
        seen = path.stat()
        found.append(f"{path.relative_to(SECRETS)} {seen.st_uid}:{seen.st_gid} {seen.st_mode:o} {path.read_text()}")
    for path in sorted(Path(SECRETS_AT_REST).glob("*/*")):
        lxc = path.parent.name
        if path.name == "sealed":
            text = ask("systemd-creds", "decrypt", f"--name=inx-secrets-{lxc}", str(path), "-")
        else:
            notes = json.loads(path.read_text()) if path.name == "notes.json" else {"unknown": path.name}
            text = json.dumps({key: one for key, one in notes.items() if key in ("ids", "links", "due", "unknown")})
        found.append(f"at rest {lxc}: {text}")
    return found


def _volumes() -> dict[str, Any]:
    pools = [url.rpartition("/")[2] for url in rest.query("/1.0/storage-pools")]
    found = {
        f"{pool}/{volume['name']}": volume
        for pool in pools
        for volume in rest.query(f"/1.0/storage-pools/{pool}/volumes/custom?recursion=1")
        # Incus 6.0 lists snapshots among volumes.
        if "/" not in volume["name"]
    }
    return {
        place: {"config": volume["config"], "used_by": volume["used_by"], "snapshots": _snapshots(place)}
        for place, volume in found.items()
    }


def _snapshots(place: str) -> list[str]:
    """The names of the snapshots of the volume POOL/NAME."""
    pool, name = place.split("/", 1)
    urls = rest.query(f"/1.0/storage-pools/{pool}/volumes/custom/{name}/snapshots")
    return sorted(url.rpartition("/")[2] for url in urls or ())


def tree(top: str) -> list[str]:
    """Every name below a directory, and where the links lead."""
    found = []
    for directory, children, files in os.walk(top):
        for name in (*children, *files):
            path = f"{directory}/{name}"
            link = f" -> {os.readlink(path)}" if os.path.islink(path) else ""
            found.append(path.removeprefix(top) + link)
    return sorted(found)


def _operations() -> list[str]:
    answer = rest.query("/1.0/operations?recursion=1") or {}
    return [entry["description"] for status in ("running", "pending") for entry in answer.get(status) or ()]


def _nix_clients() -> list[str]:
    """The command lines of the processes of nix but for its daemon's own."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                words = Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
                if os.path.basename(words[0]) == b"nix" and b"build" in words:
                    found.append(b" ".join(words).decode(errors="replace"))
    return found


def _is_locked(directory: str) -> bool:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
