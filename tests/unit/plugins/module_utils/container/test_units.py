# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.units import changed_units, planned_units

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
        "not_restarted": ("systemd-fsck@x.service",),
    }


WOULD = """would stop the following units: gone.service, nginx.service
would NOT stop the following changed units: getty@tty1.service
would activate the configuration...
told by an activation script: restarting the following units: other.service
would restart systemd
would reload the following units: dbus.service, firewall.service
would restart the following units: systemd-journald.service
would start the following units: extra.service, nginx.service
"""


def test_the_words_of_a_dry_run() -> None:
    assert planned_units(WOULD, {"new.timer", "dbus.service"}) == {
        "restarted": ("systemd-journald.service", "nginx.service"),
        "reloaded": ("dbus.service", "firewall.service"),
        "started": ("extra.service", "new.timer"),
        "stopped": ("gone.service",),
        "not_restarted": ("getty@tty1.service",),
    }


@given(st.lists(st.sets(st.sampled_from("abcdef")), min_size=6, max_size=6))
def test_what_a_run_does_is_what_a_dry_run_says(sets: list[set[str]]) -> None:
    stop, keep, reload, restart, start, new = sets

    def said(**words: set[str]) -> str:
        return "".join(
            f"{verb.replace('_', ' ')}: {', '.join(f'{name}.service' for name in sorted(names))}\n"
            for verb, names in words.items()
            if names
        )

    # Every unit is in one of these, but for what is stopped before the activation and started after it.
    keep, reload, restart = keep - stop - start, reload - keep - stop - start, restart - keep - reload - stop - start
    new = new - stop - keep - reload - restart - start
    dry = said(
        would_stop_the_following_units=stop,
        would_NOT_stop_the_following_changed_units=keep,
        would_reload_the_following_units=reload,
        would_restart_the_following_units=restart,
        would_start_the_following_units=start,
    )
    run = said(
        stopping_the_following_units=stop,
        NOT_restarting_the_following_changed_units=keep,
        reloading_the_following_units=reload,
        restarting_the_following_units=restart,
        starting_the_following_units=start,
        the_following_new_units_were_started=new,
    )
    assert planned_units(dry, {f"{name}.service" for name in new}) == changed_units(run)
    assert planned_units(run) == changed_units(dry) == {}


@pytest.mark.parametrize(
    "said",
    [
        "",
        "activating the configuration...\nsetting up /etc...",
        "would restart the following units: a.service",
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
