# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make docs` does: the reference of modules, plugins and roles, from their own documentation, as HTML."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_TITLE = "inx.fleet"


def main() -> int:
    """Build it, and say where it is."""
    site = Path(os.environ["INX_FLEET_CACHE"]) / "docs"
    shutil.rmtree(site, ignore_errors=True)
    # antsibull-docs refuses a directory that others may write.
    (site / "rst").mkdir(parents=True, mode=0o755)
    _run("sphinx-init", "--dest-dir", str(site), "--project", _TITLE, "--title", _TITLE, "--html-short-title", _TITLE)
    _run("collection", "--cleanup", "everything", "--dest-dir", str(site / "rst"))
    # Its own build.sh would fail on references to Ansible's documentation where that cannot be reached.
    subprocess.run(
        ["sphinx-build", "-q", "-b", "html", "-c", str(site), str(site / "rst"), str(site / "html")], check=True
    )
    print(site / "html" / "index.html")
    return 0


def _run(command: str, *options: str) -> None:
    same = ["--fail-on-error", "--use-current", "--squash-hierarchy", "inx.fleet"]
    subprocess.run(["antsibull-docs", command, *options, *same], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    sys.exit(main())
