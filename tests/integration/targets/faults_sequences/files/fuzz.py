# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run random sequences of declarations (sequences.py) until the time is up, and judge each run (judge.py).

A sequence that fails is made smaller as long as it fails, and printed with the command that runs it again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import host
import judge
import known
import modules
import rest
import seen
import sequences
import systems

_PATIENCE = 240
_BOOT_SECONDS = 10
_SMALLER_SECONDS = 240
_TOLD_EACH = 10
_COMMAND = "make test-faults TARGET=faults_sequences INCUS={} EXTRA='{}'"


def main() -> int:
    """Run what is asked for; 0 if the harness worked, whatever was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, required=True, help="after which no sequence begins any more")
    parser.add_argument("--most", type=int, default=1_000_000, help="number of sequences, at most")
    parser.add_argument("--seed", default=str(time.time_ns() // 1_000_000))
    parser.add_argument("--only", nargs="*", default=[], help="seeds of single sequences, as a failure names them")
    parser.add_argument("--sequence", type=json.loads, default=[], help="one sequence itself, in JSON")
    parser.add_argument("--rows", type=Path, required=True, help="where the rows of the report go")
    arguments = parser.parse_args()
    tidy(all_of_it=True)
    prepare()
    try:
        tally = Tally()
        for seed, steps in _chosen(arguments):
            tally.add(seed, steps)
            is_late = time.monotonic() - tally.began >= arguments.seconds and not arguments.only
            if is_late or tally.tried >= arguments.most:
                break
        tally.tell(arguments.seed)
        tally.tell_smallest()
    finally:
        tidy(all_of_it=True)
    lost = len(tally.lost)
    row = {"part": f"sequences {host.incus_version()}", "tried": tally.tried, "survived": tally.tried - lost}
    arguments.rows.write_text(json.dumps([{**row, "lost": lost}]), encoding="utf-8")
    return 0


def _chosen(arguments: argparse.Namespace) -> Iterator[tuple[str, list[sequences.Step]]]:
    if arguments.sequence:
        yield "given", arguments.sequence
        return
    count = range(1, arguments.most + 1)
    for seed in arguments.only or (f"{arguments.seed}-{number}" for number in count):
        yield seed, sequences.sequence(sequences.Seeded(seed))


class Tally:
    """What was tried, and what came of it."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.tried = 0
        self.lost: list[str] = []
        self.runs: Counter[str] = Counter()
        #: The first sequence of each kind of failure, and how it failed.
        self._kinds: dict[str, tuple[Sequence[sequences.Step], Sequence[str]]] = {}

    def add(self, seed: str, steps: Sequence[sequences.Step]) -> None:
        """Run a sequence, and print what is wrong with it."""
        self.tried += 1
        if self.tried % _TOLD_EACH == 0:
            print(f"{self.tried} sequences in {time.monotonic() - self.began:.0f} s", flush=True)
        found = outcome(steps, self.runs)
        self.runs.update(f"known issue: {name}" for name in {name for name in map(known.issue, found) if name})
        wrong = [problem for problem in found if known.issue(problem) is None]
        if not wrong:
            return
        self.lost.append(seed)
        print(f"LOST {seed}: {wrong[0]}", flush=True)
        for problem in wrong[1:]:
            print(f"    {problem[:2000]}", flush=True)
        print(f"    whole: {_COMMAND.format(host.incus_version(), _quoted({'seeds': [seed]}))}", flush=True)
        self._kinds.setdefault(_kind(wrong[0]), (steps, wrong))

    def tell_smallest(self) -> None:
        """Print a small sequence for each kind of failure."""
        for steps, wrong in self._kinds.values():
            least, last = _least(steps, wrong)
            print(f"{last[0][:2000]}", flush=True)
            print(f"    {_COMMAND.format(host.incus_version(), _quoted({'sequence': least}))}", flush=True)

    def tell(self, seed: str) -> None:
        """Print the numbers of all."""
        print(f"seed {seed}: {self.tried} sequences in {time.monotonic() - self.began:.0f} s, {len(self.lost)} lost")
        for what, number in sorted(self.runs.items()):
            print(f"  {what}: {number}")


