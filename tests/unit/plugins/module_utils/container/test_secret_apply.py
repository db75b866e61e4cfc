# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.secret_apply import (
    Unit,
    chosen,
    due_of,
    ids_before,
    units_from,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.secret_inside import _entries
from ansible_collections.inx.fleet.plugins.module_utils.container.secrets import Due, Secret
from ansible_collections.inx.fleet.plugins.module_utils.nix.accounts import Account

ANSWER = """Id=app.service
LoadState=loaded
ActiveState=active
InactiveExitTimestampMonotonic=120

Id=nosuch.service
LoadState=not-found
ActiveState=inactive
InactiveExitTimestampMonotonic=0
"""


def test_units_are_read_in_the_order_in_which_they_were_asked_for() -> None:
    app, other = units_from(ANSWER, ["alias.service", "nosuch.service"])
    assert app == Unit(name="alias.service", is_known=True, state="active", started=120)
    assert not other.is_known
    assert units_from("", ["a.service"]) == [Unit(name="a.service", is_known=False, state="", started=0)]


@pytest.mark.parametrize(
    ("state", "started", "reload", "right"),
    [
        ("active", 10, False, "restart"),
        ("active", 10, True, "reload"),
        ("failed", 10, True, "restart"),
        ("activating", 10, False, "restart"),
        # The switch has started it since.
        ("active", 30, False, ""),
        # Somebody has stopped it.
        ("inactive", 10, False, ""),
    ],
)
def test_a_unit_is_restarted_unless_it_rests_or_has_started_since(
    state: str, started: int, reload: bool, right: str
) -> None:
    unit = Unit(name="app.service", is_known=True, state=state, started=started)
    restarts, reloads = chosen([unit], {"app.service": Due(since=20, reload=reload)})
    assert (restarts, reloads) == (["app.service"] * (right == "restart"), ["app.service"] * (right == "reload"))


def test_one_secret_that_restarts_is_enough() -> None:
    secret = Secret(name="a", content=b"a", units=("x", "y"), reload=True)
    due = due_of([secret, Secret(name="b", content=b"b", units=("y",)), secret], 5)
    assert due == {"x": Due(since=5, reload=True), "y": Due(since=5, reload=False)}


def test_an_id_to_come_is_not_that_of_somebody_else_before() -> None:
    coming: dict[Account, int] = {("user", "new"): 5, ("group", "new"): 6, ("user", "app"): 7}
    now: dict[Account, int] = {("user", "other"): 5, ("user", "app"): 8, ("user", "six"): 6}
    assert ids_before(coming, now) == {**now, ("group", "new"): 6}
    assert ids_before(coming, {}) == coming


def test_ids_are_read_from_what_a_container_says() -> None:
    text = b"root:x:0:0::/root:/bin/sh\napp:x:7:8::/:\n\xff:x:1:\napp:x:9:\nbad:x:\nworse\n:x:3:\nlong:x:\xc2\xb2:\n"
    assert dict(_entries(text)) == {"root": 0, "app": 7, "\ufffd": 1}
