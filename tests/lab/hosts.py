# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lab hosts: whole Debian systems under systemd-nspawn, reached by ssh."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pools
from common import (
    HOSTS,
    LAB,
    LabError,
    copy_surroundings,
    locked,
    remove_tree,
    run,
    run_contained,
    say,
    timed,
)
from images import image
from network import BRIDGE, allocate_address, gateway, release_unused

KEY = LAB / "id_ed25519"
_BOOT_TIMEOUT = 120.0
_STOP_TIMEOUT = 30.0
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


@dataclass(frozen=True)
class LabHost:
    """A host of this lab, running or not."""

    name: str
    image: str
    address: str

    @property
    def directory(self) -> Path:
        """Where everything of this host stands."""
        return HOSTS / self.name

    @property
    def root(self) -> Path:
        """Its root directory."""
        return self.directory / "root"

    @property
    def machine(self) -> str:
        """Its name on this machine."""
        return _machine(self.root)

    @property
    def ssh_options(self) -> list[str]:
        """The options of ssh that lead to this host and to no other."""
        return [
            *("-i", str(KEY), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            *("-o", f"UserKnownHostsFile={self.directory}/known_hosts", "-o", "StrictHostKeyChecking=yes"),
            *("-o", "ConnectTimeout=10"),
        ]


def _machine(root: Path) -> str:
    """Unlike any other lab's host of the same name, and short enough that an interface can bear it."""
    return f"inx{hashlib.sha256(str(root).encode()).hexdigest()[:9]}"


def hosts() -> list[LabHost]:
    """All hosts of the lab."""
    if not HOSTS.is_dir():
        return []
    return [find(path.parent.name) for path in sorted(HOSTS.glob("*/host.json"))]


def find(name: str) -> LabHost:
    """The host of that name; LabError when there is none."""
    path = HOSTS / name / "host.json"
    if not path.exists():
        raise LabError(f"There is no lab host {name!r}. Bring it up: python3 tests/lab/lab.py up {name}")
    return LabHost(**json.loads(path.read_text(encoding="utf-8")))


def is_running(host: LabHost) -> bool:
    """Whether its nspawn runs."""
    return bool(_nspawns(host.root))


def bring_up(name: str, image_name: str, pool_names: Sequence[str] = ()) -> LabHost:
    """Make and boot a host, or boot one that is there. What cannot be finished is removed."""
    for each in (name, *pool_names):
        if not _NAME.match(each):
            raise LabError(f"{each!r} is not a valid name. Use up to 63 small letters, digits and dashes.")
    with locked(LAB / "locks" / name):
        directory = HOSTS / name
        if (directory / "host.json").exists():
            return _boot_again(find(name), image_name, pool_names)
        base = image(image_name)
        try:
            return _make(name, image_name, base, pool_names)
        except BaseException:
            say(f"{name} could not be finished, removing it")
            _remove(name)
            raise


def restart(name: str, hard: bool) -> LabHost:
    """Boot a host anew on the root that it has; ``hard`` is as if the power had failed."""
    host = find(name)
    with locked(LAB / "locks" / name), timed(f"restarting {name}{' hard' if hard else ''}"):
        _stop(host.root, 0 if hard else _STOP_TIMEOUT)
        _start(host)
        _wait_until_up(host)
    return host


def throw_away(name: str) -> None:
    """Stop a host, remove all of it, and the network with the last one."""
    with locked(LAB / "locks" / name), timed(f"removing {name}"):
        _remove(name)


def names_on_disk() -> list[str]:
    """All hosts, also those that a killed run left unfinished."""
    return sorted(path.name for path in HOSTS.iterdir()) if HOSTS.is_dir() else []


def ssh_command(host: LabHost, command: Sequence[str]) -> list[str]:
    """The command line that runs ``command`` on a host, or a shell when there is none."""
    return ["ssh", *host.ssh_options, f"root@{host.address}", *command]


def inventory(chosen: Sequence[LabHost], python: str) -> str:
    """An Ansible inventory of lab hosts, on which modules run with that Python."""
    lines = ["all:", "  vars:", "    ansible_user: root", f"    ansible_python_interpreter: {python}"]
    lines += ["  hosts:"]
    for host in chosen:
        lines += [
            f"    {host.name}:",
            f"      ansible_host: {host.address}",
            f"      ansible_ssh_private_key_file: {json.dumps(str(KEY))}",
            f"      ansible_ssh_common_args: {json.dumps(' '.join(host.ssh_options))}",
        ]
    return "\n".join(lines) + "\n"


# Making


def _make(name: str, image_name: str, base: Path, pool_names: Sequence[str]) -> LabHost:
    directory = HOSTS / name
    remove_tree(directory)
    # From here on the lab has a host, so that nobody takes its network down.
    directory.mkdir(parents=True)
    host = LabHost(name=name, image=image_name, address=allocate_address())
    with timed(f"copying image {image_name} for {name}"):
        run_contained(["cp", "-a", "--reflink=auto", str(base), str(host.root)])
    _write(host.root / "etc/machine-id", f"{secrets.token_hex(16)}\n")
    _make_keys(host)
    _configure(host)
    pools.make_missing(host.directory, pool_names)
    with timed(f"booting {name} at {host.address}"):
        _start(host)
        _wait_until_up(host)
    return host


def _boot_again(host: LabHost, image_name: str, pool_names: Sequence[str]) -> LabHost:
    if host.image != image_name:
        raise LabError(f"{host.name} is there, made from {host.image}. Throw it away first, or take another name.")
    pools.make_missing(host.directory, pool_names)
    if _nspawns(host.root, *pools.binds(host.directory)):
        say(f"{host.name} is up at {host.address}")
        return host
    if is_running(host):
        say(f"{host.name} is rebooted for its pools")
        _stop(host.root, _STOP_TIMEOUT)
    again = LabHost(name=host.name, image=host.image, address=allocate_address())
    _configure(again)
    with timed(f"booting {again.name} at {again.address}"):
        _start(again)
        _wait_until_up(again)
    return again


def _make_keys(host: LabHost) -> None:
    with locked(LAB / "locks" / ".key"):
        if not KEY.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "inx.fleet lab", "-f", str(KEY)])
    own = host.root / "etc/ssh/ssh_host_ed25519_key"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", str(own)])
    _write(host.root / "root/.ssh/authorized_keys", KEY.with_suffix(".pub").read_text(encoding="utf-8"))


