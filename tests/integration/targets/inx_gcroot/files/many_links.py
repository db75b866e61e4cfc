# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sync, as JSON: how long it takes, how much memory, how it ends and what it tells the administrator."""

from __future__ import annotations

import json
import resource
import subprocess
import time

started = time.monotonic()
done = subprocess.run(
    ["/usr/local/sbin/inx-gcroots", "sync", "--grace-period", "0"],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
    check=False,
)
figures = {
    "seconds": round(time.monotonic() - started, 1),
    "memory": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
    "code": done.returncode,
    "said": done.stderr[-2000:],
}
print(json.dumps(figures))
