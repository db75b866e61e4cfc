# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ``nix flake metadata`` of Nix 2.26.3 prints, on a lab host; other versions where it says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.nix.flakes import (
    Sources,
    lock_warnings,
    metadata_arguments,
    sources_from,
    without_links,
    without_secrets,
)
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import Flake, NixOptions

HASH = "sha256-C2p4AAi1gC3xPKW8DkjFc+d/gfKQVkjK5VKUvOscgJo="
REV = "7b685e95ba7dae3962ef6979210fe296a5c18da0"
INPUT = {
    "locked": {"lastModified": 1795983481, "narHash": HASH, "path": "/srv/t/in", "type": "path"},
    "original": {"path": "/srv/t/in", "type": "path"},
}
LOCKS = {"nodes": {"root": {"inputs": {"systems": "systems"}}, "systems": INPUT}, "root": "root", "version": 7}
PATH = {
    "locked": {"__final": True, "lastModified": 1795983481, "narHash": HASH, "path": "/srv/t/p", "type": "path"},
    "locks": LOCKS,
    "path": "/nix/store/av6vy3x0317ww10m5k5n4x5xxb537r6y-source",
    "url": "path:/srv/t/p?lastModified=1795983481&narHash=sha256-C2p4",
}
CLEAN = {
    "fingerprint": "d15e48fe6134a2845f66986ae6a42596556e81a9099cd2f26fb9ec9fc9f97d4f",
    "locked": {
        "__final": True,
        "narHash": HASH,
        "ref": "refs/heads/master",
        "rev": REV,
        "type": "git",
        "url": "file:///g",
    },
    "locks": LOCKS,
    "path": "/nix/store/av6vy3x0317ww10m5k5n4x5xxb537r6y-source",
    "url": f"git+file:///g?ref=refs/heads/master&rev={REV}",
}
DIRTY = {
    "fingerprint": "563e8e3d89fcd21600dccb4e514ef5abc669fb15b2e2ca8457abf003e83d5516",
    "locked": {
        "dirtyRev": f"{REV}-dirty",
        "lastModified": 1795983481,
        "narHash": HASH,
        "type": "git",
        "url": "file:///g",
    },
    "locks": LOCKS,
    "path": "/nix/store/cijwnkpcjbr4v1fdjpwcz3dflaf98kjc-source",
    "url": "git+file:///g",
}
GITHUB = {
    "locked": {"owner": "o", "repo": "r", "rev": REV, "narHash": HASH, "type": "github", "lastModified": 1},
    "locks": {"nodes": {"root": {}}, "root": "root", "version": 7},
    "url": f"github:o/r/{REV}?narHash=x",
}
TARBALL = {
    "locked": {"type": "tarball", "url": "https://example.org/a.tar.gz", "narHash": HASH},
    "locks": {"nodes": {"root": {}}, "root": "root", "version": 7},
    "url": "https://example.org/a.tar.gz?narHash=x",
}
SAID = """warning: not writing modified lock file of flake 'path:/srv/t/p':
• Added input 'systems':
    'path:/srv/t/in?lastModified=1795983481&narHash=sha256-C2p4' (2026-11-29)
• Added input 'systems/nixpkgs':
    follows 'nixpkgs'
"""


def sources(metadata: dict[str, Any], said: str = "", **options: Any) -> Sources:
    return sources_from("REFERENCE", json.dumps(metadata), said, NixOptions(**options))


@pytest.mark.parametrize(
    ("metadata", "reference"),
    [
        (PATH, f"path:{PATH['path']}?lastModified=1795983481&narHash=sha256-C2p4"),
        (DIRTY, "REFERENCE"),
        *((entry, entry["url"]) for entry in (CLEAN, GITHUB, TARBALL)),
        # As far as such may come (made up).
        ({**PATH, "path": "/srv/t/p"}, "REFERENCE"),
        ({key: value for key, value in PATH.items() if key != "path"}, "REFERENCE"),
    ],
)
def test_what_can_be_named_for_good_is_evaluated_so(metadata: dict[str, Any], reference: str) -> None:
    found = sources(metadata)
    assert found.reference == reference
    assert found.is_pinned == (reference != "REFERENCE")
    assert found.identity is not None