def _configure(host: LabHost) -> None:
    """Write all that depends on the host's address or on this machine."""
    copy_surroundings(host.root)
    _write(host.root / "etc/hostname", f"{host.name}\n")
    _write(host.root / "etc/hosts", f"127.0.0.1 localhost\n{host.address} {host.name}\n")
    _write(
        # Before 80-container-host0.network, which would ask for an address by DHCP.
        host.root / "etc/systemd/network/10-host0.network",
        f"[Match]\nName=host0\n\n[Network]\nAddress={host.address}/24\nGateway={gateway(host.address)}\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n",
    )
    public = (host.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="utf-8")
    _write(host.directory / "known_hosts", f"{host.address} {public}")
    _write(host.directory / "host.json", json.dumps(asdict(host)))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# Running


def _start(host: LabHost) -> None:
    command = [
        *("systemd-nspawn", f"--directory={host.root}", "--boot", "--register=no", "--capability=all"),
        *(f"--network-bridge={BRIDGE}", f"--machine={host.machine}", f"--hostname={host.name}"),
        *("--bind=/dev/fuse", "--system-call-filter=add_key keyctl bpf", "--resolv-conf=off"),
        *pools.binds(host.directory),
    ]
    keep_unit = [] if os.path.isdir("/run/systemd/system") else ["--keep-unit"]
    command = [*pools.enter(host.directory), *command, *keep_unit]
    if keep_unit:
        command = ["/bin/sh", "-euc", _ENTER_CGROUPS, "sh", host.machine, *command]
    with open(host.directory / "console.log", "ab") as console:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )


