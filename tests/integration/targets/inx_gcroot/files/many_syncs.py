# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fifty syncs as inx-gcroots does one, and after each what all roots lead to. In one process: another start of Python
for each would leave fewer of them in the time that a moment takes."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, "/opt/inx-fleet/lib")
from inx_fleet.gcroots.command import main

ROOTS = "/nix/var/nix/gcroots/inx-fleet"

sys.argv = ["inx-gcroots", "sync", "--grace-period", "0"]
for _number in range(50):
    if main() != 0:
        sys.exit("A sync has failed.")
    for directory, children, names in os.walk(ROOTS):
        for path in (os.path.join(directory, name) for name in (*children, *names)):
            if os.path.islink(path):
                print(os.readlink(path), flush=True)
