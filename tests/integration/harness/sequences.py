# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generate random declarations of containers, and sequences of them with work by hand between.

Pure: a sequence is data that JSON can hold, and the same seed makes the same one. A lab host runs them
(targets/faults_sequences), and the unit tests follow their plans in a model (tests/unit/.../test_sequences.py).

Each option belongs to a family. The alternatives of a family declare the same keys, so that what one declaration sets
another one sets back.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

Entry = dict[str, Any]
Step = dict[str, Any]
Choice = TypeVar("Choice")

#: What the projects of Incus are called in which containers are declared.
PROJECTS = ("default", "fuzz")
NAMES = ("f1", "f2", "f3", "f4")
#: Systems of the small fixture, which all containers choose from.
SYSTEMS = ("c1", "c2")
#: Versions of them. One that is "ill" fails a health check (HEALTHY), and does everything else.
GOOD, ILL = ("1", "2", "3"), ("ill-1", "ill-2")
#: Stands for the store path of a system in the option "system".
STORE_PATH = "@"
#: A part of each secret value, which no output may have.
HUSH = "hush-hush"
#: What has to succeed in a healthy container: its system is not an ill one.
HEALTHY = ["/run/current-system/sw/bin/grep", "-qv", "ill", "/etc/inx-version"]
#: A directory of the host that is there, and one that is not.
SHARED, MISSING = "/srv/faults/shared", "/srv/faults/missing"
FLAKE = "/srv/faults/flake"
#: Profiles of Incus beside those of the role host.
EXTRA_PROFILE, OTHER_STORE_PROFILE = "fuzz-extra", "fuzz-store"


# The share of alternatives that are refused.
_WRONG = 0.05
# The share of sequences in which only work by hand starts containers.
_WITHOUT_STARTS = 0.6


class Chooser(Protocol):
    """Where random choices come from: a seed, or hypothesis."""

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """Return one of them."""

    def often(self, share: float) -> bool:
        """Return True in about this share of the calls."""


