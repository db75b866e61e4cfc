# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.inx.fleet.plugins.module_utils.container.desired import Change, change
from ansible_collections.inx.fleet.plugins.module_utils.container.released import (
    left_hidden,
    note_of,
    without_hiding,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.survival import around_stop
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import RELEASED
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import declared, running_host, with_instance

HIDING = {"eth0": {"type": "nic", "network": "br0"}, "v": {"type": "none"}}
NOTE = note_of(HIDING)


def instance(**devices: dict[str, str]) -> Instance:
    return Instance(name="web", config={RELEASED: NOTE}, devices=devices)


def test_devices_are_known_again_by_their_note() -> None:
    own = {"type": "nic", "network": "br0", "ipv4.address": "10.0.0.2"}
    assert left_hidden(instance(**HIDING)) == HIDING
    found = instance(v=HIDING["v"], eth0=own, other={"type": "none"})
    assert left_hidden(found) == {"v": HIDING["v"]}
    assert without_hiding(found).devices == {"eth0": own, "other": {"type": "none"}}


def differs(**parts: Any) -> Change:
    """Return the change that removes what hides devices of profiles, and more."""
    before = {"config": {RELEASED: NOTE, "user.a": None}, "devices": HIDING, "profiles": ["default"]}
    after = {"config": {RELEASED: None, "user.a": "1"}, "devices": {"eth0": None, "v": None}, "profiles": ["other"]}
    return Change(before=before, after=after, **parts)


def test_the_note_stays_for_as_long_as_a_device_does() -> None:
    left = differs(late=frozenset(("v",))).without_late()
    assert left.after == {"config": {"user.a": "1"}, "devices": {"eth0": None}, "profiles": ["other"]}
    assert left.before == {"config": {"user.a": None}, "devices": {"eth0": HIDING["eth0"]}, "profiles": ["default"]}
    # What waits is of the profiles, and not of the devices that hide theirs.
    left = differs(late=frozenset(("w",))).without_late()
    assert left.after == {key: value for key, value in differs().after.items() if key != "profiles"}
    assert differs().without_late() == differs()


def test_the_note_goes_with_the_devices_around_a_stop() -> None:
    first, last = around_stop(differs(), late=True)
    assert first.after == {"config": {"user.a": "1"}}
    assert last.after["config"] == {RELEASED: None}
    assert last.after["devices"] == {"eth0": None, "v": None}
    first, last = around_stop(differs(), late=False)
    assert (first.after, last.after) == (differs().after, {})


def test_a_declared_device_is_as_if_nothing_had_hidden_that_of_the_profiles() -> None:
    seen = running_host()
    found = seen.instance
    assert found is not None
    hiding = {"eth0": {"type": "nic", "network": "incusbr0", "mtu": "1400"}}
    config = {**found.config, RELEASED: note_of(hiding)}
    seen = with_instance(seen, devices={**found.devices, **hiding}, config=config)
    assert seen.instance is not None
    web = declared(system=found.running_system, devices={"eth0": {"hwaddr": "10:66:6a:00:00:01"}})
    wanted = {"type": "nic", "network": "incusbr0", "hwaddr": "10:66:6a:00:00:01"}
    assert change(web, seen.instance, seen).after == {"config": {RELEASED: None}, "devices": {"eth0": wanted}}
    # What is there already is no change.
    web = declared(system=found.running_system, devices={"eth0": {"mtu": 1400}})
    assert change(web, seen.instance, seen).after == {"config": {RELEASED: None}}