# Without a service manager nobody gives nspawn a cgroup of its own, and two hosts
# would share /payload: each would end the other's processes with its own services.
_CGROUP_TREES = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup")
_ENTER_CGROUPS = rf"""
for tree in {" ".join(_CGROUP_TREES)}; do
  [ -e "$tree/cgroup.procs" ] || continue
  mkdir -p "$tree/$1"
  echo $$ > "$tree/$1/cgroup.procs"
done
shift
exec "$@"
"""


def _wait_until_up(host: LabHost) -> None:
    deadline = time.monotonic() + _BOOT_TIMEOUT
    state = "it does not answer on ssh"
    while time.monotonic() < deadline:
        answer = subprocess.run(
            ssh_command(host, ["systemctl", "is-system-running"]), capture_output=True, text=True, check=False
        )
        state = answer.stdout.strip() or state
        if state == "running":
            return
        if state == "degraded":
            say(f"{host.name} is degraded: {_failed_units(host)}")
            return
        if not is_running(host):
            break
        time.sleep(0.1)
    raise LabError(f"{host.name} did not come up: {state}. Its console:\n{_console(host)}")


def _failed_units(host: LabHost) -> str:
    listed = run(ssh_command(host, ["systemctl", "list-units", "--failed", "--plain", "--no-legend"]))
    return ", ".join(line.split()[0] for line in listed.splitlines() if line.split())


def _console(host: LabHost) -> str:
    path = host.directory / "console.log"
    return path.read_text(encoding="utf-8", errors="replace")[-3000:] if path.exists() else "(nothing)"


def _nspawns(root: Path, *options: str) -> list[int]:
    """The nspawn processes of a root that have all these options. Its path is in no command line but theirs."""
    wanted = {option.encode() for option in (f"--directory={root}", *options)}
    found = []
    for process in _all_processes():
        try:
            arguments = set(Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0"))
        except OSError:
            continue
        if wanted <= arguments:
            found.append(process)
    return found


def _inside(root: Path) -> list[int]:
    """The processes that have ``root`` as their root: they outlive an nspawn that was killed."""
    if not root.exists():
        return []
    here = root.stat()
    found = []
    for process in _all_processes():
        try:
            there = os.stat(f"/proc/{process}/root")
        except OSError:
            continue
        if os.path.samestat(here, there):
            found.append(process)
    return found


def _all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stop(root: Path, patience: float) -> None:
    """Power off, and end what has not gone after ``patience`` seconds."""
    nspawns = _nspawns(root)
    # nspawn hands it to the system inside as a clean power-off; without one there is nobody to ask.
    patience = patience if nspawns else 0
    if patience:
        _signal(nspawns, signal.SIGTERM)
    if not _gone(root, patience):
        _end(root, patience)
    pools.wait_until_released(root.parent)
    _clean_up_after(_machine(root))


def _end(root: Path, patience: float) -> None:
    if patience:
        say(f"{root.parent.name} did not power off in {patience:.0f} s, ending it")
    _signal([*_nspawns(root), *_inside(root)], signal.SIGKILL)
    if not _gone(root, 10):
        raise LabError(f"Processes {[*_nspawns(root), *_inside(root)]} of {root} cannot be ended.")


def _clean_up_after(machine: str) -> None:
    """What an nspawn that was killed leaves; the kernel alone takes its time with the interface."""
    subprocess.run(["ip", "link", "delete", f"vb-{machine}"], capture_output=True, check=False)
    for left in ("propagate", "unix-export"):
        remove_tree(Path("/run/systemd/nspawn") / left / machine)
    for tree in _CGROUP_TREES:
        for directory, _children, _files in os.walk(Path(tree) / machine, topdown=False):
            _remove_cgroup(directory)


def _remove_cgroup(directory: str) -> None:
    """The kernel lets a cgroup go only when its last process is reaped."""
    for _attempt in range(50):
        try:
            os.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.1)
    say(f"{directory} is still in use and was left")


def _signal(processes: Sequence[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def _gone(root: Path, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while _nspawns(root) or _inside(root):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


# Removing


def _remove(name: str) -> None:
    directory = HOSTS / name
    _stop(directory / "root", 0)
    remove_tree(directory)
    release_unused()
