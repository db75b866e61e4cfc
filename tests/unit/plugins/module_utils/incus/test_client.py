# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pylxd.exceptions
import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError, RefusedError
from ansible_collections.inx.fleet.plugins.module_utils.incus import client as incus
from ansible_collections.inx.fleet.plugins.module_utils.incus import everywhere
from ansible_collections.inx.fleet.plugins.module_utils.incus.client import Incus
from ansible_collections.inx.fleet.plugins.module_utils.incus.ending import is_refused_as_running, until_settled
from ansible_collections.inx.fleet.plugins.module_utils.incus.endpoint import Endpoint
from ansible_collections.inx.fleet.plugins.module_utils.incus.everywhere import link_by_api
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Instance, instance_from
from ansible_collections.inx.fleet.tests.unit.plugins.running import Clock

pytestmark = pytest.mark.usefixtures("clock")

RUNS = Instance(name="web", status="Running")
STOPPED = Instance(name="web", status="Stopped")


def refusal(text: str) -> pylxd.exceptions.LXDAPIException:
    return pylxd.exceptions.LXDAPIException(SimpleNamespace(json=lambda: {"error": text}, status_code=500))


def looks(*sights: Instance | Exception) -> Callable[[], list[Instance]]:
    """One after another; the last one again and again."""
    left = list(sights)

    def look() -> list[Instance]:
        sight = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(sight, Exception):
            raise sight
        return [sight]

    return look


def runs(instance: Instance) -> bool:
    return instance.is_running


def test_one_that_is_ending_is_looked_at_again(clock: Clock) -> None:
    assert until_settled(looks(RUNS, RUNS, STOPPED), runs) == [STOPPED]
    assert clock.now() < 101


def test_one_whose_init_has_just_ended_is_no_error() -> None:
    assert until_settled(looks(refusal("Invalid PID -1"), RUNS, STOPPED), runs) == [STOPPED]
    gone = refusal("stat /proc/4711: no such file or directory")
    assert until_settled(looks(gone, STOPPED), runs) == [STOPPED]


def test_another_error_is_told_at_once(clock: Clock) -> None:
    with pytest.raises(pylxd.exceptions.LXDAPIException, match="database"):
        until_settled(looks(refusal("the database is locked")), runs)
    assert clock.now() == 100


def test_the_wait_has_an_end(clock: Clock) -> None:
    assert until_settled(looks(RUNS), runs) == [RUNS]
    assert 110 <= clock.now() < 111
    with pytest.raises(pylxd.exceptions.LXDAPIException, match="Invalid PID"):
        until_settled(looks(refusal("Invalid PID -1")), runs)
    assert 120 <= clock.now() < 122


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("The instance is already running", True),
        ("Instance is running", True),
        ("Instance must be stopped to be rebuilt", True),
        ("Instance must be stopped to be moved statelessly", True),
        ("Device cannot be added when instance is running", True),
        ('Failed to start device "eth0": no such network', False),
    ],
)
def test_what_incus_refuses_as_running_is_told_by_its_words(said: str, *, expected: bool) -> None:
    assert is_refused_as_running(RefusedError(f"Incus says: {said}.", "")) is expected


@pytest.mark.parametrize(("became", "asked"), [(STOPPED, 2), (RUNS, 1), (None, 1)])
def test_a_start_that_was_refused_of_one_that_was_just_ending_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, became: Instance | None, asked: int
) -> None:
    incus = object.__new__(Incus)
    left = [RefusedError("Incus says: The instance is already running.", "")]
    starts: list[object] = []

    def start(request: object, _timeout: int | None = None) -> None:
        starts.append(request)
        if left:
            raise left.pop()

    state = SimpleNamespace(state=SimpleNamespace(put=lambda: None))
    client = SimpleNamespace(project="default", api=SimpleNamespace(instances={"web": state}))
    for name, value in (
        ("_client", client),
        ("_endpoint", Endpoint(address="/socket", operation_timeout=3)),
        ("_do", start),
        ("instance", lambda _name: became),
    ):
        monkeypatch.setattr(incus, name, value, raising=False)
    if became is STOPPED:
        incus.set_state("web", "start")
    else:
        with pytest.raises(RefusedError, match="already running"):
            incus.set_state("web", "start")
    assert len(starts) == asked


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ('Failed pre-start check for device "eth0": Network "incusbr0" unavailable on this server', 70),
        ('Storage pool "default" unavailable on this server', 70),
        ("Instance is busy running a \"stop\" operation", 10),
        ("Device is in use", 0),
    ],
)
def test_what_passes_is_asked_for_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, said: str, seconds: int
) -> None:
    incus = object.__new__(Incus)
    refusals = [refusal(said), refusal(said)]

    def wait(refused: list[Exception], _timeout: int | None = None) -> None:
        if refused:
            raise refused.pop()

    monkeypatch.setattr(incus, "_wait", wait, raising=False)
    if seconds:
        incus._do(lambda: refusals)
        assert (refusals, clock.now() < 101) == ([], True)
    began = clock.now()
    with pytest.raises(pylxd.exceptions.LXDAPIException):
        incus._do(lambda: [refusal(said)])
    assert seconds <= clock.now() - began < seconds + 1


