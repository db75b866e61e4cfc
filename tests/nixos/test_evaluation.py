# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NixOS takes the modules beside what people have, and all Nix that the documentation shows: no warnings, no failed
assertions, and a system to build. What is refused says so in the modules' own words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.tests.nixos import advice, cases
from ansible_collections.inx.fleet.tests.nixos.evaluation import NEEDED, NIXPKGS, Case, evaluate

if not NIXPKGS:
    pytest.skip(NEEDED, allow_module_level=True)

# In one process after another: each takes gigabytes.
pytestmark = pytest.mark.xdist_group("nixos-eval")


def test_there_is_what_it_takes() -> None:
    assert (Path(NIXPKGS) / "nixos" / "modules").is_dir(), f"{NIXPKGS} is not nixpkgs. {NEEDED}"
    assert shutil.which("nix-instantiate"), f"There is no nix in PATH. {NEEDED}"


def test_settings_beside_the_module_container(tmp_path: Path) -> None:
    _check(cases.settings("container", tmp_path), tmp_path)


def test_settings_beside_the_module_host(tmp_path: Path) -> None:
    _check(cases.settings("host", tmp_path), tmp_path)


def test_examples(tmp_path: Path) -> None:
    _check(cases.examples(tmp_path), tmp_path)


def test_templates(tmp_path: Path) -> None:
    _check(cases.templates(tmp_path), tmp_path)


def test_nix_in_the_pages(tmp_path: Path) -> None:
    _check(cases.snippets(tmp_path), tmp_path)


def test_what_the_role_advises(tmp_path: Path) -> None:
    modules = {name: cases.module(text, tmp_path / f"{name}.nix", "host") for name, text in advice.rendered().items()}
    _check(modules, tmp_path)


def test_checks_of_the_flake(tmp_path: Path) -> None:
    _check(cases.checks(), tmp_path)


def _check(found: dict[str, Case], directory: Path) -> None:
    assert found
    outcomes = list(evaluate(found, directory))
    wrong = [outcome for outcome in outcomes if outcome.problem]
    print(f"{len(outcomes)} evaluated, {len(wrong)} wrong")
    assert not wrong, "\n\n".join(f"{outcome.name}\n{outcome.problem}" for outcome in wrong)
