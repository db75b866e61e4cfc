# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan a Debian host: from what is declared and what was observed to the steps between. Pure.

Check mode shows these steps, and a normal run applies the same ones. Where packages are missing, the plan goes on with
what they leave on a host.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace

from ..errors import FleetError
from ..gcroots.files import File
from ..incus.store_profile import check_host, wanted_profile, warnings
from ..paths import DAEMON_SOCKET_DIR, DB_DIR, PROFILES_DIR, STORE_DIR, VENV
from .declaration import HostDeclaration
from .managed import (
    ACCESS,
    BACKPORTS,
    GCROOTS_PATH,
    GCROOTS_SERVICE,
    GCROOTS_UNITS,
    IDS_GIVEN,
    INCUS_SERVICE,
    INCUS_UNITS,
    NIX_SERVICE,
    NIX_SETTINGS,
    NIX_SOCKET,
    PROFILES_GROUP,
    PROFILES_MODE,
    SUBIDS,
    access_file,
    conf_to_include_from,
    has_subids,
    settings_file,
    socket_mode,
    with_include,
    with_subids,
)
from .objects import Difference, differences, has_root_disk
from .observed import Observed, Path
from .packages import lacking, missing_source, suite, with_packages
from .settings import settings_sides
from .steps import PackageList, Plan, Step

_OLDEST = 13
_UP = "active, enabled"


def plan_host(declared: HostDeclaration, observed: Observed) -> Plan:
    """Plan a Debian host. Raise FleetError when the declaration cannot be met on what was observed."""
    _check_supported(observed)
    packages = lacking(declared, observed)
    before = (*_source_step(declared, observed), *_configure_step(observed), *_package_step(observed, packages))
    host = with_packages(observed, packages) if packages else observed
    subids = list(_subids_step(declared, host))
    steps = (
        *before,
        *_python_step(declared, host),
        *subids,
        *_nix_steps(declared, host),
        *_incus_steps(host, is_given=bool(subids)),
        *_object_steps(declared, _with_nix(host)),
        *_gcroots_steps(declared, host),
    )
    return Plan(
        steps=steps,
        packages=packages,
        continues=host.incus is None,
        pending=tuple(_pending(declared, observed, steps)),
        warnings=tuple(_warnings(declared, host)),
    )


def _check_supported(observed: Observed) -> None:
    release = observed.release
    major = release.version.partition(".")[0]
    # Testing and unstable have no number.
    if release.id != "debian" or (major.isdecimal() and int(major) < _OLDEST):
        raise FleetError(
            f"This host is {release.name or release.id or 'not known'}.",
            "inx.fleet provisions Debian 13 or newer and checks NixOS.",
        )
    if observed.nix == "without daemon":
        raise FleetError(
            "This host has a Nix without the unit nix-daemon.service, whose daemon containers need.",
            "Set up its daemon, as its installer does for several users, or remove this Nix with /nix.",
        )


def _warnings(declared: HostDeclaration, host: Observed) -> Iterator[str]:
    if host.incus is not None:
        found = host.incus.profiles.get(declared.store.name)
        yield from warnings(declared.store, wanted_profile(declared.store, found))


def _pending(declared: HostDeclaration, observed: Observed, steps: tuple[Step, ...]) -> Iterator[str]:
    """Yield what containers have to wait for, since a run sets it up."""
    actions = {step.action for step in steps}
    starting = {unit for step in steps if step.action == "start" for unit in step.units}
    if "python" in actions:
        yield "Python"
    if observed.nix == "absent" or not starting.isdisjoint((NIX_SOCKET, NIX_SERVICE)) or "store" in actions:
        yield "Nix"
    if not observed.has_incus or not starting.isdisjoint(INCUS_UNITS):
        yield "Incus"
    state = observed.incus
    if state is None or declared.store.name not in state.profiles or not has_root_disk(state):
        yield "the profiles"


# Packages


def _source_step(declared: HostDeclaration, observed: Observed) -> Iterator[Step]:
    file = missing_source(declared, observed)
    if file is not None:
        name = suite(observed)
        after = {"source": file.content.decode().splitlines()[2]}
        yield Step(action="source", summary=f"add {name} to the apt sources", after=after, files={BACKPORTS: file})


def _configure_step(observed: Observed) -> Iterator[Step]:
    if observed.packages.is_interrupted:
        yield Step(action="configure", summary="finish an interrupted run of dpkg")


