# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The workflow for GitHub calls the Makefile, on what the tests know."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from ansible_collections.inx.fleet.tests.environment import CORES
from ansible_collections.inx.fleet.tests.integration.lab_targets import INCUS_SOURCES
from ansible_collections.inx.fleet.tests.static.checks import COLLECTION


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    """The jobs of the workflow."""
    text = (COLLECTION / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return found


def test_it_runs_what_the_makefile_has(jobs: dict[str, Any]) -> None:
    makefile = (COLLECTION / "Makefile").read_text(encoding="utf-8")
    called = re.findall(r"\bmake ([a-z-]+)", yaml.safe_dump(jobs, width=1000))
    assert {"unit", "static", "nox", "integration", "nixos-eval", "release"} <= set(called)
    assert not [target for target in called if not re.search(rf"^{target}:", makefile, re.MULTILINE)]


def test_it_runs_on_every_version(jobs: dict[str, Any]) -> None:
    matrix = jobs["integration"]["strategy"]["matrix"]
    assert matrix["ansible-core"] == jobs["static"]["strategy"]["matrix"]["ansible-core"] == list(CORES)
    assert matrix["incus"] == list(INCUS_SOURCES)
