# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.progress.events import (
    Ended,
    Events,
    Healthy,
    Planned,
    PlannedSteps,
    SecretsMet,
    StepBegan,
    StepEnded,
)
from ansible_collections.inx.fleet.plugins.module_utils.runlogs import writer
from ansible_collections.inx.fleet.plugins.module_utils.runlogs.reading import last_runs
from ansible_collections.inx.fleet.plugins.module_utils.runlogs.records import Run, line
from ansible_collections.inx.fleet.plugins.module_utils.runlogs.writer import RunLog

UPDATE = {"action": "update", "summary": "web: update description", "before": {}, "after": {"description": "new"}}
PLANNED = PlannedSteps(name="web", steps=(UPDATE,))
WEB = {"name": "web", "steps": [UPDATE], "error": None}


def run_log(
    directory: Path, module: str = "inx_containers", project: str = "default", secrets: Collection[str] = ()
) -> RunLog:
    return RunLog(module, project, lambda: secrets, str(directory / "logs"))


def records(log: RunLog) -> list[dict[str, Any]]:
    assert log.path is not None
    return [json.loads(text) for text in Path(log.path).read_text(encoding="utf-8").splitlines()]


def whole_run(directory: Path, project: str = "default", error: str | None = None) -> RunLog:
    """Write the log of a run that updates one container."""
    log = run_log(directory, project=project)
    log(PLANNED)
    with Events(log).step("web", "update", "web: update description"):
        pass
    log.end({"changed": True, "containers": [{**WEB, "error": error}]}, error or "", failed=error is not None)
    return log


def last(directory: Path, name: str, most: int = 1) -> list[Run]:
    return last_runs([name], most, directory=str(directory / "logs")).get(name, [])


def test_a_run_has_its_plan_its_steps_and_its_end(tmp_path: Path) -> None:
    log = whole_run(tmp_path)
    assert [(one["event"], one.get("container")) for one in records(log)] == [
        ("run", None),
        ("plan", "web"),
        ("began", "web"),
        ("ended", "web"),
        ("end", None),
    ]
    assert records(log)[1]["steps"] == [UPDATE]
    assert records(log)[-1]["containers"] == {"web": {"did": ["update description"], "error": None}}
    (run,) = last(tmp_path, "web")
    assert (run.module, run.did) == ("inx_containers", ("update description",))
    assert (run.failed, run.is_finished, run.log) == (False, True, log.path)


def test_only_root_can_read_it(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o755)
    log = whole_run(tmp_path)
    assert log.path is not None
    assert stat.S_IMODE(os.stat(tmp_path / "logs").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(log.path).st_mode) == 0o600


@pytest.mark.parametrize("events", [(), (Planned(names=()),), (Healthy(name="web", seconds=1.0), Ended(name="web"))])
def test_a_run_that_changes_nothing_has_none(tmp_path: Path, events: Collection[Any]) -> None:
    log = run_log(tmp_path)
    for event in events:
        log(event)
    assert log.end({"changed": False, "containers": [{**WEB, "steps": []}]}, "", failed=False) is None
    assert not (tmp_path / "logs").exists()


def test_a_run_that_fails_has_all_that_was_said(tmp_path: Path) -> None:
    log = run_log(tmp_path)
    log(Ended(name="web", problem="It failed:\nerror: no", output={"nix": "line\n" * 1000}))
    path = log.end({"containers": [{**WEB, "steps": [], "error": "It failed:\nerror: no"}]}, "It failed", failed=True)
    assert path == log.path
    assert records(log)[1]["output"] == {"nix": "line\n" * 1000}
    (run,) = last(tmp_path, "web")
    assert run.failed and run.error == "It failed:\nerror: no"


def test_what_two_containers_have_in_common_is_written_once(tmp_path: Path) -> None:
    log = run_log(tmp_path)
    for name in ("web", "db"):
        log(Ended(name=name, problem="no", output={"nix": "the whole log"}))
    assert [one["output"] for one in records(log)[1:]] == [
        {"nix": "the whole log"},
        {"nix": "The same as that of web."},
    ]


def test_a_run_that_was_killed_has_a_log_as_far_as_it_came(tmp_path: Path) -> None:
    log = run_log(tmp_path)
    log(PLANNED)
    log(StepBegan(name="web", action="update", summary="web: update description"))
    (run,) = last(tmp_path, "web")
    assert (run.is_finished, run.failed) == (False, False)
    assert log._file is not None
    os.close(log._file)
    (run,) = last(tmp_path, "web")
    assert (run.is_finished, run.failed, run.did) == (False, True, ("update description",))
    # Its last line may be cut.
    assert log.path is not None
    text = Path(log.path).read_text(encoding="utf-8")
    Path(log.path).write_text(text[:-5], encoding="utf-8")
    (run,) = last(tmp_path, "/inx_containers")
    assert (run.is_finished, run.failed) == (False, True)


