# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules as Ansible has packed them, kept from one run to the next.

Ansible packs a module together with all code that it imports once in each run, in a directory of that run
(ansible-core: lib/ansible/executor/module_common.py, ansiballz_cache). For a module of this collection that takes the
controller as long as five pings. What it packs depends on its own version and on the files of the collection. The
packed files are taken as they are: nothing here knows their format.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ansible import constants
from ansible.release import __file__ as ansible_file
from ansible.release import __version__ as ansible_version

_COLLECTION = Path(__file__).resolve().parents[2]
_CODE = ("plugins/modules", "plugins/module_utils")
_PREFIX = "ansible_collections.inx.fleet.plugins.modules."
# For several versions of the collection or of Ansible that take turns.
_KEPT = 4


@contextmanager
def kept_between_runs(module: str) -> Iterator[None]:
    """Give Ansible a module that an earlier run has packed, or keep what this run packs. Without it, nothing fails."""
    here = Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache")
    if _packed(here, module):
        yield
        return
    kept = None
    with suppress(OSError):
        kept = _directory() / _key()
        _copy(kept, here, module)
    had = bool(_packed(here, module))
    try:
        yield
    except Exception:
        # Whatever it was, the next run packs it anew.
        for path in _packed(kept, module) if kept is not None and had else ():
            path.unlink(missing_ok=True)
        raise
    if kept is not None and not had:
        with suppress(OSError):
            _copy(here, kept, module)
            _forget_others(kept.parent)


def _packed(directory: Path, module: str) -> list[Path]:
    """Return the files of a module; there is one for each way to compress it."""
    return [path for path in directory.glob(f"{_PREFIX}{module}-*") if path.suffix != ".lock"]


def _directory() -> Path:
    """Return the directory for them. Raise OSError if others could write to it: Ansible runs what is in there."""
    home = Path(constants.config.get_config_value("ANSIBLE_HOME")).expanduser()
    directory = home / "inx_fleet_modules"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{directory} is not this user's alone.")
    return directory


def _key() -> str:
    """Return a name for all that a packed module depends on."""
    digest = hashlib.sha256(f"{ansible_version} {ansible_file} {sys.version} {_COLLECTION}".encode())
    # Packages of distributions change Ansible's code under the same version.
    for path in sorted(Path(ansible_file).parent.joinpath("module_utils").rglob("*.py")):
        found = path.stat()
        digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\0".encode())
    for path in sorted(path for part in _CODE for path in (_COLLECTION / part).rglob("*.py")):
        digest.update(f"\0{path}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _copy(source: Path, target: Path, module: str) -> None:
    """Copy the files of a module. Others may do the same at the same time."""
    for path in _packed(source, module):
        target.mkdir(mode=0o700, exist_ok=True)
        descriptor, new = tempfile.mkstemp(prefix=".new-", dir=target)
        with open(descriptor, "wb") as file:
            file.write(path.read_bytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, target / path.name)


def _forget_others(directory: Path) -> None:
    """Remove what was not written for longest."""
    by_age = sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime)
    for path in by_age[:-_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
