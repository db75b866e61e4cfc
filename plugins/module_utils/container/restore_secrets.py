# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put the secrets of containers back into memory when a host boots, as a program: MEMORY AT_REST

inx-secrets.service runs it before Incus starts its containers. It is a file by itself, so it takes the standard library
alone. It leaves alone what is in memory already, and it never prints what it decrypts.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence

SEALED = "sealed"
SOURCE = "inx-secrets"
_MEMORY = "mode=0700,nosuid,nodev,noexec"
# Linux 6.4 and newer can keep a tmpfs out of swap.
OPTIONS = (f"{_MEMORY},noswap", _MEMORY)
_UNFINISHED = " new"


def main(arguments: Sequence[str]) -> int:
    """Restore all containers, and return 1 if that of one failed: the others get theirs."""
    # No core file, not even one that is piped to a program.
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    memory, at_rest = arguments
    names = sorted(entry.name for entry in os.scandir(at_rest) if entry.is_dir()) if os.path.isdir(at_rest) else []
    if not names:
        return 0
    mount(memory)
    failed = [name for name in names if not _restored(name, memory, at_rest)]
    return 1 if failed else 0


def mount(memory: str) -> None:
    """Mount a tmpfs that only root may enter, unless it is there."""
    if os.path.ismount(memory):
        return
    os.makedirs(memory, 0o755, exist_ok=True)
    os.chmod(memory, 0o700)
    for options in OPTIONS:
        if _run(["mount", "-t", "tmpfs", "-o", options, SOURCE, memory])[0] == 0:
            return
    raise SystemExit(f"{memory} cannot be mounted")


def _restored(name: str, memory: str, at_rest: str) -> bool:
    directory, sealed = f"{memory}/{name}", f"{at_rest}/{name}/{SEALED}"
    # Without a secret as well: Incus mounts the directory at the start of the container, and later runs fill it.
    os.makedirs(directory, exist_ok=True)
    os.chmod(directory, 0o755)  # noqa: S103 - for users in the container: what it is in is closed
    if not os.path.exists(sealed):
        return True
    try:
        code, said = _run(["systemd-creds", "decrypt", f"--name=inx-secrets-{name}", sealed, "-"])
        files = json.loads(said) if code == 0 else None
        for file in files or ():
            _write(f"{directory}/{file['name']}", file)
    except (ValueError, OSError, KeyError, TypeError, OverflowError):
        files = None
    if files is None:
        sys.stderr.write(f"The secrets of {name} cannot be decrypted. The next run of Ansible brings them.\n")
    return files is not None


def _write(path: str, file: dict[str, str]) -> None:
    if os.path.exists(path):
        return
    descriptor = os.open(path + _UNFINISHED, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as target:
        target.write(base64.b64decode(file["content"]))
        os.fchown(descriptor, int(file["uid"]), int(file["gid"]))
        os.fchmod(descriptor, int(file["mode"]))
    os.replace(path + _UNFINISHED, path)


def _run(command: list[str]) -> tuple[int, bytes]:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        said = process.communicate()[0]
    return process.returncode, said


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
