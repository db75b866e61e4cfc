# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the systems of containers on other hosts, and create GC roots for them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from ..errors import FleetError
from ..names import project_name, word
from ..paths import store_object
from .bootable import check_system
from .command import Nix
from .profiles import explained, make_profile, remove_half_made, replace_link
from .push import Push, missing_there, push_to
from .sources import Declared, NixOptions, System

_ROOTS_DIR = "/nix/var/nix/gcroots/inx-systems"


def roots_directory(name: str, set_name: str | None, project: str) -> str:
    """Return the directory with a link for each container of a set, in a project of the host ``name``.

    No name and no set has a colon in it: two sets never share a directory. Raises FleetError for a name that cannot be
    a part of a path.
    """
    word(name, "name")
    if set_name is None:
        return f"{_ROOTS_DIR}/{name}"
    return f"{_ROOTS_DIR}/{name}:{project_name(project)}:{word(set_name, 'name for a set')}"


@dataclass(frozen=True, kw_only=True)
class Built:
    """The systems by container, why others are not there, the links before and after, and what was copied elsewhere."""

    systems: Mapping[str, str]
    failed: Mapping[str, FleetError]
    before: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    locked_inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def build_systems(
    nix: Nix,
    declared: Mapping[str, Declared],
    others: Collection[str],
    directory: str,
    *,
    push: Push | None = None,
    check: bool,
    build: bool,
) -> Built:
    """Evaluate, build, root and push systems by their containers' names, or return what that would do.

    The root of a container that failed stays as it was, and so do those of ``others``, which are declared as well.
    All other roots are removed. With ``build``, check mode builds, and creates no roots.
    """
    before = read_roots(directory)
    entries = list(declared.values())
    if check and not build:
        return _to_push(nix, push, built_from(*_by_name(declared, nix.evaluate(entries)), before, others))
    with nix.evaluated(entries) as found:
        systems, failed = _by_name(declared, found)
        valid = nix.valid_paths([system.path for system in systems.values()])
        missing = [(systems[name], declared[name][1]) for name in systems if systems[name].path not in valid]
        broken = nix.build(missing)
        for name, system in systems.items():
            try:
                if system in broken:
                    raise broken[system]
                check_system(system.path)
            except FleetError as error:
                failed[name] = error
        built = built_from(systems, failed, before, others)
        if check:
            return _to_push(nix, push, built)
        write_roots(directory, built)
    pushed = _to_push(nix, push, built)
    if push is not None:
        push_to(nix, push, pushed.copied, NixOptions())
    return pushed


def _to_push(nix: Nix, push: Push | None, built: Built) -> Built:
    """Return what was built, with those that another store is to get and lacks."""
    if push is None:
        return built
    return replace(built, copied=tuple(missing_there(nix, push, set(built.systems.values()), NixOptions())))


def _by_name(
    declared: Mapping[str, Declared], found: Mapping[Declared, System | FleetError]
) -> tuple[dict[str, System], dict[str, FleetError]]:
    """Return the systems by container, and why others do not evaluate."""
    evaluated = {name: found[entry] for name, entry in declared.items()}
    systems = {name: system for name, system in evaluated.items() if isinstance(system, System)}
    failed = {name: error for name, error in evaluated.items() if isinstance(error, FleetError)}
    return systems, failed


def built_from(
    systems: Mapping[str, System],
    failed: Mapping[str, FleetError],
    before: Mapping[str, str],
    others: Collection[str] = (),
) -> Built:
    """Return the built systems, and the links that follow from them."""
    good = {name: system.path for name, system in systems.items() if name not in failed}
    stay = {name: path for name, path in before.items() if name in failed or name in others}
    warnings = tuple(dict.fromkeys(warning for system in systems.values() for warning in system.warnings))
    locked = {name: systems[name].locked_inputs for name in good}
    return Built(
        systems=good,
        failed=failed,
        before=before,
        after={**stay, **good},
        warnings=warnings,
        locked_inputs=locked,
    )


def read_roots(directory: str) -> dict[str, str]:
    """Return the links into the store in a directory, by name. Raises FleetError when it cannot be read."""
    with explained(directory):
        try:
            names = sorted(os.listdir(directory))
        except FileNotFoundError:
            return {}
        links = {name: os.readlink(f"{directory}/{name}") for name in names if os.path.islink(f"{directory}/{name}")}
    # No container's name begins with a dot, and that of a link that is half-made does.
    return {name: path for name, path in links.items() if store_object(path) == path and not name.startswith(".")}


def write_roots(directory: str, built: Built) -> None:
    """Bring the links from what they were to what is right."""
    if built.after:
        make_profile(directory)
    if os.path.isdir(directory):
        remove_half_made(directory)
    for name, path in built.after.items():
        if built.before.get(name) != path:
            replace_link(directory, name, path)
    with explained(directory):
        for name in built.before.keys() - built.after.keys():
            os.unlink(f"{directory}/{name}")
