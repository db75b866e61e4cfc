# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that a store path can boot in a container (nixpkgs: nixos/modules/system/activation/top-level.nix)."""

from __future__ import annotations

import json
import os

from ..errors import FleetError, NotTriedError

_SWITCH = "bin/switch-to-configuration"
# Written by nix/container.nix, as inx.container.secrets has it.
_EXPECTED = "etc/inx/secrets.json"

_MODULE = "import the NixOS module of this collection for containers."
_TOPLEVEL = "Name the toplevel: config.system.build.toplevel."
# What a kernel runs besides its own kind (uname -m), as nix names platforms. Longer lists are a matter of binfmt_misc.
_RUNS = {
    "x86_64": ("x86_64-linux", "i686-linux"),
    "aarch64": ("aarch64-linux", "armv7l-linux", "armv6l-linux"),
}
_BINFMT = "/proc/sys/fs/binfmt_misc"
_LONGEST = 64


def check_system(path: str) -> None:
    """Raise FleetError when a built store path cannot boot in a container."""
    if not os.path.isdir(path):
        raise FleetError(f"{path} is a file, not a NixOS system.", _TOPLEVEL)
    if not os.path.lexists(f"{path}/init"):
        raise FleetError(f"{path} has no init, so it is not a NixOS system. It is {_kind(path)}.", _TOPLEVEL)
    if os.path.lexists(f"{path}/prepare-root"):
        raise FleetError(
            f"{path} leaves its activation to a systemd initrd, which a container does not have.",
            f"Set {'boot.isContainer to true and ' if _is_for_a_machine(path) else ''}"
            f"boot.initrd.systemd.enable to false, or {_MODULE}",
        )


def expected_secrets(path: str) -> tuple[str, ...]:
    """Return the names of the secrets that a system in the store expects, by nix/container.nix."""
    try:
        with open(f"{path}/{_EXPECTED}", encoding="utf-8") as file:
            return tuple(str(name) for name in json.load(file))
    except (OSError, ValueError, TypeError):
        return ()


def machine_warnings(name: str, path: str) -> tuple[str, ...]:
    """Return a warning if a system in the store is one for a machine: it boots, but its activation does not succeed.

    It remounts /sys and writes to the kernel, which the root of an unprivileged container must not.
    """
    if not _is_for_a_machine(path):
        return ()
    return (
        f"{name}: {path} is a system for a machine, since it has a kernel. It boots in a container, but parts of its "
        f"activation fail there, and so does a switch to it, with code 2. Set boot.isContainer to true, or {_MODULE}",
    )


def _is_for_a_machine(path: str) -> bool:
    """Tell whether a system was made without boot.isContainer, which leaves the kernel out."""
    return os.path.lexists(f"{path}/kernel")


def check_boots_here(path: str) -> None:
    """Raise FleetError when a built store path cannot boot in a container on this host."""
    check_system(path)
    _check_platform(path, _machine())


def _machine() -> str:
    return os.uname().machine


def can_switch(path: str) -> bool:
    """Tell whether a system has a switch-to-configuration, as far as it is in the store."""
    return not os.path.isdir(path) or os.path.lexists(f"{path}/{_SWITCH}")


def cannot_switch(name: str, path: str) -> NotTriedError:
    """Return the error of a container whose system has no switch-to-configuration."""
    return NotTriedError(
        f"{name}: {path} has no {_SWITCH} (system.switch.enable is false), so a running container cannot be switched.",
        "Declare 'activation: boot' or 'state: restarted', which boot it, or set system.switch.enable to true.",
    )


def _kind(path: str) -> str:
    """Return what a directory in the store looks like."""
    name = os.path.basename(path)[33:]
    programs = sorted(os.listdir(f"{path}/bin"))[:3] if os.path.isdir(f"{path}/bin") else []
    has = f"has the programs {', '.join(programs)}" if programs else "has no programs"
    return f"the package {name!r}, which {has}" if programs else f"{name!r}, which {has}"


def _check_platform(path: str, machine: str) -> None:
    """Raise FleetError for a system of another platform, if the host has no interpreter for it."""
    platform = _platform(path)
    if platform is None or platform in _RUNS.get(machine, (platform,)):
        return
    names = (platform, f"qemu-{platform.removesuffix('-linux')}")
    if not any(os.path.exists(f"{_BINFMT}/{name}") for name in names):
        raise FleetError(
            f"{path} is a system for {platform}, and this host is {machine}.",
            f'Set nixpkgs.hostPlatform to "{machine}-linux".',
        )


def _platform(path: str) -> str | None:
    """Return the platform that a toplevel says it is for, in its file "system"; None when it does not."""
    try:
        with open(f"{path}/system", encoding="ascii", errors="replace") as file:
            return file.read(_LONGEST).strip() or None
    except OSError:
        return None
