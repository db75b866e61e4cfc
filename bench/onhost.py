# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmarks share, on this machine and on the lab host that they copy themselves to."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from collections.abc import Collection, Mapping
from pathlib import Path

COLLECTION = Path(__file__).resolve().parents[1]
LAB = [sys.executable, str(COLLECTION / "tests" / "lab" / "lab.py")]
#: Where a benchmark is on the lab host, and the Python there that has what the modules need.
THERE = "/run/inx-bench"
PYTHON = "/opt/inx-fleet/bin/python"
#: The sections of speed.md that evaluation.py and fleet.py write.
EVALUATION, MANY_HOSTS = "## Evaluation", "## Many hosts"
_SECTION = re.compile(r"(?m)^(?=## )")
FIXTURE = "/srv/fixtures/small"


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def run(*command: str, stdin: bytes = b"") -> str:
    """What a command prints."""
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True).stdout.decode().strip()


def send(host: str, files: Mapping[str, Path]) -> None:
    """Put files into the benchmark's directory on a lab host, by the names that they get there."""
    bundle = io.BytesIO()
    with tarfile.open(fileobj=bundle, mode="w") as tar:
        for name, path in files.items():
            tar.add(path, name)
    unpack = f"rm -rf {THERE} && mkdir {THERE} && tar --extract --no-same-owner --directory {THERE}"
    run(*LAB, "ssh", host, "--", unpack, stdin=bundle.getvalue())


def sections(page: str, headings: Collection[str]) -> str:
    """Return the sections of a page that have these headings."""
    return "".join(part for part in _SECTION.split(page) if part.partition("\n")[0] in headings)


def with_section(page: str, text: str) -> str:
    """Return the page with a section in the place of that with the same heading, or at its end."""
    heading, text = text.partition("\n")[0], f"{text.rstrip()}\n"
    parts = [part.rstrip() + "\n" for part in _SECTION.split(page)]
    others = [part for part in parts if part.partition("\n")[0] != heading]
    place = next((at for at, part in enumerate(parts) if part not in others), len(others))
    return "\n".join([*others[:place], text, *others[place:]])


def modules(package: str) -> dict[str, Path]:
    """The files of plugins/module_utils, by the names that they get in ``package``."""
    top = COLLECTION / "plugins/module_utils"
    return {f"{package}/{file.relative_to(top)}": file for file in sorted(top.rglob("*.py"))}
