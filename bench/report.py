# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures of containers.py as tables and a picture."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from onhost import EVALUATION, MANY_HOSTS, sections

PHASES = ("cold", "unchanged", "all", "one")
_PHASE_NAMES = {
    "cold": "cold creation",
    "unchanged": "no change",
    "all": "a new system in all",
    "one": "a new system in one",
}
_WAY_NAMES = {
    "floor": "floor",
    "module": "module alone",
    "playbook": "ansible-playbook",
    "loop": "loop of `inx_container`",
    "lxd": "loop of `lxd_container`",
    "tool": "loop of inx-container",
}
_COLOURS = {
    "floor": "#555555",
    "module": "#0072b2",
    "playbook": "#009e73",
    "loop": "#cc79a7",
    "lxd": "#e69f00",
    "tool": "#d55e00",
}
#: The figure of a way with so many containers in a phase.
Figures: TypeAlias = Mapping[tuple[str, int, str], Mapping[str, Any]]

_TEXT = """\
<!--
Copyright (c) 2026, inx.fleet contributors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later

Written by bench/report.py.
-->

# Speed

![Seconds for one to a hundred containers](speed.svg)

What `bench/containers.py` measured on one host, in one run:
{host}.
Each figure is a multiple of the floor, with the time in parentheses. Compare multiples: times are those of one machine.

{floor_table}

- *Floor*: the necessary requests to Incus, in parallel, and one `nix build`, in one Python process. It
  plans and compares nothing.
- *Inside the module*: the work of the module, from its arguments to its result, compared with that of the floor.
- *Module alone*: `inx_containers` on the host, from the start of Python to its end, in an archive as Ansible packs it.
  Its memory in a run without changes: {memory}.
- *ansible-playbook*: the whole command with one task of `inx_containers`, including its start and ssh.
- *`lxd_container`*: the module of community.general. It neither builds nor switches systems: it creates and starts
  containers with existing systems and profiles, and does not wait for them to come up.
- *inx-container*: the shell tool. It compares only the system, not the instance, and does not wait for a container
  that it has started. It writes the shared profile each time, and Incus then updates every instance with that
  profile: the time of its loop grows with the square of the number of containers.
- *Cold creation*: from the flake to running containers, with systems that were not built before.

What limits each:

- *No change*: nix resolves the flake, for the floor as well. The start of Python and its imports come before, and
  do not grow with the containers. Ansible packs modules as source, which is compiled in each run.
- *Cold creation*: Incus, which creates and starts instances on all cores.
- *A new system in all*: Incus again, which runs a command in each container, as for the floor. The note of a system
  on trial, and its removal when the system has come up, are two small files on the host's disk.

{turns}Speed compared with the loop of inx-container:

{tool_table}
"""


def write(measured: Mapping[str, Any], output: Path) -> None:
    """Write speed.md and speed.svg."""
    figures = {(entry["way"], entry["size"], entry["phase"]): entry for entry in measured["figures"]}
    about = measured["about"]
    host = (
        f"{about['cpus']}, Incus {about['incus']} with storage {about['storage']}, Nix {about['nix']}, "
        f"ansible-core {about['ansible']}"
    )
    text = _TEXT.format(
        host=host,
        floor_table="\n".join(_floor_table(figures)),
        tool_table="\n".join(_tool_table(figures)),
        memory=", ".join(_memory(figures)),
        turns=_turns(measured.get("turns", [])),
    )
    output.mkdir(parents=True, exist_ok=True)
    page = output / "speed.md"
    # What the other benchmarks have written there stays.
    others = sections(page.read_text(encoding="utf-8"), (EVALUATION, MANY_HOSTS)) if page.exists() else ""
    page.write_text(f"{text}\n{others}".rstrip() + "\n", encoding="utf-8")
    (output / "speed.svg").write_text("\n".join(_picture(figures)) + "\n", encoding="utf-8")


_TURNS = """\
Times of Incus vary from one minute to the next. So the floor and the module also gave a new system to all of the same
{size} containers, in turns. The work inside the module took {multiples} times the floor before it.
The median is **{median:.2f}**.

"""


def _turns(turns: Sequence[Mapping[str, float]]) -> str:
    if not turns:
        return ""
    multiples = [turn["module"] / turn["floor"] for turn in turns]
    told = ", ".join(f"{multiple:.2f}" for multiple in multiples)
    return _TURNS.format(size=turns[0]["size"], multiples=told, median=statistics.median(multiples))


# Tables


def _rows(figures: Figures) -> list[tuple[str, int]]:
    sizes = sorted({size for _way, size, _phase in figures})
    return [(phase, size) for phase in PHASES for size in sizes]


def _ways(figures: Figures) -> list[str]:
    return [way for way in _WAY_NAMES if any(key[0] == way for key in figures)]


