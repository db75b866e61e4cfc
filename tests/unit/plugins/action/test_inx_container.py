# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.plugins.shell.sh import ShellModule

from ansible_collections.inx.fleet.plugins.action import inx_container
from ansible_collections.inx.fleet.plugins.action.inx_container import ActionModule
from ansible_collections.inx.fleet.plugins.module_utils.progress.file import PROGRESS_DIR, RUN_VARIABLE

VARIABLES = {"inventory_hostname": "host-1", "ansible_play_batch": ["host-1", "host-2"]}


class Followed:
    """Stands for what shows the progress, and notes what it was given."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.shows: Any = None

    @contextmanager
    def __call__(self, look: Any, show: Any, _pace: Any) -> Any:
        found = re.fullmatch(rf"cat {PROGRESS_DIR}/\*\.([0-9a-f]+) 2> /dev/null", look())
        assert found is not None
        self.runs.append(found[1])
        self.shows = show
        yield


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Followed:
    stands = Followed()
    monkeypatch.setattr(inx_container, "followed", stands)
    # Stands for the host: it says what it is asked, and by which connection.
    monkeypatch.setattr(Normal, "_low_level_execute_command", lambda self, text: {"stdout": self._connection.ask(text)})
    return stands


@pytest.fixture(autouse=True)
def no_kept_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inx_container, "kept_between_runs", lambda _module: nullcontext())


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the environments that modules were run with."""
    given: list[str] = []

    def run(self: ActionModule, _tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        given.append(self._compute_environment_string())
        return {"changed": False}

    monkeypatch.setattr(Normal, "run", run)
    return given


def action(name: str = "inx.fleet.inx_containers", **keys: Any) -> ActionModule:
    task = SimpleNamespace(
        **{
            "action": name,
            "async_val": 0,
            "delegate_to": None,
            "environment": None,
            "no_log": False,
            "_role": None,
            **keys,
        }
    )
    return ActionModule(
        task=task,
        connection=SimpleNamespace(_shell=ShellModule(), become=None, ask=str),
        play_context=None,
        loader=None,
        templar=SimpleNamespace(template=lambda value: value),
        shared_loader_obj=None,
    )


@pytest.mark.parametrize("name", ["inx_containers", "inx.fleet.inx_container", "inx.fleet.inx_host"])
def test_module_and_reader_have_the_same_name_of_the_run(name: str, followed: Followed, environment: list[str]) -> None:
    assert action(name).run(None, VARIABLES) == {"changed": False}
    (run,) = followed.runs
    assert environment == [f"{RUN_VARIABLE}={run}"]


def test_each_run_has_a_name_of_its_own(followed: Followed, environment: list[str]) -> None:
    action().run(None, VARIABLES)
    action().run(None, VARIABLES)
    assert len(set(followed.runs)) == len(set(environment)) == 2


def test_environment_of_the_task_is_kept(followed: Followed, environment: list[str]) -> None:
    action(environment=[{"HTTPS_PROXY": "http://proxy:8080"}]).run(None, VARIABLES)
    assert environment == [f"{RUN_VARIABLE}={followed.runs[0]} HTTPS_PROXY=http://proxy:8080"]


@pytest.mark.parametrize(
    ("name", "keys", "variables"),
    [
        ("inx_containers", {}, {"inx_progress": False}),
        ("inx_containers", {}, {"inx_progress": "no"}),
        ("inx_containers", {"async_val": 60}, {}),
        ("inx_containers", {"no_log": True}, {}),
        ("inx_container_info", {}, {}),
    ],
)
def test_progress_is_not_shown(
    name: str, keys: Any, variables: Any, followed: Followed, environment: list[str]
) -> None:
    assert action(name, **keys).run(None, {**VARIABLES, **variables}) == {"changed": False}
    assert followed.runs == []
    assert environment == [""]


@pytest.mark.parametrize(
    ("delegate_to", "label"), [(None, "[host-1]"), ("host-1", "[host-1]"), ("builder", "[host-1 -> builder]")]
)
def test_line_says_which_host(
    delegate_to: Any, label: str, followed: Followed, environment: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    action(delegate_to=delegate_to).run(None, VARIABLES)
    followed.shows("1 of 2 done")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"{label} 1 of 2 done\n")


@pytest.mark.parametrize("role", ["inx.fleet.host", "inx.fleet.containers", "other.fleet.host", None])
def test_misspelled_variables_are_refused_in_our_roles(role: str | None, environment: list[str]) -> None:
    task = action(_role=None if role is None else SimpleNamespace(get_name=lambda: role))
    variables = {**VARIABLES, "inx_progress": False, "inx_container": []}
    if role is None or not role.startswith("inx."):
        assert task.run(None, variables) == {"changed": False}
        return
    with pytest.raises(AnsibleActionFail, match=r"Unknown variable inx_container. Did you mean inx_containers\?"):
        task.run(None, variables)
    assert environment == []


@pytest.mark.parametrize(("delegate_to", "facts"), [(None, {"ansible_inx_fleet_python": "/p"}), ("other", None)])
def test_interpreter_with_the_libraries_is_noted_of_the_host(
    delegate_to: Any, facts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Normal, "run", lambda *_arguments: {"python": "/p"})
    found = action("inx.fleet.inx_host", delegate_to=delegate_to).run(None, {**VARIABLES, "inx_progress": False})
    assert found.get("ansible_facts") == facts