def _quoted(variables: Mapping[str, Any]) -> str:
    """Return variables as make and the shell take them within single quotes."""
    return json.dumps(variables).replace("$", "$$").replace("'", "\\u0027")


def _least(steps: Sequence[sequences.Step], wrong: Sequence[str]) -> tuple[list[sequences.Step], list[str]]:
    """Return the smallest sequence that fails in the same way, as far as there is time, and how it fails then."""
    kind, least, last = _kind(wrong[0]), list(steps), list(wrong)
    deadline, progress = time.monotonic() + _SMALLER_SECONDS, True
    while progress:
        progress = False
        for fewer in sequences.smaller(least):
            if time.monotonic() >= deadline:
                return least, last
            found = [problem for problem in outcome(fewer, Counter()) if known.issue(problem) is None]
            if any(_kind(problem) == kind for problem in found):
                least, last, progress = fewer, found, True
                break
    return least, last


def _kind(problem: str) -> str:
    """Return what kind of problem it is: its text without what belongs to one container."""
    return "".join(" " if char.isdigit() else char for char in problem.partition(": ")[2] or problem)[:40]


# Running a sequence


@dataclass(kw_only=True)
class State:
    """What a sequence has come to: its runs, the versions of systems, and the last look if nothing was done since."""

    ran: list[judge.Run] = field(default_factory=list)
    versions: Mapping[str, str] = field(default_factory=dict)
    now: judge.Seen | None = None


def outcome(steps: Sequence[sequences.Step], counts: Counter[str]) -> list[str]:
    """Run a sequence on a host without containers, and return what is wrong up to the first run that is."""
    tidy()
    systems.declare({})
    state = State()
    for number, step in enumerate(steps, 1):
        what = step["do"]
        counts[f"step: {what}"] += 1
        try:
            found = _do(step, state)
        except (TimeoutError, subprocess.SubprocessError, RuntimeError, OSError) as error:
            found = [f"{what}: {error!r}"]
        if found:
            return [f"{problem} (in step {number}, {what})" for problem in found]
        if what == "declare":
            counts.update(_counted(state.ran[-1]))
    return []


def _counted(run: judge.Run) -> Iterable[str]:
    members = run.applied.get("containers", [run.applied] if "container" in run.applied else None)
    if members is None:
        return ["run: refused as a whole"]
    actions = [f"action: {step['action']}" for one in members for step in one["steps"]]
    failed = ["container: failed" for one in members if one.get("failed")]
    return ["run: planned", *actions, *failed]


def _do(step: sequences.Step, state: State) -> list[str]:
    if step["do"] == "versions":
        systems.declare(step["versions"])
        state.versions = step["versions"]
        return []
    if step["do"] != "declare":
        state.now = None
        if step["do"] == "sync roots":
            return _sync_roots()
        seen.by_hand(step)
        return []
    run = _run(step, state)
    found = list(judge.problems(run))
    earlier = [one for one in state.ran if one.step == step]
    if earlier and not found and _is_comparable(state.ran[state.ran.index(earlier[0]) :], run):
        found += judge.not_the_same(earlier[0], run)
    state.ran.append(run)
    state.now = seen.marked(run.after_again)
    return found


def _is_comparable(since: Sequence[judge.Run], last: judge.Run) -> bool:
    """Return whether nothing failed since a declaration, and all others since then declare no other keys."""
    first = since[0]
    if any(run.applied.get("failed") for run in (*since, last)) or first.step["project"] != last.step["project"]:
        return False
    if any(_waits(run) for run in (first, last)):
        return False
    return all(
        key in first.entries and _keys(entry) <= _keys(first.entries[key])
        for run in since
        for key, entry in run.entries.items()
    )


def _waits(run: judge.Run) -> bool:
    """Return whether a part of what is declared comes with the next start only."""
    results = run.again.get("containers", [run.again])
    return any(one.get("restart_required") for one in results)


