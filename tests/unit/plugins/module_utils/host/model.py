# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A model of a Debian host: what each step of a plan leaves, and what it needs to be there before it.

It is a model. What packages leave is what the plan itself takes them to leave, which the integration target role_host
compares with a real host.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.gcroots.files import File
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.package import Change
from ansible_collections.inx.fleet.plugins.module_utils.host.apply import laid_over
from ansible_collections.inx.fleet.plugins.module_utils.host.declaration import HostDeclaration
from ansible_collections.inx.fleet.plugins.module_utils.host.managed import (
    GCROOTS_PATH,
    GCROOTS_SERVICE,
    GCROOTS_UNITS,
    INCUS_UNITS,
    NIX_SERVICE,
    NIX_SOCKET,
    PROFILES_GROUP,
    PROFILES_MODE,
    socket_mode,
)
from ansible_collections.inx.fleet.plugins.module_utils.host.observed import (
    NO_CHANGE,
    Held,
    IncusState,
    Observed,
    Packages,
    Path,
    Release,
    Unit,
)
from ansible_collections.inx.fleet.plugins.module_utils.host.packages import lacking, with_packages
from ansible_collections.inx.fleet.plugins.module_utils.host.plan import plan_host
from ansible_collections.inx.fleet.plugins.module_utils.host.steps import Plan, Step
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Profile, Server, profile_body, profile_from
from ansible_collections.inx.fleet.plugins.module_utils.paths import DAEMON_SOCKET_DIR, DB_DIR, PROFILES_DIR, STORE_DIR

TRIXIE = Release(id="debian", version="13", codename="trixie", name="Debian GNU/Linux 13 (trixie)")
SERVER = Server(name="metal1", version="7.0", extensions=frozenset(), idmapped_mounts=True)
UP = Unit(is_there=True, is_active=True, is_enabled=True)
DOWN = Unit(is_there=True)
DIRECTORY = Path(kind=stat.S_IFDIR, mode=0o755)
#: The command inx-gcroots as a host without it lacks it.
NO_COMMAND = Change(written={"/usr/local/sbin/inx-gcroots": File(content=b"")}, before={}, removed=(), opened=())
BARE = Observed(
    release=TRIXIE, gcroots=NO_COMMAND, packages=Packages(mirror="https://mirror.example.org/debian"), units={}
)
NEW_INCUS = IncusState(server=SERVER, profiles={"default": Profile(name="default")})
DEBIAN_NIX = Packages(
    installed=dict.fromkeys(
        ("nix-bin", "nix-setup-systemd", "dnsmasq-base", "nftables", "uidmap", "python3-venv", "incus-base"), "1"
    ),
    mirror="https://mirror.example.org/debian",
)


class Host:
    """A host to which steps are applied. ``held`` is what its Incus holds, also while it does not run."""

    def __init__(self, observed: Observed, held: IncusState = NEW_INCUS) -> None:
        self.observed = observed
        self.held = observed.incus or held
        self.clock = 100.0

    def converge(self, declared: HostDeclaration, limit: int | None = None) -> list[Step]:
        """Apply plans as the role does it, or so many steps until the run is killed. Return the steps."""
        done: list[Step] = []
        for _look in range(3):
            plan = plan_host(declared, self.observed)
            for step in plan.steps:
                if limit is not None and len(done) >= limit:
                    return done
                self.apply(declared, step)
                done.append(step)
                if step.action == "packages":
                    break
            if not (plan.packages or plan.continues):
                return done
        return done

    def apply(self, declared: HostDeclaration, step: Step) -> None:
        """Do what the step says. What it needs must be there."""
        self.clock += 1
        _STEPS[step.action](self, declared, step)

    def change(self, **parts: Any) -> None:
        self.observed = replace(self.observed, **parts)

    def units(self, names: tuple[str, ...], unit: Callable[[Unit], Unit]) -> None:
        assert all(self.observed.unit(name).is_there for name in names), names
        self.change(units={**self.observed.units, **{name: unit(self.observed.unit(name)) for name in names}})

    def paths(self, made: Mapping[str, Path]) -> None:
        self.change(paths={**self.observed.paths, **made})


def _packages(host: Host, declared: HostDeclaration, _step: Step) -> None:
    host.change(**vars(with_packages(host.observed, lacking(declared, host.observed))))
    host.held = host.observed.incus or host.held
    host.change(incus=host.held if host.observed.unit(INCUS_UNITS[0]).is_active else None)


def _configure(host: Host, _declared: HostDeclaration, _step: Step) -> None:
    host.change(packages=replace(host.observed.packages, is_interrupted=False))


def _python(host: Host, _declared: HostDeclaration, _step: Step) -> None:
    assert "python3-venv" in host.observed.packages.installed
    host.change(has_python_packages=True)


def _files(host: Host, _declared: HostDeclaration, step: Step) -> None:
    host.change(files={**host.observed.files, **dict(step.files)})
    host.paths({path: Path(kind=stat.S_IFREG, changed=host.clock) for path in step.files})


