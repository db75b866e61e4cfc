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
_INTERPRETER = "ansible_python_interpreter"
_FACT = "inx_fleet_python"
#: Where Ansible does not look by itself: a NixOS host may have no python3 in PATH, and nothing in /usr/bin.
ELSEWHERE = (INTERPRETER, *SYSTEM_INTERPRETERS)


def with_interpreters(variables: Mapping[str, Any], *, needs_libraries: bool) -> dict[str, Any]:
    """Return a host's variables with the interpreter that is known to have the libraries, or more for Ansible to find.

    It is known if the one that is set, or that Ansible found, does not have them. A module that needs none does not
    take it: it may be gone, and be what that module is to repair.
    """
    known = constants.config.get_config_value("INTERPRETER_PYTHON_FALLBACK", variables=variables)
    given = {**variables, _FALLBACK: [*known, *(path for path in ELSEWHERE if path not in known)]}
    own = (variables.get("ansible_facts") or {}).get(_FACT)
    return {**given, _INTERPRETER: own} if own and needs_libraries else given


def facts_about(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts for later tasks that a result of inx_host has: without them, a module would start twice.

    A cache of facts keeps them beyond the run, so that there is none of an interpreter is one, too.
    """
    return {f"ansible_{_FACT}": result["python"] or ""} if "python" in result else {}


def candidates(variables: Mapping[str, Any], templar: Any) -> list[str]:
    """Return the interpreters of a host, the best first: the one that its variables name, or that was discovered."""
    named = templar.template(variables[_INTERPRETER]) if _INTERPRETER in variables else ""
    discovered = (variables.get("ansible_facts") or {}).get("discovered_interpreter_python")
    chosen = [] if not named or str(named).startswith("auto") else [str(named)]
    return list(dict.fromkeys([*chosen, *([str(discovered)] if discovered else []), "python3", *ELSEWHERE]))