class Seeded:
    """Choices that depend on a seed alone."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - it is to be repeated

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """Return one of them."""
        return self._random.choice(choices)

    def often(self, share: float) -> bool:
        """Return True in about this share of the calls."""
        return self._random.random() < share


@dataclass(frozen=True, kw_only=True)
class Family:
    """Alternatives that declare the same keys, and the share of the entries that declare one of them.

    Those in ``wrong`` are refused, whatever else is declared. They come seldom.
    """

    share: float
    alternatives: Callable[[str, int], Sequence[Entry]]
    wrong: Sequence[Entry] = ()


def _port(name: str, project: int) -> int:
    """Return a port that no other container uses: who comes first is no matter of what is declared."""
    return 7000 + 10 * (NAMES.index(name) + len(NAMES) * project)


def _devices(name: str, project: int) -> list[Entry]:
    port = _port(name, project)
    proxy = {"type": "proxy", "listen": f"tcp:127.0.0.1:{port}", "connect": "tcp:127.0.0.1:80"}
    other = {**proxy, "listen": f"tcp:127.0.0.1:{port + 1}"}
    disk = {"type": "disk", "source": SHARED, "path": "/mnt/disk", "readonly": True}
    return [
        {"devices": {"proxy": proxy, "disk": None}},
        {"devices": {"proxy": other, "disk": disk}},
        {"devices": {"proxy": None, "disk": {**disk, "path": "/mnt/other"}}},
        {"devices": {"proxy": None, "disk": None}},
    ]


def _publish(name: str, project: int) -> list[Entry]:
    port = _port(name, project) + 2
    return [
        {"publish": []},
        {"publish": [f"127.0.0.1:{port}:80/tcp"]},
        {"publish": [f"127.0.0.1:{port}:81/tcp", f"127.0.0.1:{port + 1}/udp"]},
    ]


def _bind(path: str, source: str = SHARED, **more: Any) -> Entry:
    return {"source": source, "path": path, **more}


def _same(*alternatives: Entry) -> Callable[[str, int], Sequence[Entry]]:
    """Return alternatives that are the same for every container."""
    return lambda name, project: alternatives


#: By name. Some paths of different families are the same, or below each other, as people have it.
FAMILIES: Mapping[str, Family] = {
    "state": Family(
        share=0.6,
        alternatives=_same(
            *[{"state": "started"}] * 3,
            {"state": "stopped"},
            {"state": "restarted"},
            {"state": "present"},
            {"state": "absent"},
        ),
    ),
    "restart": Family(
        share=0.15,
        alternatives=_same({"restart_if_required": True}, {"restart_if_required": False}),
    ),
    "config": Family(
        share=0.3,
        alternatives=_same(
            {"config": {"user.colour": "red", "boot.autostart.priority": None, "environment.MOOD": "fine"}},
            {"config": {"user.colour": "green", "boot.autostart.priority": 7, "environment.MOOD": None}},
            {"config": {"user.colour": None, "boot.autostart.priority": "7", "environment.MOOD": "so so"}},
        ),
    ),
    "raw": Family(
        share=0.15,
        alternatives=_same(
            {"config": {"raw.lxc": None}},
            {"config": {"raw.lxc": "lxc.environment = FUZZ=1"}},
            {"config": {"raw.lxc": "lxc.environment=FUZZ=2\nlxc.environment=MORE=1"}},
        ),
    ),
    "privileged": Family(
        share=0.15,
        alternatives=_same(
            {"config": {"security.privileged": None, "security.nesting": True}, "allow_privileged": False},
            {"config": {"security.privileged": False, "security.nesting": None}, "allow_privileged": True},
            {"config": {"security.privileged": True, "security.nesting": None}, "allow_privileged": True},
        ),
        wrong=({"config": {"security.privileged": True, "security.nesting": None}, "allow_privileged": False},),
    ),
    "secret_config": Family(
        share=0.15,
        alternatives=_same(
            {"secret_config": {"user.token": f"{HUSH}-1", "environment.TOKEN": f"{HUSH}-2"}},
            {"secret_config": {"user.token": f"{HUSH}-3", "environment.TOKEN": None}},
        ),
    ),
    "secrets": Family(
        share=0.2,
        alternatives=_same(
            {"secrets": []},
            {"secrets": [{"name": "token", "content": f"{HUSH}-5"}], "secrets_at_rest": True},
            {"secrets": [{"name": "token", "content": f"{HUSH}-6", "owner": "7"}], "secrets_at_rest": False},
            {"secrets": [{"name": "key", "content": f"{HUSH}-7", "path": "/etc/inx-key", "mode": "0440"}]},
        ),
        wrong=({"secrets": [{"name": "token", "content": ""}]},),
    ),
    "devices": Family(share=0.3, alternatives=_devices),
    "nic": Family(
        share=0.1,
        alternatives=_same(
            {"devices": {"eth0": {"security.mac_filtering": True}}},
            {"devices": {"eth0": {"security.mac_filtering": False}}},
            {"devices": {"eth0": {}}},
            {"devices": {"eth0": None}},
        ),
    ),
    "publish": Family(share=0.2, alternatives=_publish),
    "bind_mounts": Family(
        share=0.2,
        alternatives=_same(
            {"bind_mounts": []},
            {"bind_mounts": [_bind("/mnt/shared")]},
            {"bind_mounts": [_bind("/mnt/shared", readonly=False), _bind("/srv/kept/shared")]},
            {"bind_mounts": [_bind("/srv/kept")]},
            {"bind_mounts": [_bind("/mnt/shared", f"{SHARED}/below")]},
        ),
        wrong=({"bind_mounts": [_bind("/mnt/shared", MISSING)]},),
    ),
    "profiles": Family(
        share=0.15,
        alternatives=_same(
            {"profiles": ["default"]},
            {"profiles": ["default", EXTRA_PROFILE]},
            {"profiles": [EXTRA_PROFILE, "default"]},
        ),
        wrong=({"profiles": ["default", "nosuch"]},),
    ),
    "store_profile": Family(
        share=0.1, alternatives=_same({"store_profile": "inx-container"}, {"store_profile": OTHER_STORE_PROFILE})
    ),
    "storage_pool": Family(
        share=0.1, alternatives=_same({"storage_pool": "default"}), wrong=({"storage_pool": "nosuch"},)
    ),
    "root_size": Family(share=0.1, alternatives=_same({"root_size": "1GiB"}, {"root_size": "2048MiB"})),
    "description": Family(
        share=0.2, alternatives=_same({"description": ""}, {"description": "one"}, {"description": "two, and \u00fc"})
    ),
    "ephemeral": Family(share=0.15, alternatives=_same({"ephemeral": False}, {"ephemeral": True})),
    "autostart": Family(share=0.2, alternatives=_same({"autostart": True}, {"autostart": False})),
    "localtime": Family(share=0.15, alternatives=_same({"localtime": True}, {"localtime": False})),
    "self_update": Family(share=0.15, alternatives=_same({"self_update": True}, {"self_update": False})),
    "volatile_root": Family(
        share=0.4,
        alternatives=_same(
            {"volatile_root": "keep", "tmpfs": []},
            {"volatile_root": "rebuild", "tmpfs": []},
            {"volatile_root": "rebuild", "tmpfs": [{"path": "/scratch", "size": "1MiB"}]},
            {"volatile_root": "tmpfs", "tmpfs": [{"path": "/scratch"}, {"path": "/scratch/deep", "mode": "1777"}]},
            {"volatile_root": "tmpfs", "tmpfs": [{"path": "/srv/kept"}]},
            {"volatile_root": "tmpfs", "tmpfs": [{"path": "/mnt", "size": "2MiB"}]},
        ),
    ),
    "persist": Family(
        share=0.35,
        alternatives=_same(
            {"persist": []},
            {"persist": [{"path": "/srv/kept"}]},
            {"persist": [{"path": "/srv/kept", "mode": "0700"}, {"path": "/srv/kept/deeper"}]},
            {"persist": [{"path": "/var/lib/data", "size": "64MiB", "pool": "default"}]},
        ),
    ),
    "snapshots": Family(
        share=0.2,
        alternatives=_same(
            {"snapshots": {"keep": 1, "restore": False, "full_copy": True}},
            {"snapshots": {"keep": 2, "restore": True, "full_copy": True}},
        ),
        wrong=(
            {"snapshots": {"keep": 0, "restore": False, "full_copy": True}},
            {"snapshots": {"keep": 1, "restore": False, "full_copy": False}},
        ),
    ),
    "delete_volumes": Family(share=0.15, alternatives=_same({"delete_volumes": True}, {"delete_volumes": False})),
    "wait": Family(
        share=0.2,
        alternatives=_same(
            {"wait": True, "wait_for": ["system"]},
            {"wait": True, "wait_for": ["system", "addresses"]},
            {"wait": False, "wait_for": []},
        ),
    ),
    "wait_timeout": Family(share=0.1, alternatives=_same({"wait_timeout": 60}, {"wait_timeout": 90})),
    "health": Family(
        share=0.35,
        alternatives=_same(
            {"health": {"command": HEALTHY, "timeout": 5, "rollback": True, "retry_failed": False}},
            {"health": {"command": HEALTHY, "timeout": 6, "rollback": True, "retry_failed": True}},
            {"health": {"command": HEALTHY, "timeout": 4, "rollback": False, "retry_failed": False}},
            {"health": {"degraded": True, "timeout": 30}},
        ),
    ),
    "rehearse": Family(
        share=0.15,
        alternatives=_same(
            {"rehearse": True, "health": {"command": HEALTHY, "timeout": 5, "rollback": True, "retry_failed": False}},
            {"rehearse": True, "health": {"command": HEALTHY, "timeout": 4, "rollback": False, "retry_failed": True}},
            {"rehearse": False},
        ),
        wrong=({"rehearse": True, "health": None},),
    ),
    "stop": Family(
        share=0.2,
        alternatives=_same({"stop_timeout": 20, "force": True}, {"stop_timeout": 30, "force": False}),
    ),
    "activation": Family(
        share=0.2, alternatives=_same({"activation": "switch"}, {"activation": "boot"}, {"activation": "test"})
    ),
    "keep_generations": Family(
        share=0.2,
        alternatives=_same({"keep_generations": 2}, {"keep_generations": 3}),
        wrong=({"keep_generations": 1},),
    ),
    "nix": Family(
        share=0.1,
        alternatives=_same(
            {"nix_options": {"max-jobs": 1}, "impure": True, "builders": ""},
            {"nix_options": {"cores": "1"}, "accept_flake_config": True, "override_inputs": {}},
        ),
    ),
    "target": Family(
        share=0.05,
        alternatives=_same({"target": "auto", "move_timeout": 600}),
        wrong=({"target": "nowhere", "move_timeout": 600},),
    ),
    "tags": Family(share=0.2, alternatives=_same({"tags": []}, {"tags": ["a"]}, {"tags": ["a", "b"]})),
}


def _sources(name: str, *, plain: bool) -> list[Entry]:
    """Return what the system of a container may come from; ``plain`` says what it is, whatever there was before."""
    flakes = [{"flake": f"{FLAKE}#{system}"} for system in SYSTEMS]
    attribute = f"{SYSTEMS[0]}.config.system.build.toplevel"
    others: list[Entry] = [
        {"file": f"{FLAKE}/default.nix", "attribute": attribute},
        {"system": f"{STORE_PATH}{SYSTEMS[1]}"},
        {"system": f"{STORE_PATH}{SYSTEMS[0]}", "copy_from": "ssh-ng://root@nowhere.invalid"},
    ]
    if plain:
        return flakes * 4 + others
    back = [{"generation": "previous"}, {"generation": "1"}, {"generation": "9"}, {}]
    data: list[Entry] = [
        {"generation": "1", "restore_data": True},
        {"generation": "previous", "restore_data": True},
    ]
    return flakes * 8 + others + back + data


def keys_of_families() -> set[str]:
    """Return every option that some family or source declares."""
    found = {"name"}
    for family in FAMILIES.values():
        found.update(key for entry in (*family.alternatives(NAMES[0], 0), *family.wrong) for key in entry)
    return found.union(*(entry for entry in _sources(NAMES[0], plain=False)))


def sequence(chance: Chooser) -> list[Step]:
    """Return a sequence of steps, of which one at least declares containers.

    It is mostly about a few containers of one project: what comes of one depends on what was there before.
    """
    steps = _any_steps(chance)
    return _without_starts(steps) if chance.often(_WITHOUT_STARTS) else steps


def _without_starts(steps: Sequence[Step]) -> list[Step]:
    """Return steps with no declaration that starts a container. They take the least time by far."""
    return [
        {**step, "containers": [_not_started(entry) for entry in step["containers"]]} if "containers" in step else step
        for step in steps
    ]


def _not_started(entry: Entry) -> Entry:
    if entry.get("state") in ("present", "absent", "stopped"):
        state = entry["state"]
    else:
        # What is ephemeral cannot be declared stopped.
        state = "present" if entry.get("ephemeral") else "stopped"
    return {**{key: value for key, value in entry.items() if key != "after"}, "state": state}


def _any_steps(chance: Chooser) -> list[Step]:
    steps = [_versions(chance, ill=False)]
    mostly = chance.pick((0, 0, 1))
    if chance.often(0.3):
        return steps + _there_and_back(chance, mostly)
    if chance.often(0.35):
        return steps + _new_versions(chance, mostly)
    names = NAMES if chance.often(0.3) else NAMES[:2]
    for number in range(chance.pick((1, 2, 2, 3, 3, 4))):
        project = 1 - mostly if chance.often(0.15) else mostly
        if number:
            steps += _between(chance, names, project)
        steps.append(_declaration(chance, names, project))
    return steps


def _there_and_back(chance: Chooser, project: int) -> list[Step]:
    """Return a declaration, another one of the same keys, and the first one again."""
    names = _some(chance, NAMES, most=3)
    families = {name: _families(chance) for name in names}
    sources = {name: chance.pick(_sources(name, plain=True)) for name in names}
    first = [_entry(chance, name, project, families[name], sources[name]) for name in names]
    other_sources = {name: chance.pick(_sources(name, plain=True)) for name in names}
    other = [_entry(chance, name, project, families[name], other_sources[name]) for name in names]
    options = _set_options(chance, names, first, plain=True)
    there = {"do": "declare", "project": PROJECTS[project], "containers": first, **options}
    return [there, {**there, "containers": other}, there]


def _new_versions(chance: Chooser, project: int) -> list[Step]:
    """Return one declaration with health and a few of its options changing, again and again with new versions."""
    names = _some(chance, NAMES, most=3)
    families = {name: sorted({*_families(chance, 0.4), "health", "keep_generations"}) for name in names}
    sources = {name: chance.pick(_sources(name, plain=True)) for name in names}
    steps: list[Step] = []
    for _each in range(chance.pick((2, 3, 4))):
        entries = [_entry(chance, name, project, families[name], sources[name]) for name in names]
        options = _set_options(chance, names, entries, plain=True)
        steps.append({"do": "declare", "project": PROJECTS[project], "containers": entries, **options})
        steps += _between(chance, names, project)
        steps.append(_versions(chance, ill=True))
    return steps[:-1]


def _some(chance: Chooser, choices: Sequence[str], most: int) -> list[str]:
    """Return some of the choices in their order, one at least; fewer more often."""
    number = min(chance.pick((1, 1, 1, 2, 2, 3, 4)), most)
    left, found = list(choices), []
    for _each in range(number):
        found.append(chance.pick(left))
        left.remove(found[-1])
    return sorted(found)


def _families(chance: Chooser, less: float = 1) -> list[str]:
    return [name for name, family in FAMILIES.items() if chance.often(family.share * less)]


def _entry(chance: Chooser, name: str, project: int, families: Sequence[str], source: Entry) -> Entry:
    entry: Entry = {"name": name, **source}
    for family in (FAMILIES[name] for name in families):
        is_wrong = family.wrong and chance.often(_WRONG)
        entry = merged(entry, chance.pick(family.wrong if is_wrong else family.alternatives(name, project)))
    return entry


def merged(first: Entry, second: Entry) -> Entry:
    """Return two entries as one; below config and devices key by key."""
    result = {**first, **second}
    for key in ("config", "devices", "secret_config"):
        if key in first and key in second:
            result[key] = {**first[key], **second[key]}
    return result


def _declaration(chance: Chooser, choices: Sequence[str], project: int) -> Step:
    names = _some(chance, choices, most=len(choices))
    entries = [
        _entry(chance, name, project, _families(chance), chance.pick(_sources(name, plain=False))) for name in names
    ]
    step: Step = {"do": "declare", "project": PROJECTS[project], "containers": entries}
    if len(entries) == 1 and chance.often(0.4):
        entries[0].pop("tags", None)
        return {**step, "single": True}
    return {**step, **_set_options(chance, names, entries, plain=False)}


def _set_options(chance: Chooser, names: Sequence[str], entries: list[Entry], *, plain: bool) -> Entry:
    """Return options of a set, and put into its entries which come after others."""
    options: Entry = {"set": chance.pick(("fuzz", "fuzz", "other"))}
    if len(entries) > 1 and chance.often(0.4):
        entries[-1]["after"] = [chance.pick(names[:-1])]
    if chance.often(0.3):
        options["parallel"] = chance.pick((1, 2))
    if chance.often(0.2):
        options["max_unavailable"] = chance.pick(("1", "50%"))
    if chance.often(0.2):
        options["defaults"] = chance.pick(({"stop_timeout": 25}, {"autostart": True}, {"config": {"user.mood": "odd"}}))
    if chance.often(0.1):
        options["secret_config"] = {"user.shared": f"{HUSH}-shared"}
    if plain:
        return options
    if chance.often(0.4):
        options.update(purge=True, purge_limit=chance.pick((0, 4, 4)))
    if chance.often(0.1):
        options["only"] = [chance.pick((*names, "f*", "nosuch"))]
    if chance.often(0.1):
        options["only_tags"] = [chance.pick(("a", "b"))]
    if chance.often(0.05):
        options["build_failures"] = {chance.pick(names): "It does not build there. Fix it."}
    if chance.often(0.1):
        options["lock_timeout"] = 60
    return options


# What happens between two declarations


def _versions(chance: Chooser, *, ill: bool) -> Step:
    choices = (*GOOD, *ILL) if ill else GOOD
    return {"do": "versions", "versions": {name: chance.pick(choices) for name in SYSTEMS}}


#: What somebody does to a container by hand.
BY_HAND = (
    "stop",
    "start",
    "pause",
    "restart",
    "delete",
    "rename a device",
    "remove a device",
    "set a key",
    "unset a key",
    "set a description",
    "an older generation",
    "take a snapshot",
    "add a root",
)


def _between(chance: Chooser, names: Sequence[str], project: int) -> list[Step]:
    steps: list[Step] = []
    for _each in range(chance.pick((0, 0, 1, 1, 2))):
        steps.append({"do": chance.pick(BY_HAND), "name": chance.pick(names), "project": PROJECTS[project]})
    if chance.often(0.4):
        steps.append(_versions(chance, ill=True))
    if any(step["do"] == "add a root" for step in steps) or chance.often(0.1):
        steps.append({"do": "sync roots"})
    return steps


# Making a sequence that fails smaller


def smaller(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Yield sequences that have less each: steps, then many things at once in the declarations, then single ones."""
    for number in reversed(range(len(steps))):
        yield from _if_declares([*steps[:number], *steps[number + 1 :]])
    paths = _removable(steps)
    size = len(paths)
    while size:
        for first in range(0, len(paths), size):
            fewer = list(steps)
            for path in paths[first : first + size]:
                fewer = [_without(step, path) for step in fewer]
            if fewer != list(steps):
                yield fewer
        size //= 2
    for number, step in enumerate(steps):
        for path in _removable([step]):
            less = _without(step, path)
            if less != step:
                yield [*steps[:number], less, *steps[number + 1 :]]


