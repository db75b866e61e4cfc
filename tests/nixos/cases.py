# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is to evaluate: settings beside the modules, and all Nix that the documentation shows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.inx.fleet.tests.nixos.evaluation import COLLECTION, HERE, Case, listed

_SNIPPET = re.compile(r"^```nix\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OF_A_HOST = re.compile(r"\binx\.host\b|\bvirtualisation\.incus\b|^\s*containers\.", re.MULTILINE)
# What a machine says of itself, and no documentation can.
_CONFIGURATION = """
{
  system.stateVersion = "24.05";
  nixpkgs.hostPlatform = "x86_64-linux";
  boot.loader.grub.device = "/dev/vda";
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
}
"""


def settings(beside: str, directory: Path) -> dict[str, Case]:
    """Return the settings beside the module "container" or "host"."""
    file = {"settings": str(HERE / f"beside_{beside}.nix")}
    names = listed({beside: file}, directory)[beside]
    return {name: {**file, "setting": name, "beside": beside} for name in names}


def examples(directory: Path) -> dict[str, Case]:
    """Return the systems of all examples."""
    found = sorted((COLLECTION / "examples").glob("*/systems/flake.nix"))
    return _systems({str(path.relative_to(COLLECTION)): path for path in found}, directory)


def templates(directory: Path) -> dict[str, Case]:
    """Return the systems of the flake's templates, as `nix flake init` writes them."""
    flakes = {}
    for template in sorted((COLLECTION / "nix" / "templates").iterdir()):
        place = directory / "templates" / template.name
        shutil.copytree(template, place)
        flakes[template.name] = _surrounded(place / "flake.nix")
    return _systems(flakes, directory)


def snippets(directory: Path) -> dict[str, Case]:
    """Return every piece of Nix in the pages: flakes as such, all others as modules beside the collection's."""
    flakes: dict[str, Path] = {}
    modules: dict[str, Case] = {}
    for name, text in _snippets():
        place = directory / "snippets" / re.sub(r"\W", "-", name)
        place.mkdir(parents=True)
        if re.search(r"^  outputs =", text, re.MULTILINE):
            flakes[name] = _surrounded(_written(place / "flake.nix", text))
        else:
            # Lines of a configuration.nix are as good as a whole module.
            whole = text if re.match(r"\s*(\{|\w+:)", text) else f"{{ config, lib, pkgs, ... }}:\n{{\n{text}}}\n"
            beside = "machine" if "host.nix" in text else "host" if _OF_A_HOST.search(text) else "container"
            file = _surrounded(_written(place / "module.nix", whole))
            modules[name] = {"modules": [str(file)], "beside": beside}
    return {**_systems(flakes, directory), **modules}


def checks() -> dict[str, Case]:
    """Return the checks of the flake."""
    flake = str(COLLECTION / "flake.nix")
    return {"checks.x86_64-linux.fleet": {"flake": flake, "output": ["checks", "x86_64-linux", "fleet"]}}


def module(text: str, place: Path, beside: str) -> Case:
    """Return the case of a configuration beside a module of the collection."""
    return {"modules": [str(_written(place, text))], "beside": beside}


def _systems(flakes: dict[str, Path], directory: Path) -> dict[str, Case]:
    cases: dict[str, Case] = {name: {"flake": str(path)} for name, path in flakes.items()}
    return {
        f"{name}#{system}": {**cases[name], "system": system}
        for name, systems in listed(cases, directory).items()
        for system in systems
    }


def _snippets() -> Iterator[tuple[str, str]]:
    for pattern in ("*.md", "docs/**/*.md", "roles/*/README.md", "examples/**/*.md"):
        for page in sorted(COLLECTION.glob(pattern)):
            for number, text in enumerate(_SNIPPET.findall(page.read_text(encoding="utf-8")), 1):
                yield f"{page.relative_to(COLLECTION)} {number}", text


def _surrounded(file: Path) -> Path:
    """Put beside a file what the pages say is there: the modules, and what the machine is already."""
    place = file.parent
    shutil.copy(COLLECTION / "nix" / "container.nix", place / "inx-container.nix")
    (place / "ansible_collections" / "inx").mkdir(parents=True)
    (place / "ansible_collections" / "inx" / "fleet").symlink_to(COLLECTION)
    _written(place / "configuration.nix", _CONFIGURATION)
    return file


def _written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file
