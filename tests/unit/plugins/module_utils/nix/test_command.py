# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.nix.command import Nix
from ansible_collections.inx.fleet.plugins.module_utils.nix.push import Push, missing_there
from ansible_collections.inx.fleet.plugins.module_utils.nix.sources import Flake, NixOptions, System

#: Where it happened, which is not always the host that the containers are on.
HOST = platform.node()
A, B = (f"/nix/store/{letter * 32}-nixos-system" for letter in "ab")
# As Nix 2.26 has it.
FAILED = """error: builder for '{0}.drv' failed with exit code 2;
       last 1 log lines:
       > No rule to make target
       For full logs, run:
         nix log {0}.drv"""


def nix(directory: Path, said: str) -> Nix:
    """A nix that says this and fails."""
    (directory / "said").write_text(f"{said}\n", encoding="utf-8")
    command = directory / "nix"
    command.write_text(f"#!/bin/sh\ncat {directory}/said >&2\nexit 1\n", encoding="utf-8")
    command.chmod(0o755)
    return Nix(command=str(command))


def test_what_does_not_evaluate_is_to_be_mended_there(tmp_path: Path) -> None:
    source, options = Flake(reference="/etc/nixos", attribute="web"), NixOptions()
    error = nix(tmp_path, "error: undefined variable 'pkg'").evaluate([(source, options)])[source, options]
    assert isinstance(error, FleetError)
    assert "web" in error.problem
    assert str(error).splitlines()[-2:] == ["error: undefined variable 'pkg'", error.advice]
    assert "--show-trace" in error.advice


def built(command: Nix, *systems: System) -> dict[System, FleetError]:
    return command.build([(system, NixOptions()) for system in systems])


def test_a_build_that_failed_has_a_log(tmp_path: Path) -> None:
    system = System(path=A, derivation=f"{A}.drv")
    error = built(nix(tmp_path, FAILED.format(A)), system)[system]
    assert error.problem.startswith(f"The build of {A}.drv^out failed on {HOST}. nix says:\nerror: builder for")
    assert error.advice == f"See all of the log with 'nix log {A}.drv' on {HOST}."


def test_a_build_that_failed_comes_with_all_of_its_log(tmp_path: Path) -> None:
    system = System(path=A, derivation=f"{A}.drv")
    command = nix(tmp_path, FAILED.format(A))
    whole = "\n".join(f"line {number}" for number in range(100))
    (tmp_path / "log").write_text(whole, encoding="utf-8")
    script = Path(command.command).read_text(encoding="utf-8")
    logged = script.replace("\n", f'\ncase " $* " in *" log -- {A}.drv ") exec cat {tmp_path}/log ;; esac\n', 1)
    Path(command.command).write_text(logged, encoding="utf-8")
    error = built(command, system)[system]
    assert {what: text.strip() for what, text in error.output.items()} == {
        "nix": FAILED.format(A),
        f"nix log {A}.drv": whole,
    }
    assert "line 1" not in str(error)


def test_of_two_that_failed_it_is_not_said_which_is_whose(tmp_path: Path) -> None:
    systems = [System(path=path, derivation=f"{path}.drv") for path in (A, B)]
    errors = built(nix(tmp_path, f"{FAILED.format(A)}\n{FAILED.format(B)}"), *systems)
    assert {error.advice for error in errors.values()} == {f"See all of the log with 'nix log DERIVATION' on {HOST}."}


@pytest.mark.parametrize(
    ("system", "advice"),
    [
        (System(path=A), "copy_from"),
        (System(path=A, copy_from="ssh-ng://root@builder"), "nix store info --store ssh-ng://root@builder"),
        (System(path=A, derivation=f"{A}.drv"), "nix-daemon"),
    ],
)
def test_what_cannot_be_had(tmp_path: Path, system: System, advice: str) -> None:
    assert advice in built(nix(tmp_path, "error: it is nowhere"), system)[system].advice


JSON_FORMAT = f"""#!/bin/sh
case "$*" in
  *--json-format*) echo '{{"version": 2, "storeDir": "/nix/store", "info": {{"{"a" * 32}-nixos-system": {{}}}}}}' ;;
  *) echo "error: '--json' without '--json-format' is not supported" >&2; exit 1 ;;
esac
"""


def test_a_nix_that_insists_on_a_format_is_given_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Nix 2.33 announces it for later (simulated)."""
    monkeypatch.setattr("os.path.lexists", lambda path: True)
    command = nix(tmp_path, "")
    (tmp_path / "nix").write_text(JSON_FORMAT, encoding="utf-8")
    assert command.valid_paths([A, B]) == {A}
    assert missing_there(command, Push(store="file:///cache"), [A, B], NixOptions()) == [B]


def test_what_hangs_holds_up_nothing_else(tmp_path: Path) -> None:
    """Two stores: the second copy ends only when the first has begun (simulated)."""
    (tmp_path / "nix").write_text(
        f"#!/bin/sh\ntouch {tmp_path}/$$\nfor i in $(seq 100); do\n"
        f"  test $(ls {tmp_path} | wc -l) -ge 3 && exit 0\n  sleep 0.1\ndone\nexit 1\n",
        encoding="utf-8",
    )
    (tmp_path / "nix").chmod(0o755)
    systems = [System(path=path, copy_from=f"ssh-ng://{path[11]}") for path in (A, B)]
    assert built(Nix(command=str(tmp_path / "nix")), *systems) == {}
