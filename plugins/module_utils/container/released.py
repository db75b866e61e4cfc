# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Know the devices again that hide those of profiles between a release and a claim. Pure.

What a profile gives can only be released by a device of the instance under the same name, and the claim removes it. A
run that is killed in between leaves it, with a note on the instance: the next run removes both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from ..incus.models import Devices, Instance
from ..stored_keys import RELEASED


def left_hidden(instance: Instance) -> Devices:
    """Return the devices that hide others since a release. One that was changed since then is somebody's own."""
    try:
        noted = json.loads(instance.config.get(RELEASED, "{}"))
    except ValueError:
        return {}
    known = noted if isinstance(noted, dict) else {}
    return {name: keys for name, keys in instance.devices.items() if known.get(name) == dict(keys)}


def without_hiding(instance: Instance) -> Instance:
    """Return an instance without the devices that hide others since a release."""
    left = left_hidden(instance)
    return replace(instance, devices={name: keys for name, keys in instance.devices.items() if name not in left})


def note_of(devices: Mapping[str, Mapping[str, str]]) -> str:
    """Return the note on an instance by which these devices are known again."""
    return json.dumps({name: dict(keys) for name, keys in devices.items()}, sort_keys=True)
