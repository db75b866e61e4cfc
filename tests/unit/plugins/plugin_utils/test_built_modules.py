# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible import constants

from ansible_collections.inx.fleet.plugins.plugin_utils import built_modules
from ansible_collections.inx.fleet.plugins.plugin_utils.built_modules import kept_between_runs

FILE = "ansible_collections.inx.fleet.plugins.modules.inx_host-ZIP_DEFLATED-none"
OTHER = "ansible_collections.inx.fleet.plugins.modules.inx_hosts-ZIP_DEFLATED-none"


class Controller:
    """Runs that pack a module if it is not there, as Ansible does, each in a directory of its own."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.packed = directory / "home", 0
        self._directory, self._monkeypatch, self._runs = directory, monkeypatch, 0
        monkeypatch.setattr(constants.config, "get_config_value", lambda _name: str(self.home))

    def run(self, tasks: int = 1) -> str:
        """Run some tasks, and return the module that they used."""
        self._runs += 1
        here = self._directory / f"run-{self._runs}" / "ansiballz_cache"
        here.parent.mkdir()
        self._monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(here.parent))
        for _number in range(tasks):
            with kept_between_runs("inx_host"):
                here.mkdir(exist_ok=True)
                (here / f"{FILE}.lock").touch()
                if not (here / FILE).exists():
                    self.packed += 1
                    (here / FILE).write_text(f"packed {self.packed}")
                    (here / OTHER).write_text("another module")
        return (here / FILE).read_text()

    def kept(self) -> list[str]:
        """Return the names of all that is kept."""
        return sorted(path.name for path in self.home.rglob("*") if path.is_file())


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Controller:
    return Controller(tmp_path, monkeypatch)


def test_a_module_is_packed_once(controller: Controller) -> None:
    assert [controller.run(tasks=2), controller.run(), controller.run()] == ["packed 1"] * 3
    assert controller.kept() == [FILE]


def test_other_code_is_packed_anew(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    controller.run()
    monkeypatch.setattr(built_modules, "ansible_version", "another one")
    assert controller.run() == controller.run() == "packed 2"


def test_the_key_follows_all_code_of_the_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "plugins" / "module_utils" / "deep" / "text.py"
    code.parent.mkdir(parents=True)
    monkeypatch.setattr(built_modules, "_COLLECTION", tmp_path)
    keys = [built_modules._key()]
    for text in ("a = 1", "a = 2"):
        code.write_text(text)
        keys.append(built_modules._key())
    code.rename(code.with_name("other.py"))
    assert len({*keys, built_modules._key()}) == 4


def test_only_a_few_versions_are_kept(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in range(8):
        monkeypatch.setattr(built_modules, "ansible_version", str(version))
        controller.run()
    assert controller.kept() == [FILE] * 4
    assert controller.run() == "packed 8"


@pytest.mark.parametrize("what", ["writable by others", "a link", "a file"])
def test_what_others_could_change_is_not_run(what: str, controller: Controller, tmp_path: Path) -> None:
    controller.home.mkdir()
    place = controller.home / "inx_fleet_modules"
    if what == "a link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    elif what == "a file":
        place.touch()
    else:
        place.mkdir()
        place.chmod(0o777)
    assert [controller.run(), controller.run()] == ["packed 1", "packed 2"]
