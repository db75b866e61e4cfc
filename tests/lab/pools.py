# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""File systems with snapshots for a lab host: btrfs in sparse files, mounted at /srv/pools of the host.

They are mounted in a mount namespace that only the host's processes have. It ends with
the last of them, and so do the mounts and the loop devices. Nothing of it is among this
machine's own mounts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from common import LabError, run

#: What a file can grow to. It takes as much of the disk as is written.
_SIZE = "4G"
_SUFFIX = ".btrfs"
_RELEASE_TIMEOUT = 20.0
# The kernel frees such a loop device when its file system is unmounted for the last time.
_ENTER = f"""
for file in "$1"/*{_SUFFIX}; do
  mount -t btrfs -o loop,noatime "$file" "${{file%{_SUFFIX}}}" ||
    {{ echo "The kernel of this machine cannot mount btrfs from a file: the lab's pools need that."; exit 1; }}
done
shift
exec "$@"
"""


def make_missing(directory: Path, names: Sequence[str]) -> None:
    """Make the file systems that a host lacks, for its next boot."""
    for name in names:
        if _file(directory, name).exists():
            continue
        (directory / "pools" / name).mkdir(parents=True, exist_ok=True)
        unfinished = directory / "pools" / f"{name}.new"
        run(["truncate", f"--size={_SIZE}", str(unfinished)])
        run(["mkfs.btrfs", "--quiet", "--force", f"--label={name}", str(unfinished)])
        unfinished.rename(_file(directory, name))


def enter(directory: Path) -> list[str]:
    """Return the command before nspawn's that mounts what a host has; nothing if it has none."""
    if not _files(directory):
        return []
    own_mounts = ["unshare", "--mount", "--propagation=slave", "--"]
    return [*own_mounts, "/bin/sh", "-euc", _ENTER, "sh", str(directory / "pools")]


def binds(directory: Path) -> list[str]:
    """Return the options of nspawn that show a host what was mounted for it."""
    return [f"--bind={file.with_suffix('')}:/srv/pools/{file.stem}" for file in _files(directory)]


def wait_until_released(directory: Path) -> None:
    """Wait until no loop device has a file of a host whose processes have ended: the kernel does that by and by."""
    deadline = time.monotonic() + _RELEASE_TIMEOUT
    while held := [file for file in _files(directory) if run(["losetup", "--associated", str(file)])]:
        if time.monotonic() >= deadline:
            raise LabError(f"{held[0]} is still mounted somewhere: losetup --associated {held[0]}")
        time.sleep(0.05)


def _file(directory: Path, name: str) -> Path:
    return directory / "pools" / f"{name}{_SUFFIX}"


def _files(directory: Path) -> list[Path]:
    return sorted((directory / "pools").glob(f"*{_SUFFIX}"))
