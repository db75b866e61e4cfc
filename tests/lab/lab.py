# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disposable Debian 13 hosts on this machine. See README.md beside this file."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import common
import hosts
import images
import network


def main() -> int:
    """Run one command of the lab."""
    arguments = _parser().parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        common.require_programs()
        return int(arguments.run(arguments) or 0)
    except common.LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab.py", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="make and boot a host, or boot it again")
    up.add_argument("name")
    up.add_argument("--image", choices=images.HOST_IMAGES, default="bare")
    up.add_argument(
        "--pool", action="append", default=[], metavar="POOL", help="a btrfs file system at /srv/pools/POOL of the host"
    )
    up.set_defaults(run=_up)

    ssh = commands.add_parser("ssh", help="log in, or run a command on a host")
    ssh.add_argument("name")
    ssh.add_argument("words", nargs="*", metavar="-- COMMAND")
    ssh.set_defaults(run=_ssh)

    restart = commands.add_parser("restart", help="boot a host anew on the root that it has")
    restart.add_argument("name")
    restart.add_argument("--hard", action="store_true", help="as if the power had failed")
    restart.set_defaults(run=_restart)

    down = commands.add_parser("down", help="throw hosts away")
    down.add_argument("names", nargs="*", metavar="NAME")
    down.add_argument("--all", action="store_true", help="all hosts of the lab, and its network")
    down.set_defaults(run=_down)

    commands.add_parser("list", help="list the hosts").set_defaults(run=_list)

    inventory = commands.add_parser("inventory", help="print an Ansible inventory")
    inventory.add_argument("names", nargs="+", metavar="NAME")
    inventory.add_argument("--python", default="/usr/bin/python3", help="what modules run with (%(default)s)")
    inventory.set_defaults(run=_inventory)

    build = commands.add_parser("images", help="build the images that are missing")
    build.add_argument("names", nargs="*", metavar="IMAGE")
    build.set_defaults(run=_images)

    clean = commands.add_parser("clean", help="throw all hosts and all images away")
    clean.add_argument("--cache", action="store_true", help="and all else that the tests keep")
    clean.set_defaults(run=_clean)
    return parser


def _up(arguments: argparse.Namespace) -> None:
    host = hosts.bring_up(arguments.name, arguments.image, arguments.pool)
    print(f"{host.name} {host.address}")


def _ssh(arguments: argparse.Namespace) -> None:
    command = hosts.ssh_command(hosts.find(arguments.name), arguments.words)
    os.execvp(command[0], command)


def _restart(arguments: argparse.Namespace) -> None:
    hosts.restart(arguments.name, arguments.hard)


def _down(arguments: argparse.Namespace) -> None:
    if not arguments.all and not arguments.names:
        raise common.LabError("Name the hosts, or say --all.")
    there = hosts.names_on_disk()
    for name in there if arguments.all else arguments.names:
        if name in there:
            hosts.throw_away(name)
    network.release_unused()


def _list(_arguments: argparse.Namespace) -> None:
    finished = {host.name: host for host in hosts.hosts()}
    for name in hosts.names_on_disk():
        host = finished.get(name)
        if host is None:
            print(f"{name:24} unfinished: being made, or left by a run that was killed")
        else:
            print(f"{name:24} {host.image:10} {'running' if hosts.is_running(host) else 'stopped':8} {host.address}")


def _inventory(arguments: argparse.Namespace) -> None:
    print(hosts.inventory([hosts.find(name) for name in arguments.names], arguments.python), end="")


def _images(arguments: argparse.Namespace) -> None:
    wanted = arguments.names or list(images.RECIPES)
    with ThreadPoolExecutor(max_workers=2) as pool:
        for path in pool.map(images.image, wanted):
            print(path)


def _clean(arguments: argparse.Namespace) -> None:
    for name in hosts.names_on_disk():
        hosts.throw_away(name)
    network.release_unused()
    common.remove_tree(common.LAB)
    common.remove_tree(common.CACHE if arguments.cache else common.IMAGES)


if __name__ == "__main__":
    sys.exit(main())