def _keys(entry: Mapping[str, Any]) -> set[str]:
    found = set(entry) - {"flake", "file", "attribute", "system", "copy_from"}
    for option in ("config", "devices", "secret_config"):
        found.update(f"{option} {key}" for key in entry.get(option, ()))
    return found


def _run(step: sequences.Step, state: State) -> judge.Run:
    """Predict a declaration, apply it, and apply it again."""
    by_name = systems.paths(state.versions)
    declared = [_with_store_path(entry, by_name) for entry in step["containers"]]
    effective = {seen.key_of(step["project"], entry["name"]): _effective(step, entry) for entry in declared}
    module, arguments = _module_call(step, declared)
    before = state.now or _booted()
    with_diff = {**arguments, "_ansible_diff": True}
    predicted = modules.run(module, {**with_diff, "_ansible_check_mode": True}, patience=_PATIENCE)
    after_check = seen.look()
    applied = modules.run(module, with_diff, patience=_PATIENCE)
    after = _booted()
    again = modules.run(module, arguments, patience=_PATIENCE)
    return judge.Run(
        step=step,
        entries=effective,
        predicted=predicted.result or {"failed": True, "msg": predicted.said},
        applied=applied.result or {"failed": True, "msg": applied.said},
        again=again.result or {"failed": True, "msg": again.said},
        before=before,
        after_check=after_check,
        after=after,
        after_again=_booted(),
        said=_said(predicted, applied, again),
        systems={key: path for key, entry in effective.items() if (path := _system(entry, by_name)) is not None},
    )


def _said(*ended: modules.Ended) -> str:
    """Return what runs said, but for the parameters that Ansible itself shows."""
    results = [{key: value for key, value in one.result.items() if key != "invocation"} for one in ended]
    return json.dumps(results) + "".join(one.said for one in ended if not one.result)


def _module_call(step: sequences.Step, declared: list[sequences.Entry]) -> tuple[str, dict[str, Any]]:
    if step.get("single"):
        return "inx_container", {**declared[0], "project": step["project"]}
    options = {key: value for key, value in step.items() if key not in ("do", "single")}
    return "inx_containers", {**options, "containers": declared}


def _effective(step: sequences.Step, entry: sequences.Entry) -> sequences.Entry:
    """Return an entry with what holds for the whole set."""
    if step.get("single"):
        return entry
    shared = {**step.get("defaults", {}), "secret_config": step.get("secret_config", {})}
    return sequences.merged(shared, entry)


def _with_store_path(entry: sequences.Entry, by_name: Mapping[str, str]) -> sequences.Entry:
    system = entry.get("system", "")
    if not system.startswith(sequences.STORE_PATH):
        return entry
    return {**entry, "system": by_name[system.removeprefix(sequences.STORE_PATH)]}


def _system(entry: sequences.Entry, by_name: Mapping[str, str]) -> str | None:
    """Return the store path of the system that an entry declares; None if it declares no certain one."""
    if "flake" in entry:
        return by_name[entry["flake"].rpartition("#")[2]]
    return entry.get("system")


def _booted() -> judge.Seen:
    """Return all that there is when what runs has come up: some declarations do not wait for it."""
    deadline = time.monotonic() + _BOOT_SECONDS
    while True:
        found = seen.look()
        late = any(one["pid"] and one["runs"] == "(no link)" for one in found["containers"].values())
        if not late or time.monotonic() >= deadline:
            return found
        time.sleep(0.05)


def _sync_roots() -> list[str]:
    """Sync the roots, and return the links of living containers that have none."""
    ended = modules.run("inx_gcroot", {}, patience=_PATIENCE)
    if ended.failed:
        return [f"sync roots: {ended.message}"]
    roots = set(host.tree(host.ROOTS))
    found = []
    for key, container in seen.look()["containers"].items():
        work = seen.root_of(key) / "root" / "builds"
        for link in sorted(work.glob("result-*")):
            line = f"/{seen.lxc_name(key)}/root/builds/{link.name} -> {link.readlink()}"
            if line not in roots:
                found.append(f"{key}, {container['status']}: there is no root {line}")
    return found


# The host