def _package_step(observed: Observed, packages: PackageList) -> Iterator[Step]:
    names = (*packages.install, *packages.backports)
    if not names:
        return
    found = {name: observed.packages.installed.get(name) for name in names}
    after = dict.fromkeys(packages.install, "installed") | dict.fromkeys(packages.backports, packages.release)
    yield Step(
        action="packages",
        summary=f"install {', '.join(names)}",
        before={"packages": {name: version for name, version in found.items() if version is not None}},
        after={"packages": after},
    )


# Python and ids


def _python_step(declared: HostDeclaration, host: Observed) -> Iterator[Step]:
    if not host.has_python_packages:
        wanted = list(declared.python_packages)
        yield Step(action="python", summary=f"install {', '.join(wanted)} in {VENV}", after={"python_packages": wanted})


def _subids_step(declared: HostDeclaration, host: Observed) -> Iterator[Step]:
    lacking_it = [path for path in SUBIDS if not has_subids(host.files.get(path))]
    files = {path: with_subids(host.files.get(path), declared) for path in lacking_it}
    if files:
        yield Step(
            action="subids",
            summary=f"give root the ids {declared.subid_range} in {', '.join(files)}",
            after=dict.fromkeys(files, f"root:{declared.subid_range}"),
            files={IDS_GIVEN: File(content=b""), **files},
        )


# Nix


def _nix_steps(declared: HostDeclaration, host: Observed) -> Iterator[Step]:
    settings = list(_settings_step(declared, host))
    yield from settings
    yield from _daemon_steps(host, is_changed=bool(settings))
    if host.kind(STORE_DIR) == 0:
        yield Step(action="store", summary="let the Nix daemon create its store", after={STORE_DIR: "directory"})
    yield from _directory_step(host)
    yield from _access_step(declared, host)


def _settings_step(declared: HostDeclaration, host: Observed) -> Iterator[Step]:
    conf = conf_to_include_from(host.files)
    wanted = {NIX_SETTINGS: settings_file(declared), conf: with_include(host.files.get(conf))}
    files = {path: file for path, file in wanted.items() if host.files.get(path) != file}
    if files:
        before, after = settings_sides(declared, host.files.get(NIX_SETTINGS))
        if conf in files:
            before, after = {**before, conf: None}, {**after, conf: "!include inx-fleet.conf"}
        yield Step(
            action="settings",
            summary=f"write the settings of Nix to {' and '.join(files)}",
            before=before,
            after=after,
            files=files,
        )


def _daemon_steps(host: Observed, *, is_changed: bool) -> Iterator[Step]:
    """Yield the start of the daemon, or its restart if it runs on older settings.

    That is compared in every run, since one that was killed may have written settings, and not more. Debian's package
    starts the service and the socket at once, and the socket fails if the service was faster: a restart mends both.
    """
    socket, service = host.unit(NIX_SOCKET), host.unit(NIX_SERVICE)
    # Another installer's daemon runs as that installer started it.
    by_socket = host.nix != "other" or (socket.is_there and not service.is_active)
    newest = max((host.paths[path].changed for path in _conf_files(host)), default=0.0)
    if service.is_active and (is_changed or newest > service.started):
        yield Step(
            action="restart",
            summary="restart the Nix daemon, whose settings are older than its files",
            before={NIX_SERVICE: "older settings"},
            after={NIX_SERVICE: "active"},
            units=(NIX_SOCKET, NIX_SERVICE) if by_socket else (NIX_SERVICE,),
        )
    elif not (socket.is_up or (host.nix == "other" and (socket.is_active or service.is_active))):
        unit = NIX_SOCKET if by_socket else NIX_SERVICE
        yield Step(
            action="start",
            summary="start the Nix daemon, now and at boot",
            before={unit: _state(host, unit)},
            after={unit: _UP},
            units=(unit,),
        )


def _state(host: Observed, name: str) -> str:
    unit = host.unit(name)
    return f"{'active' if unit.is_active else 'inactive'}, {'enabled' if unit.is_enabled else 'disabled'}"


def _conf_files(host: Observed) -> list[str]:
    return [path for path in (NIX_SETTINGS, conf_to_include_from(host.files)) if path in host.paths]


def _directory_step(host: Observed) -> Iterator[Step]:
    """Yield the directory of the containers' profiles.

    It is closed to others: what a container with self_update leaves in its profile is root's, a setuid program too.
    """
    wanted = Path(kind=stat.S_IFDIR, mode=PROFILES_MODE, owner="root", group=PROFILES_GROUP)
    found = host.paths.get(PROFILES_DIR)
    if found is None or _permissions(found) != _permissions(wanted):
        yield Step(
            action="directory",
            summary=f"{'create' if found is None else 'close'} {PROFILES_DIR}",
            before={PROFILES_DIR: None if found is None else _permissions(found)},
            after={PROFILES_DIR: _permissions(wanted)},
        )


