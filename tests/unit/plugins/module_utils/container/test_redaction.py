# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.arguments import (
    CONTAINER_OPTIONS,
    MEMBER_OPTIONS,
    declared_containers,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.converge import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container, container_from
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.results import (
    container_result,
    differences,
    member_result,
)
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.info.facts import Seen, container_info
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import HIDDEN_KEYS
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import OLD, after, empty_host

KEYS = ["environment.TOKEN", "cloud-init.user-data", "user.password"]
# What a run says of a key: nothing, or its value in config or in secret_config, or that it is to go.
SAYINGS = st.sampled_from(["nothing", "plain", "secret", "no plain", "no secret"])
RUNS = st.lists(st.fixed_dictionaries(dict.fromkeys(KEYS, SAYINGS)), min_size=1, max_size=5)


def declared(**options: Any) -> Container:
    defaults = {name: option.get("default") for name, option in CONTAINER_OPTIONS.items()}
    return container_from({"project": "default", **defaults, "name": "web", "localtime": False, **options})


def told(container: Container, host: Observed) -> tuple[str, Observed]:
    """All that the modules tell of a run, and of the container after it."""
    plan = plan_container(container, System(path=OLD, built=True), host)
    now = after(plan, host)
    texts: list[Any] = []
    for seen in (host, now):
        outcome = Outcome(plan=plan, steps=plan.steps, observed=seen, warnings=plan.warnings)
        texts += [container_result(outcome), member_result(outcome), differences(outcome), list(outcome.warnings)]
    assert now.instance is not None
    texts.append(container_info(Seen(instance=now.instance, generations=now.generations)))
    return json.dumps(texts), now


@given(RUNS)
def test_no_run_tells_what_is_secret_or_was(runs: list[dict[str, str]]) -> None:
    host, numbers = empty_host(), count()
    for run in runs:
        values = {
            "plain": {key: f"plain-{next(numbers)}" for key in KEYS},
            "secret": {key: f"hidden-{next(numbers)}" for key in KEYS},
        }
        config = {key: values["plain"][key] if run[key] == "plain" else None for key in KEYS if "plain" in run[key]}
        secret = {key: values["secret"][key] if run[key] == "secret" else None for key in KEYS if "secret" in run[key]}
        container = declared(config=config, secret_config=secret)
        said, host = told(container, host)
        assert "hidden-" not in said
        assert host.instance is not None
        stored = host.instance.config
        assert {key: stored.get(key) for key in (*config, *secret)} == {**config, **secret}
        hidden = {key for key, value in stored.items() if value.startswith("hidden-")}
        assert set(stored.get(HIDDEN_KEYS, "").split()) >= hidden
        assert not plan_container(container, System(path=OLD, built=True), host).steps


def test_a_change_of_a_secret_is_told_as_such() -> None:
    _said, host = told(declared(secret_config={"user.password": "hidden"}), empty_host())
    container = declared(secret_config={"user.password": "other"})
    plan = plan_container(container, System(path=OLD, built=True), host)
    diff = differences(Outcome(plan=plan, steps=plan.steps, observed=host))
    assert diff["before"] == {"config": {"user.password": "(secret)"}}
    assert diff["after"] == {"config": {"user.password": "(new secret)"}}


def test_a_key_is_secret_or_it_is_not() -> None:
    with pytest.raises(FleetError, match=r"user\.a: both in config and in secret_config"):
        declared(config={"user.a": "1"}, secret_config={"user.a": "2"})
    with pytest.raises(FleetError, match="is no config key"):
        declared(secret_config={"user.a b": "2"})


def test_ansible_is_told_what_to_hide() -> None:
    assert CONTAINER_OPTIONS["secret_config"]["no_log"] is True
    assert MEMBER_OPTIONS["secret_config"]["no_log"] is True


def test_secrets_of_a_whole_set_are_combined_with_those_of_its_containers() -> None:
    entries = [{"name": "web", "secret_config": {"user.b": "own"}}, {"name": "db"}]
    params = {"containers": entries, "defaults": {}, "secret_config": {"user.a": "1", "user.b": "2"}, "project": "x"}
    web, db = declared_containers(params)
    assert web.config == {"user.a": "1", "user.b": "own"}
    assert db.config == {"user.a": "1", "user.b": "2"}
    assert web.secrets == db.secrets == {"user.a", "user.b"}


def test_secrets_among_the_defaults_are_refused() -> None:
    params = {"containers": [{"name": "web"}], "defaults": {"secret_config": {"user.a": "1"}}, "project": "x"}
    with pytest.raises(FleetError, match="Ansible does not hide"):
        declared_containers(params)
