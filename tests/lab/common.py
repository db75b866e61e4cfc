# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all parts of the lab need: its places, its words on the terminal, locks, commands, safe removal."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(os.environ.get("INX_FLEET_CACHE") or Path.home() / ".cache" / "inx-fleet").absolute()
#: A lab is a directory. Two checkouts that name two directories have two labs that do not meet.
LAB = Path(os.environ.get("INX_FLEET_LAB") or CACHE / "lab").absolute()
LAB_ID = hashlib.sha256(str(LAB).encode()).hexdigest()[:6]
IMAGES = CACHE / "images"
HOSTS = LAB / "hosts"
#: Bridges and routes end with the machine's uptime, and so does what is noted of them.
RUN = Path("/run/inx-fleet-lab")

# What a program comes with, on Debian.
_PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "losetup": "mount",
    "mkfs.btrfs": "btrfs-progs",
}
_FILES = {
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}


class LabError(Exception):
    """Something that the user has to know, in one message."""


def say(text: str) -> None:
    """Tell what is going on, without mixing into what a command prints."""
    print(f"==> {text}", file=sys.stderr, flush=True)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say what begins, and how long it took."""
    say(f"{what} ...")
    start = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - start:.1f} s")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes; it ends with the process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run ({path.name})")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str], text: str | None = None) -> str:
    """Run a command and return its output; LabError with what it said when it fails."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)} failed ({done.returncode}):\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def run_contained(command: Sequence[str]) -> None:
    """Run a command with mounts and processes of its own, which end when this process does, however it ends."""
    run(
        [
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
            *command,
        ]
    )


def remove_tree(path: Path) -> None:
    """Remove a directory whatever is mounted below it, and nothing of what is mounted there."""
    if not path.exists():
        return
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        mounted = [line.split()[4].encode().decode("unicode_escape") for line in table]
    for mount in sorted((entry for entry in mounted if f"{entry}/".startswith(f"{path}/")), reverse=True):
        run(["umount", "--lazy", mount])
    # An attribute that a container's file has ("immutable") would keep it.
    for attempt in range(3):
        done = subprocess.run(
            ["rm", "-rf", "--one-file-system", "--", str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return
        subprocess.run(["chattr", "-R", "-i", "-a", str(path)], capture_output=True, check=False)
        time.sleep(attempt)
    raise LabError(f"{path} could not be removed:\n{done.stderr[-2000:]}")


def require_programs() -> None:
    """Install what the lab needs and this machine lacks."""
    if os.geteuid() != 0:
        raise LabError("The lab boots whole systems. Run it as root.")
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    missing = {package for program, package in _PACKAGES.items() if shutil.which(program) is None}
    missing |= {package for path, package in _FILES.items() if not os.path.exists(path)}
    if missing:
        apt_install(missing)


def apt_install(packages: Iterable[str]) -> None:
    """Install Debian packages, or say which are needed where that cannot be done."""
    names = sorted(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise LabError(f"Install {', '.join(names)}. As root on Debian it is done for you.")
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=600"]
    with timed(f"installing {', '.join(names)}"), locked(Path("/run/lock/inx-fleet-apt")):
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        run([*apt, "update"])
        run([*apt, "install", "--no-install-recommends", *names])


def copy_surroundings(root: Path) -> None:
    """Give a root the resolver and the certificates of this machine."""
    resolver = Path("/run/systemd/resolve/resolv.conf")
    # The stub of systemd-resolved listens on this machine's loopback only.
    source = resolver if resolver.exists() else Path("/etc/resolv.conf")
    target = root / "etc/resolv.conf"
    target.unlink(missing_ok=True)
    shutil.copyfile(source, target)
    bundle = "etc/ssl/certs/ca-certificates.crt"
    shutil.copyfile(f"/{bundle}", root / bundle)
    # pip brings certificates of its own unless it is told.
    (root / "etc/pip.conf").write_text(f"[global]\ncert = /{bundle}\n", encoding="utf-8")