def _access_step(declared: HostDeclaration, host: Observed) -> Iterator[Step]:
    """Yield who reaches the Nix daemon. Users of containers are in no group of the host."""
    file, mode = access_file(declared), socket_mode(declared)
    found = host.paths.get(DAEMON_SOCKET_DIR)
    found_mode = None if found is None else f"{found.mode:04o}"
    if host.files.get(ACCESS) != file or found_mode != f"{mode:04o}":
        whom = "every user" if declared.nix_open else "root and its group only"
        yield Step(
            action="access",
            summary=f"let {whom} reach the Nix daemon",
            before={DAEMON_SOCKET_DIR: found_mode},
            after={DAEMON_SOCKET_DIR: f"{mode:04o}"},
            files={ACCESS: file},
        )


def _permissions(path: Path) -> str:
    return f"{path.mode:04o} {path.owner}:{path.group}"


def _with_nix(host: Observed) -> Observed:
    """Return the host with what its Nix steps leave, on which the profile of the store is planned."""
    made = {STORE_DIR: stat.S_IFDIR, DB_DIR: stat.S_IFDIR, f"{DAEMON_SOCKET_DIR}/socket": stat.S_IFSOCK}
    missing = {path: Path(kind=kind) for path, kind in made.items() if path not in host.paths}
    return replace(host, paths={**host.paths, **missing})


# Incus


def _incus_steps(host: Observed, *, is_given: bool) -> Iterator[Step]:
    down = tuple(name for name in INCUS_UNITS if host.unit(name).is_there and not host.unit(name).is_up)
    if down:
        yield Step(
            action="start",
            summary="start Incus, now and at boot",
            before={name: _state(host, name) for name in down},
            after=dict.fromkeys(down, _UP),
            units=down,
        )
    if host.unit(INCUS_SERVICE).is_active and (is_given or _has_older_ids(host)):
        yield Step(
            action="restart",
            summary="restart Incus, which reads its ids at its start",
            before={INCUS_SERVICE: "older ids"},
            after={INCUS_SERVICE: "active"},
            units=(INCUS_SERVICE,),
        )


def _has_older_ids(host: Observed) -> bool:
    """Return whether root was given ids since Incus was started, by a run that was killed before the restart."""
    given = host.paths.get(IDS_GIVEN)
    return given is not None and given.changed > host.unit(INCUS_SERVICE).started


def _object_steps(declared: HostDeclaration, host: Observed) -> Iterator[Step]:
    if host.incus is None:
        return
    check_host(declared.store, host.incus.server, host.kind)
    for entry in differences(declared, host.incus):
        yield _object_step(entry)


_WORDS = {"pool": "storage pool", "network": "network", "profile": "profile"}


def _object_step(entry: Difference) -> Step:
    verb = "create" if entry.is_new else "change"
    return Step(
        action=entry.kind,
        summary=f"{verb} the {_WORDS[entry.kind]} {entry.name}",
        before={f"{entry.kind} {entry.name}": None if entry.is_new else entry.before},
        after={f"{entry.kind} {entry.name}": entry.after},
        name=entry.name,
        body=entry.body,
        is_new=entry.is_new,
        is_whole=entry.is_whole,
    )


# GC roots for what containers build


def _gcroots_steps(declared: HostDeclaration, host: Observed) -> Iterator[Step]:
    path, service = host.unit(GCROOTS_PATH), host.unit(GCROOTS_SERVICE)
    if not declared.gcroots:
        there = [file for file in GCROOTS_UNITS if file in host.paths]
        if there or path.is_active or service.is_active:
            yield Step(
                action="unwatch",
                summary="stop watching the links to builds",
                before={**dict.fromkeys(there, "file"), GCROOTS_PATH: _state(host, GCROOTS_PATH)},
                after={GCROOTS_PATH: "absent"},
                units=tuple(name for name in (GCROOTS_PATH, GCROOTS_SERVICE) if host.unit(name).is_there),
                removed=tuple(there),
            )
        return
    if host.gcroots:
        yield Step(action="gcroots", summary="install the command inx-gcroots and its units", command=host.gcroots)
    is_older = service.is_active and host.gcroots_changed > service.started
    if host.gcroots or not path.is_up or is_older:
        yield Step(
            action="watch",
            summary="start watching the links to builds, now and at boot",
            before={GCROOTS_PATH: _state(host, GCROOTS_PATH)},
            after={GCROOTS_PATH: _UP},
            units=(GCROOTS_PATH, GCROOTS_SERVICE),
        )
