# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make demo` shows: a bare Debian host becomes one that runs two containers on its Nix store."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
LAB = [sys.executable, str(HERE.parent / "lab.py")]
FIXTURES = [sys.executable, str(HERE.parents[1] / "fixtures" / "install.py")]
HOST = "demo"
_LOOK = r"""
incus list
for name in web db; do
  printf "%s runs " "$name"
  incus exec "$name" -- readlink /run/current-system
  printf "%s has a root disk of " "$name"
  du -sh "/var/lib/incus/storage-pools/default/containers/$name/rootfs" --exclude=nix | cut -f1
done
"""


def main() -> int:
    """Run the demo; each step says what it does."""
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        # What Ansible prints goes through this program, which is no terminal to it.
        os.environ.setdefault("ANSIBLE_FORCE_COLOR", "1")
    title("A bare Debian 13 host: no Incus, no Nix")
    run([*LAB, "up", HOST, "--image", "bare"])
    title("A flake with two systems, at /srv/fixtures/small on that host")
    run([*FIXTURES, HOST, "small"])
    inventory = write_inventory()
    playbook = ["ansible-playbook", "inx.fleet.site", "-i", str(inventory), "-i", str(HERE / "fleet.yml")]
    title(f"$ {' '.join(playbook)}")
    count = changes(playbook)
    title("What runs there now")
    run([*LAB, "ssh", HOST, "--", _LOOK])
    if count:
        title("The same playbook again, which has nothing left to do")
        count = changes(playbook)
    title(f"The last run of the playbook had changed={count}")
    if count:
        return 1
    print("\nLog in:  make lab-ssh NAME=demo\nDone:    make demo-down")
    return 0


def title(text: str) -> None:
    """A line between the parts of the demo."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def run(command: Sequence[str]) -> None:
    """Run a command that the user watches; end with it if it fails."""
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)


def write_inventory() -> Path:
    """The lab's inventory of the host, in the cache."""
    path = Path(os.environ["INX_FLEET_LAB"]) / "demo.yml"
    answer = subprocess.run([*LAB, "inventory", HOST], stdout=subprocess.PIPE, text=True, check=True)
    path.write_text(answer.stdout, encoding="utf-8")
    return path


def changes(playbook: Sequence[str]) -> int:
    """Run the playbook in sight, and return how much its recap says was changed."""
    recap = ""
    with subprocess.Popen(playbook, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            recap = line if re.match(rf"(\x1b\[[0-9;]*m)*{HOST}\b", line) else recap
    if running.returncode != 0:
        sys.exit(running.returncode)
    counted = re.search(r"changed=(\d+)", recap)
    if counted is None:
        sys.exit("ansible-playbook printed no recap.")
    return int(counted[1])


if __name__ == "__main__":
    sys.exit(main())
