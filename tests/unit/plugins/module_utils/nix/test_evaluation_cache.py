# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.nix import evaluation_cache
from ansible_collections.inx.fleet.plugins.module_utils.nix.evaluation_cache import (
    EvaluationCache,
    key_of,
    surroundings_of,
    systems_from,
)
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import NixOptions, System

A, B = (f"/nix/store/{letter * 32}-nixos-system" for letter in "ab")
SYSTEM = System(path=A, derivation=f"{A}.drv")
KEY = "0" * 64


@pytest.fixture
def cache(tmp_path: Path) -> EvaluationCache:
    return EvaluationCache(directory=str(tmp_path / "inx" / "evaluations"))


def test_what_is_added_is_read_and_what_was_there_stays(cache: EvaluationCache) -> None:
    assert cache.read(KEY) == {}
    cache.add(KEY, {"web": SYSTEM})
    cache.add(KEY, {"db": System(path=B, derivation=f"{B}.drv", built=True)})
    assert cache.read(KEY) == {"web": SYSTEM, "db": System(path=B, derivation=f"{B}.drv")}
    assert os.stat(cache.directory).st_mode & 0o777 == 0o700


def test_what_others_can_write_is_not_trusted(cache: EvaluationCache) -> None:
    cache.add(KEY, {"web": SYSTEM})
    os.chmod(cache.directory, 0o770)  # noqa: S103 - this is what is wrong
    assert cache.read(KEY) == {}
    os.chmod(cache.directory, 0o700)
    assert cache.read(KEY) == {"web": SYSTEM}
    os.rename(cache.directory, f"{cache.directory}-other")
    os.symlink(f"{cache.directory}-other", cache.directory)
    assert cache.read(KEY) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"web": ["/etc/passwd", "/etc/shadow"]}', '{"web": [1]}'])
def test_what_makes_no_sense_is_evaluated_again(cache: EvaluationCache, text: str) -> None:
    cache.add(KEY, {"web": SYSTEM})
    Path(cache.directory, f"{KEY}.json").write_text(text, encoding="utf-8")
    assert cache.read(KEY) == {}


def test_it_does_not_grow_and_what_is_used_stays(cache: EvaluationCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_cache, "_MAX_FILES", 3)
    for number in range(5):
        cache.add(f"{number}", {"web": SYSTEM})
        for age, name in enumerate(sorted(os.listdir(cache.directory))):
            os.utime(f"{cache.directory}/{name}", (1000 + age, 1000 + age))
        assert cache.read("0") == {"web": SYSTEM}
    Path(cache.directory, ".new-killed").touch()
    cache.add("5", {"web": SYSTEM})
    assert sorted(os.listdir(cache.directory)) == ["0.json", "4.json", "5.json"]


def test_who_may_not_write_there_goes_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = EvaluationCache(directory=str(tmp_path / "file" / "evaluations"))
    cache.add(KEY, {"web": SYSTEM})
    assert cache.read(KEY) == {}


def test_systems_are_store_paths() -> None:
    assert systems_from({"web": [f"{A}.drv", A], "db": [f"{A}.drv", f"{A}/bin"]}) == {"web": SYSTEM}


def key(identity: str = "", surroundings: tuple[str, ...] = (), **options: object) -> str:
    return key_of(identity, NixOptions(**options), surroundings)  # type: ignore[arg-type]


def test_a_key_is_of_all_that_the_result_depends_on() -> None:
    keys = [
        key(),
        key("other"),
        key(accept_flake_config=True),
        key(settings=(("allow-import-from-derivation", "false"),)),
        key(surroundings=("nix",)),
    ]
    assert len(set(keys)) == len(keys)


def test_where_things_come_from_is_not_in_a_key() -> None:
    assert key(settings=(("tarball-ttl", "0"), ("access-tokens", "github.com=x")), builders="") == key()


def test_another_nix_or_another_configuration_is_another_key(tmp_path: Path) -> None:
    command = tmp_path / "nix"
    command.write_text("1", encoding="utf-8")
    environment = {"NIX_CONF_DIR": str(tmp_path), "HOME": str(tmp_path)}
    found = [surroundings_of(str(command), environment)]
    (tmp_path / "nix.conf").write_text("system = a\n", encoding="utf-8")
    found.append(surroundings_of(str(command), environment))
    (tmp_path / "other.conf").write_text("", encoding="utf-8")
    found.append(surroundings_of(str(command), environment))
    found.append(surroundings_of(str(command), {**environment, "NIX_CONFIG": "system = b"}))
    command.write_text("22", encoding="utf-8")
    found.append(surroundings_of(str(command), environment))
    assert all(one not in found[:number] for number, one in enumerate(found))
    assert surroundings_of(str(command), environment) == found[-1]
