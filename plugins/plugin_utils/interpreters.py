# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python interpreters of a host, for what Ansible itself does not find."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible import constants

from ansible_collections.inx.fleet.plugins.module_utils.paths import INTERPRETER, SYSTEM_INTERPRETERS

_FALLBACK = "ansible_interpreter_python_fallback"
#: Where Ansible does not look by itself: a NixOS host may have no python3 in PATH, and nothing in /usr/bin.
ELSEWHERE = (INTERPRETER, *SYSTEM_INTERPRETERS)


def with_fallbacks(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's variables with more interpreters for Ansible to look for, if it is to look for any."""
    known = constants.config.get_config_value("INTERPRETER_PYTHON_FALLBACK", variables=variables)
    return {**variables, _FALLBACK: [*known, *(path for path in ELSEWHERE if path not in known)]}


def candidates(variables: Mapping[str, Any], templar: Any) -> list[str]:
    """Return the interpreters of a host, the best first: the one that its variables name, or that was discovered."""
    named = (
        templar.template(variables["ansible_python_interpreter"]) if "ansible_python_interpreter" in variables else ""
    )
    discovered = (variables.get("ansible_facts") or {}).get("discovered_interpreter_python")
    chosen = [] if not named or str(named).startswith("auto") else [str(named)]
    return list(dict.fromkeys([*chosen, *([str(discovered)] if discovered else []), "python3", *ELSEWHERE]))
