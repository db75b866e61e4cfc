# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages that a Debian host lacks, and what they leave on it. Pure."""

from __future__ import annotations

import stat
from dataclasses import replace

from ..errors import FleetError
from ..gcroots.files import File
from ..incus.models import Profile, Server
from ..paths import DAEMON_SOCKET_DIR
from .declaration import HostDeclaration
from .managed import BACKPORTS, SUBIDS, backports_file, has_subids, mirror_in
from .observed import IncusState, Observed, Path, Unit
from .steps import PackageList

_NIX = ("nix-bin", "nix-setup-systemd")
_ALWAYS = ("dnsmasq-base", "nftables", "uidmap", "python3-venv")
_INCUS = "incus-base"
_UP = Unit(is_there=True, is_active=True, is_enabled=True)
# The range that Debian's package of Incus gives to root.
_SUBIDS = b"root:1000000:1000000000\n"


def suite(observed: Observed) -> str:
    """Return the name of the backports of the host's release."""
    return f"{observed.release.codename}-backports"


def lacking(declared: HostDeclaration, observed: Observed) -> PackageList:
    """Return the packages to install. A Nix of another installer stays the only one."""
    installed = observed.packages.installed
    nix = () if observed.nix == "other" else _NIX
    missing = tuple(name for name in (*nix, *_ALWAYS) if name not in installed)
    # The package "incus" of Debian depends on incus-base; that of others contains it.
    version = installed.get("incus", installed.get(_INCUS))
    if version is not None and (not declared.backports or "~bpo" in version):
        return PackageList(install=missing)
    if declared.backports:
        return PackageList(install=missing, backports=(_INCUS,), release=suite(observed))
    return PackageList(install=(*missing, _INCUS))


def missing_source(declared: HostDeclaration, observed: Observed) -> File | None:
    """Return the apt source of the backports, None if it is there or not needed. Raise FleetError without a mirror."""
    if not declared.backports or observed.packages.has_backports:
        return None
    found = observed.files.get(BACKPORTS)
    mirror = declared.debian_mirror or mirror_in(found, suite(observed)) or observed.packages.mirror
    if mirror is None:
        raise FleetError(
            f"The apt sources of this host name no mirror of Debian {observed.release.codename}.",
            "Set 'debian_mirror' (inx_host_debian_mirror) to one.",
        )
    wanted = backports_file(mirror, suite(observed))
    return None if found == wanted else wanted


def with_packages(observed: Observed, packages: PackageList) -> Observed:
    """Return the host as it is once these packages are installed, as Debian's maintainer scripts leave it."""
    names = {*packages.install, *packages.backports}
    versions = dict.fromkeys(packages.install, "0") | dict.fromkeys(packages.backports, "0~bpo")
    done = replace(
        observed,
        packages=replace(
            observed.packages, installed={**observed.packages.installed, **versions}, is_interrupted=False
        ),
    )
    if not names.isdisjoint(_NIX) and observed.nix == "absent":
        done = _with_nix(done)
    return _with_incus(done) if _INCUS in names else done


def _with_nix(observed: Observed) -> Observed:
    """Return the host with Debian's Nix. Its daemon runs without the socket unit, and has no store yet."""
    service = replace(_UP, started=max(observed.unit("nix-daemon.service").started, 1.0))
    units = {"nix-daemon.socket": replace(_UP, is_active=False), "nix-daemon.service": service}
    paths = {
        DAEMON_SOCKET_DIR: Path(kind=stat.S_IFDIR, mode=0o770, group="nix-users"),
        f"{DAEMON_SOCKET_DIR}/socket": Path(kind=stat.S_IFSOCK),
    }
    return replace(observed, nix="debian", units={**observed.units, **units}, paths={**observed.paths, **paths})


def _with_incus(observed: Observed) -> Observed:
    """Return the host with Incus, which holds what it held, or nothing."""
    units = dict.fromkeys(("incus.socket", "incus-startup.service"), _UP)
    found = observed.files
    files = {path: found[path] if has_subids(found.get(path)) else _given_subids(found.get(path)) for path in SUBIDS}
    state = observed.incus
    if state is None and not observed.has_incus:
        server = Server(name="", version="", extensions=frozenset(), idmapped_mounts=True)
        state = IncusState(server=server, profiles={"default": Profile(name="default")})
    return replace(
        observed,
        has_incus=True,
        incus=state,
        units={**observed.units, **units},
        files={**observed.files, **files},
    )


def _given_subids(found: File | None) -> File:
    return File(content=_SUBIDS) if found is None else File(content=found.content + _SUBIDS, mode=found.mode)