def _start(host: Host, _declared: HostDeclaration, step: Step) -> None:
    if NIX_SOCKET in step.units and not host.observed.unit(NIX_SOCKET).is_active:
        # It starts the service with its first client.
        host.units((NIX_SERVICE,), lambda unit: replace(unit, is_active=False))
    host.units(step.units, lambda unit: replace(unit, is_active=True, is_enabled=True, started=host.clock))
    if NIX_SOCKET in step.units or NIX_SERVICE in step.units:
        host.paths({f"{DAEMON_SOCKET_DIR}/socket": Path(kind=stat.S_IFSOCK)})
    if not set(INCUS_UNITS).isdisjoint(step.units):
        host.change(incus=host.held)


def _restart(host: Host, _declared: HostDeclaration, step: Step) -> None:
    assert host.observed.unit(step.units[-1]).is_active
    # The socket, if it is named, is started and enabled with it.
    host.units(step.units[:-1], lambda unit: replace(unit, is_active=True, is_enabled=True))
    host.units(step.units[-1:], lambda unit: replace(unit, started=host.clock))


def _store(host: Host, _declared: HostDeclaration, _step: Step) -> None:
    assert host.observed.unit(NIX_SOCKET).is_active or host.observed.unit(NIX_SERVICE).is_active
    host.paths({STORE_DIR: DIRECTORY, DB_DIR: DIRECTORY})


def _directory(host: Host, _declared: HostDeclaration, _step: Step) -> None:
    assert host.observed.has_incus, "its package makes the group"
    assert STORE_DIR in host.observed.paths, "the daemon makes /nix/var/nix, and is to be its first user"
    host.paths({PROFILES_DIR: Path(kind=stat.S_IFDIR, mode=PROFILES_MODE, group=PROFILES_GROUP)})


def _access(host: Host, declared: HostDeclaration, step: Step) -> None:
    _files(host, declared, step)
    found = host.observed.paths[DAEMON_SOCKET_DIR]
    host.paths({DAEMON_SOCKET_DIR: replace(found, mode=socket_mode(declared))})


def _object(host: Host, _declared: HostDeclaration, step: Step) -> None:
    state = host.observed.incus
    assert state is not None
    body, name = dict(step.body), step.name
    if step.action == "profile":
        old = state.profiles.get(name)
        assert (old is None) == step.is_new
        found = {} if old is None else profile_body(old)
        new = body if step.is_new else laid_over(step, found)
        profile = profile_from({**new, "name": name})
        _check_devices(state, profile)
        state = replace(state, profiles={**state.profiles, name: profile})
    else:
        held = dict(state.pools if step.action == "pool" else state.networks)
        assert (name not in held) == step.is_new
        before = held.get(name, Held(name=name, kind=body.get("driver", body.get("type", ""))))
        held[name] = replace(before, config={**before.config, **body["config"]})
        state = replace(state, pools=held) if step.action == "pool" else replace(state, networks=held)
    host.held = state
    host.change(incus=state)


def _check_devices(state: IncusState, profile: Profile) -> None:
    """Raise AssertionError for what Incus refuses: a device on something that does not exist."""
    for keys in profile.devices.values():
        assert keys.get("pool", next(iter(state.pools), "")) in state.pools
        assert "network" not in keys or keys["network"] in state.networks


def _gcroots(host: Host, _declared: HostDeclaration, _step: Step) -> None:
    assert host.observed.has_python_packages
    host.change(gcroots=NO_CHANGE, gcroots_changed=host.clock)
    host.paths({path: Path(kind=stat.S_IFREG) for path in GCROOTS_UNITS})
    there = {name: replace(host.observed.unit(name), is_there=True) for name in (GCROOTS_PATH, GCROOTS_SERVICE)}
    host.change(units={**host.observed.units, **there})


def _watch(host: Host, _declared: HostDeclaration, step: Step) -> None:
    host.units(step.units, lambda unit: replace(unit, is_active=True, started=host.clock))
    host.units(step.units[:1], lambda unit: replace(unit, is_enabled=True))


def _unwatch(host: Host, _declared: HostDeclaration, step: Step) -> None:
    host.units(step.units, lambda _unit: Unit())
    host.change(paths={path: found for path, found in host.observed.paths.items() if path not in step.removed})


_STEPS: Mapping[str, Callable[[Host, HostDeclaration, Step], None]] = {
    "source": _files,
    "configure": _configure,
    "packages": _packages,
    "python": _python,
    "subids": _files,
    "settings": _files,
    "start": _start,
    "restart": _restart,
    "store": _store,
    "directory": _directory,
    "access": _access,
    "pool": _object,
    "network": _object,
    "profile": _object,
    "gcroots": _gcroots,
    "watch": _watch,
    "unwatch": _unwatch,
}


def actions(plan: Plan) -> list[str]:
    return [step.action for step in plan.steps]


def provisioned(declared: HostDeclaration | None = None) -> Observed:
    """Return a host that was bare, and was set up."""
    host = Host(BARE)
    host.converge(declared or HostDeclaration())
    return host.observed
