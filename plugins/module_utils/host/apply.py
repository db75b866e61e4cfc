# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apply the steps of a plan for a Debian host. Each step can be repeated after a run that was killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import quote

from ..errors import FleetError
from ..gcroots.files import explained, replace_file
from ..gcroots.package import write_command
from ..incus.rest import change, create
from ..paths import DAEMON_SOCKET_DIR, PROFILES_DIR, VENV
from .commands import run
from .declaration import HostDeclaration
from .managed import NIX_SERVICE, NIX_SOCKET, PROFILES_GROUP, PROFILES_MODE, socket_mode
from .python import install_packages
from .steps import Step
from .units import disable_units, look_at_units, reload_systemd, restart_units, start_units, stop_units

_DIRECTORY_MODE = 0o755
_STORE_COMMAND = ("nix", "--extra-experimental-features", "nix-command", "store", "info", "--store", "daemon")
_PATHS = {"pool": "/1.0/storage-pools", "network": "/1.0/networks", "profile": "/1.0/profiles"}


def apply_step(declared: HostDeclaration, step: Step) -> None:
    """Do one step. Raise FleetError if it fails; earlier steps stay done."""
    _APPLY[step.action](declared, step)


def _write_files(_declared: HostDeclaration, step: Step) -> None:
    with explained("written"):
        for path, file in step.files.items():
            # A user's file may be a link to where it is kept.
            place = os.path.realpath(path)
            _make_directory(os.path.dirname(place))
            replace_file(place, file)


def _make_directory(path: str) -> None:
    """Make a directory that everybody may read, whatever the umask is."""
    if not os.path.isdir(path):
        os.makedirs(path)
        os.chmod(path, _DIRECTORY_MODE)


def _configure(_declared: HostDeclaration, step: Step) -> None:
    run(["dpkg", "--configure", "--pending"], step.summary, {"DEBIAN_FRONTEND": "noninteractive"})


def _install_python(declared: HostDeclaration, _step: Step) -> None:
    install_packages(VENV, declared.python_packages, declared.pip_environment)


def _start(_declared: HostDeclaration, step: Step) -> None:
    if NIX_SOCKET in step.units:
        _make_way_for_socket(step.summary)
    start_units(step.units, step.summary)


def _make_way_for_socket(action: str) -> None:
    """Stop a Nix daemon that runs without its socket, which systemd does not start then."""
    units, _commands = look_at_units([NIX_SOCKET, NIX_SERVICE])
    if units[NIX_SERVICE].is_active and not units[NIX_SOCKET].is_active:
        stop_units([NIX_SERVICE], action)


def _restart(_declared: HostDeclaration, step: Step) -> None:
    sockets = [name for name in step.units if name == NIX_SOCKET]
    if sockets:
        _make_way_for_socket(step.summary)
        start_units(sockets, step.summary)
    restart_units([name for name in step.units if name not in sockets], step.summary)


def _create_store(_declared: HostDeclaration, step: Step) -> None:
    run(_STORE_COMMAND, step.summary, advice=f"See 'journalctl -u {NIX_SERVICE}' on the host.")


def _set_directory(_declared: HostDeclaration, _step: Step) -> None:
    with explained("created"):
        os.makedirs(PROFILES_DIR, mode=0o700, exist_ok=True)
    try:
        shutil.chown(PROFILES_DIR, "root", PROFILES_GROUP)
    except LookupError as error:
        raise FleetError(f"This host has no group {PROFILES_GROUP}.", "The package incus-base makes it.") from error
    with explained("closed"):
        os.chmod(PROFILES_DIR, PROFILES_MODE)


def _set_access(declared: HostDeclaration, step: Step) -> None:
    _write_files(declared, step)
    with explained("opened"):
        os.chmod(DAEMON_SOCKET_DIR, socket_mode(declared))


def _write_object(_declared: HostDeclaration, step: Step) -> None:
    """Create an object of Incus, or change its declared keys and no others."""
    if step.is_new:
        create(_PATHS[step.action], step.body, step.summary)
    else:
        change(f"{_PATHS[step.action]}/{quote(step.name, safe='')}", partial(laid_over, step), step.summary)


def laid_over(step: Step, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object as it is, with what the step changes."""
    if step.is_whole:
        return {key: value for key, value in step.body.items() if key != "name"}
    body = {key: found[key] for key in ("description", "config", "devices") if key in found}
    return {**body, **{key: {**body[key], **step.body[key]} for key in ("config", "devices") if key in step.body}}


def _install_command(_declared: HostDeclaration, step: Step) -> None:
    write_command(step.command)


def _watch(_declared: HostDeclaration, step: Step) -> None:
    path, *services = step.units
    reload_systemd()
    # They run an older command otherwise. The path is last: while it is down, the next run finishes a killed one.
    restart_units(services, step.summary)
    start_units([path], step.summary)


def _unwatch(_declared: HostDeclaration, step: Step) -> None:
    """Stop the watch. The roots that exist stay: containers still have what they hold."""
    if step.units:
        disable_units(step.units, step.summary)
    with explained("removed"):
        for path in step.removed:
            FilePath(path).unlink(missing_ok=True)
    reload_systemd()


_APPLY: Mapping[str, Callable[[HostDeclaration, Step], None]] = {
    "source": _write_files,
    "configure": _configure,
    "python": _install_python,
    "subids": _write_files,
    "settings": _write_files,
    "start": _start,
    "restart": _restart,
    "store": _create_store,
    "directory": _set_directory,
    "access": _set_access,
    "pool": _write_object,
    "network": _write_object,
    "profile": _write_object,
    "gcroots": _install_command,
    "watch": _watch,
    "unwatch": _unwatch,
}
