# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import time
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import (
    CONTAINER_OPTIONS,
    MEMBER_OPTIONS,
    declared_containers,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.observed import Observed
from ansible_collections.inx.fleet.plugins.module_utils.container.outcome import Outcome
from ansible_collections.inx.fleet.plugins.module_utils.container.plan import plan_container
from ansible_collections.inx.fleet.plugins.module_utils.container.results import (
    container_result,
    differences,
    member_result,
)
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.info.facts import Seen, container_info
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import System
from ansible_collections.inx.fleet.plugins.module_utils.redaction import credentials, redacted, stored_secrets
from ansible_collections.inx.fleet.plugins.module_utils.stored_keys import HIDDEN_KEYS
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import OLD, after, declared, empty_host

KEYS = ["environment.TOKEN", "cloud-init.user-data", "user.password"]
# What a run says of a key: nothing, or its value in config or in secret_config, or that it is to go.
SAYINGS = st.sampled_from(["nothing", "plain", "secret", "no plain", "no secret"])
RUNS = st.lists(st.fixed_dictionaries(dict.fromkeys(KEYS, SAYINGS)), min_size=1, max_size=5)


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


def test_what_was_secret_stays_so_when_it_is_declared_plainly() -> None:
    _said, host = told(declared(secret_config={"user.password": "hidden"}), empty_host())
    said, host = told(declared(config={"user.password": "plain"}), host)
    assert "hidden" not in said
    assert host.instance is not None
    assert host.instance.config[HIDDEN_KEYS] == "user.password"
    said, host = told(declared(config={"user.password": "plain-2"}), host)
    assert "plain" not in said
    said, host = told(declared(config={"user.password": None}), host)
    assert host.instance is not None
    assert HIDDEN_KEYS not in host.instance.config


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
    with pytest.raises(FleetError, match="is not a config key"):
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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("git+https://me:hunter2@git.example.org/x?ref=main", "git+https://me:********@git.example.org/x?ref=main"),
        ("https://ghp_abcdef@github.com/a/b", "https://********@github.com/a/b"),
        ("https://:hunter2@cache.example.org", "https://:********@cache.example.org"),
        (
            "https://a.example.org/x?a=1&private_token=hunter2#web",
            "https://a.example.org/x?a=1&private_token=********#web",
        ),
        (
            "https://a.example.org/x.tar.gz?X-Amz-Signature=hunter2",
            "https://a.example.org/x.tar.gz?X-Amz-Signature=********",
        ),
        (
            "error: 'https://me:hunter2@a' and 'https://me:hunter3@b'",
            "error: 'https://me:********@a' and 'https://me:********@b'",
        ),
        ("-https://me:hunter@2@a", "-https://me:********@a"),
        ("ssh://root:hunter2@build", "ssh://root:********@build"),
    ],
)
def test_credentials_in_urls_are_hidden(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert str(FleetError(text, text)) == f"{shown} {shown}"
    assert any(secret in text for secret in credentials({"flake": text}))


@pytest.mark.parametrize(
    "text",
    [
        "ssh-ng://root@build",
        "github:owner/repo?ref=v1#web",
        "https://a.example.org/a@b",
        "unix:/run/x",
        "web@host: a:b",
        "path:/etc/nixos?dir=a",
        "s3://bucket?region=x&profile=y",
        "https://a.example.org:8443/x",
        "user@example.org",
    ],
)
def test_what_is_not_a_credential_is_shown(text: str) -> None:
    assert redacted(text) == text
    assert not credentials({"flake": text})


def test_tokens_in_settings_of_nix_are_found_wherever_they_are_declared() -> None:
    options = {"access-tokens": "github.com=ghp_one gitlab.com=PAT:glpat-two", "cores": 4, "impure-env": ["KEY=three"]}
    assert credentials({"nix_options": options}) == {"ghp_one", "PAT:glpat-two", "glpat-two", "three"}
    for place in ({"containers": [{"nix_options": options}]}, {"defaults": {"nix_options": options}}):
        assert credentials(place) == credentials({"nix_options": options})
    assert credentials({"nix_options": {"extra-access-tokens": ["a=one%20two"]}}) == {"one%20two", "one two"}
    assert not credentials({"nix_options": {"netrc-file": "/etc/netrc", "secret-key-files": "/etc/key", "cores": "1"}})


def test_secrets_that_are_on_an_instance_are_found_if_they_are_long_enough() -> None:
    sides: list[dict[str, Any]] = [
        {"config": {"user.a": "an old secret", "user.b": "not a secret"}},
        {"config": {"user.a": None}},
    ]
    assert stored_secrets({"user.a"}, sides, {"user.a": "default"}) == {"an old secret"}


@pytest.mark.parametrize("part", ["a", "a://", "?a", "?token=", "_", "a:", "https://a:"])
def test_a_long_text_is_searched_in_its_time(part: str) -> None:
    started = time.monotonic()
    redacted(part * 50_000)
    credentials({"flake": f"https://{part * 50_000}"})
    assert time.monotonic() - started < 30


def test_what_a_service_may_print_of_a_secret_is_hidden() -> None:
    encoded = base64.b64encode(b"decoded-token").decode()
    secrets = [
        {"name": "a", "content": "with-newline\n"},
        {"name": "b", "content": encoded, "encoding": "base64"},
        {"name": "c", "content": "first-line-of-a-key\nshort\n"},
        {"name": "d", "content": "!", "encoding": "base64"},
        {"name": "e"},
    ]
    found = credentials({"containers": [{"name": "web", "secrets": secrets}]})
    assert {"with-newline", "decoded-token", "first-line-of-a-key"} <= found
    assert "short" not in found
