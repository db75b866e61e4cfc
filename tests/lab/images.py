# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root file systems that lab hosts are copied from: each built once, named by a hash of its recipe."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from common import IMAGES, LabError, copy_surroundings, locked, remove_tree, run, run_contained, timed

# With the mirrors that this machine uses in the place of the names in braces.
SOURCES = (
    "deb {mirror} trixie main",
    "deb {mirror} trixie-updates main",
    "deb {security} trixie-security main",
)
BACKPORTS = "deb {mirror} trixie-backports main"

# A lab host resolves names with this machine's resolver and has its address from a file.
_BARE_SETUP = r"""
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/machine-id "$1"/etc/resolv.conf "$1"/etc/hostname
mkdir -p "$1"/etc/systemd/network "$1"/etc/systemd/system/multi-user.target.wants "$1"/root/.ssh
chmod 0700 "$1"/root/.ssh
ln -sf /lib/systemd/system/systemd-networkd.service "$1"/etc/systemd/system/multi-user.target.wants/
"""

# Run in the image, with the network of this machine and no service manager.
_INCUS_SETUP = r"""
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
apt-get -q update
apt-get -q -y install --no-install-recommends {packages}
printf 'root:1000000:1000000000\n' | tee /etc/subuid > /etc/subgid
python3 -m venv /opt/inx-fleet
/opt/inx-fleet/bin/pip -q --disable-pip-version-check install --no-cache-dir pylxd==2.4.2 jmespath==1.1.0
apt-get -q clean
rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d /root/.cache
"""
_INCUS_PACKAGES = "nix-bin nix-setup-systemd dnsmasq-base nftables uidmap python3-venv btrfs-progs"

# PostgreSQL comes with a compiler, and its commands for Debian with Perl. Each host with the fixture copies the image.
_FIXTURE_SETUP = r"""
cd "$1"/usr
rm -rf lib/*/libLLVM* lib/*/libz3* lib/*/libperl.so* lib/*/perl share/perl
rm -rf lib/postgresql/*/lib/bitcode lib/postgresql/*/lib/llvmjit* lib/postgresql/*/lib/pgxs
# Its service is a system's own.
find lib/systemd ../etc -name '*postgresql*' -prune -exec rm -rf {} +
"""


@dataclass(frozen=True)
class Recipe:
    """How an image comes to be: from packages with mmdebstrap, or from a parent by a script."""

    name: str
    packages: tuple[str, ...] = ()
    setup: str = ""
    parent: str | None = None
    sources: tuple[str, ...] = SOURCES


_RECIPES = (
    Recipe(
        name="bare",
        packages=(
            *("systemd", "systemd-sysv", "dbus", "openssh-server", "python3", "ca-certificates"),
            *("iproute2", "kmod", "busybox-static"),
        ),
        setup=_BARE_SETUP,
    ),
    Recipe(
        name="incus-6.0",
        parent="bare",
        setup=_INCUS_SETUP.replace("{packages}", f"incus-base {_INCUS_PACKAGES}"),
    ),
    Recipe(
        name="incus-7.0",
        parent="bare",
        setup=_INCUS_SETUP.replace(
            "{packages}", f"incus-base/trixie-backports incus-client/trixie-backports {_INCUS_PACKAGES}"
        ),
        sources=(*SOURCES, BACKPORTS),
    ),
    # What the systems of the full fixture run: tests/fixtures/full.
    Recipe(
        name="fixture-root",
        packages=("systemd", "systemd-sysv", "dbus", "iproute2", "nix-bin", "postgresql-17"),
        setup=_FIXTURE_SETUP,
    ),
)
RECIPES = {recipe.name: recipe for recipe in _RECIPES}
#: The images that a host can be made from.
HOST_IMAGES = ("bare", "incus-6.0", "incus-7.0")


def image(name: str) -> Path:
    """The image's directory, built if it is not there."""
    if name not in RECIPES:
        raise LabError(f"There is no image {name!r}. There are: {', '.join(RECIPES)}.")
    recipe = RECIPES[name]
    path = IMAGES / f"{name}-{_key(recipe)}"
    if path.exists():
        return path
    with locked(IMAGES / f".lock-{name}"):
        if not path.exists():
            _build(recipe, path)
    return path


def _key(recipe: Recipe) -> str:
    parent = _key(RECIPES[recipe.parent]) if recipe.parent else ""
    text = json.dumps([dataclasses.asdict(recipe), parent], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _build(recipe: Recipe, path: Path) -> None:
    """Build under another name, so that a build that was killed is no image."""
    unfinished = IMAGES / f".building-{recipe.name}"
    remove_tree(unfinished)
    parent = image(recipe.parent) if recipe.parent else None
    try:
        with timed(f"building image {recipe.name} in {IMAGES}"):
            if parent is None:
                _bootstrap(recipe, unfinished)
            else:
                _derive(recipe, parent, unfinished)
        unfinished.rename(path)
    finally:
        remove_tree(unfinished)


def _sources(recipe: Recipe) -> list[str]:
    """Return the apt sources of an image, from the mirrors that this machine's own sources name."""
    # Without the lists of an earlier update, "apt-get indextargets" knows nothing.
    said = run(["apt-get", "--print-uris", "update"])
    uris = {release: uri for uri, release in reversed(re.findall(r"'(\S+?)/dists/([^/']+)/InRelease'", said))}
    security = next((uri for release, uri in uris.items() if release.endswith("-security")), None)
    main = next((uri for release, uri in uris.items() if "-" not in release), None)
    if main is None or security is None:
        raise LabError("The apt sources of this machine name no mirror of Debian and its security updates. Add them.")
    return [source.format(mirror=main, security=security) for source in recipe.sources]


def _bootstrap(recipe: Recipe, root: Path) -> None:
    setup = root.with_name(f"{root.name}.sh")
    setup.write_text(f"set -eu\n{recipe.setup}", encoding="utf-8")
    try:
        run_contained(
            [
                *("mmdebstrap", "--quiet", "--mode=root", "--format=directory", "--variant=minbase"),
                f"--include={','.join(recipe.packages)}",
                f'--customize-hook=sh "{setup}" "$1"',
                *("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*"),
                *("--dpkgopt=path-exclude=/usr/share/locale/*",),
                *("trixie", str(root), *_sources(recipe)),
            ]
        )
    finally:
        setup.unlink()


def _derive(recipe: Recipe, parent: Path, root: Path) -> None:
    run_contained(["cp", "-a", "--reflink=auto", str(parent), str(root)])
    copy_surroundings(root)
    (root / "etc/apt/sources.list").write_text("\n".join(_sources(recipe)) + "\n", encoding="utf-8")
    run_contained(
        [
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "--as-pid2"),
            *("--resolv-conf=off", f"--machine=build-{re.sub(r'[^a-z0-9]', '-', recipe.name)}"),
            *("--setenv=DEBIAN_FRONTEND=noninteractive", "--setenv=LC_ALL=C.UTF-8"),
            *("-D", str(root), "/bin/sh", "-euc", recipe.setup),
        ]
    )
    (root / "etc/resolv.conf").unlink()
    (root / "etc/machine-id").unlink(missing_ok=True)
