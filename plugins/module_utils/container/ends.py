# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ends of a host that do I/O, which everything that observes or applies takes."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..incus.client import Incus
from ..nix.command import Nix
from ..progress.events import Events
from .notes import Notes
from .secret_files import SecretFiles


@dataclass(frozen=True, kw_only=True)
class Host:
    """The ends that do I/O on one host."""

    incus: Incus
    nix: Nix
    notes: Notes
    events: Events = field(default_factory=Events)
    secrets: SecretFiles = field(default_factory=SecretFiles)
