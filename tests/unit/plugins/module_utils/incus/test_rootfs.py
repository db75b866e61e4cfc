# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the real file system and kernel, with a directory in the place of a container's root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.rootfs import container_root, read_link


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "outside").symlink_to("/nix/store/of-the-host")
    inside = tmp_path / "root"
    (inside / "run").mkdir(parents=True)
    (inside / "run" / "current-system").symlink_to("/nix/store/x")
    (inside / "absolute").symlink_to("/run")
    (inside / "up").symlink_to("../../../../../../run")
    (inside / "loop").symlink_to("loop")
    (inside / "proc").symlink_to("/proc/self/root")
    os.mkfifo(inside / "fifo")
    descriptor = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("path", ["/run/current-system", "/absolute/current-system", "/up/current-system"])
def test_a_link_is_read_and_every_way_to_it_stays_inside(root: int, path: str) -> None:
    assert read_link(root, path) == "/nix/store/x"


@pytest.mark.parametrize(
    "path",
    ["/gone", "/fifo", "/run", "/loop/x", "/../outside", "/proc/etc", "/run/current-system/x", "/" + "a" * 5000],
)
def test_what_is_no_link_inside_is_none(root: int, path: str) -> None:
    assert read_link(root, path) is None


def test_a_process_that_is_no_containers_init_is_refused() -> None:
    with pytest.raises(FleetError, match="not the init of container web"), container_root("web", os.getpid()):
        pass


def test_a_process_that_is_gone_is_refused() -> None:
    with pytest.raises(FleetError, match="cannot be opened"), container_root("web", 2**22 - 1):
        pass
