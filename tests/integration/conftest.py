# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lab hosts for the integration targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.tests.integration.faults import REPORT, rows, table
from ansible_collections.inx.fleet.tests.integration.lab_targets import (
    KEEP_HOSTS,
    RUN,
    Case,
    RunError,
    bring_up,
    create_pools,
    install_fixtures,
    provision,
    remove_left_hosts,
    remove_old_logs,
    shared_pools,
    throw_away,
)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Once for a run, and not in each of its workers."""
    if not hasattr(session.config, "workerinput"):
        remove_left_hosts()
        remove_old_logs()
        REPORT.unlink(missing_ok=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of the faults that were tried; the rows stay in the cache."""
    found = rows()
    if found:
        terminalreporter.section("faults")
        for line in table(found):
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"The rows are in {REPORT}.")


@dataclass(kw_only=True)
class SharedHost:
    """The host of an Incus version; ``problem`` says why it could not be made."""

    name: str
    fixtures: set[str] = field(default_factory=set)
    problem: str | None = None


@pytest.fixture(scope="session")
def shared_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Case], str]]:
    """A function that gives the host that all targets of a version share, made when the first one asks."""
    hosts: dict[str, SharedHost] = {}

    def give(case: Case) -> str:
        if case.incus not in hosts:
            hosts[case.incus] = SharedHost(name=f"{RUN}-incus-{case.incus.replace('.', '-')}")
            _make(hosts[case.incus], case, tmp_path_factory.mktemp("provision"))
        host = hosts[case.incus]
        if host.problem is not None:
            raise RunError(f"{host.name} could not be made:\n{host.problem}")
        missing = [name for name in case.target.fixtures if name not in host.fixtures]
        install_fixtures(host.name, missing)
        host.fixtures.update(missing)
        return host.name

    try:
        yield give
    finally:
        if hosts and not KEEP_HOSTS:
            throw_away(*(host.name for host in hosts.values()))


def _make(host: SharedHost, case: Case, directory: Path) -> None:
    pools = shared_pools(case.incus)
    try:
        bring_up(host.name, f"incus-{case.incus}", pools)
        provision([host.name], case.incus, directory)
        create_pools(host.name, pools)
    except RunError as error:
        host.problem = str(error)


@pytest.fixture
def lab_hosts(case: Case, shared_host: Callable[[Case], str], tmp_path: Path) -> Iterator[list[str]]:
    """The names of the hosts that a case runs on, ready for it."""
    if not case.target.has_own_hosts:
        yield [shared_host(case)]
        return
    names = case.own_hosts
    try:
        for name, image in zip(names, case.own_images, strict=True):
            bring_up(name, image, case.target.pools)
        if case.target.provision:
            provision(names, case.incus, tmp_path)
        for name in names:
            if case.target.provision:
                create_pools(name, case.target.pools)
            install_fixtures(name, case.target.fixtures)
        yield names
    finally:
        if not KEEP_HOSTS:
            throw_away(*names)
