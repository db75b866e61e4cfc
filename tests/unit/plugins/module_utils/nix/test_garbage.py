# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.garbage import Collected, collected_from


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12 store paths deleted, 3.45 MiB freed\n", Collected(paths=12, freed="3.45 MiB")),
        ("finding roots...\n0 store paths deleted, 0.00 MiB freed", Collected(paths=0, freed="0.00 MiB")),
    ],
)
def test_what_was_deleted(text: str, expected: Collected) -> None:
    assert collected_from(text) == expected


def test_nix_that_does_not_say_it() -> None:
    with pytest.raises(FleetError, match="nix store gc"):
        collected_from("deleting '/nix/store/...'")
