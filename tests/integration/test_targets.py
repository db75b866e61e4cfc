# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every integration target, against real Incus and real Nix on lab hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inx.fleet.tests.integration.lab_targets import Case, RunError, cases, journal, run_target


def _parameter(case: Case) -> object:
    # Those that share a host must not run at the same time.
    group = case.label if case.target.has_own_hosts else case.incus
    return pytest.param(case, id=case.label, marks=pytest.mark.xdist_group(group))


@pytest.mark.parametrize("case", [_parameter(case) for case in cases()])
def test_target(case: Case, lab_hosts: list[str], tmp_path: Path) -> None:
    said = ""
    try:
        run_target(case, lab_hosts, tmp_path)
    except RunError as error:
        said = str(error)
    if said:
        pytest.fail("\n".join([said, *(journal(name) for name in lab_hosts)]), pytrace=False)
