# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""With a program in the place of nix that answers as nix does, and writes down what it was asked (simulated)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix import evaluation
from ansible_collections.inx.fleet.plugins.module_utils.nix.evaluation import evaluate
from ansible_collections.inx.fleet.plugins.module_utils.nix.evaluation_cache import EvaluationCache
from ansible_collections.inx.fleet.plugins.module_utils.nix.process import NixCommand
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import (
    Declared,
    File,
    Flake,
    NixOptions,
    StorePath,
    System,
)

# The state is a file: the version of the sources, the names of bad systems, and what happens meanwhile.
NIX = """#!/usr/bin/env python3
import json, re, sys
from pathlib import Path

here = Path(__file__).parent
state = json.loads((here / "state").read_text())
words = sys.argv[1:]
operands = words[words.index("--") + 1:]
with open(here / "asked", "a") as file:
    file.write(json.dumps([word for word in words if word in ("build", "metadata")] + operands) + "\\\\n")
if state.get("error"):
    sys.exit("error: " + state["error"])
if "metadata" in words:
    locked = {"narHash": state["version"], "type": state.get("type", "path"), "rev": state["version"]}
    url = f"{operands[0]}?rev={state['version']}" + ("&narHash=x" if state.get("copy") else "")
    path = "/nix/store/" + state["version"] * 32 + "-source"
    print(json.dumps({"locked": locked, "locks": {}, "url": url, "path": path}))
    sys.exit(0)
names = [re.findall('"(.*)"', one)[0] if "#" in one else one.removesuffix(".outPath") for one in operands]
for name in names:
    if name in state.get("bad", []):
        sys.exit(f"error: {name} is bad")
found = "/nix/store/" + state["version"] * 32 + "-"
print(json.dumps([{"drvPath": f"{found}{name}.drv", "outputs": {"out": found + name}} for name in names]))
if state.get("then"):
    (here / "state").write_text(json.dumps(state["then"]))
"""


