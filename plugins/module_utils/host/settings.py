# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of Nix as the sides of a step, without the values of secret ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ..gcroots.files import File
from ..redaction import HIDDEN_NEW, HIDDEN_OLD, is_secret_setting
from .declaration import HostDeclaration
from .managed import settings_in, wanted_settings


def settings_sides(
    declared: HostDeclaration, found: File | None
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """Return the settings that change, as they are and as they should be."""
    before = {} if found is None else settings_in(found.content)
    after = wanted_settings(declared)
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return _side(changed, before, HIDDEN_OLD), _side(changed, after, HIDDEN_NEW)


def _side(names: list[str], values: Mapping[str, str], secret: str) -> dict[str, str | None]:
    return {name: secret if name in values and is_secret_setting(name) else values.get(name) for name in names}
