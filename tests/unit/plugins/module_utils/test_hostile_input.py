# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever is declared, and whatever a container says: what nix is called with, and what a terminal is shown."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.container.declaration import Container
from ansible_collections.inx.fleet.plugins.module_utils.container.health import journal, quoted_journal
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.addresses import addresses_from
from ansible_collections.inx.fleet.plugins.module_utils.incus.client import Execution
from ansible_collections.inx.fleet.plugins.module_utils.info.query import compiled
from ansible_collections.inx.fleet.plugins.module_utils.names import lxc_name
from ansible_collections.inx.fleet.plugins.module_utils.nix import evaluation, process
from ansible_collections.inx.fleet.plugins.module_utils.nix.command import Nix
from ansible_collections.inx.fleet.plugins.module_utils.nix.evaluation_cache import EvaluationCache
from ansible_collections.inx.fleet.plugins.module_utils.nix.flakes import metadata_arguments
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import Flake, StorePath, System
from ansible_collections.inx.fleet.plugins.module_utils.paths import PROFILES_DIR, STORE_DIR
from ansible_collections.inx.fleet.plugins.module_utils.text import quoted, tail
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.hosts import declared

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"
PATH = f"{STORE_DIR}/00000000000000000000000000000000-nixos-system-web"
#: Beginnings and pieces that mean something to nix, to a shell, to ssh or to a template.
PIECES = [
    "--option", "--help", "-", "--", "#", "^", "^*", "?dir=", "&", "..", ".", "/", "~", ":", "@", "path:", "file:",
    "git+file:", "github:", "ssh://", "ssh-ng://", "-oProxyCommand=", "$(reboot)", "${x}", "`x`", ";", "|", '"', "'",
    "\\", "\n", "\x00", "\x1b[2J", "\u202e", "{{ 1 + 1 }}", " ", "a", "web", "default", PATH,
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
SMALL = st.dictionaries(TEXTS, TEXTS, max_size=1)
#: What may be hostile of a declaration: one thing at a time, or else nearly every one would be refused for another.
HOSTILE_PARTS: list[st.SearchStrategy[dict[str, Any]]] = [
    TEXTS.map(lambda text: {"name": text}),
    TEXTS.map(lambda text: {"project": text}),
    TEXTS.map(lambda text: {"flake": text}),
    TEXTS.map(lambda text: {"flake": f"/srv/{text}"}),
    TEXTS.map(lambda text: {"flake": f"github:a/b#{text}"}),
    TEXTS.map(lambda text: {"flake": None, "file": f"/srv/{text}"}),
    TEXTS.map(lambda text: {"flake": None, "file": "/srv/a.nix", "attribute": text}),
    TEXTS.map(lambda text: {"flake": None, "system": PATH, "copy_from": text}),
    TEXTS.map(lambda text: {"flake": None, "system": PATH, "copy_from": f"ssh-ng://{text}"}),
    TEXTS.map(lambda text: {"flake": None, "system": f"{PATH}{text}"}),
    SMALL.map(lambda entries: {"override_inputs": entries}),
    TEXTS.map(lambda text: {"override_inputs": {"nixpkgs": text}}),
    SMALL.map(lambda entries: {"nix_options": entries}),
    st.tuples(st.sampled_from(["cores", "trusted-users", "extra-trusted-users"]), TEXTS).map(
        lambda entry: {"nix_options": dict([entry])}
    ),
    TEXTS.map(lambda text: {"builders": text}),
    SMALL.map(lambda entries: {"config": entries}),
    SMALL.map(lambda entries: {"secret_config": entries}),
    SMALL.map(lambda entries: {"devices": {"data": entries}}),
    TEXTS.map(lambda text: {"devices": {text: {"type": "none"}}}),
    TEXTS.map(lambda text: {"tags": [text]}),
]
DECLARED = st.one_of(HOSTILE_PARTS).map(lambda part: {"name": "web", "project": "default", "flake": "/srv/a", **part})
#: The options that the collection gives to nix, with how many values follow.
OPTIONS = {
    "--log-format": 1,
    "--extra-experimental-features": 1, "--dry-run": 0, "--json": 0, "--file": 1, "--no-write-lock-file": 0,
    "--override-input": 2, "--impure": 0, "--accept-flake-config": 0, "--builders": 1, "--no-link": 0,
    "--keep-going": 0, "--from": 1, "--no-check-sigs": 0, "--offline": 0,
}  # fmt: skip
SSH_OPTIONS = "-o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
STARTS_A_PROCESS = re.compile(r"(^|\.)(run_command|system|[pP]open|exec[lv]p?e?|spawn\w*)$")


def accepted(options: dict[str, Any]) -> Container | None:
    """A Container; None when it is refused, which it is by a FleetError and nothing else."""
    try:
        return declared(**options)
    except FleetError as error:
        assert all(char.isprintable() or char in "\n\t" for char in str(error))
        return None


class AskedError(Exception):
    """nix was to be called so."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        super().__init__()
        self.command = command
        self.environment = environment


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], AskedError]:
    """What nix would be called with: the real command is not called (simulated)."""

    def run(command: list[str], **how: Any) -> Any:
        assert how.get("shell", False) is False
        assert how["stdin"] == subprocess.DEVNULL
        # No terminal to ask at, for ssh and git neither.
        assert how["start_new_session"] is True
        assert how["env"]["NIX_SSHOPTS"].endswith(SSH_OPTIONS)
        assert how["env"]["GIT_TERMINAL_PROMPT"] == "0"
        raise AskedError(command, how["env"])

    monkeypatch.setattr(subprocess, "Popen", run)

    def ask(call: Callable[[], Any]) -> AskedError:
        with pytest.raises(AskedError) as caught:
            call()
        return caught.value

    return ask


def operands(command: list[str]) -> list[str]:
    """What comes after the options, when these are ours with as many values as they take."""
    assert all(isinstance(word, str) and "\0" not in word for word in command)
    # After what ties it to the process that starts it.
    command = command[command.index("nix") :]
    position = 1
    while command[position] != "--":
        word = command[position]
        assert word in OPTIONS or word in ("build", "copy", "flake", "metadata"), word
        position += 1 + OPTIONS.get(word, 0)
    return command[position + 1 :]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(options=DECLARED)
def test_nothing_that_is_declared_is_an_option_of_nix(
    options: dict[str, Any], asked: Callable[[Callable[[], Any]], AskedError]
) -> None:
    container = accepted(options)
    if container is None:
        return
    assert container.source is not None
    nix = Nix(command="nix")
    if isinstance(container.source, StorePath):
        system = System(path=container.source.path, copy_from=container.source.copy_from)
        assert operands(asked(lambda: nix._build_group([system], container.nix)).command) == [system.path]
        if system.copy_from is not None:
            copy = asked(lambda: nix._copy_group([system], container.nix, str(system.copy_from)))
            assert operands(copy.command) == [system.path]
            # ssh gets no host that begins with a dash.
            assert not re.match(r"[^/]+://([^/@]*@)?-", system.copy_from)
        return
    entry = (container.source, container.nix)
    work = evaluation._Evaluation(nix, None, EvaluationCache(directory="/nowhere"))
    (operand,) = operands(asked(lambda: work._evaluate({entry: evaluation._installable(entry, {})}, [entry])).command)
    assert not operand.startswith("-")
    assert not re.search(r"[\x00-\x20\x7f]", operand)
    if isinstance(container.source, Flake):
        (reference,) = operands(asked(lambda: nix.run(metadata_arguments(*evaluation._place(entry)), "")).command)
        assert operand.startswith(f"{reference}#")
        # One name between the quotes, whatever it is, and the toplevel of a system at the end.
        toplevel = r'[^#]+#nixosConfigurations\."[^"\\$^]+"\.config\.system\.build\.toplevel'
        assert re.fullmatch(toplevel, operand, flags=re.DOTALL)
        assert not operand.startswith((".", "~", "path:.", "path:~"))


@settings(max_examples=150, deadline=None)
@given(DECLARED)
def test_settings_are_one_line_each(options: dict[str, Any]) -> None:
    container = accepted(options)
    if container is None:
        return
    lines = process._settings(container.nix).get("NIX_CONFIG", "").removeprefix(os.environ.get("NIX_CONFIG", ""))
    for line in lines.split("\n"):
        assert line == "" or re.match(r"[a-z0-9]+(-[a-z0-9]+)* = ", line)
        assert "trusted-users" not in line.partition("=")[0]


@settings(max_examples=150, deadline=None)
@given(DECLARED)
def test_what_is_declared_stays_below_its_directory(options: dict[str, Any]) -> None:
    container = accepted(options)
    if container is None:
        return
    assert os.path.dirname(os.path.normpath(container.profile_dir)) == PROFILES_DIR
    assert os.path.basename(container.profile_dir) == lxc_name(container.project, container.name)
    assert not any(key.startswith("volatile.") for key in container.config)
    assert all("/" not in device and not re.search(r"[\x00-\x1f]", device) for device in container.devices)


def test_no_plugin_gives_anything_to_a_shell() -> None:
    """Every call of a process in plugins/ is one of a list, and of nothing that has a shell."""
    found = []
    for path in PLUGINS.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            if not (name.startswith("subprocess.") or STARTS_A_PROCESS.search(name)):
                continue
            assert name == "subprocess.Popen", f"{path}: {name}"
            assert not any(keyword.arg == "shell" for keyword in call.keywords), f"{path}: {name}"
            assert isinstance(call.args[0], (ast.Name, ast.List)), f"{path}: {ast.unparse(call.args[0])}"
            found.append(path.name)
    assert sorted(found) == ["commands.py", "data_costs.py", "idmapped.py", "process.py", "restore_secrets.py"]


# What a container says


ESCAPES = ["\x1b]0;x\x07", "\x1b[31m", "\r", "\n", "\u2028", "\x85", "\x0b", "web: ", "ok", "\u202e"]
HOSTILE = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda data: data.decode(errors="surrogateescape")),
    st.lists(st.sampled_from(ESCAPES)).map("".join),
)


@given(HOSTILE)
def test_what_is_quoted_is_marked_line_by_line(text: str) -> None:
    for line in quoted(text).split("\n"):
        assert line == "" or line.startswith("| ")
        assert all(char.isprintable() or char == "\t" for char in line)
        assert len(line.splitlines()) <= 1


@given(HOSTILE, HOSTILE)
def test_an_error_has_no_character_that_a_terminal_acts_on(problem: str, advice: str) -> None:
    error = FleetError(problem, advice)
    for text in (str(error), error.problem, error.advice):
        assert all(char.isprintable() or char in "\n\t" for char in text)
    json.dumps(str(error)).encode()


@pytest.mark.parametrize("size", [10**6, 10**7])
def test_what_is_shown_is_bounded(size: int) -> None:
    assert len(tail("\x1b" * size)) < 100_000
    assert len(tail("a\n" * size)) < 1000
    assert len(str(FleetError("\x01" * size, "\x01" * size))) < 10**6


@given(st.dictionaries(HOSTILE, st.lists(HOSTILE, max_size=3), max_size=3))
def test_interfaces_and_addresses_are_what_they_look_like(network: dict[str, list[str]]) -> None:
    state = {
        name: {
            "host_name": "veth1",
            "addresses": [{"scope": "global", "address": address} for address in (*addresses, "10.0.0.1")],
        }
        for name, addresses in network.items()
    }
    own = {"raw.lxc": "lxc.net.0.type = veth"}
    for name, addresses in addresses_from({"state": {"network": state}, "expanded_config": own}).items():
        assert all(char.isprintable() or char == "\t" for char in name)
        assert all(re.fullmatch(r"[0-9a-f.:%]+", address) for address in addresses)


def test_a_thousand_interfaces_are_not_all_told() -> None:
    addresses = [{"scope": "global", "address": f"10.0.{number // 256}.{number % 256}"} for number in range(1000)]
    network = {f"eth{number}": {"host_name": f"veth{number}", "addresses": addresses} for number in range(1000)}
    own = {"raw.lxc": "lxc.net.0.type = veth"}
    found = addresses_from({"state": {"network": network}, "expanded_config": own})
    assert len(found) == 100
    assert len(found["eth0"]) == 100


@given(HOSTILE)
def test_a_journal_is_told_as_a_quotation(text: str) -> None:
    # A container whose every command says the same (simulated).
    incus = SimpleNamespace(execute=lambda *_words, **_how: Execution(code=0, stdout=text, stderr=""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.path.exists", lambda _path: True)
        for part in quoted_journal(journal(incus, "web", PATH)):  # type: ignore[arg-type]
            for line in part.split("\n"):
                assert line == "" or line.startswith(("| ", "The journal of ", "The last errors in the journal:"))
                assert line.isprintable() or "\t" in line


# Expressions over results


@settings(max_examples=300)
@given(st.one_of(TEXTS, st.text("[]{}()*.@&|`'\"\\!<>=?:,ab0-9", max_size=30)))
def test_an_expression_finds_something_or_is_refused(expression: str) -> None:
    try:
        compiled(expression)([{"name": "web", "addresses": {}}])
    except FleetError as error:
        assert all(char.isprintable() or char in "\n\t" for char in str(error))


@pytest.mark.parametrize("expression", ["[" * 5000, "(" * 5000, "!" * 5000, "a" * 20_000, "&" * 900])
def test_an_expression_without_measure_is_refused(expression: str) -> None:
    with pytest.raises(FleetError, match="query: "):
        compiled(expression)([])