def prepare() -> None:
    """Make what declarations refer to."""
    host.copy_fixture()
    systems.build()
    for directory in (sequences.SHARED, f"{sequences.SHARED}/below"):
        Path(directory).mkdir(parents=True, exist_ok=True)
    _make_project(sequences.PROJECTS[1])
    for project in sequences.PROJECTS:
        _make_profiles(project)


def _make_project(project: str) -> None:
    """Make a project with containers of the same names, which takes a network of its own."""
    host.ask("incus", "network", "create", project, "ipv4.address=10.199.7.1/24", "ipv6.address=none")
    host.ask("incus", "project", "create", project, "-c", "features.images=false")
    profile = (f"--project={project}", "profile", "device", "add", "default")
    host.ask("incus", *profile, "root", "disk", "path=/", "pool=default")
    host.ask("incus", *profile, "eth0", "nic", f"network={project}")
    _add_store_profile(project, name="inx-container")


def _make_profiles(project: str) -> None:
    disk = (f"source={sequences.SHARED}", "path=/mnt/extra", "readonly=true")
    host.ask("incus", f"--project={project}", "profile", "create", sequences.EXTRA_PROFILE)
    host.ask("incus", f"--project={project}", "profile", "set", sequences.EXTRA_PROFILE, "user.extra=1")
    host.ask("incus", f"--project={project}", "profile", "device", "add", sequences.EXTRA_PROFILE, "x", "disk", *disk)
    _add_store_profile(project, name=sequences.OTHER_STORE_PROFILE, daemon=False)


def _add_store_profile(project: str, **options: Any) -> None:
    ended = modules.run("inx_store_mount", {"project": project, **options})
    if ended.failed:
        raise RuntimeError(f"could not prepare: {ended.message}")


def tidy(*, all_of_it: bool = False) -> None:
    """Take away by hand all containers and volumes, and with ``all_of_it`` what prepare has made."""
    entries = rest.query("/1.0/instances?recursion=1&all-projects=true")
    with ThreadPoolExecutor() as pool:
        list(pool.map(_remove_instance, (entry for entry in entries if entry["project"] in sequences.PROJECTS)))
    for volume in rest.query("/1.0/storage-pools/default/volumes/custom?recursion=1&all-projects=true"):
        if "/" in volume["name"]:
            # A snapshot, which goes with its volume.
            continue
        place = "/1.0/storage-pools/default/volumes/custom"
        rest.change("DELETE", f"{place}/{quote(volume['name'], safe='')}?project={volume['project']}")
    for place in (host.PROFILES, host.ROOTS, host.SECRETS, host.SECRETS_AT_REST):
        if Path(place).is_dir():
            host.ask("find", place, "-mindepth", "1", "-delete")
    for link in Path(host.AUTO).iterdir():
        with suppress(OSError):
            if str(link.readlink()).startswith("/root/builds/"):
                link.unlink()
    if all_of_it:
        _remove_prepared()


def _remove_instance(entry: Mapping[str, Any]) -> None:
    """Stop and delete an instance, as 'incus delete --force' does."""
    url, project = f"/1.0/instances/{entry['name']}", f"?project={entry['project']}"
    if entry["status"] != "Stopped":
        rest.change("PUT", f"{url}/state{project}", {"action": "stop", "force": True, "timeout": -1})
    if entry["status"] == "Stopped" or not entry["ephemeral"]:
        rest.change("DELETE", f"{url}{project}")


def _remove_prepared() -> None:
    """Take away what prepare has made, as far as it is there."""
    for project in sequences.PROJECTS:
        for profile in (sequences.EXTRA_PROFILE, sequences.OTHER_STORE_PROFILE):
            with suppress(RuntimeError):
                host.ask("incus", f"--project={project}", "profile", "delete", profile)
    project = sequences.PROJECTS[1]
    for words in (
        ("profile", "delete", "inx-container", f"--project={project}"),
        ("profile", "device", "remove", "default", "eth0", f"--project={project}"),
        ("project", "delete", project),
        ("network", "delete", project),
    ):
        with suppress(RuntimeError):
            host.ask("incus", *words, timeout=30)


if __name__ == "__main__":
    sys.exit(main())
