# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.host import converge
from ansible_collections.inx.fleet.plugins.module_utils.host.declaration import HostDeclaration
from ansible_collections.inx.fleet.plugins.module_utils.host.observed import Observed, Release, Unit
from ansible_collections.inx.fleet.plugins.module_utils.host.observed import Path as Found
from ansible_collections.inx.fleet.plugins.module_utils.host.plan import plan_host
from ansible_collections.inx.fleet.plugins.module_utils.host.steps import Step
from ansible_collections.inx.fleet.plugins.module_utils.paths import PROFILES_DIR
from ansible_collections.inx.fleet.plugins.modules import inx_host
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.host.model import (
    BARE,
    NEW_INCUS,
    TRIXIE,
    Host,
    provisioned,
)
from ansible_collections.inx.fleet.tests.unit.plugins.running import Run


class FakeHost:
    """A modelled host in the place of the one that the tests run on. A step whose action is ``broken`` fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.model = Host(BARE)
        self.broken = ""
        monkeypatch.setattr(converge, "read_release", lambda: self.model.observed.release)
        monkeypatch.setattr(converge, "observe_debian", lambda _declared, _release: self.model.observed)
        monkeypatch.setattr(converge, "observe_nixos", lambda _declared, _release: self.model.observed)
        monkeypatch.setattr(converge, "apply_step", self._apply)

    def _apply(self, declared: HostDeclaration, step: Step) -> None:
        if step.action == self.broken:
            raise FleetError("It is broken.", "Repair it.")
        self.model.apply(declared, step)

    def install(self, declared: HostDeclaration) -> None:
        """Install packages as the role does."""
        (step,) = (step for step in plan_host(declared, self.model.observed).steps if step.action == "packages")
        self.model.apply(declared, step)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost(monkeypatch)


def actions(steps: list[dict[str, Any]]) -> list[str]:
    return [step["action"] for step in steps]


def test_a_bare_host_is_set_up_in_two_runs(run: Run, host: FakeHost) -> None:
    predicted = run(inx_host, incus_source="backports", check=True, diff=True)
    assert host.model.observed == BARE
    first = run(inx_host, incus_source="backports")
    assert (actions(first["steps"]), actions(first["left"])[0]) == (["source"], "packages")
    assert first["packages"]["release"] == "trixie-backports"
    host.install(HostDeclaration(backports=True))
    second = run(inx_host, incus_source="backports", diff=True)
    assert predicted["steps"] == first["steps"] + first["left"][:1] + second["steps"]
    assert (second["left"], second["pending"], second["packages"]["install"]) == ([], [], [])
    assert set(predicted["pending"]) == {"Python", "Nix", "Incus", "the profiles"}
    assert second["diff"][0]["after"]["pool default"] == {"driver": "dir", "config": {}}
    again = run(inx_host, incus_source="backports", diff=True)
    assert (again["changed"], again["steps"], again["diff"]) == (False, [], [])


def test_a_step_that_fails(run: Run, host: FakeHost) -> None:
    host.model = Host(replace(provisioned(), incus=NEW_INCUS, has_python_packages=False))
    host.broken = "network"
    result = run(inx_host)
    assert (result["failed"], result["changed"]) == (True, True)
    assert (actions(result["steps"]), actions(result["left"])) == (
        ["python", "pool"],
        ["network", "profile", "profile"],
    )
    assert result["msg"].startswith("It is broken. Repair it.\nDone: install pylxd>=2.3, jmespath in /opt/inx-fleet; ")
    assert "Not done: create the network incusbr0; " in result["msg"]
    host.broken = ""
    assert actions(run(inx_host)["steps"]) == ["network", "profile", "profile"]


def test_an_incus_that_does_not_run_is_started_and_looked_at(run: Run, host: FakeHost) -> None:
    found = provisioned()
    units = {**found.units, "incus.socket": Unit(is_there=True)}
    host.model = Host(replace(found, incus=None, units=units), NEW_INCUS)
    predicted = run(inx_host, check=True)
    assert actions(predicted["steps"]) == ["start"]
    assert predicted["warned"] == ["Incus does not run. What it holds can only be compared once it does."]
    assert actions(run(inx_host)["steps"]) == ["start", "pool", "network", "profile", "profile"]


def test_an_incus_that_cannot_be_started(run: Run, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = replace(provisioned(), incus=None)
    monkeypatch.setattr(converge, "observe_debian", lambda _declared, _release: stopped)
    host.model = Host(replace(stopped, units={**stopped.units, "incus.socket": Unit(is_there=True)}))
    assert "Incus was started, and does not listen." in run(inx_host)["msg"]


def test_nixos_lacks_lines(run: Run, host: FakeHost) -> None:
    host.model = Host(Observed(release=Release(id="nixos")))
    result = run(inx_host)
    assert result["failed"]
    assert not result["changed"]
    assert "virtualisation.incus.enable = true;" in result["lacking"]
    assert "\n".join(result["lacking"]) in result["msg"]


@pytest.mark.parametrize(
    ("options", "observed", "message"),
    [
        ({"subid_range": "x"}, BARE, "subid_range: 'x' is not a range of ids"),
        ({}, replace(BARE, release=replace(TRIXIE, id="fedora", name="Fedora 43")), "This host is Fedora 43."),
    ],
)
def test_what_is_refused(run: Run, host: FakeHost, options: dict[str, Any], observed: Observed, message: str) -> None:
    host.model = Host(observed)
    result = run(inx_host, **options)
    assert result["failed"]
    assert message in result["msg"]


def test_credentials_are_hidden(run: Run, host: FakeHost) -> None:
    result = run(
        inx_host,
        nix_settings={"access-tokens": "github.com=hunter22hunter"},
        pip_environment={"PIP_INDEX_URL": "https://me:topsecret9@pypi.example.org/simple"},
        check=True,
        diff=True,
    )
    assert "hunter22hunter" not in str(result)
    assert "topsecret9" not in str(result)
    assert host.model.observed == BARE


def test_what_somebody_opened_is_closed(run: Run, host: FakeHost) -> None:
    found = provisioned()
    host.model = Host(replace(found, paths={**found.paths, PROFILES_DIR: Found(kind=0o040000, mode=0o755)}))
    assert actions(run(inx_host)["steps"]) == ["directory"]


def test_the_role_has_a_variable_for_each_option() -> None:
    role = Path(inx_host.__file__).parents[2] / "roles" / "host"
    (block,) = (task for task in _read(role / "tasks" / "main.yml") if "module_defaults" in task)
    given = block["module_defaults"]["inx.fleet.inx_host"]
    specs = _read(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = _read(role / "defaults" / "main.yml")
    assert given.keys() == inx_host.OPTIONS.keys()
    assert specs.keys() == {f"inx_host_{name}" for name in given}
    for name, template in given.items():
        assert template.split()[1] == f"inx_host_{name}"
        default = inx_host.OPTIONS[name].get("default")
        assert (defaults.get(f"inx_host_{name}") or None) == (default or None)


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
