# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Python libraries of the modules, in a virtual environment of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from .commands import ask, run

# Judges requirements as pip does, but in a tenth of its time. It ends with 3 if only pip can tell.
_PROBE = """
import sys
from importlib.metadata import PackageNotFoundError, distribution

try:
    from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
except ImportError:
    sys.exit(3)
seen = set()


def is_met(text, extras=("",)):
    wanted = Requirement(text)
    if wanted.url:
        sys.exit(3)
    if wanted.marker and not any(wanted.marker.evaluate({"extra": extra}) for extra in extras):
        return True
    found = distribution(wanted.name)
    if not wanted.specifier.contains(found.version, prereleases=True):
        return False
    if (key := (wanted.name, frozenset(wanted.extras))) in seen:
        return True
    seen.add(key)
    return all(is_met(entry, (*wanted.extras, "")) for entry in found.requires or ())


try:
    sys.exit(0 if all(map(is_met, sys.argv[1:])) else 1)
except PackageNotFoundError:
    sys.exit(1)
except InvalidRequirement:
    sys.exit(3)
"""
_UNSURE = 3
#: A file of the environment.
_NOTE = "installed.json"
_PYTHON = "/usr/bin/python3"
_LIBRARIES = ("jmespath", "pylxd")
_IMPORTS = f"import {', '.join(_LIBRARIES)}"


def has_packages(python: str, requirements: Sequence[str]) -> bool:
    """Return whether an environment meets the requirements. No network is asked."""
    if not os.path.exists(python):
        return False
    if _noted(python) == _as_noted(python, requirements):
        return True
    action = "look at the libraries of Python"
    code, _text = ask([python, "-I", "-c", _PROBE, *requirements], action)
    if code == _UNSURE:
        options = ["--disable-pip-version-check", "install", "--dry-run", "--no-index"]
        code, _text = ask([python, "-I", "-m", "pip", "--isolated", *options, *requirements], action)
    return code == 0


def has_libraries_here() -> bool:
    """Return whether this interpreter has what the modules need. Nothing is imported for it."""
    return all(find_spec(library) is not None for library in _LIBRARIES)


def imports_libraries(python: str) -> bool:
    """Return whether an interpreter has what the modules need."""
    code, _text = ask([python, "-c", _IMPORTS], "look at the libraries of Python")
    return code == 0


def install_packages(venv: str, requirements: Sequence[str], variables: Mapping[str, str]) -> None:
    """Create or repair an environment, and install the requirements."""
    run([_PYTHON, "-m", "venv", venv], f"create the environment {venv}", advice="Install python3-venv.")
    run(
        [f"{venv}/bin/python", "-m", "pip", "install", "--disable-pip-version-check", *requirements],
        f"install {', '.join(requirements)}",
        variables,
        "Set inx_host_pip_environment (PIP_INDEX_URL, PIP_CERT) if pip reaches no index.",
    )
    python = f"{venv}/bin/python"
    Path(venv, _NOTE).write_text(_as_noted(python, requirements), encoding="utf-8")


def _noted(python: str) -> str | None:
    """Return what was noted when the libraries were installed; to look at them takes longer than all else."""
    with suppress(OSError):
        return Path(python).parent.with_name(_NOTE).read_text(encoding="utf-8")
    return None


def _as_noted(python: str, requirements: Sequence[str]) -> str:
    """Return what the libraries depend on: the interpreter, and the directories that pip changes."""
    directories = Path(python).parent.parent.glob("lib/python*/site-packages")
    changes = {str(path): path.stat().st_mtime_ns for path in sorted(directories)}
    return json.dumps([os.path.realpath(python), changes, list(requirements)])
