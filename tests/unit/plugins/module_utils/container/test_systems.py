# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.set_declaration import ContainerSet
from ansible_collections.inx.fleet.plugins.module_utils.container.systems import with_builds
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.command import Wanted
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import Flake, System
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, OLD

BROKEN = "/nix/store/00000000000000000000000000000000-broken"


class Nix:
    """Its store has OLD, and one of two systems can be built."""

    def __init__(self) -> None:
        self.built: list[str] = []

    def valid_paths(self, paths: Sequence[str]) -> set[str]:
        return {OLD}.intersection(paths)

    def build(self, wanted: Sequence[Wanted]) -> dict[System, FleetError]:
        self.built += [system.path for system, _options in wanted]
        return {system: FleetError("It does not build.", "") for system, _options in wanted if system.path == BROKEN}


def test_what_is_not_in_the_store_is_built() -> None:
    nix = Nix()
    host = SimpleNamespace(nix=nix, incus=SimpleNamespace(server=SimpleNamespace(member=None)))
    names = {"a": OLD, "b": NEW, "c": BROKEN}
    declared = ContainerSet(
        containers=tuple(
            Container(name=name, source=Flake(reference="/etc/nixos", attribute=name)) for name in (*names, "d")
        ),
        project="default",
    )
    refused = FleetError("It does not evaluate.", "")
    evaluated = {name: System(path=path, built=False) for name, path in names.items()}
    found = with_builds(host, declared, {**evaluated, "d": refused})  # type: ignore[arg-type]
    assert nix.built == [NEW, BROKEN]
    assert (found["a"], found["b"], found["d"]) == (evaluated["a"], evaluated["b"], refused)
    assert "does not build" in str(found["c"])
