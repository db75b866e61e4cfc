# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding the integration targets, and running each against real lab hosts."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any

import ansible
import yaml

from ansible_collections.inx.fleet.tests.integration import faults

COLLECTION = Path(__file__).resolve().parents[2]
TARGETS = COLLECTION / "tests" / "integration" / "targets"
LAB = [sys.executable, str(COLLECTION / "tests" / "lab" / "lab.py")]
HARNESS = Path(__file__).with_name("harness")
INSTALL_FIXTURES = [sys.executable, str(COLLECTION / "tests" / "fixtures" / "install.py")]
CACHE = Path(os.environ["INX_FLEET_CACHE"])

#: The Incus versions of the lab, and where the role host takes each from.
INCUS_SOURCES = {"6.0": "debian", "7.0": "backports"}
# Where the role host puts pylxd. Another Python that lacks it would hand each module over to this one.
_PYTHON_WITH_PYLXD = "--python=/opt/inx-fleet/bin/python"
KEEP_HOSTS = bool(os.environ.get("INX_FLEET_LAB_KEEP"))
#: What the names of this run's hosts begin with: another run has others. The workers of a run share it.
RUN = "test" if KEEP_HOSTS else os.environ.setdefault("INX_FLEET_RUN", f"run{os.getpid()}")
_UP_TIMEOUT = 1200
_TARGET_TIMEOUT = 7200 if faults.LONG else 1800
# Of what a failed command said.
_LINES = 60
_LINE = 3000


class RunError(Exception):
    """A command failed; the text is how, and the end of what it said."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """An integration target, with what its meta/lab.yml asks of the lab."""

    name: str
    #: Images of hosts of its own. Without them it runs on the host that all targets of an Incus version share.
    images: tuple[str, ...] = ()
    hosts: int = 1
    fixtures: tuple[str, ...] = ()
    #: Storage pools of Incus with btrfs that its hosts have.
    pools: tuple[str, ...] = ()
    incus: tuple[str, ...] = tuple(INCUS_SOURCES)
    #: By version, the parts of it that run there; all of them if nothing is said.
    parts: Mapping[str, list[str]] = field(default_factory=dict)
    #: Whether the role inx.fleet.host is applied before. It is not to hosts of a "bare" image, unless this says so.
    provision: bool = True

    @property
    def directory(self) -> Path:
        """Where it stands."""
        return TARGETS / self.name

    @property
    def has_own_hosts(self) -> bool:
        """Whether its hosts are made for it, and thrown away after it."""
        return bool(self.images) or self.hosts > 1


@dataclass(frozen=True, kw_only=True)
class Case:
    """A target on one version of Incus."""

    target: Target
    incus: str

    @property
    def label(self) -> str:
        """Its name as a test."""
        return f"{self.target.name}-{self.incus}"

    @property
    def own_hosts(self) -> list[str]:
        """What the hosts made for it are called."""
        name = f"{RUN}-{self.target.name}-{self.incus}".replace("_", "-").replace(".", "-")
        return [f"{name}-{number}" for number in range(1, self.target.hosts + 1)]

    @property
    def own_images(self) -> list[str]:
        """The image of each host made for it; the last one named serves for the rest."""
        images = list(self.target.images) or [f"incus-{self.incus}"]
        return [*images, *images[-1:] * self.target.hosts][: self.target.hosts]


def cases() -> list[Case]:
    """All cases, or those that the environment chooses; what goes on longest begins first.

    That is what shares a host, one after another, and then what begins with bare hosts.
    """
    return sorted(_cases(), key=lambda case: (case.target.has_own_hosts, "bare" not in case.target.images))


def _cases() -> Iterator[Case]:
    only_target, only_incus = os.environ.get("INX_FLEET_TARGET") or "*", os.environ.get("INX_FLEET_INCUS")
    for path in sorted(TARGETS.iterdir()):
        if _is_test(path) and fnmatchcase(path.name, only_target):
            target = read_target(path, short=not (only_incus or faults.LONG))
            for incus in target.incus:
                if only_incus in (None, "", incus):
                    yield Case(target=target, incus=incus)


def shared_pools(incus: str) -> list[str]:
    """Return the storage pools that any of the chosen targets asks for, of those that share the host of a version."""
    sharing = [case.target for case in cases() if case.incus == incus and not case.target.has_own_hosts]
    return sorted({pool for target in sharing for pool in target.pools})


def _is_test(path: Path) -> bool:
    """Whether a target runs by itself: those that begin with setup_ only serve others, as ansible-test has it."""
    has_tasks = (path / "tasks" / "main.yml").exists() or (path / "runme.sh").exists()
    return has_tasks and not path.name.startswith("setup_")


def read_target(path: Path, *, short: bool) -> Target:
    """A target with its meta/lab.yml: what a short run of all does of it, or the whole of it on each version."""
    described = path / "meta" / "lab.yml"
    wishes: dict[str, Any] = (yaml.safe_load(described.read_text(encoding="utf-8")) if described.exists() else {}) or {}
    unknown = set(wishes) - {"images", "hosts", "fixture", "incus", "incus_short", "parts_short", "pools", "provision"}
    if unknown:
        raise ValueError(f"{described}: nobody knows what {', '.join(sorted(unknown))} means")
    images = _texts(wishes.get("images"))
    return Target(
        name=path.name,
        images=images,
        hosts=int(wishes.get("hosts", len(images) or 1)),
        fixtures=_texts(wishes.get("fixture", "small")),
        pools=_texts(wishes.get("pools")),
        incus=(_texts(wishes.get("incus_short")) if short else ())
        or _texts(wishes.get("incus"))
        or tuple(INCUS_SOURCES),
        parts=_parts(path, wishes.get("parts_short", {})) if short else {},
        provision=bool(wishes.get("provision", "bare" not in images)),
    )


def _parts(path: Path, by_version: Mapping[str, list[str]]) -> Mapping[str, list[str]]:
    """What each version of Incus runs of a target, in the target's order; together it must be all of it."""
    if not by_version:
        return {}
    order = yaml.safe_load((path / "defaults" / "main.yml").read_text(encoding="utf-8"))["parts"]
    odd = {part for parts in by_version.values() for part in parts} ^ set(order)
    if odd:
        raise ValueError(f"{path}/meta/lab.yml: parts_short is not what the target has: {', '.join(sorted(odd))}")
    return {incus: [part for part in order if part in parts] for incus, parts in by_version.items()}


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(str(entry) for entry in value) if isinstance(value, list) else (str(value),)


