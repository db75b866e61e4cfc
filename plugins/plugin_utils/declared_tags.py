# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Selection among declared containers, for filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.inx.fleet.plugins.module_utils.container.selection import Selection, selection_from, words
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError


def selection_among(
    containers: Any, only: Any, only_tags: Any, defaults: Mapping[str, Any] | None
) -> tuple[Selection, dict[str, tuple[str, ...]]]:
    """Return the selection, and the tags of each declared container by its name.

    Raise AnsibleFilterError for what is not a list of words, or of containers.
    """
    try:
        return selection_from(only, only_tags), _tags_by_name(containers, defaults)
    except FleetError as error:
        raise AnsibleFilterError(str(error)) from error


def _tags_by_name(containers: Any, defaults: Mapping[str, Any] | None) -> dict[str, tuple[str, ...]]:
    """Return the tags of each declared container by its name, as the modules understand them.

    An entry without a name is left out: the module refuses it. Raise FleetError for tags that are not words.
    """
    if not isinstance(containers, Sequence) or isinstance(containers, str):
        raise FleetError(f"containers: {containers!r} is not a list.", "List dictionaries, each with a name.")
    shared = words((defaults or {}).get("tags"), "defaults: tags") or ()
    return {
        str(entry["name"]): (words(entry["tags"], f"{entry['name']}: tags") or ()) if "tags" in entry else shared
        for entry in containers
        if isinstance(entry, Mapping) and "name" in entry
    }
