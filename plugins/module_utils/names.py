# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of containers, projects and sets that Incus accepts."""

from __future__ import annotations

import re

from .errors import FleetError
from .text import incus_command

# Incus: shared/validate/validate.go, IsHostname: one label of a host name, and no number.
_NAME = re.compile(r"(?!\d+\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
_WORD = re.compile(r"[A-Za-z0-9._-]{1,63}\Z")
# Of Incus (shared/validate/validate.go, and cmd/incusd/api_project.go, projectValidateName), without a limit of ours.
_PROJECT = re.compile(r"(?!\.{1,2}\Z)[^/\s'\"`*\x00-\x1f\x7f]+\Z")


def lxc_name(project: str, name: str) -> str:
    """Return liblxc's name of an instance, which is unique on the host: no instance's name contains "_"."""
    return name if project == "default" else f"{project}_{name}"


def lxc_name_parts(lxc: str) -> tuple[str, str]:
    """Return the project and the name of an instance by what liblxc calls it, see lxc_name."""
    project, _separator, name = lxc.rpartition("_")
    return project or "default", name


def container_name(name: str) -> str:
    """Return ``name`` when Incus would take it as an instance's name.

    Raises FleetError otherwise.
    """
    if not _NAME.match(name):
        raise FleetError(
            f"{name!r} is not a name that Incus takes for an instance.",
            "Use 1 to 63 letters, digits and dashes, no dash at either end, and not digits alone.",
        )
    return name


def project_name(name: str) -> str:
    """Return ``name`` when Incus would take it as a project's name; it is a part of a path here."""
    if not _PROJECT.match(name):
        raise FleetError(
            f"{name!r} is not a name that Incus takes for a project.",
            f"See '{incus_command(None, 'project', 'list')}'.",
        )
    return name


def word(text: str, what: str) -> str:
    """Return ``text`` when it can be a part of a path; FleetError says that ``what`` is none otherwise."""
    if not _WORD.match(text) or text.strip(".") == "":
        raise FleetError(f"{text!r} is not a valid {what}.", "Use up to 63 letters, digits, dots, dashes, underscores.")
    return text
