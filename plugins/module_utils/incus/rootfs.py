# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read links inside a running container's root file system, and nothing else.

The container's root controls every path in there. openat2(2) with
RESOLVE_IN_ROOT makes the kernel keep ".." and absolute symlinks inside the
container, and O_PATH opens no file: a FIFO cannot block, a device is not
touched. Only the host's root may do it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ..errors import FleetError
from ..paths import store_object

# linux/openat2.h; the number is the same on every architecture (asm-generic/unistd.h).
_SYS_OPENAT2 = 437
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10
_RETRIES = 32
# What Nix and the kernel bound as well: links in a row, and the length of a path.
_MAX_HOPS = 16
_PATH_MAX = 4096
# Of /etc/passwd and the like.
_LONGEST_FILE = 1 << 20
# Errors that mean: the link does not exist. Any other says nothing about the link.
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL))
_MONITOR = "[lxc monitor] "

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _how(flags: int, resolve: int = _RESOLVE_IN_ROOT) -> _OpenHow:
    return _OpenHow(flags | os.O_CLOEXEC, 0, resolve | _RESOLVE_NO_MAGICLINKS)


# Made once: a sync may open a hundred thousand paths.
_LINK = _how(os.O_PATH | os.O_NOFOLLOW)
_DIRECTORY = _how(os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
_DIRECTORY_BEHIND = _how(os.O_RDONLY | os.O_DIRECTORY)
_FILE_BEHIND = _how(os.O_PATH)
_NOTHING_BEHIND = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_XDEV
_ON_DISK = _how(os.O_PATH | os.O_NOFOLLOW, _NOTHING_BEHIND)
_DIRECTORY_ON_DISK = _how(os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, _NOTHING_BEHIND)
_HOW_SIZE = ctypes.c_size_t(ctypes.sizeof(_OpenHow))
_OPENAT2 = ctypes.c_long(_SYS_OPENAT2)


@contextmanager
def container_root(name: str, pid: int) -> Iterator[int]:
    """Yield a descriptor of the root directory that the container's init ``pid`` has.

    ``name`` is what liblxc calls the container: the instance's name, with
    ``PROJECT_`` before it outside the default project. Raises FleetError when
    ``pid`` is (no longer) that container's init, so that a number that the kernel
    gave to another process is never taken for it.
    """
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FleetError(
            f"The root of container {name} cannot be opened: {error.strerror}.",
            "Become root, and run again if it was stopped just now.",
        ) from error
    try:
        if not is_init_of(name, pid):
            raise FleetError(f"Process {pid} is not the init of container {name} any more.", "Run again.")
        yield root
    finally:
        os.close(root)


def open_in_root(root: int, path: str) -> int:
    """Open ``path`` inside ``root`` with O_PATH, its last link not followed.

    Raises OSError as openat2(2) does: ENOENT, ELOOP, ENOTDIR, EACCES and so on.
    """
    return _open(root, path, _LINK)


def open_directory(root: int, path: str, *, follow: bool = False) -> int:
    """Open the directory ``path`` inside ``root`` to list it; OSError when it is none.

    With ``follow`` a link may lead to it, inside ``root`` as everywhere on the way.
    """
    return _open(root, path, _DIRECTORY_BEHIND if follow else _DIRECTORY)


def open_on_disk(directory: int, path: str, *, to_list: bool) -> int:
    """Open what is at ``path`` below a directory with O_PATH, or a directory to list it.

    No link is followed, and no mount is entered: a mount is EXDEV. Raises OSError as openat2(2) does.
    """
    return _open(directory, path, _DIRECTORY_ON_DISK if to_list else _ON_DISK)


def _open(root: int, path: str, how: _OpenHow) -> int:
    encoded = ctypes.c_char_p(os.fsencode(path))
    for _attempt in range(_RETRIES):
        descriptor: int = _libc.syscall(_OPENAT2, ctypes.c_int(root), encoded, ctypes.byref(how), _HOW_SIZE)
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        # EAGAIN: a rename elsewhere raced with ".."; the kernel asks for another try.
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(number, os.strerror(number), path)


def read_link(root: int, path: str) -> str | None:
    """Return the target of the link ``path`` inside ``root``, None when it is not a link or missing.

    Raises OSError when that cannot be told, as with a file system that gives errors.
    """
    try:
        descriptor = open_in_root(root, path)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    try:
        return os.readlink("", dir_fd=descriptor)
    except FileNotFoundError:
        # What readlinkat(2) answers for an open file that is not a link.
        return None
    finally:
        os.close(descriptor)


def read_file(root: int, path: str) -> bytes | None:
    """Return the beginning of the file ``path`` inside ``root``, None when it is not a regular file.

    Nothing else is opened, so that nothing blocks. Raises OSError when it cannot be read.
    """
    try:
        descriptor = _open(root, path, _FILE_BEHIND)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    try:
        found = os.fstat(descriptor)
        # Files of the kernel have no size, and reading some of them waits, such as /proc/kmsg.
        if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
            return None
        with open(f"/proc/self/fd/{descriptor}", "rb") as file:
            return file.read(min(found.st_size, _LONGEST_FILE))
    finally:
        os.close(descriptor)


def exists(root: int, path: str) -> bool:
    """Return whether anything is at ``path`` inside ``root``, its last link not followed."""
    with suppress(OSError):
        os.close(open_in_root(root, path))
        return True
    return False


def target_in_store(read: Callable[[str], str | None], path: str) -> str | None:
    """Return the path in the store to which the link ``path`` leads, link by link, None when it leads elsewhere.

    ``read`` gives the target of a link. Nix follows the same way, if less far
    (src/libstore/gc.cc, findRoots): it looks at links, never at what is behind a directory.
    """
    for _hop in range(_MAX_HOPS):
        target = read(path)
        if target is None:
            return None
        path = target if target.startswith("/") else f"{os.path.dirname(path)}/{target}"
        named = os.path.normpath(path)
        if store_object(named) is not None:
            return named
        if len(path) > _PATH_MAX:
            return None
    return None


def store_path_behind(read: Callable[[str], str | None], path: str) -> str | None:
    """Return the store path to which or into which the link ``path`` leads, None when it leads elsewhere."""
    target = target_in_store(read, path)
    return None if target is None else store_object(target)


# Which containers run


@dataclass(frozen=True, kw_only=True)
class Running:
    """A running container by its init; ``name`` is liblxc's, ``age`` the seconds since its start."""

    name: str
    pid: int
    age: float


def running_containers() -> dict[str, Running]:
    """Return the running containers by liblxc's name, found through their monitors in /proc.

    Asking Incus for the state of a hundred containers takes a hundred times as long.
    """
    found: dict[str, Running] = {}
    for entry in os.listdir("/proc"):
        name = _monitored(entry) if entry.isdigit() else None
        if name is None:
            continue
        for child in _children(int(entry)):
            if is_init_of(name, child):
                found[name] = Running(name=name, pid=child, age=_age(child))
    return found


def sees_processes() -> bool:
    """Return whether /proc shows this user the processes of others (proc(5), hidepid)."""
    return os.access("/proc/1/status", os.R_OK)


def _monitored(pid: str) -> str | None:
    """Return the container whose monitor is process ``pid``. Its title alone proves nothing: a process in a
    container can take it too, so it must be root's and in the host's own pid namespace."""
    title = _title(pid)
    if title is None or not title.startswith(_MONITOR):
        return None
    status = _status(pid)
    if status.get("Uid", "").split()[:2] != ["0", "0"] or len(status.get("NSpid", "").split()) != 1:
        return None
    return title.rpartition(" ")[2]


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            return [int(child) for child in children.read().split()]
    except OSError:
        return []


def is_init_of(name: str, pid: int) -> bool:
    """Return whether ``pid`` is the first process of a namespace right below the host's, and its parent the monitor.

    liblxc names the monitor "[lxc monitor] LXCPATH NAME" (src/lxc/lxccontainer.c, set_daemon_title).
    """
    status = _status(str(pid))
    numbers = status.get("NSpid", "").split()
    return len(numbers) == 2 and numbers[1] == "1" and _monitored(status.get("PPid", "").strip()) == name


def has_ended(name: str, pid: int) -> bool:
    """Return whether the init ``pid`` of a container has ended.

    Its root is gone first, before the rest of its namespace and itself (kernel/exit.c, do_exit).
    """
    with suppress(PermissionError):
        try:
            os.readlink(f"/proc/{pid}/root")
        except (FileNotFoundError, ProcessLookupError):
            return True
    return not is_init_of(name, pid)


def _title(pid: str) -> str | None:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            return cmdline.read(_PATH_MAX).rstrip(b"\0 ").decode(errors="replace")
    except OSError:
        return None


def _status(pid: str) -> dict[str, str]:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
            return dict(line.split(":", 1) for line in status if ":" in line)
    except OSError:
        return {}


def _age(pid: int) -> float:
    """Seconds since the start of a process, 0 if it is gone (proc_pid_stat(5), field 22)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            started = int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
