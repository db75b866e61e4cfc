# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observe a host: everything at once, before anything is planned."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import stat
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path as FilePath
from typing import Any

from ..gcroots.files import File, explained, installed
from ..gcroots.package import plan_command
from ..incus.models import profile_from, server_from
from ..incus.rest import get, listens
from ..paths import (
    DAEMON_SOCKET_DIR,
    DB_DIR,
    INTERPRETER,
    LOCALTIME,
    PROFILES_DIR,
    STORE_DIR,
    SYSTEM_INTERPRETERS,
)
from .commands import ask, run
from .declaration import HostDeclaration, setting_words
from .managed import (
    ACCESS,
    BACKPORTS,
    GCROOTS_PACKAGE,
    GCROOTS_PATH,
    GCROOTS_SERVICE,
    GCROOTS_UNITS,
    IDS_GIVEN,
    NIX_CONFS,
    NIX_GC_SERVICE,
    NIX_SERVICE,
    NIX_SETTINGS,
    NIX_SOCKET,
    SUBIDS,
    UNITS,
    gcroots_files,
    mirror_in,
)
from .observed import NO_CHANGE, Held, IncusState, NixKind, Observed, Packages, Path, Release, Unit
from .python import has_packages, imports_libraries
from .units import look_at_units

_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
_OWN = (NIX_SETTINGS, ACCESS, BACKPORTS)
_SHARED = (*NIX_CONFS, *SUBIDS)
_INCUS_ON_NIXOS = "/run/current-system/sw/bin/incus"
_DEFAULT_DAEMON = "/nix/var/nix/profiles/default/bin/nix-daemon"
_DEBIAN_DAEMON = "/usr/bin/nix-daemon"
_LOOK = "look at what Incus holds"
_FORMAT = "${db:Status-Status} ${Package} ${Version}\n"


def read_release() -> Release:
    """Return the distribution of this host."""
    text = next((FilePath(path).read_text("utf-8") for path in _OS_RELEASE if os.path.exists(path)), "")
    pairs = (line.partition("=") for line in text.splitlines())
    found = {name.strip(): value.strip().strip("\"'") for name, _equals, value in pairs}
    return Release(
        id=found.get("ID", ""),
        version=found.get("VERSION_ID", ""),
        codename=found.get("VERSION_CODENAME", ""),
        name=found.get("PRETTY_NAME", found.get("NAME", "")),
    )


def observe_debian(declared: HostDeclaration, release: Release) -> Observed:
    """Return what a Debian host has. Programs are asked beside each other."""
    with ThreadPoolExecutor() as pool:
        packages = pool.submit(_packages, declared, release)
        units = pool.submit(look_at_units, UNITS)
        python = pool.submit(has_packages, INTERPRETER, declared.python_packages)
        incus = pool.submit(look_at_incus)
        gcroots = plan_command(GCROOTS_PACKAGE, gcroots_files(declared)) if declared.gcroots else NO_CHANGE
        found, commands = units.result()
        return Observed(
            release=release,
            packages=packages.result(),
            has_python_packages=python.result(),
            units=found,
            nix=nix_kind(packages.result(), found, commands[NIX_SERVICE], has_program=_has_nix_program()),
            has_incus=found["incus.socket"].is_there,
            files=_files(),
            paths=look_at_paths(declared),
            incus=incus.result(),
            gcroots=gcroots,
            gcroots_changed=_newest((*gcroots_files(declared), *_below(GCROOTS_PACKAGE))),
        )


def observe_nixos(declared: HostDeclaration, release: Release) -> Observed:
    """Return what a NixOS host has. Its store and its Incus are where NixOS has them."""
    has_incus = os.path.exists(_INCUS_ON_NIXOS)
    units, commands = look_at_units((GCROOTS_PATH, GCROOTS_SERVICE, NIX_GC_SERVICE))
    return Observed(
        release=release,
        has_python_packages=any(
            imports_libraries(python) for python in (sys.executable, INTERPRETER, *SYSTEM_INTERPRETERS)
        ),
        units=units,
        has_incus=has_incus,
        paths=look_at_paths(declared),
        incus=look_at_incus() if has_incus else None,
        nix_settings=_nix_settings(),
        commands=commands,
    )


def _nix_settings() -> dict[str, str]:
    """Return the settings of Nix that are in force, as nix.conf would have them."""
    command = ("nix", "--extra-experimental-features", "nix-command", "config", "show", "--json")
    found = json.loads(run(command, "read the settings of Nix"))
    return {name: setting_words(entry.get("value") or "") for name, entry in found.items()}


# Packages


def _packages(declared: HostDeclaration, release: Release) -> Packages:
    _code, text = ask(["dpkg-query", "--show", f"--showformat={_FORMAT}"], "list the installed packages")
    entries = [line.split(" ", 2) for line in text.splitlines()]
    has_backports = declared.backports and _has_backports(release)
    is_source_missing = declared.backports and not has_backports and declared.debian_mirror is None
    has_own = mirror_in(installed(BACKPORTS), f"{release.codename}-backports") is not None
    return Packages(
        installed={name: version for status, name, version in entries if status == "installed"},
        is_interrupted=any(
            status == "unpacked" or status.startswith(("half-", "triggers-")) for status, _name, _version in entries
        ),
        has_backports=has_backports,
        mirror=_mirror(release) if is_source_missing and not has_own else None,
    )


