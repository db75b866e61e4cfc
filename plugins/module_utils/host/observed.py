# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is observed of a host. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..gcroots.files import File
from ..gcroots.package import Change
from ..incus.models import Config, Profile, Server

#: Whose Nix a host has: Debian's, or one of another installer with its daemon.
NixKind: TypeAlias = Literal["absent", "debian", "other", "without daemon"]
NO_CHANGE = Change(written={}, before={}, removed=(), opened=())


@dataclass(frozen=True, kw_only=True)
class Release:
    """The distribution, as os-release has it."""

    id: str
    version: str = ""
    codename: str = ""
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A systemd unit. ``started`` is when its main process was started last, 0 if it never was."""

    is_there: bool = False
    is_active: bool = False
    is_enabled: bool = False
    started: float = 0.0

    @property
    def is_up(self) -> bool:
        """Return whether it runs now and from the next boot on."""
        return self.is_active and self.is_enabled


@dataclass(frozen=True, kw_only=True)
class Path:
    """A file or a directory: ``kind`` is as of stat.S_IFMT."""

    kind: int
    mode: int = 0
    owner: str = "root"
    group: str = "root"
    changed: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Packages:
    """The packages of Debian that are installed, with their versions.

    ``is_interrupted`` says that a run of dpkg was killed, and ``has_backports`` that the apt sources have the backports
    of the release, not counting the source of this collection. ``mirror`` is where they have the release from.
    """

    installed: Mapping[str, str] = field(default_factory=dict)
    is_interrupted: bool = False
    has_backports: bool = False
    mirror: str | None = None


@dataclass(frozen=True, kw_only=True)
class Held:
    """A storage pool or a network of Incus; ``kind`` is its driver or its type."""

    name: str
    kind: str
    config: Config = field(default_factory=dict)
    is_managed: bool = True
    is_clustered: bool = False


@dataclass(frozen=True, kw_only=True)
class IncusState:
    """What Incus holds, by name."""

    server: Server
    pools: Mapping[str, Held] = field(default_factory=dict)
    networks: Mapping[str, Held] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A host. ``files`` and ``paths`` have only what exists.

    ``incus`` is None if it is not installed, or does not run. ``gcroots`` is what the command inx-gcroots lacks, and
    ``gcroots_changed`` when its newest file was written. ``nix_settings`` are those in force, looked at on NixOS only.
    """

    release: Release
    packages: Packages = Packages()
    has_python_packages: bool = False
    units: Mapping[str, Unit] = field(default_factory=dict)
    nix: NixKind = "absent"
    has_incus: bool = False
    files: Mapping[str, File] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)
    incus: IncusState | None = None
    gcroots: Change = NO_CHANGE
    gcroots_changed: float = 0.0
    nix_settings: Mapping[str, str] = field(default_factory=dict)
    #: What nix-gc.service and the units of inx-gcroots run, by unit; on NixOS only.
    commands: Mapping[str, str] = field(default_factory=dict)

    def unit(self, name: str) -> Unit:
        """Return a unit, one that is not there if it was not found."""
        return self.units.get(name, Unit())

    def kind(self, path: str) -> int:
        """Return the kind of a file as of stat.S_IFMT, 0 if it does not exist."""
        found = self.paths.get(path)
        return 0 if found is None else found.kind
