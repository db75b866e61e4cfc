# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command of Incus that a message suggests can be pasted: one function makes all, quoted and with the project."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.text import incus_command

TOP = Path(__file__).resolve().parents[2]
COMMAND = re.compile(r"\bincus (?=[a-z-]+ |[a-z]+[\"'.]|[a-z]+$)")
#: Words after "incus" in sentences.
PROSE = re.compile(r"\bincus (profile that|connection)\b", re.IGNORECASE)
#: What is documentation for ansible-doc, and no message.
DOCUMENTATION = ("DOCUMENTATION", "EXAMPLES", "RETURN")


def texts(tree: ast.Module) -> Iterator[str]:
    """Yield the texts of a file that may be shown: no docstrings, no documentation."""
    documented = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in DOCUMENTATION)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            yield node.value


def suggested(path: Path) -> list[str]:
    """Return the commands of Incus in the texts of a file."""
    found = texts(ast.parse(path.read_text(encoding="utf-8")))
    return [text for text in found if COMMAND.search(PROSE.sub("", text))]


@pytest.mark.parametrize(
    "path", [path for path in (TOP / "plugins").rglob("*.py") if "doc_fragments" not in path.parts], ids=str
)
def test_no_message_has_a_command_of_its_own(path: Path) -> None:
    assert not suggested(path)


def test_such_a_command_is_found(tmp_path: Path) -> None:
    path = tmp_path / "one.py"
    path.write_text("""def f(name):\n    'As incus info does.'\n    return f"See 'incus info {name}'." """)
    assert suggested(path) == ["See 'incus info "]


def test_the_project_is_named_unless_it_is_the_default() -> None:
    assert incus_command("default", "info", "web") == "incus info web"
    assert incus_command(None, "list", "--all-projects") == "incus list --all-projects"
    assert incus_command("shop", "info", "web") == "incus --project shop info web"


@given(st.text(min_size=1), st.lists(st.text()))
def test_a_shell_takes_it_as_it_was_meant(project: str, words: list[str]) -> None:
    chosen = [] if project == "default" else ["--project", project]
    assert shlex.split(incus_command(project, *words)) == ["incus", *chosen, *words]
