# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The structure of plugins/module_utils: packages by subject, whose imports go one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from ansible_collections.inx.fleet.plugins.module_utils.gcroots.package import command_sources

TOP = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
#: From the top down: a file imports from its own package, and from those below it.
LAYERS = (("arguments",), ("info",), ("container", "host"), ("gcroots",), ("nix",), ("incus",))
MOST_FLAT_FILES = 10
MOST_LINES = 450


def sources() -> dict[str, ast.Module]:
    """Return the parsed files by their dotted names."""
    return {
        ".".join(path.relative_to(TOP).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
        for path in TOP.rglob("*.py")
        if path.name != "__init__.py"
    }


def imported(name: str, tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names in module_utils that a file may import, top-level or within a function."""
    here = name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*here[: len(here) - node.level + 1], *(node.module or "").split(".")]
            parts = [part for part in base if part]
            yield ".".join(parts)
            yield from (".".join([*parts, alias.name]) for alias in node.names)


def layer(name: str) -> int:
    """Return the layer of a file, 0 for the top; the ground is below all layers."""
    package = name.split(".", maxsplit=1)[0]
    return next((number for number, packages in enumerate(LAYERS) if package in packages), len(LAYERS))


def test_imports_between_packages_go_down_only() -> None:
    found = sources()
    upward = [
        f"{name} imports {other}"
        for name, tree in found.items()
        for other in imported(name, tree)
        if other in found and layer(other) < layer(name)
    ]
    assert not upward


def test_files_do_not_import_each_other_in_a_cycle() -> None:
    found = sources()
    graph = {name: {other for other in imported(name, tree) if other in found} for name, tree in found.items()}
    TopologicalSorter(graph).prepare()


def test_few_files_are_outside_of_packages() -> None:
    flat = [path.name for path in TOP.glob("*.py")]
    assert len(flat) <= MOST_FLAT_FILES, flat


def test_no_file_is_long() -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in TOP.rglob("*.py")}
    assert {name: number for name, number in lines.items() if number > MOST_LINES} == {}


def test_only_the_top_knows_ansible() -> None:
    knows = [
        name
        for name, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ansible"
    ]
    assert {name.partition(".")[0] for name in knows} == {"arguments"}


def test_the_command_on_a_host_comes_without_what_containers_are_declared_with() -> None:
    packages = {path.split("/")[0] for path in command_sources() if "/" in path}
    assert packages == {"gcroots", "incus", "nix"}
