# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Profile, Server
from ansible_collections.inx.fleet.plugins.module_utils.paths import STORE_PROFILE
from ansible_collections.inx.fleet.plugins.modules import inx_store_mount
from ansible_collections.inx.fleet.tests.unit.plugins.running import Run


class FakeIncus:
    """An Incus that has profiles."""

    def __init__(self, *profiles: Profile) -> None:
        self.found = {profile.name: profile for profile in profiles}
        self.server = Server(name="host", version="7.0", extensions=frozenset(), idmapped_mounts=True)

    def profiles(self) -> dict[str, Profile]:
        return dict(self.found)

    def create_profile(self, profile: Profile) -> None:
        assert profile.name not in self.found
        self.found[profile.name] = profile

    def update_profile(self, found: Profile, wanted: Profile) -> None:
        assert self.found[wanted.name] == found
        self.found[wanted.name] = wanted

    def delete_profile(self, name: str) -> None:
        del self.found[name]


@pytest.fixture
def incus(run: Run, monkeypatch: pytest.MonkeyPatch) -> FakeIncus:
    incus = FakeIncus()
    run.replace(inx_store_mount, "connect", incus)
    kinds = {
        "/nix/store": stat.S_IFDIR,
        "/nix/var/nix/daemon-socket/socket": stat.S_IFSOCK,
        "/srv/shared": stat.S_IFDIR,
    }
    monkeypatch.setattr(inx_store_mount, "_file_type", lambda path: kinds.get(path, 0))
    return incus


def test_the_profile_is_made_changed_and_removed(run: Run, incus: FakeIncus) -> None:
    assert run(inx_store_mount)["profile"]["name"] == STORE_PROFILE
    assert "nixstore" in incus.found[STORE_PROFILE].devices
    assert not run(inx_store_mount)["changed"]
    result = run(inx_store_mount, shared_paths=["/srv/shared"], self_update=True, diff=True)
    assert result["changed"]
    assert set(result["diff"]["after"]["devices"]) - set(result["diff"]["before"]["devices"])
    removed = run(inx_store_mount, state="absent")
    assert (removed["changed"], removed["profile"], incus.found) == (True, {}, {})
    assert not run(inx_store_mount, state="absent")["changed"]


def test_check_mode_changes_nothing(run: Run, incus: FakeIncus) -> None:
    assert run(inx_store_mount, check=True)["changed"]
    assert incus.found == {}
    incus.found["a"] = Profile(name="a")
    assert run(inx_store_mount, name="a", state="absent", check=True)["changed"]
    assert set(incus.found) == {"a"}


def test_a_profile_that_is_in_use_stays(run: Run, incus: FakeIncus) -> None:
    incus.found["a"] = Profile(name="a", used_by=("/1.0/instances/web",))
    assert "The profile 'a' is in use by web." in run(inx_store_mount, name="a", state="absent")["msg"]
    assert set(incus.found) == {"a"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"shared_paths": ["/srv/none"]}, "This host has no /srv/none to share."),
        ({"shared_paths": ["/"]}, "cannot be shared"),
        ({"name": "-a"}, "is not a name for an Incus profile"),
        ({"state": "there"}, "value of state must be one of"),
    ],
)
def test_what_is_refused_changes_nothing(run: Run, incus: FakeIncus, parameters: dict[str, Any], message: str) -> None:
    assert message in run(inx_store_mount, **parameters)["msg"]
    assert incus.found == {}
