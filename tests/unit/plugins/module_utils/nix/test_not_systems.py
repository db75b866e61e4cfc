# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nix says of attributes that are not systems, as Nix 2.26.3 says it, and what is said of them then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.advice import CODE
from ansible_collections.inx.fleet.plugins.module_utils.nix.not_systems import (
    error_of,
    explained,
    look_arguments,
)
from ansible_collections.inx.fleet.plugins.module_utils.nix.process import NixCommand, NixError
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import Declared, File, Flake, NixOptions

WEB = Flake(reference="/srv/a", attribute="web")
SAID = [
    "error: flake 'path:/srv/a' does not provide attribute 'packages.x86_64-linux.nixosConfigurations.\"web\".config."
    "system.build.toplevel' or 'nixosConfigurations.\"web\".config.system.build.toplevel'",
    "error: 'nixosConfigurations.web' is not an attribute set",
    "error: expected flake output attribute 'nixosConfigurations.web.config.system.build.toplevel' to be a derivation "
    "or path but found a set: { a = «thunk»; }",
    "error: string '/etc/x' has 0 entries in its context. It should only have exactly one entry",
    "error: attribute 'web' in selection path 'web' not found",
    "error: the expression selected by the selection path 'web' should be a set but is a string",
    "error: cached failure of attribute 'nixosConfigurations.web'",
]
# What the look at a flake prints, and words of the error.
OF_A_FLAKE = [
    ({"is": "package", "name": "hello-2.12"}, "is the package 'hello-2.12', not a NixOS system.*environment.system"),
    ({"is": "function"}, "is a function, such as a NixOS module.*nixpkgs.lib.nixosSystem { modules"),
    ({"is": "systems", "names": ["a", "b"]}, "is a set with the systems a, b.*into nixosConfigurations itself"),
    ({"is": "configuration"}, "a configuration without config.system.build.toplevel.*lib.evalModules"),
    ({"is": "string"}, "is a string, not a NixOS system"),
    ({"is": "app"}, "is an app, not a NixOS system"),
    ({"is": "home"}, "is a configuration of home-manager.*NixOS module"),
    ({"is": "set", "names": ["imports"]}, "is a set with imports, not"),
    ({"is": "system", "toplevel": {"is": "function"}}, "its config.system.build.toplevel is a function"),
    (
        {"is": "missing", "name": "web", "names": [f"c{n}" for n in range(10)], "elsewhere": ["packages.p.web"]},
        'has no nixosConfigurations."web". There are: c0, .* and 2 more. It has packages.p.web, which.*/srv/a#c0',
    ),
    (
        {"is": "missing", "name": "nixosConfigurations", "names": ["devShells"], "elsewhere": ["devShells.p.web"]},
        "has no nixosConfigurations. Its outputs are: devShells. It has devShells.p.web.*nixosSystem",
    ),
    ({"is": "missing", "name": "nixosConfigurations", "names": [], "elsewhere": []}, "has no nixosConfigurations. Wr"),
]
OF_A_FILE = [
    ({"is": "system", "toplevel": {"is": "package", "name": "x"}}, "'attribute: web.config.system.build.toplevel'"),
    ({"is": "missing", "name": "web", "names": ["db"], "of": "set"}, "has no web. There are: db"),
    ({"is": "missing", "name": "web", "names": [], "of": "lambda"}, "has no web. It is a function"),
    ({"is": "missing", "name": "web", "names": [], "of": "set"}, "has no web. It is an empty set"),
    ({"is": "null"}, "web of /srv/a.nix on .* is null, not a NixOS system"),
]


@pytest.mark.parametrize(("kind", "words"), OF_A_FLAKE)
def test_what_is_said_of_a_flake(kind: dict[str, Any], words: str) -> None:
    with pytest.raises(FleetError, match=words.replace("{", r"\{")):
        _raise(error_of(WEB, kind))


@pytest.mark.parametrize(("kind", "words"), OF_A_FILE)
def test_what_is_said_of_a_file(kind: dict[str, Any], words: str) -> None:
    with pytest.raises(FleetError, match=words):
        _raise(error_of(File(path="/srv/a.nix", attribute="web"), kind))


def test_a_system_is_none_of_this() -> None:
    package = {"is": "package", "name": "nixos-system-web"}
    assert error_of(WEB, {"is": "system", "toplevel": package}) is None
    assert error_of(File(path="/srv/a.nix", attribute="web"), package) is None


@pytest.mark.parametrize("said", SAID)
def test_what_nix_says_of_it_is_looked_into(said: str, tmp_path: Path) -> None:
    found = explained(_nix(tmp_path, [{"is": "string"}]), {(WEB, NixOptions()): NixError("No.", said, CODE)})
    assert "is a string" in str(found[WEB, NixOptions()])


@pytest.mark.parametrize("said", ["error: undefined variable 'x'", "error: no such machine"])
def test_other_errors_stay_as_they_are(said: str, tmp_path: Path) -> None:
    assert explained(_nix(tmp_path, []), {(WEB, NixOptions()): NixError("No.", said, CODE)}) == {}


def test_one_look_for_all_of_a_flake(tmp_path: Path) -> None:
    db = Flake(reference="/srv/a", attribute="db")
    failed: dict[Declared, FleetError] = {(one, NixOptions()): NixError("No.", SAID[0], CODE) for one in (WEB, db)}
    found = explained(_nix(tmp_path, [{"is": "app"}, {"is": "int"}]), failed)
    assert ["an app" in str(found[WEB, NixOptions()]), "an integer" in str(found[db, NixOptions()])] == [True, True]


def test_what_throws_says_it_though_nix_remembers_only_that_it_failed(tmp_path: Path) -> None:
    failed: dict[Declared, FleetError] = {(WEB, NixOptions()): NixError("No.", SAID[1], CODE)}
    assert "no such machine" in str(explained(_nix(tmp_path, [None]), failed)[WEB, NixOptions()])


def test_a_look_that_fails_leaves_the_words_of_nix(tmp_path: Path) -> None:
    program = tmp_path / "nix"
    program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    assert explained(NixCommand(command=str(program)), {(WEB, NixOptions()): NixError("No.", SAID[0], CODE)}) == {}


def test_names_are_text_in_the_expression() -> None:
    arguments = look_arguments("/srv/a.nix", True, [["a${b}", 'c"d', "e\\f"]], NixOptions(impure=True))
    look = arguments[arguments.index("--apply") + 1]
    assert r'"[[\"a\${b}\", \"c\\\"d\", \"e\\\\f\"]]"' in look
    assert arguments[-2:] == ["--", "."]
    assert "--impure" in arguments


def _nix(directory: Path, kinds: list[Any]) -> NixCommand:
    """Return a program that answers the look, and throws what is asked for without the evaluation cache (simulated)."""
    program = directory / "nix"
    answer = json.dumps(kinds).replace("'", "'\\''")
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "  *eval-cache*) echo 'error: no such machine' >&2; exit 1 ;;\n"
        f"  *--apply*) echo '{answer}' ;;\n"
        "esac\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    return NixCommand(command=str(program))


def _raise(error: FleetError | None) -> None:
    if error is not None:
        raise error
