# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of parameters before a module sees them, with Ansible's own class below ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.arguments.module import FleetModule
from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import (
    CONTAINER_OPTIONS,
    CONTAINER_RULES,
    SET_OPTIONS,
    SetModule,
    declared_containers,
)
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError

PATH = "/nix/store/00000000000000000000000000000000-nixos-system-web"


class Given:
    """A module with parameters, and what it writes to the journal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, give: Callable[..., None]) -> None:
        self.logged: list[str] = []
        self._give = give
        monkeypatch.setattr(FleetModule, "log", lambda _self, message, log_args=None: self.logged.append(message))

    def __call__(self, options: dict[str, Any], **parameters: Any) -> FleetModule:
        self._give(**parameters)
        if "containers" in options:
            return SetModule(argument_spec=options)
        return FleetModule(argument_spec=options, **(CONTAINER_RULES if options is CONTAINER_OPTIONS else {}))


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, give: Callable[..., None]) -> Given:
    return Given(monkeypatch, give)


def test_null_is_the_default_of_an_option(given: Given) -> None:
    nulls = dict.fromkeys(CONTAINER_OPTIONS) | {"name": "web"}
    assert given(CONTAINER_OPTIONS, **nulls).params == given(CONTAINER_OPTIONS, name="web").params
    health = given(CONTAINER_OPTIONS, name="web", health={"timeout": None}).params["health"]
    assert health["timeout"] == 120


def test_entries_are_as_they_were_given(given: Given) -> None:
    nulls = dict.fromkeys(("health", "state", "volatile_root"))
    entry = {"name": "web", **nulls, "tags": "a,b", "tmpfs": [{"path": "/a", "size": None}]}
    found = given(SET_OPTIONS, containers=[entry, {"name": "db"}]).params["containers"]
    assert found == [{**entry, "tags": ["a", "b"]}, {"name": "db"}]


@pytest.mark.parametrize(
    ("options", "parameters", "words"),
    [
        (SET_OPTIONS, {"containers": [{"name": "db"}, {"name": "web", "force": "maybe"}]}, ["web: ", "'force'"]),
        (SET_OPTIONS, {"containers": [{"name": "web", "flakes": "."}]}, ["web: unsupported parameters: flakes"]),
        (
            SET_OPTIONS,
            {"containers": [{"name": "db", "persist": [{}]}, {"name": "ok"}, {"name": "web", "state": "up"}]},
            ["db: missing required arguments: path found in persist", "web: value of state must be one of"],
        ),
        (SET_OPTIONS, {"containers": [{"flake": "."}]}, ["entry 1: ", "missing required arguments: name"]),
        (CONTAINER_OPTIONS, {"name": None}, ["missing required arguments: name"]),
    ],
)
def test_an_error_names_the_container_and_the_option(
    given: Given, capsys: pytest.CaptureFixture[str], options: dict[str, Any], parameters: Any, words: list[str]
) -> None:
    with pytest.raises(SystemExit):
        given(options, **parameters)
    message = json.loads(capsys.readouterr().out)["msg"]
    assert [word for word in words if word not in message] == []


RELATIONS = [
    ({"flake": "/etc/nixos", "system": PATH}, "parameters are mutually exclusive: flake|file|system|generation"),
    ({"file": "/a.nix", "generation": "3"}, "parameters are mutually exclusive: flake|file|system|generation"),
    ({"flake": "/etc/nixos", "copy_from": "ssh-ng://a"}, "parameters are mutually exclusive: copy_from|flake"),
    ({"file": "/a.nix", "copy_from": "ssh-ng://a"}, "parameters are mutually exclusive: copy_from|file"),
    ({"attribute": "a"}, "missing parameter(s) required by 'attribute': file"),
]


@pytest.mark.parametrize(("options", "message"), RELATIONS)
def test_options_that_exclude_or_require_each_other(
    given: Given, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SystemExit):
        given(CONTAINER_OPTIONS, name="web", **options)
    assert message in json.loads(capsys.readouterr().out)["msg"]


@pytest.mark.parametrize(("options", "message"), RELATIONS)
def test_the_entry_of_a_set_with_such_options_is_named(options: dict[str, Any], message: str) -> None:
    params = {"project": "default", "secret_config": {}}
    for defaults, entry in (({}, options), (options, {})):
        with pytest.raises(FleetError) as refused:
            declared_containers({**params, "defaults": defaults, "containers": [{"name": "web", **entry}]})
        assert refused.value.problem == f"web: {message}."


def test_an_option_that_is_null_excludes_and_requires_none(given: Given) -> None:
    container = given(CONTAINER_OPTIONS, name="web", flake=None, attribute=None, system=PATH).params
    assert (container["flake"], container["system"]) == (None, PATH)
    assert given(SET_OPTIONS, containers=[{"name": "web", "flake": None, "system": PATH}]).params["containers"]


def test_credentials_are_neither_logged_nor_returned(given: Given, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"name": "web", "flake": "git+https://me:hunter2@a/b", "nix_options": {"access-tokens": "a=ghp_one"}}
    module = given(SET_OPTIONS, containers=[entry], defaults={"copy_from": "https://token-two@cache"})
    with pytest.raises(SystemExit):
        module.fail_json(msg="nix says: hunter2")
    said = f"{module and given.logged} {capsys.readouterr().out}"
    assert "Invoked with" in said
    assert not [secret for secret in ("hunter2", "ghp_one", "token-two") if secret in said]
