# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a command as the tests need it: python3 tests/environment.py COMMAND...

With no command it only prepares: a virtual environment of requirements-test.txt,
and a copy of the collection in a directory .../ansible_collections/inx/fleet,
where ansible-test insists to find it. The command runs in that copy.
ANSIBLE_CORE=2.21 in the environment chooses the version of ansible-core.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

COLLECTION = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(COLLECTION / "tests" / "lab"))

from common import CACHE, LAB, LabError, apt_install, locked, remove_tree, run, say, timed  # noqa: E402


@dataclass(frozen=True, kw_only=True)
class Core:
    """A version of ansible-core, and the first and last Python that its control node runs on."""

    release: str
    oldest: tuple[int, int]
    newest: tuple[int, int]


#: What ANSIBLE_CORE chooses from. The first one is the oldest that meta/runtime.yml allows.
CORES = {
    "2.19": Core(release="2.19.14", oldest=(3, 11), newest=(3, 13)),
    "2.20": Core(release="2.20.10", oldest=(3, 12), newest=(3, 14)),
    "2.21": Core(release="2.21.5", oldest=(3, 12), newest=(3, 14)),
}


def main(command: Sequence[str]) -> int:
    """Prepare, and become the command."""
    try:
        venv = _venv()
        tree = _tree()
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    if not command:
        say(f"tools: {venv}")
        say(f"collection: {tree}")
        return 0
    os.chdir(tree)
    os.environ.update(_variables(venv, tree))
    return os.execvp(command[0], list(command))


def _variables(venv: Path, tree: Path) -> dict[str, str]:
    """Everything that tools write goes into the cache, not into the user's home."""
    home = CACHE / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{venv}/bin:{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin",
        "VIRTUAL_ENV": str(venv),
        "INX_FLEET_CACHE": str(CACHE),
        "INX_FLEET_LAB": str(LAB),
        "HOME": str(home),
        "PIP_CONFIG_FILE": os.environ.get("PIP_CONFIG_FILE", str(Path.home() / ".config/pip/pip.conf")),
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(tree.parents[2]),
        "ANSIBLE_PIPELINING": "1",
        # Ansible's own but for -C: lab hosts are on this machine, where nothing is gained by packing what is sent.
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(CACHE / "hypothesis"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _venv() -> Path:
    """The virtual environment, made when its requirements have none yet."""
    requirements = (COLLECTION / "requirements-test.txt").read_text(encoding="utf-8")
    ansible = f"ansible-core=={_core().release}"
    key = hashlib.sha256("\n".join([requirements, ansible, sys.version, sys.executable]).encode()).hexdigest()[:10]
    path = CACHE / f"venv-{key}"
    with locked(CACHE / "locks" / "venv"):
        if not (path / ".complete").exists():
            _make_venv(path, ansible)
    return path


def _core() -> Core:
    """The ansible-core that the user chose, if this Python can run it."""
    chosen = os.environ.get("ANSIBLE_CORE") or next(iter(CORES))
    if chosen not in CORES:
        raise LabError(f"ANSIBLE_CORE is {chosen}. The tests know {', '.join(CORES)}.")
    core = CORES[chosen]
    if not core.oldest <= sys.version_info[:2] <= core.newest:
        oldest, newest = (".".join(map(str, version)) for version in (core.oldest, core.newest))
        raise LabError(
            f"ansible-core {chosen} runs on Python {oldest} to {newest}. Say which: make PYTHON=python{oldest} ..."
        )
    return core


def _make_venv(path: Path, ansible: str) -> None:
    remove_tree(path)
    _install_debian_packages()
    with timed(f"installing {ansible} and the tests' tools into {path}"):
        run([sys.executable, "-m", "venv", str(path)])
        pip = [str(path / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "-r", str(COLLECTION / "requirements-test.txt"), ansible])
    (path / ".complete").touch()


def _install_debian_packages() -> None:
    """Install what pip does not bring: ensurepip, which Debian's Python lacks, and for root shellcheck.

    The unit tests need neither shellcheck nor root.
    """
    missing = ["shellcheck"] if shutil.which("shellcheck") is None and os.geteuid() == 0 else []
    if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True, check=False).returncode != 0:
        missing.append("python3-venv")
    if missing:
        apt_install(missing)


def _tree() -> Path:
    """A copy of the collection as git has it, with what is not committed yet."""
    name = hashlib.sha256(str(COLLECTION).encode()).hexdigest()[:6]
    tree = CACHE / "tree" / name / "ansible_collections" / "inx" / "fleet"
    with locked(CACHE / "locks" / f"tree-{name}"):
        wanted = {path for path in _files() if (COLLECTION / path).is_file()}
        for path in _files_below(tree) - wanted:
            (tree / path).unlink()
        for path in wanted:
            _copy(COLLECTION / path, tree / path)
    return tree


def _files() -> set[Path]:
    listed = subprocess.run(
        ["git", "-C", str(COLLECTION), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        return set(_files_below(COLLECTION))
    return {Path(name) for name in listed.stdout.split("\0") if name}


def _files_below(top: Path) -> set[Path]:
    return set(_walk(top)) if top.is_dir() else set()


def _walk(top: Path) -> Iterator[Path]:
    for directory, children, names in os.walk(top):
        children[:] = [child for child in children if child not in (".git", "__pycache__")]
        for name in names:
            yield Path(directory).joinpath(name).relative_to(top)


def _copy(source: Path, target: Path) -> None:
    """Copy what differs, so that a run that is under way does not lose files."""
    if target.exists() and target.read_bytes() == source.read_bytes():
        shutil.copymode(source, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
