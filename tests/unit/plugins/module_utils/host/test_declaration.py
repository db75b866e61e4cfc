# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.host.declaration import Declared, host_from
from ansible_collections.inx.fleet.plugins.module_utils.host.managed import settings_file
from ansible_collections.inx.fleet.plugins.modules.inx_host import OPTIONS

DEFAULTS: dict[str, Any] = {name: option.get("default") for name, option in OPTIONS.items()}


def test_values_are_texts_as_incus_and_nix_have_them() -> None:
    declared = host_from(
        {
            **DEFAULTS,
            "nix_settings": {"trusted-users": ["root", "@sudo"], "fsync-metadata": False, "cores": 7},
            "network_config": {"ipv4.nat": True, "bridge.mtu": 1400},
            "storage_driver": "btrfs",
        }
    )
    assert settings_file(declared).content.decode().splitlines()[1:] == [
        "extra-experimental-features = nix-command flakes",
        "cores = 7",
        "fsync-metadata = false",
        "trusted-users = root @sudo",
    ]
    assert declared.network == Declared(config={"ipv4.nat": "true", "bridge.mtu": "1400"})
    assert declared.pool == Declared(kind="btrfs")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subid_range": "0:1000"}, "'0:1000' is not a range of ids"),
        ({"subid_range": "1000000"}, "is not a range of ids"),
        ({"debian_mirror": "mirror.example.org"}, "'mirror.example.org' is not a URL"),
        ({"debian_mirror": "https://a b"}, "is not a URL"),
        ({"gcroots_max": 0}, "gcroots_max is 0"),
        ({"nix_settings": {"cores": "1\nsandbox = false"}}, "'cores' is not a setting on one line"),
        ({"nix_settings": {"!include": "/etc/x"}}, "'!include' is not a setting"),
        ({"store_profile": "a/b"}, "'a/b' is not a name for an Incus profile"),
        ({"store_shared_paths": ["/srv/../etc"]}, "cannot be shared"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(FleetError, match=message):
        host_from({**DEFAULTS, **options})
