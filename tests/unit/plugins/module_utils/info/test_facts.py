# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container.raw_lxc import INIT_LINE
from ansible_collections.inx.fleet.plugins.module_utils.container.secret_device import guard_lines
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance, instance_from
from ansible_collections.inx.fleet.plugins.module_utils.incus.volume_list import MadeVolume
from ansible_collections.inx.fleet.plugins.module_utils.info.facts import ROOTS_SHOWN, Seen, container_info, problems
from ansible_collections.inx.fleet.plugins.module_utils.info.volatile_files import VolatileFiles
from ansible_collections.inx.fleet.plugins.module_utils.info.volumes import Unused
from ansible_collections.inx.fleet.plugins.module_utils.nix.profiles import Generations
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import (
    ACTIVATING,
    FAILED,
    HEALTHY,
    RESTART,
    SET,
    TAGS,
)
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import NEW, OLD

OWN = "/nix/var/nix/profiles/inx-container/web"
WEB = Instance(
    name="web",
    status="Running",
    config={"raw.lxc": INIT_LINE},
    devices={"nixprofiles": {"type": "disk", "source": OWN, "path": "/nix/var/nix/profiles"}},
    expanded_devices={"nixstore": {"type": "disk", "path": "/nix/store"}},
    running_system=NEW,
    last_started="2026-11-23T10:00:00Z",
)
TWO = Generations(paths={1: OLD, 2: NEW}, current=2, made={1: 0.0, 2: 86400.9})
SEEN = Seen(instance=WEB, generations=TWO, roots={})


def seen(**changes: Any) -> Seen:
    """What is as it should be, but for some of the instance."""
    return replace(SEEN, instance=replace(WEB, **changes))


def noted(**notes: str) -> Seen:
    """The same with what is remembered of it, and what is noted in its configuration."""
    names = {"activating": ACTIVATING, "healthy": HEALTHY, "failed": FAILED, "restart": RESTART}
    own = {"set": SET, "tags": TAGS}
    return seen(
        config={**WEB.config, **{own[name]: value for name, value in notes.items() if name in own}},
        notes={names[name]: value for name, value in notes.items() if name in names},
    )


STOPPED = {"status": "Stopped", "running_system": None}


@pytest.mark.parametrize(
    "fine",
    [
        SEEN,
        seen(**STOPPED),
        seen(**STOPPED, notes={ACTIVATING: NEW}),
        noted(failed=OLD),
        replace(SEEN, generations=None, roots=None),
    ],
)
def test_what_is_as_it_should_be_has_no_problems(fine: Seen) -> None:
    assert list(problems(fine)) == []


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (seen(running_system=OLD), f"it runs {OLD}, and its profile leads to {NEW}"),
        (seen(running_system=None), "it does not report which system it runs"),
        (noted(activating=NEW), f"the activation of {NEW} failed or is in progress"),
        (noted(failed=f"{OLD} {NEW}"), f"its profile leads to {NEW}, which was found unhealthy"),
        (replace(SEEN, generations=Generations(paths={1: NEW})), "its profile leads to no system"),
        (replace(SEEN, generations=Generations(directory=False)), "its profile leads to no system"),
        (replace(SEEN, is_kept=False), "which is not in the store"),
        (seen(config={}), "raw.lxc lacks the line 'lxc.init.cmd=/nix/var/nix/profiles/system/init'"),
        (seen(devices={}), f"the device 'nixprofiles' that shares {OWN} is missing"),
        (seen(project="shop"), f"the device 'nixprofiles' shares {OWN}, not {OWN.replace('web', 'shop_web')}"),
        (seen(devices={**WEB.devices, "inx-secrets": {"source": "/run/inx-fleet/secrets/db"}}), "it sees its secrets"),
        (
            seen(
                config={"raw.lxc": f"{guard_lines((1,), 'default', 'db', {})[0]}\n{INIT_LINE}"},
                devices={**WEB.devices, "inx-secrets": {"source": "/run/inx-fleet/secrets/db"}},
            ),
            "it sees an empty directory",
        ),
        (seen(expanded_devices={}), "nothing shares /nix/store with it"),
    ],
)
def test_each_problem_is_told_alone(found: Seen, text: str) -> None:
    (told,) = problems(found)
    assert text in told


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (noted(healthy=NEW), "healthy"),
        (noted(healthy=OLD), "unchecked"),
        (SEEN, "unchecked"),
        (seen(running_system=None), "unchecked"),
        (noted(healthy=OLD, failed=NEW), "unhealthy"),
        (noted(healthy=NEW, activating=NEW), "unfinished"),
        (seen(**STOPPED, notes={HEALTHY: NEW}), "stopped"),
    ],
)
def test_health_in_a_word(found: Seen, state: str) -> None:
    assert container_info(found)["health"]["state"] == state


def test_the_notes_are_told() -> None:
    info = container_info(noted(set="main", tags="canary,shop", failed=f"{OLD} {NEW}", healthy=OLD))
    assert info["set"] == "main"
    assert info["tags"] == ["canary", "shop"]
    assert info["health"]["failed_systems"] == [OLD, NEW]
    assert (info["health"]["healthy_system"], info["health"]["activating"]) == (OLD, None)


