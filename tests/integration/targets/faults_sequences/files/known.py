# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Issues that are known and not mended yet, by what a run says of them: they are counted, and not lost.

An issue that is mended is removed here, so that it is found if it comes back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_ISSUES: Mapping[str, str] = {}


def issue(problem: str) -> str | None:
    """Return the name of the known issue that a problem belongs to."""
    return next((name for name, pattern in _ISSUES.items() if re.search(pattern, problem)), None)
