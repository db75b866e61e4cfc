# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from ansible_collections.inx.fleet.plugins.module_utils.nix.wanted_units import new_units, wanted_units


def make_system(path: Path, *links: str, masked: str = "") -> str:
    """Make a system whose targets have these links, such as multi-user.target.wants/a.service."""
    units = path / "etc/systemd/system"
    units.mkdir(parents=True)
    for link in links:
        (units / link).parent.mkdir(exist_ok=True)
        (units / link).symlink_to(f"../{Path(link).name}")
        (units / Path(link).name).touch()
    if masked:
        (units / masked).unlink()
        (units / masked).symlink_to("/dev/null")
    return str(path)


def test_what_targets_start(tmp_path: Path) -> None:
    system = make_system(
        tmp_path / "a",
        "multi-user.target.wants/a.service",
        "multi-user.target.requires/b.service",
        "timers.target.wants/c.timer",
        "multi-user.target.wants/more.target",
        "more.target.wants/d.service",
        "more.target.wants/multi-user.target",
        "graphical.target.wants/not-reached.service",
        "a.service.wants/not-a-target.service",
        "sockets.target.wants/masked.socket",
        masked="masked.socket",
    )
    expected = {"a.service", "b.service", "c.timer", "more.target", "d.service", "multi-user.target"}
    assert wanted_units(system) == expected


def test_what_is_new(tmp_path: Path) -> None:
    old = make_system(tmp_path / "a", "multi-user.target.wants/a.service", "multi-user.target.wants/b.service")
    new = make_system(tmp_path / "b", "multi-user.target.wants/b.service", "multi-user.target.wants/c.service")
    assert new_units(old, new) == {"c.service"}
    assert new_units(new, new) == set()


def test_nothing_is_said_of_what_is_not_in_the_store(tmp_path: Path) -> None:
    new = make_system(tmp_path / "b", "multi-user.target.wants/c.service")
    assert new_units("/nowhere", new) == new_units(new, str(tmp_path / "gone")) == set()
