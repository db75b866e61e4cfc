# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make release` does: build the collection into the cache, and hold that very file against its tests."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Build, check, and say what came of it."""
    directory = Path(os.environ["INX_FLEET_CACHE"]) / "build"
    shutil.rmtree(directory, ignore_errors=True)
    subprocess.run(["ansible-galaxy", "collection", "build", "--output-path", str(directory)], check=True)
    archive = next(directory.glob("*.tar.gz"))
    checked = subprocess.run(
        ["pytest", "-v", "tests/static/test_release.py"],
        env={**os.environ, "INX_FLEET_RELEASE": str(archive)},
        check=False,
    )
    if checked.returncode != 0:
        return checked.returncode
    print(f"{archive}\nsha256 {hashlib.sha256(archive.read_bytes()).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
