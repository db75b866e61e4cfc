# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the examples of a plugin's documentation to files: TYPE NAME DIRECTORY FILE..., one for each YAML document."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def main() -> None:
    kind, name, directory, *files = sys.argv[1:]
    command = ["ansible-doc", "--type", kind, "--json", name]
    shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    texts = json.loads(shown)[name]["examples"].split("\n---\n")
    if len(texts) != len(files):
        sys.exit(f"{name} has {len(texts)} examples, not {len(files)}.")
    for text, file in zip(texts, files, strict=True):
        Path(directory, file).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