@pytest.mark.parametrize(
    ("metadata", "revision"), [(CLEAN, REV), (GITHUB, REV), (DIRTY, f"{REV}-dirty"), (PATH, None), (TARBALL, None)]
)
def test_the_revision_is_that_of_the_repository(metadata: dict[str, Any], revision: str | None) -> None:
    assert sources(metadata).revision == revision


@pytest.mark.parametrize("metadata", [PATH, CLEAN, DIRTY, GITHUB, TARBALL])
@pytest.mark.parametrize("key", ["locked", "locks"])
def test_other_sources_are_another_identity(metadata: dict[str, Any], key: str) -> None:
    text = json.dumps({**metadata, key: INPUT["locked"]} if key == "locked" else {**metadata, key: {"root": "x"}})
    assert sources_from("REFERENCE", text, "", NixOptions()).identity != sources(metadata).identity


@pytest.mark.parametrize(
    "metadata",
    [
        # As far as such may come: a source without a hash, and an input without one (made up).
        {**PATH, "locked": {"type": "path", "path": "/srv/t/p"}},
        {**PATH, "locks": {**LOCKS, "nodes": {"root": {}, "systems": {"locked": {"type": "git", "url": "file:///x"}}}}},
    ],
)
def test_what_nix_does_not_know_the_hash_of_has_no_identity(metadata: dict[str, Any]) -> None:
    assert sources(metadata).identity is None


def test_a_relative_input_is_part_of_its_flake() -> None:
    node = {"locked": {"path": "./sub", "type": "path"}, "original": {"path": "./sub", "type": "path"}, "parent": []}
    assert sources({**PATH, "locks": {**LOCKS, "nodes": {"root": {}, "sub": node}}}).identity is not None


def test_inputs_that_are_not_locked_are_named() -> None:
    found = sources(PATH, SAID)
    assert found.unlocked == ("systems", "systems/nixpkgs")
    (warning,) = lock_warnings(Flake(reference="path:/srv/t/p", attribute="web"), found)
    assert "systems, systems/nixpkgs" in warning
    assert "nix flake lock path:/srv/t/p" in warning


def test_inputs_that_are_overridden_are_in_no_lock_file() -> None:
    assert sources(PATH, SAID, override_inputs=(("systems", "path:/x"),)).unlocked == ()
    assert sources(PATH, "warning: Git tree '/srv/t/g' is dirty").unlocked == ()
    assert lock_warnings(Flake(reference="path:/srv/t/p", attribute="web"), sources(PATH)) == ()


def test_a_warning_tells_no_password() -> None:
    assert without_secrets("git+https://me:secret@example.org/r?ref=a") == "git+https://me@example.org/r?ref=a"
    assert without_secrets("github:o/r") == "github:o/r"


def test_a_link_to_a_flake_is_followed(tmp_path: Path) -> None:
    flake = tmp_path / "flake"
    flake.mkdir()
    (tmp_path / "link").symlink_to(flake)
    for scheme in ("", "path:", "git+file://"):
        assert without_links(f"{scheme}{tmp_path}/link") == f"{scheme}{flake}"
        assert without_links(f"{scheme}{tmp_path}/link?dir=sub") == f"{scheme}{flake}?dir=sub"
        assert without_links(f"{scheme}{flake}") == f"{scheme}{flake}"
    assert without_links(f"{tmp_path}/none") == f"{tmp_path}/none"
    assert without_links("github:o/r") == "github:o/r"


def test_what_nix_is_asked() -> None:
    options = NixOptions(accept_flake_config=True, override_inputs=(("a", "path:/b"),), builders="x")
    asked = metadata_arguments("path:/a", options)
    assert "--no-write-lock-file" in asked
    assert asked[-5:] == ["--override-input", "a", "path:/b", "--", "path:/a"]
