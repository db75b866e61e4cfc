# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take the picture of the report that the documentation shows: python -m ...tests.report.picture OUTPUT.png"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.inx.fleet.tests.report.browser import NAMES, Browser, browser, find
from ansible_collections.inx.fleet.tests.report.fleet import page

_WIDTH, _HEIGHT = 1100, 1360


def main(arguments: Sequence[str]) -> int:
    """Write the picture to a file."""
    program = find()
    if len(arguments) != 1 or program is None:
        print(__doc__ if program else f"Install one of {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as directory, browser(program) as opened:
        Path(arguments[0]).write_bytes(picture(opened, Path(directory)))
    return 0


def picture(opened: Browser, directory: Path) -> bytes:
    """Return the top of the page in light colours, as PNG."""
    file = directory / "fleet.html"
    file.write_text(page(), encoding="utf-8")
    return opened.open(file, width=_WIDTH, height=_HEIGHT).picture()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