def run(
    command: Sequence[str],
    timeout: int,
    environment: Mapping[str, str] | None = None,
    log: str = "",
    stdin: IO[bytes] | int = subprocess.DEVNULL,
) -> str:
    """Run a command and return what it said. It can be followed in the cache under logs/, and is kept if it fails."""
    path = CACHE / "logs" / f"{log or 'lab'}-{os.getpid()}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", errors="replace") as output:
        try:
            done = subprocess.run(
                command,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
                env={**os.environ, **(environment or {})},
            )
            ending = f"ended with code {done.returncode}"
            succeeded = done.returncode == 0
        except subprocess.TimeoutExpired:
            ending, succeeded = f"was not done after {timeout} s", False
    said = path.read_text(encoding="utf-8", errors="replace")
    if not succeeded:
        raise RunError(f"{shlex.join(command)} {ending}. In {path} it said:\n{_telling_part(said)}")
    path.unlink()
    return said


def _telling_part(said: str) -> str:
    """What tells of the failure: Ansible's first error or else the end, short enough for the log of a CI.

    What is removed after an error comes behind it, and a result of Ansible is a line however long.
    """
    lines = said.splitlines()
    error = next((number for number, line in enumerate(lines) if line.startswith(("[ERROR]", "fatal:"))), len(lines))
    first = max(0, min(error - _LINES // 4, len(lines) - _LINES))
    return "\n".join(line[:_LINE] for line in lines[first : first + _LINES])


def remove_old_logs() -> None:
    """Remove what runs that have ended left under logs/."""
    for path in (CACHE / "logs").glob("*.log"):
        if _is_over(path.stem.rpartition("-")[2]):
            path.unlink()


def _is_over(pid: str) -> bool:
    """Whether a run has ended, by the process that its hosts or a log of its are named after."""
    return not Path("/proc", pid).exists()


def remove_left_hosts() -> None:
    """Throw away the hosts of runs that were killed."""
    listed = subprocess.run([*LAB, "list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in listed.splitlines():
        owner = re.match(r"run(\d+)-", line)
        if owner and _is_over(owner[1]):
            throw_away(line.split()[0])


def bring_up(name: str, image: str, pools: Sequence[str] = ()) -> None:
    """Make a lab host, or boot the one that is there when hosts are kept."""
    file_systems = [f"--pool={pool}" for pool in pools]
    run([*LAB, "up", name, "--image", image, *file_systems], _UP_TIMEOUT, log=f"up-{name}")
    compile_once = Path(__file__).with_name("compile_once.py").read_text(encoding="utf-8")
    install = f"cat > /etc/python3.13/sitecustomize.py <<'END'\n{compile_once}END"
    run([*LAB, "ssh", name, "--", install], _UP_TIMEOUT, log=f"up-{name}")
    install_harness(name)


def create_pools(name: str, pools: Sequence[str]) -> None:
    """Create the storage pools that a lab host was brought up for, once its Incus is set up."""
    for pool in pools:
        create = f"incus storage create {pool} btrfs source=/srv/pools/{pool}/incus"
        missing = f"incus storage show {pool} > /dev/null 2>&1 || {create}"
        run([*LAB, "ssh", name, "--", missing], _UP_TIMEOUT, log=f"pools-{name}")


def install_harness(name: str) -> None:
    """Put at /srv/harness of a lab host what runs modules there without Ansible, and what those import."""
    pack = [
        *("tar", "--create", "--file=-", "--owner=0", "--group=0", "--exclude=__pycache__"),
        # A package of Ansible's own name in the tree would be taken for it by pylint.
        r"--transform=s,^\./as_ansible/,ansible/,",
        *("-C", str(HARNESS), "."),
        *("-C", str(Path(ansible.__file__).parents[1]), "ansible/release.py", "ansible/module_utils"),
        *("-C", str(COLLECTION.parents[2])),
        *(f"ansible_collections/inx/fleet/plugins/{kind}" for kind in ("module_utils", "modules")),
    ]
    unpack = "rm -rf /srv/harness && mkdir /srv/harness && tar -x -C /srv/harness -f -"
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as archive:
        assert archive.stdout is not None
        run([*LAB, "ssh", name, "--", unpack], _UP_TIMEOUT, log=f"harness-{name}", stdin=archive.stdout)
    if archive.returncode != 0:
        raise RunError(f"{shlex.join(pack)} ended with code {archive.returncode}")


def install_fixtures(name: str, fixtures: Sequence[str]) -> None:
    """Put fixtures on a lab host."""
    if fixtures:
        run([*INSTALL_FIXTURES, name, *fixtures], _UP_TIMEOUT, log=f"fixtures-{name}")


def throw_away(*names: str) -> None:
    """Remove lab hosts, those that are not there too."""
    run([*LAB, "down", *names], _UP_TIMEOUT, log=f"down-{names[0]}")


def provision(names: Sequence[str], incus: str, directory: Path) -> None:
    """Apply the role host, as a user does."""
    play = [{"hosts": "all", "gather_facts": True, "roles": ["inx.fleet.host"]}]
    _ansible(play, *_write_inputs(names, _variables(incus), directory), log=f"provision-{names[0]}")


def run_target(case: Case, names: Sequence[str], directory: Path) -> None:
    """Run a target on hosts: its runme.sh if it has one, else its role."""
    values = _variables(case.incus)
    if case.target.parts:
        values["parts"] = case.target.parts[case.incus]
    options = [_PYTHON_WITH_PYLXD] if case.target.provision else []
    inventory, variables = _write_inputs(names, values, directory, *options)
    if (case.target.directory / "runme.sh").exists():
        command = ["bash", "-eu", "runme.sh", "-e", f"@{variables}", *_extra()]
        in_target = ["env", "-C", str(case.target.directory), *command]
        run(in_target, _TARGET_TIMEOUT, {"ANSIBLE_INVENTORY": str(inventory)}, log=case.label)
        return
    play = [{"hosts": "all", "gather_facts": False, "roles": [case.target.name]}]
    _ansible(play, inventory, variables, log=case.label)


def _ansible(play: Sequence[Any], inventory: Path, variables: Path, log: str) -> None:
    playbook = inventory.with_name("play.yml")
    playbook.write_text(yaml.safe_dump(list(play)), encoding="utf-8")
    command = ["ansible-playbook", "-i", str(inventory), "-e", f"@{variables}", *_extra(), str(playbook)]
    run(command, _TARGET_TIMEOUT, {"ANSIBLE_ROLES_PATH": str(TARGETS)}, log=log)


def _extra() -> list[str]:
    extra = os.environ.get("INX_FLEET_EXTRA")
    return ["-e", extra] if extra else []


def _write_inputs(names: Sequence[str], values: Mapping[str, Any], directory: Path, *options: str) -> tuple[Path, Path]:
    """The inventory of hosts, made with options of the lab's command, and a file of variables."""
    inventory = directory / "inventory.yml"
    answer = subprocess.run([*LAB, "inventory", *options, *names], stdout=subprocess.PIPE, text=True, check=True)
    inventory.write_text(answer.stdout, encoding="utf-8")
    variables = directory / "variables.json"
    variables.write_text(json.dumps(values), encoding="utf-8")
    return inventory, variables


def _variables(incus: str) -> dict[str, Any]:
    return {
        "inx_incus_version": incus,
        "inx_host_incus_source": INCUS_SOURCES[incus],
        # The lab's hosts reach no cache, and each build would wait for it.
        "inx_host_nix_settings": {"substituters": ""},
        # What `raw` runs is no person at a terminal.
        "ansible_ssh_use_tty": False,
        "fixture_small": "/srv/fixtures/small",
        "fixture_full": "/srv/fixtures/full",
        # For what only the lab can do to a host: {{ inx_lab }} restart --hard {{ inventory_hostname }}
        "inx_lab": shlex.join(LAB),
        "faults_long": faults.LONG,
        "faults_report": str(faults.REPORT),
    }


def journal(name: str) -> str:
    """What Incus and the Nix daemon said last on a host."""
    look = "journalctl -u incus -u nix-daemon --no-pager -n 500 | grep -v dnsmasq | tail -n 40"
    command = [*LAB, "ssh", name, "--", look]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return f"--- journal of {name}\n{done.stdout}{done.stderr}"
