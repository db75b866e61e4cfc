# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's network on this machine: a bridge, a way out, and an address for each host."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from common import HOSTS, LAB_ID, RUN, LabError, locked, run

BRIDGE = f"inx{LAB_ID}"
_STATE = RUN / f"{LAB_ID}.json"
#: What a lab needs of this machine's kernel at least: a way out for its hosts, and more of what systemd and Incus watch
#: files with than the 128 that all hosts have to share, since they have one root.
_NEEDED = {"net/ipv4/ip_forward": 1, "fs/inotify/max_user_instances": 1024}
_SYSCTL = Path("/proc/sys")
_FIRST, _LAST = 2, 254


@dataclass(frozen=True)
class Network:
    """The lab's /24, and the last address that was given out in it."""

    prefix: str
    last: int = _FIRST - 1


def allocate_address() -> str:
    """An address that no host of the lab has, on a network that is up.

    The numbers go round, so that a connection somebody holds to a host that is
    gone does not reach the next one.
    """
    with _machine_lock():
        network = _read() or Network(prefix=_free_prefix())
        taken = _taken_addresses()
        numbers = [*range(network.last + 1, _LAST + 1), *range(_FIRST, network.last + 1)]
        number = next((each for each in numbers if f"{network.prefix}.{each}" not in taken), None)
        if number is None:
            raise LabError("All addresses of the lab are taken. Throw some hosts away.")
        _write(Network(prefix=network.prefix, last=number))
        _bring_up(network.prefix)
        return f"{network.prefix}.{number}"


def gateway(address: str) -> str:
    """This machine's address as a host of the lab sees it."""
    return address.rpartition(".")[0] + ".1"


def release_unused() -> None:
    """Take the network down when the lab has no host any more."""
    with _machine_lock():
        if HOSTS.is_dir() and any(HOSTS.iterdir()):
            return
        if (Path("/sys/class/net") / BRIDGE).exists():
            run(["ip", "link", "delete", BRIDGE])
        run(["nft", "-f", "-"], f"table ip {BRIDGE}\ndelete table ip {BRIDGE}\n")
        _STATE.unlink(missing_ok=True)
        _restore_settings()


@contextmanager
def _machine_lock() -> Iterator[None]:
    """All labs of this machine share its addresses and its kernel's settings."""
    with locked(Path("/run/lock/inx-fleet-lab")):
        yield


def _read() -> Network | None:
    if not _STATE.exists():
        return None
    return Network(**json.loads(_STATE.read_text(encoding="utf-8")))


def _write(network: Network) -> None:
    RUN.mkdir(parents=True, exist_ok=True)
    unfinished = _STATE.with_suffix(".new")
    unfinished.write_text(json.dumps(asdict(network)), encoding="utf-8")
    unfinished.rename(_STATE)


def _taken_addresses() -> set[str]:
    if not HOSTS.is_dir():
        return set()
    return {json.loads(path.read_text(encoding="utf-8"))["address"] for path in HOSTS.glob("*/host.json")}


def _free_prefix() -> str:
    """A /24 that this machine has no route to, and that no other lab has taken."""
    used = [ipaddress.ip_network(entry["dst"]) for entry in _routes() if entry["dst"] != "default"]
    for path in RUN.glob("*.json"):
        used.append(ipaddress.ip_network(json.loads(path.read_text(encoding="utf-8"))["prefix"] + ".0/24"))
    start = int(LAB_ID, 16)
    for step in range(256):
        prefix = f"10.213.{(start + step) % 256}"
        if not any(ipaddress.ip_network(f"{prefix}.0/24").overlaps(network) for network in used):
            return prefix
    raise LabError("This machine has routes to all of 10.213.0.0/16, and the lab has no other addresses.")


def _routes() -> list[dict[str, str]]:
    routes: list[dict[str, str]] = json.loads(run(["ip", "-json", "-4", "route", "show"]) or "[]")
    return routes


def _bring_up(prefix: str) -> None:
    """Bridge, address, masquerade, settings of the kernel; each is left alone when it is there."""
    if not (Path("/sys/class/net") / BRIDGE).exists():
        run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    run(["ip", "address", "replace", f"{prefix}.1/24", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    rules = f"""
    table ip {BRIDGE}
    delete table ip {BRIDGE}
    table ip {BRIDGE} {{
      chain out {{
        type nat hook postrouting priority srcnat
        ip saddr {prefix}.0/24 ip daddr != {prefix}.0/24 masquerade
      }}
    }}
    """
    run(["nft", "-f", "-"], rules)
    for name, least in _NEEDED.items():
        found = (_SYSCTL / name).read_text(encoding="utf-8").strip()
        if not _before(name).exists():
            _before(name).write_text(found, encoding="utf-8")
        if int(found) < least:
            (_SYSCTL / name).write_text(str(least), encoding="utf-8")


def _before(name: str) -> Path:
    """Where it is kept what a setting was before there was a lab."""
    return RUN / f"{name.rpartition('/')[2]}-before"


def _restore_settings() -> None:
    """The last lab puts back what the first one found."""
    if not RUN.exists() or any(RUN.glob("*.json")):
        return
    for name in _NEEDED:
        if _before(name).exists():
            before = _before(name).read_text(encoding="utf-8")
            if before != (_SYSCTL / name).read_text(encoding="utf-8").strip():
                (_SYSCTL / name).write_text(before, encoding="utf-8")
            _before(name).unlink()
    RUN.rmdir()
