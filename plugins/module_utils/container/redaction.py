# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Config whose values are told nobody. Pure.

Ansible hides the values that a run declares itself. Those that are on the instance from an earlier run it cannot know:
so the names of such keys are kept there, beside them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..incus.models import Config
from ..stored_keys import HIDDEN_KEYS
from .declaration import Container
from .desired import recorded_secrets
from .steps import Step

_OLD = "(secret)"
_NEW = "(new secret)"


def secret_keys(declared: Container, steps: Iterable[Step], config: Config) -> frozenset[str]:
    """The keys whose values are to be hidden in the steps of a run; ``config`` is that of the instance, seen last."""
    found = declared.secrets | recorded_secrets(config)
    for step in steps:
        for side in (step.before, step.after):
            found |= recorded_secrets({HIDDEN_KEYS: (side.get("config") or {}).get(HIDDEN_KEYS) or ""})
    return found


def hidden(side: Mapping[str, Any], keys: Collection[str], *, old: bool) -> dict[str, Any]:
    """One side of a step without the values of these keys. It still tells which of them come, change and go."""
    config = side.get("config")
    if not config:
        return dict(side)
    text = _OLD if old else _NEW
    shown = {key: text if key in keys and value is not None else value for key, value in config.items()}
    return {**side, "config": shown}
