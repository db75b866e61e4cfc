# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be said of the collection without running it: each check is the tool that the field uses for it."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from ansible_collections.inx.fleet.tests.static.checks import COLLECTION, check, takes_long

GET_PIP = Path(__file__).with_name("get_pip.py")


def sources(*patterns: str) -> list[str]:
    """Files of the collection by glob."""
    return sorted(str(path.relative_to(COLLECTION)) for pattern in patterns for path in COLLECTION.glob(pattern))


@takes_long
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


def test_ruff() -> None:
    check(["ruff", "check", "."])


@takes_long
def test_ansible_lint() -> None:
    check(["ansible-lint", "--offline", "--profile", "production", "--strict"])


#: Files that are run by their path, and import their neighbours by bare names. All others have dotted names.
SCRIPTS = (
    *("bench/*.py", "tests/*.py", "tests/fixtures/*.py", "tests/lab/**/*.py"),
    *("tests/integration/harness/*.py", "tests/integration/targets/**/*.py"),
)


def test_mypy() -> None:
    package = "ansible_collections.inx.fleet"
    scripts = "|".join(re.escape(name) for name in sources(*SCRIPTS))
    check(
        ["mypy", "-p", f"{package}.plugins", "-p", f"{package}.tests", f"--exclude=^({scripts})$"], MYPYPATH="tests/lab"
    )


def test_mypy_on_scripts() -> None:
    scripts = sources(*SCRIPTS)
    check(["mypy", *scripts], MYPYPATH=":".join(sorted({str(Path(name).parent) for name in scripts})))


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


def test_documentation() -> None:
    strict = ["--plugin-docs", "--validate-collection-refs", "all", "--disallow-unknown-collection-refs"]
    check(["antsibull-docs", "lint-collection-docs", *strict, "--check-extra-docs-refs", "."])


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
    found = [name for name in sources("**/*", ".ci/*", ".github/**/*") if (COLLECTION / name).is_file()]
    return [name for name in found if not re.search(r"(^|/)(__pycache__|\.[a-z_]+cache|tests/output)/|\.png$", name)]