def _if_declares(steps: list[Step]) -> Iterator[list[Step]]:
    if any(step["do"] == "declare" for step in steps):
        yield steps


_KEPT = ("do", "project", "name", "versions")


def _removable(steps: Sequence[Step]) -> list[tuple[str, ...]]:
    """Return what may be taken out of the declarations: containers, options of the set, options, keys of those."""
    found: dict[tuple[str, ...], None] = {}
    declarations = [step for step in steps if step["do"] == "declare"]
    for step in declarations:
        found.update({("containers", entry["name"]): None for entry in step["containers"] if _has_more(step)})
        found.update({(key,): None for key in step if key not in (*_KEPT, "containers")})
    for step in declarations:
        for entry in step["containers"]:
            found.update({("containers", entry["name"], key): None for key in entry if key not in _KEPT})
    for step in declarations:
        for entry in step["containers"]:
            for option in ("config", "devices", "secret_config", "health"):
                below = entry.get(option) or {}
                found.update({("containers", entry["name"], option, key): None for key in below if len(below) > 1})
    return list(found)


def _has_more(step: Step) -> bool:
    return len(step["containers"]) > 1


def _without(step: Step, path: tuple[str, ...]) -> Step:
    """Return a step without a container, an option, or a key of one; the same step if it has no such thing."""
    if step["do"] != "declare":
        return step
    if path[0] != "containers":
        return {key: value for key, value in step.items() if key != path[0]}
    name, *below = path[1:]
    if below:
        entries = [_entry_without(entry, below) if entry["name"] == name else entry for entry in step["containers"]]
    elif _has_more(step):
        entries = [_not_after(entry, name) for entry in step["containers"] if entry["name"] != name]
    else:
        entries = step["containers"]
    return {**step, "containers": entries}


def _entry_without(entry: Entry, path: Sequence[str]) -> Entry:
    if len(path) == 1:
        return {key: value for key, value in entry.items() if key != path[0]}
    below = {key: value for key, value in entry.get(path[0], {}).items() if key != path[1]}
    return {**entry, path[0]: below} if path[0] in entry else entry


def _not_after(entry: Entry, name: str) -> Entry:
    left = [other for other in entry.get("after", ()) if other != name]
    rest = {key: value for key, value in entry.items() if key != "after"}
    return {**rest, "after": left} if left else rest
