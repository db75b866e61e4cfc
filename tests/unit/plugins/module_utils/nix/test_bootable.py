# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What boots in a container, by what is in the store; stores are stood in for by directories."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.systems import with_validity
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix import bootable
from ansible_collections.inx.fleet.plugins.module_utils.nix.bootable import (
    can_switch,
    check_boots_here,
    check_system,
    machine_warnings,
)
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System


def made(directory: Path, *parts: str) -> str:
    path = directory / "00000000000000000000000000000000-thing-1"
    (path / "bin").mkdir(parents=True)
    for part in parts:
        (path / part).write_text("")
    return str(path)


def test_a_package_is_told_by_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"so it is not a NixOS system. It is the package 'thing-1', .* hello, tree\."):
        check_system(made(tmp_path, "bin/hello", "bin/tree"))


def test_a_file_is_not_a_system(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(FleetError, match="is a file, not a NixOS system"):
        check_system(str(file))


def test_a_systemd_initrd_is_refused_with_the_option_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"Set boot\.initrd\.systemd\.enable to false"):
        check_system(made(tmp_path, "init", "prepare-root"))


def test_a_systemd_initrd_of_a_machine_is_refused_with_both_options(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"Set boot\.isContainer to true and boot\.initrd\.systemd\.enable to false"):
        check_system(made(tmp_path, "init", "prepare-root", "kernel"))


def test_a_system_for_a_machine_boots_with_a_warning(tmp_path: Path) -> None:
    path = made(tmp_path, "init", "kernel")
    check_system(path)
    (warning,) = machine_warnings("web", path)
    assert warning.startswith(f"web: {path} is a system for a machine")
    assert "Set boot.isContainer to true" in warning


def test_a_system_for_a_container_has_no_kernel(tmp_path: Path) -> None:
    assert machine_warnings("web", made(tmp_path, "init")) == ()


@pytest.mark.parametrize(
    ("machine", "platform", "interpreter", "is_refused"),
    [
        ("x86_64", "x86_64-linux", None, False),
        ("x86_64", "i686-linux", None, False),
        ("x86_64", "aarch64-linux", None, True),
        ("x86_64", "aarch64-linux", "qemu-aarch64", False),
        ("x86_64", "aarch64-linux", "aarch64-linux", False),
        ("riscv64", "riscv64-linux", None, False),
        ("x86_64", "", None, False),
    ],
)
def test_a_system_for_other_machines_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    machine: str,
    platform: str,
    interpreter: str | None,
    is_refused: bool,
) -> None:
    path = made(tmp_path, "init")
    Path(path, "system").write_text(platform)
    monkeypatch.setattr(bootable, "_BINFMT", str(tmp_path))
    monkeypatch.setattr(bootable, "_machine", lambda: machine)
    if interpreter is not None:
        (tmp_path / interpreter).write_text("")
    if is_refused:
        with pytest.raises(FleetError, match=r'Set nixpkgs\.hostPlatform to "x86_64-linux"'):
            check_boots_here(path)
    else:
        check_boots_here(path)


def test_a_system_without_switch_to_configuration_is_one(tmp_path: Path) -> None:
    path = made(tmp_path, "init")
    check_system(path)
    assert not can_switch(path)
    # What is not in the store yet may have it.
    assert can_switch(f"{path}-2")


def test_what_is_built_is_warned_of_before_anything_is_done(tmp_path: Path) -> None:
    system = System(path=made(tmp_path, "init", "kernel"), warnings=("web: unlocked.",))
    host: Any = SimpleNamespace(nix=SimpleNamespace(valid_paths=set))
    found = with_validity(host, {"web": system}, [system])["web"]
    assert isinstance(found, System)
    assert found.warnings == ("web: unlocked.", *machine_warnings("web", system.path))
    # What a profile leads to was warned of when it was recorded.
    recorded = with_validity(host, {"web": system}, [])["web"]
    assert isinstance(recorded, System)
    assert recorded.warnings == ("web: unlocked.",)