def test_runs_are_known_by_project_and_container_and_others_by_their_module(tmp_path: Path) -> None:
    first, second = whole_run(tmp_path), whole_run(tmp_path, project="other", error="no")
    host = run_log(tmp_path, "inx_host")
    host.end({"changed": True, "steps": [{"summary": "write a file"}]}, "", failed=False)
    assert [run.log for run in last(tmp_path, "web", most=5)] == [first.path]
    assert [(run.log, run.error) for run in last(tmp_path, "other_web")] == [(second.path, "no")]
    assert [run.did for run in last(tmp_path, "/inx_host")] == [("write a file",)]
    assert last_runs(["web"], directory=str(tmp_path / "logs"), but=first.path) == {}


@pytest.mark.parametrize(
    ("module", "result", "did"),
    [
        ("inx_generations", {"removed": [{"path": "/a"}], "pruned": []}, "remove /a"),
        ("inx_gcroots_command", {"removed": ["/a"], "written": []}, "remove /a"),
        (
            "inx_system",
            {"systems": {"web": "/nix/store/a"}, "containers": [{"name": "web"}]},
            "build /nix/store/a for web",
        ),
        (
            "inx_gcroot",
            {"changes": [{"action": "add", "container": "web", "path": "/r"}], "containers": 1},
            "add web:/r",
        ),
    ],
)
def test_what_each_module_did_is_told(module: str, result: Any, did: str, tmp_path: Path) -> None:
    run_log(tmp_path, module).end({"changed": True, **result}, "", failed=False)
    assert [run.did for run in last(tmp_path, f"/{module}")] == [(did,)]


def test_the_newest_logs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_FILES", 3)
    going_on = run_log(tmp_path)
    going_on(StepBegan(name="db", action="start", summary="db: start"))
    (tmp_path / "logs" / "note").touch()
    logs = [whole_run(tmp_path) for _number in range(6)]
    kept = {str(path) for path in (tmp_path / "logs").iterdir()}
    assert kept == {going_on.path, str(tmp_path / "logs" / "note"), *(log.path for log in logs[-3:])}
    monkeypatch.setattr(writer, "MOST_BYTES", 1)
    newest = whole_run(tmp_path)
    assert {str(path) for path in (tmp_path / "logs").glob("*.jsonl")} == {going_on.path, newest.path}


def test_a_log_that_cannot_be_written_changes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    log = whole_run(tmp_path)
    assert log.path is None
    assert log.problem is not None and "could not be written" in log.problem


SECRET = st.text(st.characters(exclude_categories=[], exclude_characters="*"), min_size=8, max_size=40)


@given(SECRET, SECRET, st.text(st.characters(exclude_categories=[]), max_size=30))
def test_no_secret_is_ever_written(declared: str, stored: str, text: str) -> None:
    around = f"{text}{declared}{text}{stored}\n| {text}"
    record = {
        "event": "done",
        "container": "web",
        "error": around,
        "output": {"nix": json.dumps([around]), "more": [{"config": {"environment.TOKEN": declared}}]},
    }
    said = json.loads(line(record, [declared, stored]))
    for found in _texts({key: said[key] for key in ("error", "output")}):
        assert declared not in found
        assert stored not in found


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for entry in value.values() for text in _texts(entry)]
    if isinstance(value, list):
        return [text for entry in value for text in _texts(entry)]
    return [value]


@given(st.text(st.characters(exclude_categories=[]), max_size=60))
def test_a_terminal_can_be_shown_a_log(text: str) -> None:
    said = line({"event": "done", "error": text, "output": {text: text}}, [])
    assert said.endswith("\n") and said[:-1].replace("\t", "").isprintable()
    assert isinstance(json.loads(said), dict)


def test_secrets_that_are_met_and_credentials_of_urls_are_hidden(tmp_path: Path) -> None:
    log = run_log(tmp_path, secrets={"declared-secret"})
    log(SecretsMet(values=frozenset({"first line of it\nsecond line of it"})))
    output = "declared-secret | second line of it https://user:token@example.org/ sec\x1b[0mond line of it"
    log(Ended(name="web", problem="no", output={"nix": output}))
    (said,) = records(log)[1]["output"].values()
    assert said == "******** | ******** https://user:********@example.org/ ********"


def test_a_step_that_fails_says_why(tmp_path: Path) -> None:
    log = run_log(tmp_path)
    log(StepEnded(name="web", action="start", summary="web: start", seconds=1.23456, problem="no"))
    assert (records(log)[1]["seconds"], records(log)[1]["error"]) == (1.235, "no")
