# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The built collection, and what a release needs besides. `make release` runs this alone, on the file that it built."""

from __future__ import annotations

import os
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.inx.fleet.tests.static.checks import COLLECTION, check, takes_long

#: What `make release` built, if that is what runs.
RELEASE = os.environ.get("INX_FLEET_RELEASE")
_TOP = {
    *("CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "requirements.txt"),
    *("changelogs", "docs", "examples", "flake.nix", "meta", "nix", "playbooks", "plugins", "roles", "tests"),
}
# For ansible-test, which galaxy runs.
_TESTS = {"tests/config.yml"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built collection."""
    if RELEASE:
        return Path(RELEASE)
    directory = tmp_path_factory.mktemp("built")
    check(["ansible-galaxy", "collection", "build", "--force", "--output-path", str(directory)])
    return next(directory.glob("inx-fleet-*.tar.gz"))


def test_it_has_what_belongs_to_it_and_nothing_else(archive: Path) -> None:
    with tarfile.open(archive) as built:
        names = [member.name for member in built.getmembers() if member.isfile()]
    assert {name.partition("/")[0] for name in names} <= _TOP
    assert {name for name in names if name.startswith("tests/")} == _TESTS
    assert not [
        name for name in names if re.search(r"(^|/)([._]|CONTRIBUTING)|\.pyc$", name) and "__init__" not in name
    ]
    needed = ["plugins/modules/inx_container.py", "roles/host/tasks/main.yml", "docs/README.md", "nix/host.nix"]
    assert not [name for name in needed if name not in names]


def test_it_installs(archive: Path, tmp_path: Path) -> None:
    check(["ansible-galaxy", "collection", "install", "--offline", "-p", str(tmp_path), str(archive)])
    said = check(["ansible-doc", "inx.fleet.inx_container"], ANSIBLE_COLLECTIONS_PATH=str(tmp_path))
    assert "inx_container" in said


@takes_long
def test_an_execution_environment_finds_what_it_needs() -> None:
    """Check meta/execution-environment.yml as ansible-builder reads it, in the version that collections have."""
    described = _read("meta/execution-environment.yml")
    assert described.keys() == {"version", "dependencies"} and described["version"] == 1
    assert described["dependencies"].keys() == {"python", "system"}
    for name in described["dependencies"].values():
        lines = [
            line for line in (COLLECTION / name).read_text(encoding="utf-8").splitlines() if line[:1] not in ("", "#")
        ]
        assert lines and all(re.fullmatch(r"[a-z-]+( \[platform:[a-z]+\])?", line) for line in lines)


def test_galaxy_importer(archive: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "galaxy-importer.cfg"
    # ansible-lint and ansible-test are tests of their own here.
    configuration.write_text(
        "[galaxy-importer]\nCHECK_REQUIRED_TAGS = True\nRUN_ANSIBLE_LINT = False\nRUN_ANSIBLE_TEST = False\n",
        encoding="utf-8",
    )
    said = check(
        ["python", "-m", "galaxy_importer.main", str(archive)],
        tmp_path,
        GALAXY_IMPORTER_CONFIG=str(configuration),
    )
    assert "Importer processing completed successfully" in said, said
    assert "ERROR" not in said, said


def test_changelog() -> None:
    check(["antsibull-changelog", "lint"])


def test_the_changelog_ends_with_the_version_of_galaxy_yml() -> None:
    releases = _read("changelogs/changelog.yaml")["releases"]
    newest = max(releases, key=lambda version: [int(part) for part in version.split(".")])
    assert _read("galaxy.yml")["version"] == newest


def test_the_changelog_has_all_modules() -> None:
    """Modules that are new since the last release come in with `make changelog`, as other plug-ins do."""
    releases = _read("changelogs/changelog.yaml")["releases"]
    told = [module["name"] for release in releases.values() for module in release.get("modules", ())]
    added = {
        path.stem: re.search(r"(?m)^version_added: (\S+)$", path.read_text(encoding="utf-8"))
        for path in (COLLECTION / "plugins" / "modules").glob("inx_*.py")
    }
    assert all(added.values())
    assert sorted(told) == sorted(name for name, version in added.items() if version and version[1] in releases)


@pytest.mark.skipif(not RELEASE, reason="Between releases, fragments wait for the next one.")
def test_no_fragment_waits() -> None:
    waiting = [path.name for path in (COLLECTION / "changelogs" / "fragments").glob("*.y*ml")]
    assert not waiting, "Run 'make changelog' first."


def _read(name: str) -> Any:
    return yaml.safe_load((COLLECTION / name).read_text(encoding="utf-8"))
