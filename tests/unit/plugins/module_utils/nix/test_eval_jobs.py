# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nix-eval-jobs, by its own documentation and source (2.33): the project's hosts do not have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.nix.eval_jobs import (
    eval_jobs_command,
    evaluate_jobs,
    jobs_arguments,
    systems_from,
)
from ansible_collections.inx.fleet.plugins.module_utils.nix.process import NixCommand
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import NixOptions, System

A, B = (f"/nix/store/{letter * 32}-nixos-system" for letter in "ab")
# As its README has it.
PRINTED = f"""{{"attr":"web","attrPath":["web"],"drvPath":"{A}.drv","name":"x","outputs":{{"out":"{A}"}},"system":"x"}}
{{"attr":"db","attrPath":["db"],"error":"error: db is bad"}}
{{"attr":"web.x","attrPath":["web","x"],"drvPath":"{B}.drv","outputs":{{"out":"{B}"}}}}
{{"attr":"other","attrPath":["other"],"drvPath":"{B}.drv","outputs":{{"out":"{B}"}}}}
{{"attr":"ca","attrPath":["ca"],"drvPath":"{B}.drv","outputs":{{"out":null}}}}
warning: something
"""


def test_what_it_evaluated_counts_and_nothing_else() -> None:
    assert systems_from(PRINTED, ["web", "db", "ca"]) == {"web": System(path=A, derivation=f"{A}.drv")}


def test_what_it_is_asked() -> None:
    options = NixOptions(override_inputs=(("nixpkgs", "path:/x"),), accept_flake_config=True)
    asked = jobs_arguments("github:o/r/rev", ["web", "db"], options, 2 * 2**30, 4)
    assert asked[-1] == "github:o/r/rev#nixosConfigurations"
    assert asked[:4] == ["--workers", "4", "--max-memory-size", "2048"]
    assert asked[asked.index("--override-input") :][:3] == ["--override-input", "nixpkgs", "path:/x"]
    select = asked[asked.index("--select") + 1]
    assert select.count("config.system.build.toplevel") == 2
    assert '"db" = systems."db"' in select


@pytest.mark.parametrize("script", ["exit 1", "kill -9 $$", "echo '{'"])
def test_one_that_fails_is_not_missed(tmp_path: Path, script: str) -> None:
    """nix evaluates then (simulated)."""
    (tmp_path / "nix-eval-jobs").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (tmp_path / "nix-eval-jobs").chmod(0o755)
    jobs = NixCommand(command=str(tmp_path / "nix-eval-jobs"))
    assert evaluate_jobs(jobs, "path:/a", ["web"], NixOptions(), limit=2**30, processors=2) == {}


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert eval_jobs_command(f"{tmp_path}/nix") is None
    (tmp_path / "nix-eval-jobs").write_text("", encoding="utf-8")
    assert eval_jobs_command(f"{tmp_path}/nix") is None
    (tmp_path / "nix-eval-jobs").chmod(0o755)
    assert eval_jobs_command(f"{tmp_path}/nix") == f"{tmp_path}/nix-eval-jobs"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert eval_jobs_command("/nowhere/nix") == f"{tmp_path}/nix-eval-jobs"