def _floor_table(figures: Figures) -> Iterator[str]:
    ways = _ways(figures)
    yield from _head(["", "containers", "floor", "inside the module", *(_WAY_NAMES[way] for way in ways[1:])])
    for phase, size in _rows(figures):
        floor = figures["floor", size, phase]
        inside = _beside_floor(figures.get(("module", size, phase)), floor, "inside")
        cells = [_beside_floor(figures.get((way, size, phase)), floor) for way in ways[1:]]
        yield f"| {_PHASE_NAMES[phase]} | {size} | {floor['seconds']:.2f} s | {' | '.join([inside, *cells])} |"


def _beside_floor(figure: Mapping[str, Any] | None, floor: Mapping[str, Any], time: str = "seconds") -> str:
    if figure is None:
        return "–"  # noqa: RUF001 - a dash for what there is not
    return f"**{figure[time] / floor[time]:.1f}** ({figure[time]:.2f} s)"


def _tool_table(figures: Figures) -> Iterator[str]:
    ways = [way for way in _ways(figures) if way not in ("floor", "tool")]
    yield from _head(["", "containers", *(_WAY_NAMES[way] for way in ways)])
    for phase, size in _rows(figures):
        tool = figures.get(("tool", size, phase))
        found = [figures.get((way, size, phase)) for way in ways]
        if tool is not None:
            cells = ["–" if one is None else f"{tool['seconds'] / one['seconds']:.1f}" for one in found]  # noqa: RUF001
            yield f"| {_PHASE_NAMES[phase]} | {size} | {' | '.join(cells)} |"


def _head(names: Sequence[str]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"| --- | {' | '.join('---:' for _name in names[1:])} |"


def _memory(figures: Figures) -> Iterator[str]:
    for (way, size, phase), figure in sorted(figures.items(), key=lambda entry: entry[0][1]):
        if way == "module" and phase == "unchanged":
            yield f"{figure['memory']:.0f} MiB with {size}"


# The picture: a panel for each phase, both axes logarithmic

_WIDTH, _HEIGHT, _GAP, _LEFT, _TOP = 300, 220, 64, 56, 48


def _picture(figures: Figures) -> Iterator[str]:
    width, height = _LEFT + 2 * (_WIDTH + _GAP), _TOP + 2 * (_HEIGHT + _GAP) + 40
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">'
    )
    yield "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->"
    yield "<title>Seconds for one to a hundred containers, beside the floor and other ways</title>"
    yield f'<rect width="{width}" height="{height}" fill="white"/>'
    scale = _Scale(figures)
    for index, phase in enumerate(PHASES):
        x, y = _LEFT + index % 2 * (_WIDTH + _GAP), _TOP + index // 2 * (_HEIGHT + _GAP)
        yield f'<g transform="translate({x} {y})">'
        yield from _panel(figures, phase, scale)
        yield "</g>"
    yield from _legend(_ways(figures), height - 40)
    yield "</svg>"


class _Scale:
    """Where numbers of containers and seconds are in a panel."""

    def __init__(self, figures: Figures) -> None:
        self.sizes = sorted({size for _way, size, _phase in figures})
        seconds = [figure["seconds"] for figure in figures.values()]
        self.first = math.floor(math.log10(min(seconds)))
        self.last = math.ceil(math.log10(max(seconds)))

    def x(self, size: int) -> float:
        """Of a number of containers."""
        return _WIDTH * math.log(size / self.sizes[0]) / (math.log(self.sizes[-1] / self.sizes[0]) or 1)

    def y(self, seconds: float) -> float:
        """Of a time."""
        return _HEIGHT * (1 - (math.log10(seconds) - self.first) / ((self.last - self.first) or 1))


def _panel(figures: Figures, phase: str, scale: _Scale) -> Iterator[str]:
    yield f'<text x="0" y="-12" font-weight="bold">{_PHASE_NAMES[phase]}</text>'
    for power in range(scale.first, scale.last + 1):
        y = scale.y(10**power)
        yield f'<line x1="0" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>'
        yield f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{10**power:g} s</text>'
    for size in scale.sizes:
        yield f'<text x="{scale.x(size):.1f}" y="{_HEIGHT + 18}" text-anchor="middle">{size}</text>'
    for way in _ways(figures):
        found = [(size, figures[way, size, phase]) for size in scale.sizes if (way, size, phase) in figures]
        points = [f"{scale.x(size):.1f},{scale.y(figure['seconds']):.1f}" for size, figure in found]
        dashes = ' stroke-dasharray="5 4"' if way == "floor" else ""
        yield f'<polyline points="{" ".join(points)}" fill="none" stroke="{_COLOURS[way]}" stroke-width="2"{dashes}/>'
        for point in points:
            cx, _comma, cy = point.partition(",")
            yield f'<circle cx="{cx}" cy="{cy}" r="3" fill="{_COLOURS[way]}"/>'


def _legend(ways: Sequence[str], y: float) -> Iterator[str]:
    for index, way in enumerate(ways):
        x, row = _LEFT + index % 3 * 230, y + index // 3 * 20
        yield f'<rect x="{x}" y="{row}" width="12" height="12" fill="{_COLOURS[way]}"/>'
        yield f'<text x="{x + 18}" y="{row + 10}">{_WAY_NAMES[way].replace("`", "")}</text>'
