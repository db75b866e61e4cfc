# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kills inx_host while it repairs a host, and looks whether the next run makes it good.

A run without a fault says where the boundaries are and what the right end is. Then, again and again from the same
start, a run is killed (SIGKILL), a second one has to end in the very same state, and a third one has nothing to do.
What the killed run began, such as pip, goes on meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import modules
from modules import Ended, Moment

#: What a run has to repair.
_DRIFTS = """
sed -i /^!include/d /etc/nix/nix.conf
rm -rf /opt/inx-fleet/lib/python3*/site-packages/jmespath* /etc/nix/inx-fleet.conf
systemctl stop inx-gcroots.path inx-gcroots.service
echo '# stale' >> /opt/inx-fleet/lib/inx_fleet/paths.py
rm /etc/systemd/system/inx-gcroots.path
sed -i /^root:/d /etc/subuid /etc/subgid
chmod 0755 /nix/var/nix/profiles/inx-container
chmod 0770 /nix/var/nix/daemon-socket
incus network set incusbr0 ipv4.nat=false
incus profile device remove default eth0
incus profile delete inx-container
"""
#: What there is in the end, by the host's own tools.
_CENSUS = """
incus network show incusbr0
incus profile show default
incus profile show inx-container
systemctl is-active nix-daemon.socket incus.socket inx-gcroots.path inx-gcroots.service
systemctl is-enabled nix-daemon.socket incus.socket inx-gcroots.path
cat /etc/nix/nix.conf /etc/nix/inx-fleet.conf /etc/subuid /etc/subgid /etc/tmpfiles.d/inx-fleet.conf
stat --format='%n %a %U %G' /nix/var/nix/profiles/inx-container /nix/var/nix/daemon-socket /etc/nix/* /etc/sub?id
find /etc/nix /etc/systemd/system /etc/tmpfiles.d /usr/local/sbin /opt/inx-fleet/lib/inx_fleet -type f ! -name '*.pyc' |
  sort | xargs sha256sum
/opt/inx-fleet/bin/python -c 'import jmespath, pylxd'
nix config show experimental-features
"""
_SOON = 0.3


def main() -> int:
    """Try to kill a run with the options of the module given as JSON, so many times. Return 1 if one was not good."""
    options, kills = json.loads(sys.argv[1]), int(sys.argv[2])
    _shell(_DRIFTS)
    plain = _run(options)
    if plain.failed:
        raise RuntimeError(plain.message)
    right = _shell(_CENSUS)
    tried, lost = 0, 0
    for moment in _moments(plain.trace, kills):
        problems = _problems(options, moment, right)
        tried += problems is not None
        lost += bool(problems)
        print(f"{moment} of {len(plain.trace)}, before {plain.trace[moment.boundary - 1]}: {problems}", flush=True)
    print(f"{tried} killed, {lost} lost", flush=True)
    return int(lost > 0 or tried <= kills // 2)


def _moments(trace: tuple[str, ...], kills: int) -> list[Moment]:
    """Return boundaries spread over the changes of a run, and one while pip works."""
    first = next(number for number, label in enumerate(trace, 1) if "venv" in label)
    pip = next(number for number, label in enumerate(trace, 1) if "'install'" in label)
    changes = range(first, len(trace) + 1)
    spread = [changes[place * (len(changes) - 1) // max(1, kills - 1)] for place in range(kills)]
    return [*(Moment(boundary=number) for number in dict.fromkeys(spread)), Moment(boundary=pip, seconds=_SOON)]


def _problems(options: dict[str, Any], moment: Moment, right: str) -> list[str] | None:
    """Return what is wrong after a run that was killed and one that was not, None if it was over before."""
    _shell(_DRIFTS)
    if not _run(options, kill=moment).killed:
        return None
    second = _run(options)
    third = _run(options)
    problems = [run.message for run in (second, third) if run.failed]
    if third.result.get("changed"):
        problems.append(f"the third run changed something: {third.result['steps']}")
    found = _shell(_CENSUS)
    if found != right:
        there = sorted(set(found.splitlines()) ^ set(right.splitlines()))
        problems.append(f"the end differs: {there}")
    return problems


def _run(options: dict[str, Any], kill: Moment | None = None) -> Ended:
    return modules.run("inx_host", options, kill=kill)


def _shell(script: str) -> str:
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{script} ended with {done.returncode}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
