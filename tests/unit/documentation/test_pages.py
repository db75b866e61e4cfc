# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guide, the README and the roles' own pages: what they link to is there, and what they declare is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.inx.fleet.tests.unit.documentation.documented import (
    COLLECTION,
    MODULES,
    ROLES,
    errors_of_tasks,
    errors_of_variables,
)

PAGES = sorted(
    str(path.relative_to(COLLECTION))
    for pattern in ("*.md", "docs/**/*.md", "roles/*/README.md", "examples/**/*.md")
    for path in COLLECTION.glob(pattern)
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)|<(?:img|source)[^>]* src(?:set)?=\"([^\"]+)\"")


@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_somewhere(page: str) -> None:
    assert not [link for link, found in _links(page) if not found]


@pytest.mark.parametrize("page", PAGES)
def test_what_it_declares_is_taken(page: str) -> None:
    errors: list[str] = []
    for block in _yaml_blocks(page):
        for part in _parts(block):
            errors += errors_of_variables(part)
        errors += errors_of_tasks(block)
    assert not errors


def test_the_index_names_every_page_of_the_guide() -> None:
    index = (COLLECTION / "docs" / "README.md").read_text(encoding="utf-8")
    guide = {path.name for path in (COLLECTION / "docs").glob("*.md")} - {"README.md"}
    assert not {name for name in guide if f"]({name})" not in index}


def test_the_readme_names_all_there_is_to_use() -> None:
    readme = (COLLECTION / "README.md").read_text(encoding="utf-8")
    playbooks = [path.stem for path in (COLLECTION / "playbooks").glob("*.yml")]
    assert not {name for name in (*MODULES, *ROLES, *playbooks) if f"inx.fleet.{name}" not in readme}


def _links(page: str) -> Iterator[tuple[str, bool]]:
    """Each link to a place in the collection, and whether that is there."""
    for path, heading, image in _LINK.findall(_FENCE.sub("", _text(page))):
        target = path or image
        if re.match(r"[a-z]+:", target):
            continue
        place = (COLLECTION / page).parent / target if target else COLLECTION / page
        yield f"{target}#{heading}", place.exists() and (not heading or heading in _headings(place))


def _headings(page: Path) -> set[str]:
    """The anchors that a page's headings have on a forge."""
    titles = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _yaml_blocks(page: str) -> list[Any]:
    return [yaml.safe_load(text) for language, text in _FENCE.findall(_text(page)) if language in ("yaml", "yml")]


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary in a piece of YAML: inventories and plays have variables at any depth."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
        yield from _parts(child)


def _text(page: str) -> str:
    return (COLLECTION / page).read_text(encoding="utf-8")
