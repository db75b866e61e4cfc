# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In the place of get-pip.py, which ansible-test runs in its virtual environments: Python brings a pip itself."""

from __future__ import annotations

import subprocess
import sys

_OURS = ("--no-setuptools", "--no-wheel")


def main() -> int:
    """Install pip from Python's own copy, then what was asked for."""
    subprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], check=True)
    wanted = [argument for argument in sys.argv[1:] if argument not in _OURS]
    return subprocess.run([sys.executable, "-m", "pip", "install", *wanted], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