class FakeNix:
    """nix, its sources and its store (simulated)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cache = EvaluationCache(directory=str(directory / "cache"))
        (directory / "nix").write_text(NIX.replace("\\\\", "\\"), encoding="utf-8")
        (directory / "nix").chmod(0o755)
        self.set(version="0")

    def set(self, **state: Any) -> None:
        """Give it another state."""
        (self._directory / "state").write_text(json.dumps(state), encoding="utf-8")

    def evaluate(self, *declared: Declared) -> list[System | FleetError]:
        """Evaluate, and forget what it was asked before."""
        (self._directory / "asked").write_text("", encoding="utf-8")
        found = evaluate(NixCommand(command=str(self._directory / "nix")), declared, None, self._cache)
        return [found[entry] for entry in declared]

    @property
    def asked(self) -> list[list[str]]:
        """What it was asked: build or metadata, and the operands."""
        return [json.loads(line) for line in (self._directory / "asked").read_text(encoding="utf-8").splitlines()]

    @property
    def built(self) -> list[list[str]]:
        """What it has evaluated, by process."""
        return [operands for word, *operands in self.asked if word == "build"]


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNix:
    monkeypatch.setattr(evaluation, "lost", lambda systems: False)
    return FakeNix(tmp_path)


def flake(name: str = "web", reference: str = "path:/srv/a", **options: Any) -> Declared:
    return Flake(reference=reference, attribute=name), NixOptions(**options)


def paths(found: Sequence[System | FleetError]) -> list[str]:
    return [one.path.rpartition("/")[2][31:] if isinstance(one, System) else "failed" for one in found]


def test_what_has_not_changed_is_not_evaluated_again(nix: FakeNix) -> None:
    assert paths(nix.evaluate(flake(), flake("db"))) == ["0-web", "0-db"]
    assert paths(nix.evaluate(flake(), flake("db"))) == ["0-web", "0-db"]
    assert nix.built == []
    # One look for all systems of a flake.
    assert nix.asked == [["metadata", "path:/srv/a"]]
    assert paths(nix.evaluate(flake(), flake("new"))) == ["0-web", "0-new"]
    assert len(nix.built) == 1
    nix.set(version="1")
    assert paths(nix.evaluate(flake(), flake("db"))) == ["1-web", "1-db"]


def test_what_a_pure_evaluation_does_not_cover_is_always_evaluated(nix: FakeNix) -> None:
    for entry in (flake(impure=True), (File(path="/srv/a.nix", attribute="web"), NixOptions())):
        for _run in range(2):
            nix.evaluate(entry)
            assert len(nix.built) == 1
            assert [words for words in nix.asked if words[0] == "metadata"] == []


def test_what_was_collected_is_evaluated_again(nix: FakeNix, monkeypatch: pytest.MonkeyPatch) -> None:
    nix.evaluate(flake())
    monkeypatch.setattr(evaluation, "lost", lambda systems: True)
    assert paths(nix.evaluate(flake())) == ["0-web"]
    assert len(nix.built) == 1


def test_other_options_are_another_evaluation(nix: FakeNix) -> None:
    nix.evaluate(flake())
    nix.evaluate(flake(settings=(("allow-import-from-derivation", "false"),)))
    assert len(nix.built) == 1
    nix.evaluate(flake(settings=(("tarball-ttl", "0"),)))
    assert nix.built == []


def test_sources_that_change_meanwhile_are_evaluated_again(nix: FakeNix) -> None:
    nix.set(version="0", then={"version": "1"})
    assert paths(nix.evaluate(flake())) == ["1-web"]
    nix.set(version="0")
    assert paths(nix.evaluate(flake())) == ["0-web"]
    assert len(nix.built) == 1


def test_what_has_a_revision_is_evaluated_by_it(nix: FakeNix) -> None:
    nix.set(version="0", type="git", then={"version": "1", "type": "git"})
    assert paths(nix.evaluate(flake(reference="git+file:///a"))) == ["0-web"]
    assert [operand.partition("#")[0] for operand in nix.built[0]] == ["git+file:///a?rev=0"]


def test_the_others_do_not_suffer_from_a_bad_one(nix: FakeNix) -> None:
    nix.set(version="0", bad=["c5"])
    names = [f"c{number}" for number in range(20)]
    found = nix.evaluate(*map(flake, names))
    assert paths(found) == [f"0-{name}" if name != "c5" else "failed" for name in names]
    assert "c5 is bad" in str(found[5])
    assert 'path:/srv/a#nixosConfigurations."c5"' in str(found[5])
    # What did evaluate does not do so again.
    nix.evaluate(*map(flake, names))
    assert [len(operands) for operands in nix.built] == [1]


def test_a_flake_that_cannot_be_read_is_the_error_of_all_its_systems(nix: FakeNix) -> None:
    nix.set(version="0", error="there is no flake")
    found = nix.evaluate(flake(), flake("db"))
    for name, error in zip(("web", "db"), found, strict=True):
        assert f'"{name}".config.system.build.toplevel does not evaluate' in str(error)
        assert "there is no flake" in str(error)
    assert len(nix.asked) == 1


def test_equal_ones_are_evaluated_once_and_store_paths_never(nix: FakeNix) -> None:
    path = f"/nix/store/{'a' * 32}-nixos-system"
    stored = StorePath(path=path, copy_from="ssh-ng://x"), NixOptions()
    assert nix.evaluate(flake(), stored, flake())[1] == System(path=path, copy_from="ssh-ng://x")
    assert [len(operands) for operands in nix.built] == [1]


def test_sources_that_were_collected_are_looked_up_again(nix: FakeNix) -> None:
    """A path is evaluated as it was copied into the store, where a collection takes it (simulated)."""
    nix.set(version="0", copy=True, bad=["web"], then=None)
    (error,) = nix.evaluate(flake())
    assert "web is bad" in str(error)
    # Each time as it was then.
    assert [words[0] for words in nix.asked] == [
        "metadata",
        "build",
        "metadata",
        "build",
        "metadata",
        "build",
        "metadata",
    ]
    assert {operand.partition("?")[0] for (operand,) in nix.built} == {f"path:/nix/store/{'0' * 32}-source"}


JOBS = """#!/usr/bin/env python3
import json, re, sys
for name in re.findall('"([^"]*)" =', sys.argv[sys.argv.index("--select") + 1]):
    path = "/nix/store/" + "0" * 32 + "-" + name
    found = {"drvPath": path + ".drv", "outputs": {"out": path}} if name != "c5" else {"error": "it is bad"}
    print(json.dumps({"attrPath": [name], **found}))
"""


def test_nix_eval_jobs_is_used_where_it_is_and_nix_for_what_it_cannot_do(nix: FakeNix, tmp_path: Path) -> None:
    """(simulated)"""
    (tmp_path / "nix-eval-jobs").write_text(JOBS, encoding="utf-8")
    (tmp_path / "nix-eval-jobs").chmod(0o755)
    nix.set(version="0", type="git", bad=["c5"])
    names = [f"c{number}" for number in range(20)]
    found = nix.evaluate(*(flake(name, "git+file:///a") for name in names))
    assert paths(found) == [f"0-{name}" if name != "c5" else "failed" for name in names]
    assert [len(operands) for operands in nix.built] == [1]
    # Of sources that can change meanwhile, nix itself makes all.
    nix.set(version="1")
    assert paths(nix.evaluate(*map(flake, names))) == [f"1-{name}" for name in names]
