# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps of a plan for a host. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ..gcroots.files import File
from ..gcroots.package import Change
from .observed import NO_CHANGE

Action: TypeAlias = Literal[
    "source",
    "configure",
    "packages",
    "python",
    "subids",
    "settings",
    "start",
    "restart",
    "store",
    "directory",
    "access",
    "pool",
    "network",
    "profile",
    "gcroots",
    "watch",
    "unwatch",
]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do on a host, with what it finds and what it leaves: only what it changes.

    ``files`` are written, and ``removed`` are not there any more. ``units`` are enabled and started, or restarted.
    ``body`` is what Incus is to hold as ``name``: ``is_new`` says that it has none of that name, and ``is_whole`` that
    the body is all of it. ``command`` is what the command inx-gcroots lacks.
    """

    action: Action
    summary: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    units: tuple[str, ...] = ()
    name: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    is_new: bool = False
    is_whole: bool = False
    removed: tuple[str, ...] = ()
    command: Change = NO_CHANGE


@dataclass(frozen=True, kw_only=True)
class PackageList:
    """Packages for apt: those of the release, and those of ``release``, such as trixie-backports."""

    install: tuple[str, ...] = ()
    backports: tuple[str, ...] = ()
    release: str | None = None

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.install or self.backports)


NO_PACKAGES = PackageList()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps for a host in their order. ``continues`` says that what Incus holds is seen after them only."""

    steps: tuple[Step, ...] = ()
    packages: PackageList = NO_PACKAGES
    continues: bool = False
    pending: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def steps_result(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps as the module returns them."""
    return [
        {"action": step.action, "summary": step.summary, "before": dict(step.before), "after": dict(step.after)}
        for step in steps
    ]