def test_one_that_has_said_that_it_is_ready_runs() -> None:
    assert instance_from({"name": "web", "status": "Ready"}).is_running


@pytest.mark.parametrize(
    ("said", "is_missing"),
    [
        ('sftp: "lstat /root/file/x: not a directory" (SSH_FX_FAILURE)', True),
        ('sftp: "lstat /aaaa: file name too long" (SSH_FX_FAILURE)', True),
        ('sftp: "lstat /l/x: too many levels of symbolic links" (SSH_FX_FAILURE)', True),
        ('sftp: "lstat /srv/x: input/output error" (SSH_FX_FAILURE)', False),
        ('sftp: "lstat /: not a directory": input/output error" (SSH_FX_FAILURE)', False),
        ("Failed to mount: not a directory", False),
    ],
)
def test_a_path_at_which_nothing_can_be_is_told_from_a_look_that_failed(said: str, is_missing: bool) -> None:
    def refuse(**_arguments: object) -> None:
        raise refusal(said)

    node = SimpleNamespace(files=SimpleNamespace(get=refuse))
    if is_missing:
        assert link_by_api(node, {"path": "/x"}) is None
    else:
        with pytest.raises(FleetError):
            link_by_api(node, {"path": "/x"})


@pytest.mark.parametrize("module", [incus, everywhere])
def test_every_request_of_a_method_has_its_errors_explained(module: ModuleType) -> None:
    """A connection that breaks must end as a FleetError, in whichever method it does."""
    bare = [
        method.name
        for found in ast.parse(inspect.getsource(module)).body
        if isinstance(found, ast.ClassDef)
        for method in found.body
        if isinstance(method, ast.FunctionDef)
        and any(f"self.{request}(" in ast.unparse(method) for request in ("_get", "_list", "_do", "_wait", "_change"))
        and "explained(" not in ast.unparse(method)
    ]
    assert not bare


@pytest.mark.parametrize(
    ("project", "url", "expected"),
    [
        ("default", "/1.0/instances/web/logs/exec-output/exec_1.stdout", True),
        ("default", "/1.0/instances/web/logs/exec-output/exec_1.stdout?project=default", True),
        ("shop", "/1.0/instances/web/logs/exec-output/exec_1.stdout", False),
        (None, "/1.0/instances/web/logs/exec-output/exec_1.stdout", False),
        ("default", "/1.0/instances/web/logs/exec-output/../backup.yaml", False),
    ],
)
def test_what_was_recorded_of_a_command_is_removed_where_it_is(
    tmp_path: Path, project: str | None, url: str, expected: bool
) -> None:
    kept = tmp_path / "containers" / "web" / "exec-output" / "exec_1.stdout"
    kept.parent.mkdir(parents=True)
    kept.write_text("said")
    (kept.parents[1] / "backup.yaml").write_text("kept")
    there = Incus.__new__(Incus)
    there._endpoint = Endpoint(address=str(tmp_path / "unix.socket"))
    there._client = SimpleNamespace(project=project)
    assert there._removed_output("web", url) is expected
    assert kept.exists() is not expected
    assert (kept.parents[1] / "backup.yaml").exists()
    there._endpoint = Endpoint(address="https://metal1:8443")
    assert there._removed_output("web", url) is False
