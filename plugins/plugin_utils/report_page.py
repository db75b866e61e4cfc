# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report of drift as one HTML page that needs nothing else.

Containers and hosts say what is in a report. So no text of it is ever in an attribute, a script or a style; all of it
is cleaned like what a terminal gets, and escaped, in one place: the environment of the template. A policy in the page
allows its own style and script by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ansible_collections.inx.fleet.plugins.module_utils.container.units import VERBS
from ansible_collections.inx.fleet.plugins.module_utils.text import message
from ansible_collections.inx.fleet.plugins.module_utils.values import combined
from ansible_collections.inx.fleet.plugins.plugin_utils.difference import Line, difference
from ansible_collections.inx.fleet.plugins.plugin_utils.drift import lines

_HERE = Path(__file__).resolve().parent
_NAME = "report_page"
# With more problems than this, containers are not opened.
_MOST_OPEN = 12
_MOST_GENERATIONS = 5
_UNKNOWN = "unknown"
_ABSENT = "Absent"
_MARKS = {"clean": "✓", "drifted": "≠", "failed": "✕", "unreachable": "⊘", "waiting": "↻", "unhealthy": "✚"}
_BAD_HEALTH = frozenset(("unhealthy", "unfinished"))
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, kw_only=True)
class State:
    """A state in a word, a mark, and a kind for the style."""

    kind: str
    word: str

    @property
    def mark(self) -> str:
        return _MARKS[self.kind]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A labelled value. ``kind`` is for the style, ``share`` a use in percent."""

    label: str
    value: str
    kind: str = ""
    share: int | None = None


@dataclass(frozen=True, kw_only=True)
class Text:
    """A longer text under a title."""

    title: str
    value: str
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A host or a container. ``tokens`` are what the filter finds with "state:"."""

    name: str
    anchor: str
    state: State
    tokens: str
    facts: Sequence[Fact]
    more: Sequence[Fact] = ()
    errors: Sequence[Text] = ()
    texts: Sequence[Text] = ()
    steps: Sequence[str] = ()
    difference: Sequence[Line] = ()
    containers: Sequence[Entry] = ()
    is_open: bool = False


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A line of the list of problems."""

    name: str
    anchor: str
    state: State
    tokens: str
    lines: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Counter:
    """How many hosts and containers are in a state."""

    kind: str
    label: str
    number: int
    note: str
    query: str

    @property
    def mark(self) -> str:
        return _MARKS.get(self.kind, "")


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the template shows."""

    title: str
    headline: str
    about: Sequence[Fact]
    counters: Sequence[Counter]
    problems: Sequence[Problem]
    hosts: Sequence[Entry]
    footer: str


