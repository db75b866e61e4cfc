# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units and permissions of a host, and files that a Debian host gets, by path. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..gcroots.files import File
from ..paths import DAEMON_SOCKET_DIR, INTERPRETER, PROFILES_DIR, VENV
from .declaration import HostDeclaration

GCROOTS_PACKAGE = f"{VENV}/lib/inx_fleet"
NIX_DIR = "/etc/nix"
NIX_SETTINGS = f"{NIX_DIR}/inx-fleet.conf"
NIX_CONF = f"{NIX_DIR}/nix.conf"
#: Where Determinate Nix wants settings of the user: it writes nix.conf itself.
NIX_CUSTOM_CONF = f"{NIX_DIR}/nix.custom.conf"
NIX_CONFS = (NIX_CONF, NIX_CUSTOM_CONF)
ACCESS = "/etc/tmpfiles.d/inx-fleet.conf"
BACKPORTS = "/etc/apt/sources.list.d/inx-fleet-backports.sources"
SUBIDS = ("/etc/subuid", "/etc/subgid")
#: Written when ids are given to root: an Incus that was started before it runs on older ones. A boot removes it.
IDS_GIVEN = "/run/inx-fleet/ids-given"
NIX_SOCKET = "nix-daemon.socket"
NIX_SERVICE = "nix-daemon.service"
INCUS_UNITS = ("incus.socket", "incus-startup.service")
INCUS_SERVICE = "incus.service"
GCROOTS_PATH = "inx-gcroots.path"
GCROOTS_SERVICE = "inx-gcroots.service"
NIX_GC_SERVICE = "nix-gc.service"
PROFILES_GROUP = "incus-admin"
PROFILES_MODE = 0o2770
UNITS = (NIX_SOCKET, NIX_SERVICE, *INCUS_UNITS, INCUS_SERVICE, GCROOTS_PATH, GCROOTS_SERVICE)
_COMMAND = "/usr/local/sbin/inx-gcroots"
_UNITS = "/etc/systemd/system"
GCROOTS_HOOK = f"{_UNITS}/nix-gc.service.d/inx-gcroots.conf"
#: What starts the command by itself, and goes without 'gcroots'.
GCROOTS_UNITS = (f"{_UNITS}/inx-gcroots.path", f"{_UNITS}/inx-gcroots.service", GCROOTS_HOOK)

_MANAGED = "# Managed by the Ansible role inx.fleet.host"
_FEATURES = ("extra-experimental-features", "nix-command flakes")
_INCLUDE = "!include inx-fleet.conf"
_CUSTOM = re.compile(r"^\s*!?include\s+(/etc/nix/)?nix\.custom\.conf\s*$", re.MULTILINE)


_SCRIPT = f"""#!{INTERPRETER}
{_MANAGED}
import sys

sys.path.insert(0, "{VENV}/lib")

from inx_fleet.gcroots.command import main

sys.exit(main())
"""


def settings_in(content: bytes) -> dict[str, str]:
    """Return the settings in a file of Nix, without its comments and inclusions."""
    pairs = [line.partition("=") for line in content.decode(errors="replace").splitlines() if not line.startswith("#")]
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def wanted_settings(declared: HostDeclaration) -> dict[str, str]:
    """Return the settings for the host's Nix: flakes and the new command line, and those that are declared."""
    features = dict((_FEATURES,))
    return {**features, **dict(sorted(declared.nix_settings.items(), key=lambda pair: pair[0].lower()))}


def settings_file(declared: HostDeclaration) -> File:
    lines = [f"{name} = {value}" for name, value in declared.nix_settings.items()]
    own = f"{_MANAGED}. Own settings belong into nix.conf or inx_host_nix_settings."
    features = " = ".join(_FEATURES)
    return _text(own, features, *sorted(lines, key=str.lower))


def conf_to_include_from(files: Mapping[str, File]) -> str:
    """Return the file of the user that is to include the settings."""
    conf = files.get(NIX_CONF)
    has_custom = conf is not None and _CUSTOM.search(conf.content.decode(errors="replace"))
    return NIX_CUSTOM_CONF if has_custom else NIX_CONF


