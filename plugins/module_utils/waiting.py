# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for something, for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

_GROWTH = 1.5
#: The longest pause in seconds between two looks at what a container takes seconds for.
LONGEST_PAUSE = 1.0


def poll(
    look: Callable[[], Answer],
    deadline: float,
    *,
    until: Callable[[Answer], object] = bool,
    pause: float = 0.05,
    longest: float | None = None,
) -> Answer:
    """Call ``look`` until its answer is true, or as ``until`` wants it, and return its last answer at the ``deadline``.

    The deadline is a time of time.monotonic(). The first pause has ``pause`` seconds, and with ``longest`` they grow up
    to that. ``look`` is called once in any case.
    """
    while not until(answer := look()) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = pause if longest is None else min(pause * _GROWTH, longest)
    return answer