def report_page(report: Mapping[str, Any], about: Mapping[str, str]) -> str:
    """Return a report as HTML. ``about`` has what the page says of itself, by labels: when it was made, of what."""
    style, script = _text(".css"), _text(".js")
    return (
        _environment()
        .get_template(f"{_NAME}.html.j2")
        .render(
            page=_page(report, about),
            style=Markup(style),  # noqa: S704 - it is our own
            script=Markup(script),  # noqa: S704
            style_hash=_hash(style),
            script_hash=_hash(script),
        )
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        finalize=_clean,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _clean(value: Any) -> Any:
    """Return what an expression shows without what a terminal, or a reader of the source, could be misled by."""
    return value if isinstance(value, Markup) else message(str(value))


def _text(suffix: str) -> str:
    return (_HERE / f"{_NAME}{suffix}").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


# The page


def _page(report: Mapping[str, Any], about: Mapping[str, str]) -> Page:
    hosts = report["hosts"]
    is_open = len(report["problems"]) <= _MOST_OPEN
    entries = [_host(host, number, is_open=is_open) for number, host in enumerate(hosts, 1)]
    problems = [problem for host, entry in zip(hosts, entries, strict=True) for problem in _problems(host, entry)]
    return Page(
        title=f"Fleet: {_headline(hosts)}",
        headline=_headline(hosts),
        about=[Fact(label=label, value=value) for label, value in about.items() if value],
        counters=_counters(hosts),
        problems=problems,
        hosts=entries,
        footer="Made by the playbook inx.fleet.drift, which changes nothing. Values of secret_config are never shown.",
    )


def _headline(hosts: Sequence[Mapping[str, Any]]) -> str:
    compared = [found for host in hosts for found in (host, *host["containers"])]
    drifted = sum(found["state"] != "clean" for found in compared)
    if drifted:
        return f"{drifted} of {len(compared)} hosts and containers are not as declared"
    ill = sum(_health_of(found) in _BAD_HEALTH for found in compared)
    return f"All is as declared, but {_number(ill, 'container')} not healthy" if ill else "All is as declared"


def _number(number: int, one: str) -> str:
    return f"{number} {one if number == 1 else one + 's'}"


def _counters(hosts: Sequence[Mapping[str, Any]]) -> list[Counter]:
    containers = [one for host in hosts for one in host["containers"]]
    counters = [
        Counter(
            kind="all",
            label="Containers",
            number=len(containers),
            note=f"on {_number(len(hosts), 'host')}",
            query="",
        )
    ]
    counters += [
        _counter(kind, label, hosts, containers)
        for kind, label in (
            ("clean", "As declared"),
            ("drifted", "Drifted"),
            ("failed", "Failed"),
            ("unreachable", "Not reached"),
            ("waiting", "Restart pending"),
            ("unhealthy", "Not healthy"),
        )
    ]
    return counters


def _counter(
    kind: str, label: str, hosts: Sequence[Mapping[str, Any]], containers: Sequence[Mapping[str, Any]]
) -> Counter:
    kinds = [(name, [one for one in group if kind in _tokens(one)]) for name, group in _groups(hosts, containers)]
    note = ", ".join(_number(len(group), name) for name, group in kinds if group) or "none"
    number = sum(len(group) for _name, group in kinds)
    return Counter(kind=kind, label=label, number=number, note=note, query=f"state:{kind}")


def _groups(*groups: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    yield from zip(("host", "container"), groups, strict=True)


def _tokens(found: Mapping[str, Any]) -> list[str]:
    """Return what the filter finds a host or container by, with "state:"."""
    tokens = [str(found["state"])]
    tokens += ["waiting"] if found.get("restart_required") else []
    return tokens + (["unhealthy"] if _health_of(found) in _BAD_HEALTH else [])


def _problems(host: Mapping[str, Any], entry: Entry) -> Iterator[Problem]:
    for found, shown in ((host, entry), *zip(host["containers"], entry.containers, strict=True)):
        said, health = list(lines(found)), _health_of(found)
        state = shown.state
        if health in _BAD_HEALTH:
            said.append(f"is {health}")
            state = State(kind="unhealthy", word=str(health)) if state.kind == "clean" else state
        if said:
            name = shown.name if shown is entry else f"{shown.name} on {entry.name}"
            yield Problem(name=name, anchor=shown.anchor, state=state, tokens=shown.tokens, lines=said)


# Hosts and containers


def _host(host: Mapping[str, Any], number: int, *, is_open: bool) -> Entry:
    anchor = f"host-{number}"
    containers = [
        _container(one, f"{anchor}-container-{place}", is_open=is_open)
        for place, one in enumerate(host["containers"], 1)
    ]
    return Entry(
        name=str(host["name"]),
        anchor=anchor,
        state=_state(host),
        tokens=" ".join(_tokens(host)),
        facts=list(_facts_of_host(host)),
        errors=_errors(host),
        steps=_summaries(host),
        difference=_difference(host),
        containers=containers,
    )


def _container(one: Mapping[str, Any], anchor: str, *, is_open: bool) -> Entry:
    state = _state(one)
    return Entry(
        name=str(one["name"]),
        anchor=anchor,
        state=state,
        tokens=" ".join(_tokens(one)),
        facts=list(_facts(one)),
        more=list(_more(one)),
        errors=_errors(one),
        texts=list(_texts(one)),
        steps=_summaries(one),
        difference=_difference(one),
        is_open=is_open and state.kind != "clean",
    )


def _state(found: Mapping[str, Any]) -> State:
    kind = str(found["state"])
    if kind == "drifted" and not found["changes"]:
        return State(kind="waiting", word="restart pending")
    return State(kind=kind, word={"clean": "as declared", "unreachable": "not reached"}.get(kind, kind))


def _facts_of_host(host: Mapping[str, Any]) -> Iterator[Fact]:
    yield Fact(label="Containers", value=str(len(host["containers"])))
    roots = [one["roots"]["number"] for one in host["containers"] if one.get("roots")]
    if roots:
        yield Fact(label="GC roots", value=str(sum(roots)))
    if host.get("last_run"):
        yield Fact(label="Last change", value=str(host["last_run"]["time"]).partition("T")[0])
    storage = host.get("storage")
    if storage is not None:
        yield _space_fact("Nix store", storage["store"])
        for pool in storage["pools"] or ():
            yield _space_fact(f"Pool {pool['name']}", pool)
    if host.get("unseen"):
        yield Fact(label="Health, disk, GC roots", value=f"not looked at: {host['unseen']}", kind=_UNKNOWN)


def _space_fact(label: str, space: Mapping[str, Any]) -> Fact:
    used, total = space["used"], space["total"]
    if not total:
        return _fact(label, None)
    return Fact(label=label, value=f"{_size(used)} of {_size(total)}", share=round(100 * used / total))


def _facts(one: Mapping[str, Any]) -> Iterator[Fact]:
    """Yield what is seen of a container at a glance."""
    yield _fact("Status", one.get("status"))
    if one.get("status") == _ABSENT:
        return
    yield _fact("Generation", one.get("generation"))
    health = _health_of(one)
    yield _fact("Health", health, kind="bad" if health in _BAD_HEALTH else "")
    yield _fact("Disk", _disk(one))
    yield _fact("GC roots", (one.get("roots") or {}).get("number"))
    yield _fact("Last change", _last_change(one))
    if one.get("restart_required"):
        yield Fact(label="Restart", value="pending", kind="waits")


def _fact(label: str, value: Any, kind: str = "") -> Fact:
    is_unknown = value is None or value == ""
    return Fact(label=label, value=_UNKNOWN if is_unknown else str(value), kind=_UNKNOWN if is_unknown else kind)


def _health_of(found: Mapping[str, Any]) -> str | None:
    state = (found.get("health") or {}).get("state")
    return None if state is None else str(state)


def _disk(one: Mapping[str, Any]) -> str | None:
    """Return the bytes used on a container's disks, None if no storage pool tells."""
    used = one.get("disk")
    return _size(sum(used.values())) if used else None


def _size(number: float) -> str:
    for unit in _UNITS[:-1]:
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} {_UNITS[-1]}"


def _last_change(one: Mapping[str, Any]) -> str | None:
    """Return the day of the last run that changed a container, or else of its generation."""
    dates = [str(one["last_run"]["time"])] if one.get("last_run") else []
    dates += [str(found["date"]) for found in one.get("generations") or () if found["current"] and found["date"]]
    return dates[0].partition("T")[0] if dates else None


def _date(text: str) -> str:
    """Return a date of ISO 8601 to the minute."""
    return f"{text[:16].replace('T', ' ')} UTC"


def _more(one: Mapping[str, Any]) -> Iterator[Fact]:
    """Yield what is seen of a container that was opened."""
    runs, boots, declared = (one.get(key) for key in ("running_system", "system", "declared_system"))
    if runs and runs == boots == declared:
        yield Fact(label="Runs, as declared", value=str(runs), kind="path")
    else:
        is_off = one.get("status") in (_ABSENT, "Stopped")
        yield _fact("Runs", "nothing" if is_off else runs, kind="path")
        if boots != runs and boots is not None:
            yield _fact("Boots next", boots, kind="path")
        yield _fact("Declared", declared, kind="path")
    pending = one.get("restart_required_since")
    for label, value in (
        ("Revision that runs", one.get("running_revision")),
        ("Address", one.get("address")),
        ("Tags", ", ".join(map(str, one.get("tags") or ()))),
        ("Restart pending since", _date(str(pending)) if pending else ""),
    ):
        if value:
            yield Fact(label=label, value=str(value))


def _errors(found: Mapping[str, Any]) -> list[Text]:
    return [] if found["error"] is None else [Text(title="Error", value=str(found["error"]), kind="failed")]


def _texts(found: Mapping[str, Any]) -> Iterator[Text]:
    """Yield what is known of a container beside its error and what would change."""
    if found.get("problems"):
        yield Text(title="Found on the host", value="\n".join(map(str, found["problems"])))
    if found.get("packages"):
        yield Text(title="Packages that would change", value="\n".join(map(str, found["packages"])))
    units = found.get("units") or {}
    if units:
        lists = [f"{VERBS.get(done, done)}: {', '.join(map(str, names))}" for done, names in units.items()]
        yield Text(title="Units that would change", value="\n".join(lists))
    elif found.get("units_unknown"):
        yield Text(title="Units that would change", value=f"{_UNKNOWN}: {found['units_unknown']}")
    if found.get("runs"):
        yield Text(title="Last runs", value="\n".join(map(_run, found["runs"])))
    if found.get("generations"):
        newest = sorted(found["generations"], key=lambda one: int(one["number"]), reverse=True)[:_MOST_GENERATIONS]
        yield Text(title="Last generations", value="\n".join(map(_generation, newest)))


def _run(found: Mapping[str, Any]) -> str:
    """Return a run in a line: when it ended, how, and what it did."""
    ended = "" if not found["failed"] else "failed: " if found["finished"] else "interrupted: "
    said = [*map(str, found["did"]), *([str(found["error"])] if found["error"] else [])]
    return f"{_date(str(found['time']))}  {ended}{', '.join(said)}"


def _generation(found: Mapping[str, Any]) -> str:
    date = _date(str(found["date"])) if found["date"] else f"{_UNKNOWN:20}"
    revision = f"  revision {found['revision']}" if found.get("revision") else ""
    current = "  (current)" if found["current"] else ""
    return f"{found['number']:>4}  {date}  {found['system']}{revision}{current}"


def _steps(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [step for change in found["changes"] for step in change["steps"]]


def _summaries(found: Mapping[str, Any]) -> list[str]:
    return [str(step["summary"]).removeprefix(f"{found['name']}: ") for step in _steps(found)]


def _difference(found: Mapping[str, Any]) -> list[Line]:
    """Return what all steps together change: the first "before" of a key, and its last "after"."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for step in _steps(found):
        before = combined(step["before"], before)
        after = combined(after, step["after"])
    return difference(before, after)