def with_include(found: File | None) -> File:
    """Return a file of settings that includes ours at its end, where they prevail. Its other lines stay."""
    if found is None:
        return _text(_INCLUDE)
    lines = found.content.decode(errors="surrogateescape").splitlines()
    if _INCLUDE in lines:
        return found
    content = "\n".join([*lines, _INCLUDE, ""]).encode(errors="surrogateescape")
    return File(content=content, mode=found.mode)


def socket_mode(declared: HostDeclaration) -> int:
    """Return the mode of the directory of the Nix daemon's socket: Debian keeps users other than nix-users out."""
    return 0o755 if declared.nix_open else 0o770


def access_file(declared: HostDeclaration) -> File:
    mode = f"{socket_mode(declared):04o}"
    return _text(f"{_MANAGED}, see inx_host_nix_open.", f"z {DAEMON_SOCKET_DIR} {mode}")


def backports_file(mirror: str, suite: str) -> File:
    return _text(
        _MANAGED,
        "Types: deb",
        f"URIs: {mirror}",
        f"Suites: {suite}",
        "Components: main",
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg",
    )


def mirror_in(found: File | None, suite: str) -> str | None:
    """Return the mirror in the source of backports that the collection has written for this suite, None without."""
    text = "" if found is None else found.content.decode(errors="replace")
    mirror = re.search(r"^URIs: (\S+)$", text, re.MULTILINE)
    return mirror[1] if mirror and f"\nSuites: {suite}\n" in text else None


def with_subids(found: File | None, declared: HostDeclaration) -> File:
    """Return the file with a range for root. Ranges that are there stay: files of containers may be owned by them."""
    line = f"root:{declared.subid_range}\n".encode()
    if found is None:
        return File(content=line)
    if has_subids(found):
        return found
    ended = found.content if found.content.endswith(b"\n") or not found.content else found.content + b"\n"
    return File(content=ended + line, mode=found.mode)


def has_subids(found: File | None) -> bool:
    return found is not None and re.search(rb"^root:", found.content, re.MULTILINE) is not None


def gcroots_files(declared: HostDeclaration) -> dict[str, File]:
    """Return what starts the command inx-gcroots: a script, its units, and the hook of the garbage collection."""
    limit = f"--max-roots {declared.gcroots_max}"
    unit_path, unit_service, hook = GCROOTS_UNITS
    return {
        _COMMAND: File(content=_SCRIPT.encode(), mode=0o755),
        unit_service: _text(
            _MANAGED,
            "[Unit]",
            "Description=Roots for what containers build",
            "# It stays once it was started: a path unit does not see what happens while its service runs.",
            "After=incus.service",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            f"ExecStart={_COMMAND} watch {limit}",
            "Restart=on-failure",
            "RestartSec=2",
            "MemoryMax=1G",
            "NoNewPrivileges=true",
            "PrivateTmp=true",
            "ProtectSystem=strict",
            "ReadWritePaths=/nix/var/nix",
            "RestrictAddressFamilies=AF_UNIX",
            "CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_KILL",
        ),
        unit_path: _text(
            _MANAGED,
            "[Unit]",
            "Description=Links to what containers build",
            "Documentation=https://nix.dev/manual/nix/2.26/package-management/garbage-collector-roots",
            "",
            "[Path]",
            "PathChanged=/nix/var/nix/gcroots/auto",
            "MakeDirectory=true",
            "",
            "[Install]",
            "WantedBy=paths.target",
        ),
        hook: _text(
            _MANAGED,
            "[Service]",
            '# The "+" is for the line below.',
            f"ExecStartPre=+{_COMMAND} sync {limit}",
            "# nix-collect-garbage --delete-old would work in there, as root, at what a container with self_update "
            "has laid.",
            f"ReadOnlyPaths=-{PROFILES_DIR}",
        ),
    }


def _text(*lines: str) -> File:
    return File(content="".join(f"{line}\n" for line in lines).encode())