@pytest.mark.parametrize(
    ("since", "pending"), [("2026-11-23T10:00:01.000000Z", True), ("2026-11-23T09:00:00.000000Z", False)]
)
def test_a_restart_that_was_done_is_not_required(since: str, pending: bool) -> None:
    info = container_info(noted(restart=since))
    assert info["restart_required"] == pending
    assert info["restart_required_since"] == (since if pending else None)


def test_generations_have_dates_and_what_changed() -> None:
    first, second = container_info(SEEN, {(OLD, NEW): ("hello: 1 → 2",)})["generations"]
    assert first == {
        "number": 1,
        "system": OLD,
        "revision": None,
        "date": "1970-01-01T00:00:00Z",
        "current": False,
        "packages": None,
    }
    assert second == {
        "number": 2,
        "system": NEW,
        "revision": None,
        "date": "1970-01-02T00:00:00Z",
        "current": True,
        "packages": ["hello: 1 → 2"],
    }


def test_packages_are_null_unless_asked_for() -> None:
    assert [entry["packages"] for entry in container_info(SEEN)["generations"]] == [None, None]


def test_what_cannot_be_read_is_null() -> None:
    info = container_info(replace(SEEN, generations=None, roots=None))
    assert (info["generations"], info["generation"], info["system"], info["roots"]) == (None, None, None, None)


def test_volumes_and_files_are_told_as_far_as_they_are_known() -> None:
    info = container_info(replace(SEEN, volumes=None))
    assert (info["unused_volumes"], info["volatile_files"]) == (None, None)
    made = MadeVolume(pool="fast", name="web_srv", project="default", container="web", path="/srv")
    files = VolatileFiles(number=1, bytes=4096, paths=("/etc/left",), complete=True)
    info = container_info(replace(SEEN, volumes=(Unused(volume=made, used=5),), files=files))
    assert info["unused_volumes"] == [{"pool": "fast", "name": "web_srv", "path": "/srv", "location": None, "used": 5}]
    assert info["volatile_files"] == {"number": 1, "bytes": 4096, "paths": ["/etc/left"], "complete": True}
    # A volume stays when its path is no longer declared, on purpose.
    assert info["problems"] == []


def test_roots_are_counted_and_the_first_ones_shown_as_a_terminal_may_have_them() -> None:
    roots = {f"/{number:04}\x1b": OLD for number in reversed(range(ROOTS_SHOWN + 1))}
    told = container_info(replace(SEEN, roots=roots))["roots"]
    assert (told["number"], len(told["links"])) == (ROOTS_SHOWN + 1, ROOTS_SHOWN)
    assert told["links"][0] == {"path": "/0000\\x1b", "target": OLD}


def test_an_instance_is_read_as_incus_tells_it() -> None:
    state = {
        "pid": 7,
        "disk": {"root": {"usage": 4096, "total": 0}, "data": {"usage": 0}, "other": {"usage": -1}},
        "network": {"eth0": {"addresses": [{"address": "10.0.0.2", "scope": "global"}]}, "lo": {"addresses": None}},
    }
    there = {"name": "web", "project": "shop", "location": "m1", "last_used_at": "x", "state": state}
    read = instance_from({**there, "expanded_devices": {"eth0": {"type": "nic", "name": "eth0"}}})
    assert (read.project, read.location, read.last_started, read.disk) == ("shop", "m1", "x", {"root": 4096})
    assert read.addresses == {"eth0": ("10.0.0.2",)}


def test_snapshots_are_told_with_the_generation_that_wrote_the_data() -> None:
    kept = {"type": "disk", "pool": "fast", "source": "web_data", "path": "/data"}
    entry = {"created_at": "2026-11-30T10:15:02.5Z", "size": -1, "devices": {"inx-persist-data": kept}}
    named = [{**entry, "name": "inx-4-20261130T101502Z"}, {**entry, "name": "mine", "size": 5}]
    found = container_info(seen(snapshots=instance_from({"name": "web", "snapshots": named}).snapshots))["snapshots"]
    assert [(one["name"], one["generation"], one["size"], one["volumes"]) for one in found] == [
        ("inx-4-20261130T101502Z", 4, None, ["fast/web_data"]),
        ("mine", None, 5, []),
    ]


def test_sets_of_volumes_are_told_where_each_start_empties_the_root() -> None:
    taken = {
        ("fast", "web_a"): {"inx-2-20261130T101502Z": "2026-11-30T10:15:03Z", "mine": "2026-11-30T09:00:00Z"},
        ("fast", "web_b"): {"inx-2-20261130T101502Z": "2026-11-30T10:15:02Z", "inx-3-20261130T111502Z": "later"},
    }
    found = container_info(replace(SEEN, volume_snapshots=taken))["snapshots"]
    assert [(one["name"], one["generation"], one["created"], one["volumes"]) for one in found] == [
        ("inx-2-20261130T101502Z", 2, "2026-11-30T10:15:02Z", ["fast/web_a", "fast/web_b"]),
        ("inx-3-20261130T111502Z", 3, "later", ["fast/web_b"]),
    ]
