# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program nixos-version as nixpkgs writes it (nixos/modules/installer/tools/nixos-version.sh)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.nix import revisions
from ansible_collections.inx.fleet.plugins.module_utils.nix.revisions import configuration_revision, revision_in

REVISION = "7b685e95ba7dae3962ef6979210fe296a5c18da0"
PROGRAM = """#! /nix/store/x-bash/bin/bash
case "$1" in
  --configuration-revision)
    if [[ "{text}" =~ "@" ]]; then
      echo "$0: configuration revision is unknown" >&2
    fi
    ;;
  --json)
    cat <<EOF
{json}
EOF
    ;;
esac
"""


def program(**found: str) -> str:
    text = found.get("configurationRevision", "@configurationRevision@")
    return PROGRAM.format(text=text, json=json.dumps({"nixosVersion": "25.11", **found}, separators=(",", ":")))


def test_a_system_tells_its_revision() -> None:
    assert revision_in(program(configurationRevision=REVISION)) == REVISION


@pytest.mark.parametrize("text", ["", program(), "{configurationRevision", '{"configurationRevision": 3}', "{}"])
def test_a_system_without_a_revision(text: str) -> None:
    assert revision_in(text) is None


@given(st.text(min_size=1))
def test_whatever_a_system_says_can_be_shown(text: str) -> None:
    found = revision_in(program(configurationRevision=text))
    assert found is None or found.replace("\t", "").isprintable()


def test_only_files_of_the_store_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, secret = tmp_path / "store", tmp_path / "secret"
    secret.write_text(program(configurationRevision="secret"))
    programs = store / "system/sw/bin"
    programs.mkdir(parents=True)
    monkeypatch.setattr(revisions, "STORE_DIR", str(store))
    assert configuration_revision(str(store / "system")) is None
    (programs / "nixos-version").symlink_to(secret)
    assert configuration_revision(str(store / "system")) is None
    (store / "there").write_text(program(configurationRevision=REVISION))
    (programs / "nixos-version").unlink()
    (programs / "nixos-version").symlink_to(store / "there")
    assert configuration_revision(str(store / "system")) == REVISION


@pytest.mark.parametrize("made", ["directory", "deep"])
def test_what_a_container_made_of_it_is_no_revision(made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "STORE_DIR", str(tmp_path))
    program = tmp_path / "system" / "sw" / "bin" / "nixos-version"
    program.parent.mkdir(parents=True)
    if made == "directory":
        program.mkdir()
    else:
        program.write_text('{"configurationRevision":' + "[" * 60_000)
    assert revisions.configuration_revision(str(tmp_path / "system")) is None
