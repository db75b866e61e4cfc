# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Selection of containers by name, pattern and tag, the same for modules, filters and playbooks. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..errors import FleetError


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Names or patterns in ``only``, and tags in ``only_tags``, either of which is enough.

    None is "not given". Without both, all containers are selected; an empty list selects none.
    """

    only: tuple[str, ...] | None = None
    only_tags: tuple[str, ...] | None = None

    @property
    def is_all(self) -> bool:
        """Return whether nothing is left out."""
        return self.only is None and self.only_tags is None

    def selects(self, name: str, tags: Collection[str]) -> bool:
        """Return whether a container of this name and with these tags is selected."""
        by_name = any(fnmatchcase(name, pattern) for pattern in self.only or ())
        return self.is_all or by_name or any(tag in tags for tag in self.only_tags or ())

    def unmatched(self, tagged: Mapping[str, Collection[str]]) -> Iterator[tuple[str, str]]:
        """Yield each option and item that selects none of the containers, which are given by name, with their tags."""
        for pattern in self.only or ():
            if not any(fnmatchcase(name, pattern) for name in tagged):
                yield "only", pattern
        for tag in self.only_tags or ():
            if not any(tag in tags for tags in tagged.values()):
                yield "only_tags", tag


def selection_from(only: Any, only_tags: Any) -> Selection:
    """Return the Selection that two options declare. Raise FleetError for what is not a list of words."""
    return Selection(only=words(only, "only"), only_tags=words(only_tags, "only_tags"))


def words(value: Any, what: str) -> tuple[str, ...] | None:
    """Return a list of words, which may be one text with commas between them, as Ansible converts it.

    Blanks around a word are dropped, and so is what is empty after a comma. Raise FleetError for anything else,
    and for a text without a word: an empty list is clearer.
    """
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else value
    advice = f"Write a list such as [web, db], or the same as one text with commas, or leave {what!r} out."
    if not isinstance(parts, (list, tuple)) or not all(_is_word(part) for part in parts):
        raise FleetError(f"{what}: {value!r} is not a list of words.", advice)
    found = tuple(text for text in (str(part).strip() for part in parts) if text)
    if parts and not found:
        raise FleetError(f"{what}: {value!r} has no word in it.", advice)
    return found


def _is_word(value: Any) -> bool:
    """Return whether Ansible would take a value for a text without changing what it says."""
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)
