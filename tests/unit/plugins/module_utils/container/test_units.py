# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.units import changed_units

SAID = r"""stopping the following units: gone.service, nginx.service, systemd-fsck@dev-disk\x2duuid.service
NOT restarting the following changed units: systemd-fsck@x.service
activating the configuration...
setting up /etc...
restarting sysinit-reactivation.target
reloading the following units: dbus.service, firewall.service
restarting the following units: systemd-journald.service, ill.service
starting the following units: nginx.service, systemd-fsck@dev-disk\x2duuid.service, extra.service, stuck.service
the following new units were started: new.service, new.timer
warning: the following units failed: ill.service, stuck.service

x ill.service - restarting the following units: told.service
"""


def test_the_words_of_nixos() -> None:
    assert changed_units(SAID) == {
        "restarted": ("systemd-journald.service", "nginx.service", r"systemd-fsck@dev-disk\x2duuid.service"),
        "reloaded": ("dbus.service", "firewall.service"),
        "started": ("extra.service", "new.service", "new.timer"),
        "stopped": ("gone.service",),
    }


@pytest.mark.parametrize(
    "said",
    [
        "",
        "activating the configuration...\nsetting up /etc...",
        "would restart the following units: a.service",
        "NOT restarting the following changed units: a.service",
        "restarting the following units: \x1b[2J, no unit, ../x",
    ],
)
def test_words_that_name_no_changed_unit(said: str) -> None:
    assert changed_units(said) == {}


def test_a_container_cannot_say_more_than_anybody_reads() -> None:
    said = "restarting the following units: " + ", ".join(f"u{number}.service" for number in range(10**5))
    assert len(changed_units(said)["restarted"]) == 100


@given(st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_each_unit_is_named_once(stopped: set[str], started: set[str], failed: set[str]) -> None:
    said = "\n".join(
        f"{words}: {', '.join(f'{name}.service' for name in sorted(names))}"
        for words, names in [
            ("stopping the following units", stopped),
            ("starting the following units", started),
            ("warning: the following units failed", failed),
        ]
        if names
    )
    told = [name for names in changed_units(said).values() for name in names]
    assert sorted(told) == [f"{name}.service" for name in sorted((stopped | started) - failed)]
