# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.incus import connection as incus
from ansible_collections.inx.fleet.plugins.module_utils.incus.hints import advice_on, config_at_fault


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("Project not found", "See 'incus project list'"),
        ("Profile not found", "See 'incus --project shop profile list'"),
        ('Failed loading network "lan": Network not found', "See 'incus --project shop network list'"),
        ("Failed to listen on 0.0.0.0:80: listen tcp 0.0.0.0:80: bind: address already in use", "ss -tulnp"),
        ("Unknown configuration key: limits.memori", "Fix that key"),
        ("Container nesting is forbidden", "'incus project show shop'"),
        ("Failed to run: zfs create: no space left on device", "Make room"),
        ("Something else", "journalctl -u incus"),
        ("mkdir /srv/a: permission denied", "journalctl -u incus"),
    ],
)
def test_the_message_tells_what_to_do(said: str, advice: str) -> None:
    assert advice in advice_on(said, "shop")


def test_a_start_that_failed_has_a_log() -> None:
    operation = {
        "err": "exit status 1",
        "description": "Starting instance",
        "resources": {"instances": ["/1.0/instances/web?project=shop"]},
    }
    error = incus._refused(operation, "shop")
    assert str(error) == "Incus says: exit status 1. See 'incus --project shop info --show-log web' on the host."


def test_an_operation_about_no_instance() -> None:
    assert str(incus._refused({"status": "Cancelled"}, None)) == (
        "Incus says: Cancelled. See 'journalctl -u incus' on the host."
    )


@pytest.mark.parametrize(
    ("said", "keys"),
    [
        ('Invalid config: Invalid value for an integer "4gigs"', ["limits.processes", "user.size"]),
        ("Invalid config: Invalid value: 4gigs", ["limits.processes", "user.size"]),
        ("Invalid config: Invalid allowance: 3x", ["limits.cpu.allowance"]),
        ('Invalid config: Invalid value for a boolean "gigs"', []),
        ("Invalid config: Unknown configuration key: limits.processes 4gigs", []),
        ('Invalid devices: Device validation failed for "root": Invalid value: 4gigs', []),
    ],
)
def test_the_config_key_that_incus_does_not_name_is_named(said: str, keys: list[str]) -> None:
    config = {"limits.processes": "4gigs", "user.size": "4gigs", "limits.cpu.allowance": "3x", "a": "", "b": None}
    assert config_at_fault(f"Could not update web: Incus says: {said}.", config) == keys
