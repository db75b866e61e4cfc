# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find out which file systems the kernel mounts with shifted ids, as Incus does for disks with ``shift``.

That is up to the kernel and the file system (mount_setattr(2), MOUNT_ATTR_IDMAP): overlayfs, NFS and FUSE refuse it. So
it is tried, with a copy of the mount that is attached nowhere. Incus tries the same (shared/idmap: CanIdmapMount).
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

# linux/unistd.h: the same on all architectures since Linux 5.1.
_OPEN_TREE, _MOUNT_SETATTR = 428, 442
# linux/fcntl.h and linux/mount.h
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_OPEN_TREE_CLONE, _MOUNT_ATTR_IDMAP = 1, 0x00100000


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def unshiftable(paths: Iterable[str]) -> frozenset[str]:
    """Return the paths whose file systems cannot be mounted with shifted ids. None, where that cannot be tried."""
    by_device: dict[int, list[str]] = {}
    for path in paths:
        with suppress(OSError):
            by_device.setdefault(os.stat(path).st_dev, []).append(path)
    if not by_device or os.geteuid() != 0:
        return frozenset()
    with suppress(OSError), _other_user_namespace() as namespace:
        refused = (found for found in by_device.values() if _is_refused(found[0], namespace))
        return frozenset(path for found in refused for path in found)
    return frozenset()


def _is_refused(path: str, namespace: int) -> bool:
    library = ctypes.CDLL(None, use_errno=True)
    tree = library.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), _OPEN_TREE_CLONE | os.O_CLOEXEC)
    if tree < 0:
        return False
    try:
        wanted = _MountAttributes(attr_set=_MOUNT_ATTR_IDMAP, userns_fd=namespace)
        done = library.syscall(
            _MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(wanted), ctypes.c_size_t(ctypes.sizeof(wanted))
        )
        return bool(done < 0 and ctypes.get_errno() == errno.EINVAL)
    finally:
        os.close(tree)


@contextmanager
def _other_user_namespace() -> Iterator[int]:
    """Open a user namespace that is not the host's. Raises OSError if there can be none."""
    command = ("unshare", "--user", "--map-root-user", "cat")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        # It is there when its process answers, which ends with its input.
        if process.stdin is not None:
            process.stdin.write(b"\n")
            process.stdin.flush()
        if process.stdout is None or not process.stdout.readline():
            raise OSError(errno.EPERM, "unshare --user failed")
        namespace = os.open(f"/proc/{process.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield namespace
        finally:
            os.close(namespace)
