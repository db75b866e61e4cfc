# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be said of the collection without running it: each check is the tool that the field uses for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

COLLECTION = Path(__file__).resolve().parents[2]
GET_PIP = Path(__file__).with_name("get_pip.py")
_TIMEOUT = 1200


def check(command: Sequence[str], directory: Path = COLLECTION, **environment: str) -> str:
    """Run a tool; its output is the failure when it fails."""
    done = subprocess.run(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)} ended with code {done.returncode}:\n{done.stdout}", pytrace=False)
    return done.stdout


def sources(*patterns: str) -> list[str]:
    """Files of the collection by glob."""
    return sorted(str(path.relative_to(COLLECTION)) for pattern in patterns for path in COLLECTION.glob(pattern))


def test_ansible_test_sanity() -> None:
    assert not sources("tests/sanity/ignore*"), "Nothing is to be ignored."
    _let_ansible_test_find_pip()
    # This Python alone: which others a machine has is its own affair.
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    said = check(["ansible-test", "sanity", "--color", "no", "--requirements", "--python", version])
    skipped = [line for line in said.splitlines() if "WARNING: Skipping" in line]
    assert not skipped, "\n".join(skipped)


def _let_ansible_test_find_pip() -> None:
    """ansible-test downloads get-pip.py from a place that a machine with only a package registry does not reach."""
    cache = Path.home() / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(GET_PIP, cache / "get_pip_24_2.py")


def test_ansible_lint() -> None:
    check(["ansible-lint", "--offline", "--profile", "production", "--strict"])


def test_ruff() -> None:
    check(["ruff", "check", "."])


def test_mypy() -> None:
    check(["mypy", "-p", "ansible_collections.inx.fleet.plugins.module_utils"])


def test_mypy_on_the_lab() -> None:
    check(["mypy", *sources("tests/lab/*.py")], MYPYPATH="tests/lab")


def test_shellcheck() -> None:
    scripts = sources("tests/**/*.sh", ".ci/run", "examples/**/*.sh")
    check(["shellcheck", "--severity=style", *scripts])


def test_nix_files_are_tidy() -> None:
    """nixfmt itself is in no package of Debian, PyPI or npm. This is what can be told of its style without it."""
    untidy = [
        f"{name}:{number}: {line}"
        for name in sources("**/*.nix")
        for number, line in enumerate((COLLECTION / name).read_text(encoding="utf-8").split("\n"), 1)
        if re.search(r"\t|\s$", line) or len(line) > 120 or re.match(r"(  )* \S", line)
    ]
    assert not untidy, "\n".join(untidy)


def test_changelog() -> None:
    check(["antsibull-changelog", "lint"])


def test_documentation() -> None:
    check(["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--skip-rstcheck", "."])


def test_the_built_collection_installs(tmp_path: Path) -> None:
    archive = _built(tmp_path)
    target = tmp_path / "installed"
    check(["ansible-galaxy", "collection", "install", "--offline", "-p", str(target), str(archive)])
    said = check(["ansible-doc", "inx.fleet.inx_container"], ANSIBLE_COLLECTIONS_PATH=str(target))
    assert "inx_container" in said


def test_the_built_collection_has_what_belongs_to_it(tmp_path: Path) -> None:
    with tarfile.open(_built(tmp_path)) as archive:
        names = archive.getnames()
    strange = [name for name in names if re.search(r"(^|/)(\.ci|\.git|__pycache__|shared)(/|$)", name)]
    assert not strange
    assert "plugins/modules/inx_container.py" in names
    assert "roles/host/tasks/main.yml" in names


def test_galaxy_importer(tmp_path: Path) -> None:
    archive = _built(tmp_path)
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


def _built(directory: Path) -> Path:
    check(["ansible-galaxy", "collection", "build", "--force", "--output-path", str(directory)])
    return next(directory.glob("inx-fleet-*.tar.gz"))


def test_every_file_says_its_licence() -> None:
    silent = [name for name in _texts() if "SPDX-License-Identifier: GPL-3.0-or-later" not in _head(name)]
    assert not [name for name in silent if not _has_no_comments(name)]


def _head(name: str) -> str:
    return (COLLECTION / name).read_text(encoding="utf-8")[:600]


def _has_no_comments(name: str) -> bool:
    return name.endswith((".json", "LICENSE", "CHANGELOG.md")) or name.startswith("changelogs/")


def test_no_file_names_a_path_of_one_machine() -> None:
    # In two parts, or this file would name them.
    places = re.compile("|".join(["/wo" + "rk/", "/root/" + "exp", r"\.li" + "brary", "/home/" + "(?!someone/)[a-z]"]))
    found = [name for name in _texts() if places.search((COLLECTION / name).read_text(encoding="utf-8"))]
    assert not found


def _texts() -> list[str]:
    found = [name for name in sources("**/*", ".ci/*") if (COLLECTION / name).is_file()]
    return [name for name in found if not re.search(r"(^|/)(__pycache__|\.[a-z_]+cache|tests/output)/", name)]
