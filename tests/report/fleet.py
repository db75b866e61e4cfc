# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet as the roles and modules describe it in check mode, with each thing that a report can show."""

from __future__ import annotations

from typing import Any

from ansible_collections.inx.fleet.plugins.filter.drift import drift
from ansible_collections.inx.fleet.plugins.filter.report_page import report_page

OLD = "/nix/store/8ka1hnlf06z3ajwdjs3sz5yqwncavs5l-nixos-system-web-25.11"
NEW = "/nix/store/3pzlws8d96cd596i29yy8wnncc6q7xlh-nixos-system-web-26.05"
ABOUT = {"Made": "2026-11-30 06:00 UTC", "Inventory": "fleet.yml", "Limit": ""}


def page() -> str:
    """Return the page of the fleet."""
    return report_page(report(), ABOUT)


def report() -> dict[str, Any]:
    """Return the report on the fleet."""
    return drift(list(HOSTS), HOSTS)


def container(name: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return what inx_containers returns for a container."""
    system = OLD.replace("web", name.partition("-")[0])
    return {
        "name": name,
        "changed": bool(steps),
        "failed": False,
        "error": None,
        "status": "Running",
        "system": system,
        "running_system": system,
        "generation": 4,
        "steps": list(steps),
        "units": {},
        "packages": [],
        "restart_required": False,
        **more,
    }


def step(action: str, summary: str, before: Any, after: Any) -> dict[str, Any]:
    """Return a step as the modules return it."""
    return {"action": action, "summary": summary, "before": before, "after": after}


def seen(name: str, **more: Any) -> dict[str, Any]:
    """Return what inx_container_info returns for a container."""
    system = OLD.replace("web", name.partition("-")[0])
    return {
        "name": name,
        "address": "10.166.11.20",
        "tags": [],
        "disk": {"root": 212_860_928},
        "health": {"state": "healthy"},
        "restart_required_since": None,
        "roots": {"number": 3},
        "problems": [],
        "runs": [
            {
                "time": "2026-11-23T10:15:04.123Z",
                "module": "inx_containers",
                "finished": True,
                "failed": False,
                "did": ["generation 3 → 4", "restart nginx.service"],
                "error": None,
                "log": "/var/log/inx-fleet/4.json",
            },
        ],
        "generations": [
            {"number": 3, "system": system.replace("8ka", "1bc"), "date": "2026-11-02T08:30:00Z", "current": False},
            {"number": 4, "system": system, "date": "2026-11-23T10:15:00Z", "current": True},
        ],
        **more,
    }


_UPDATE = (
    step("build", f"web-1: build {NEW}", {}, {"system": NEW}),
    step(
        "update",
        "web-1: update config limits.memory",
        {"config": {"limits.memory": "1GiB"}},
        {"config": {"limits.memory": "2GiB"}},
    ),
    step(
        "record",
        f"web-1: record {NEW} as its system",
        {"generation": 4, "system": OLD},
        {"generation": 5, "system": NEW},
    ),
    step("activate", f"web-1: switch to {NEW}", {"running_system": OLD}, {"running_system": NEW}),
)
HOSTS: dict[str, dict[str, Any]] = {
    "metal1": {
        "inx_host_run": {"steps": []},
        "__inx_run": {
            "containers": [
                container(
                    "web-1",
                    *_UPDATE,
                    packages=["nginx: 1.28.0 → 1.29.3", "openssl: 3.5.1 → 3.5.4"],
                    units={"restarted": ["nginx.service"]},
                    last_run={"time": "2026-11-23T10:15:04.123Z", "finished": True, "failed": False},
                ),
                container("web-2"),
                container("cache", restart_required=True),
                container("mail", running_system=None, status="Stopped"),
            ]
        },
        "__inx_seen": {
            "storage": {
                "pools": [{"name": "default", "used": 38_654_705_664, "total": 107_374_182_400}],
                "store": {"used": 38_654_705_664, "total": 107_374_182_400},
            },
            "containers": [
                seen("web-1", tags=["canary"]),
                seen("web-2", disk={}),
                seen("cache", restart_required_since="2026-11-28T17:05:00.123456Z"),
                seen("mail", health={"state": "stopped"}, address=None),
            ],
        },
    },
    "metal2": {
        "inx_host_run": {
            "steps": [
                step(
                    "settings",
                    "write the settings of Nix to /etc/nix/inx-fleet.conf",
                    {"/etc/nix/inx-fleet.conf": "max-jobs = 2\nsandbox = true\n"},
                    {"/etc/nix/inx-fleet.conf": "max-jobs = 8\nsandbox = true\n"},
                )
            ]
        },
        "__inx_run": {
            "containers": [
                container("db-1"),
                container(
                    "db-2",
                    failed=True,
                    error="db-2: The storage pool 'fast' does not exist.",
                ),
            ]
        },
        "__inx_error": "1 of 2 containers failed",
        "__inx_seen": {
            "storage": {
                "pools": [{"name": "default", "used": None, "total": None}],
                "store": {"used": 221_190_815_744, "total": 240_518_168_576},
            },
            "containers": [
                seen(
                    "db-1",
                    health={"state": "unhealthy"},
                    problems=["it does not report which system it runs"],
                ),
            ],
        },
    },
    "metal3": {"__inx_reached": {"unreachable": True}},
}