def _has_backports(release: Release) -> bool:
    """Return whether the apt sources have the backports.

    A second entry whose Signed-By is spelled otherwise would make apt refuse them both.
    """
    suite = re.compile(rf"^[^#\n]*\b{re.escape(release.codename)}-backports\b", re.MULTILINE)
    found = (path for path in FilePath("/etc/apt").rglob("*") if path.suffix in (".list", ".sources"))
    return any(
        suite.search(path.read_text("utf-8", errors="replace"))
        for path in found
        if path.is_file() and str(path) != BACKPORTS
    )


def _mirror(release: Release) -> str | None:
    """Return where apt has the release from."""
    _code, text = ask(["apt-get", "--print-uris", "update"], "list the apt sources")
    found = re.search(rf"'([^']+?)/dists/{re.escape(release.codename)}/InRelease'", text)
    return found[1] if found else None


# Nix


def nix_kind(packages: Packages, units: Mapping[str, Unit], daemon: str, *, has_program: bool) -> NixKind:
    """Return whose Nix there is, by what its daemon runs, or by programs without one.

    What another installer has made is not installed over.
    """
    is_debian = "nix-bin" in packages.installed
    if units[NIX_SERVICE].is_there or units[NIX_SOCKET].is_there:
        return "debian" if is_debian and _DEBIAN_DAEMON in daemon else "other"
    return "without daemon" if has_program and not is_debian else "absent"


def _has_nix_program() -> bool:
    """Return whether there is a Nix that is not Debian's."""
    return os.path.exists(_DEFAULT_DAEMON) or _has_single_user_nix()


def _has_single_user_nix() -> bool:
    """Return whether a user has installed Nix without a daemon: its store belongs to that user, who may be root."""
    try:
        owner = os.stat(STORE_DIR).st_uid
    except FileNotFoundError:
        return False
    return owner != 0 or os.path.lexists(os.path.expanduser("~root/.nix-profile/bin/nix"))


# Files


def _files() -> dict[str, File]:
    """Return the files that the collection manages, if they are root's, and the user's that it adds lines to."""
    own = {path: installed(path) for path in _OWN}
    shared = {path: _shared(path) for path in _SHARED}
    return {path: file for path, file in {**own, **shared}.items() if file is not None}


def _shared(path: str) -> File | None:
    with explained("read"):
        try:
            return File(content=FilePath(path).read_bytes(), mode=stat.S_IMODE(os.stat(path).st_mode))
        except FileNotFoundError:
            return None


def look_at_paths(declared: HostDeclaration) -> dict[str, Path]:
    """Return the files and directories that the plan needs to know of, those that exist."""
    asked = {
        *(STORE_DIR, DB_DIR, PROFILES_DIR, LOCALTIME, DAEMON_SOCKET_DIR, f"{DAEMON_SOCKET_DIR}/socket"),
        *(NIX_SETTINGS, *NIX_CONFS, IDS_GIVEN, *GCROOTS_UNITS, *declared.store.shared_paths),
    }
    return {path: found for path in asked if (found := _path(path)) is not None}


def _path(path: str) -> Path | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Path(
        kind=stat.S_IFMT(found.st_mode),
        mode=stat.S_IMODE(found.st_mode),
        owner=_user(found.st_uid),
        group=_group(found.st_gid),
        changed=found.st_mtime,
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _below(directory: str) -> list[str]:
    return [str(path) for path in FilePath(directory).rglob("*.py")]


def _newest(paths: Iterable[str]) -> float:
    return max((found.changed for path in paths if (found := _path(path)) is not None), default=0.0)


# Incus


def look_at_incus() -> IncusState | None:
    """Return what Incus holds, None if nobody listens at its socket."""
    if not listens():
        return None
    return IncusState(
        server=server_from(get("/1.0", _LOOK)),
        pools={entry["name"]: _held(entry, "driver") for entry in _listed("storage-pools")},
        networks={entry["name"]: _held(entry, "type") for entry in _listed("networks")},
        profiles={entry["name"]: profile_from(entry) for entry in _listed("profiles")},
    )


def _listed(what: str) -> list[Mapping[str, Any]]:
    """Return all objects of a kind. For none of them Incus 6.0 answers with null."""
    return get(f"/1.0/{what}?recursion=1", _LOOK) or []


def _held(entry: Mapping[str, Any], kind: str) -> Held:
    return Held(
        name=entry["name"],
        kind=entry.get(kind) or "",
        config=entry.get("config") or {},
        is_managed=bool(entry.get("managed", True)),
        is_clustered=any(place != "none" for place in entry.get("locations") or ()),
    )
