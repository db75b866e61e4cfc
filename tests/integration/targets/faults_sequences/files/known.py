# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Issues that are known and not mended yet, by what a run says of them: they are counted, and not lost.

An issue that is mended is removed here, so that it is found if it comes back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_ISSUES: Mapping[str, str] = {
    # A path of persist, tmpfs, bind_mounts or devices below another one is covered, or is hidden by a live change.
    "covered mounts": r"is not /srv/faults/shared|is not its volume|no tmpfs is at",
    # A store profile that is declared no more stays beside the new one.
    "the old store profile stays": r": profiles was .*fuzz-store|: its profiles are .*fuzz-store",
}


def issue(problem: str) -> str | None:
    """Return the name of the known issue that a problem belongs to."""
    return next((name for name, pattern in _ISSUES.items() if re.search(pattern, problem)), None)
