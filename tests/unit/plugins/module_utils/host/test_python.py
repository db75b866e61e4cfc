# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.host.python import _NOTE, _as_noted, has_packages


@pytest.mark.parametrize(
    ("requirements", "is_met"),
    [
        (["pytest"], True),
        (["pytest>=1", "PyYAML"], True),
        (["pytest<1"], False),
        (["no-such-distribution"], False),
        (["no-such-distribution; python_version < '3'"], True),
        (["pytest", "no-such-distribution"], False),
        # This only pip can tell.
        (["/nowhere/package.whl"], False),
    ],
)
def test_requirements(requirements: list[str], is_met: bool) -> None:
    assert has_packages(sys.executable, requirements) is is_met


def test_an_environment_that_is_not_there_has_nothing() -> None:
    assert not has_packages("/nowhere/bin/python", [])


def test_what_was_noted_at_the_installation_is_believed_until_something_changes(tmp_path: Path) -> None:
    python, libraries = tmp_path / "bin" / "python", tmp_path / "lib" / "python3.13" / "site-packages"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    libraries.mkdir(parents=True)
    # It is not there, so that it shows who was asked.
    wanted = ["no-such-distribution"]
    (tmp_path / _NOTE).write_text(_as_noted(str(python), wanted), encoding="utf-8")
    assert has_packages(str(python), wanted)
    assert not has_packages(str(python), [*wanted, "pytest"])
    (libraries / "another-1.dist-info").mkdir()
    assert not has_packages(str(python), wanted)
    (tmp_path / _NOTE).write_text(_as_noted(str(python), wanted), encoding="utf-8")
    assert has_packages(str(python), wanted)
    python.unlink()
    python.symlink_to("/bin/false")
    assert not has_packages(str(python), wanted)
