# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Record `make demo` as an animated picture: python3 tests/lab/demo/record.py OUTPUT.svg

What is shown is what a real run printed, on a terminal of its own. Waits are
shortened, and directories of this machine are written as they are by default.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import CACHE, LAB  # noqa: E402

COMMAND = ["make", "-C", str(HERE.parents[2]), "--no-print-directory", "demo"]
_COLUMNS, _ROWS = 116, 30
# Of a character and of a line, in the units of the picture.
_WIDTH, _HEIGHT, _MARGIN, _TITLE = 7.83, 17, 14, 30
_LONGEST_WAIT, _END = 0.3, 8.0
# Lines that come closer to each other than this are one frame.
_FRAME = 0.08
_COLOURS = {"31": "red", "32": "green", "33": "yellow", "34": "blue", "35": "purple", "36": "cyan", "1": "bold"}
_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_STYLE = """
    .screen { fill: #0d1117 } .edge { fill: none; stroke: #444c56 } text { fill: #d1d7e0; white-space: pre;
      font: 13px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace }
    .title { fill: #9198a1; font-size: 12px }
    .red { fill: #ff7b72 } .green { fill: #56d364 } .yellow { fill: #e3b341 } .blue { fill: #79c0ff }
    .purple { fill: #d2a8ff } .cyan { fill: #56d4dd } .bold { fill: #ffffff; font-weight: 700 }
"""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the terminal, and when it came."""

    seconds: float
    text: str


def main(arguments: Sequence[str]) -> int:
    """Run the demo, and write what it showed."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    code, lines = record(COMMAND)
    if code == 0:
        Path(arguments[0]).write_text(picture(lines), encoding="utf-8")
    return code


def record(command: Sequence[str]) -> tuple[int, list[Line]]:
    """Run a command on a terminal of its own, in sight, and keep what it printed."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], list(command))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    start, lines, rest = time.monotonic(), [Line(seconds=0, text="\x1b[1m$ make demo\x1b[0m")], ""
    for chunk in _chunks(terminal):
        sys.stdout.write(chunk)
        sys.stdout.flush()
        *whole, rest = (rest + chunk).split("\n")
        lines += [Line(seconds=time.monotonic() - start, text=text.rstrip("\r")) for text in whole]
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status), lines


def _chunks(terminal: int) -> Iterator[str]:
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # how Linux says that nobody writes to it any more
            return
        yield read.decode("utf-8", errors="replace")


def picture(lines: Sequence[Line]) -> str:
    """The lines as SVG: one long column that moves up behind a window."""
    rows = [row for line in lines for row in _rows(line)]
    width, height = _COLUMNS * _WIDTH + 2 * _MARGIN, _ROWS * _HEIGHT + 2 * _MARGIN + _TITLE
    frames, length = _frames(rows)
    steps = "".join(f"{100 * at / length:.2f}%{{transform:translateY({_shift(shown)}px)}}" for at, shown in frames)
    column = "\n".join(
        f'<text x="{_MARGIN}" y="{(number + 1) * _HEIGHT - 4}">{_spans(row.text)}</text>'
        for number, row in enumerate(rows)
        if row.text
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">
  <!-- Copyright (c) 2026, inx.fleet contributors
       GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
       SPDX-License-Identifier: GPL-3.0-or-later
       Made by tests/lab/demo/record.py from a real run. -->
  <title>make demo: a bare Debian host becomes one that runs two containers on its Nix store</title>
  <style>{_STYLE}
    .column {{ transform: translateY({_shift(len(rows))}px); animation: up {length:.1f}s step-end infinite }}
    @media (prefers-reduced-motion: reduce) {{ .column {{ animation: none }} }}
    @keyframes up {{{steps}}}
  </style>
  <rect class="screen" width="{width:.0f}" height="{height:.0f}" rx="8"/>
  <text class="title" x="{_MARGIN}" y="20">make demo</text>
  <text class="title" x="{width - _MARGIN:.0f}" y="20" text-anchor="end">a real run, waits shortened</text>
  <svg y="{_TITLE + _MARGIN}" width="{width:.0f}" height="{_ROWS * _HEIGHT}">
    <g class="column" xml:space="preserve">
{column}
    </g>
  </svg>
  <rect class="edge" x=".5" y=".5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="8"/>
</svg>
"""


def _rows(line: Line) -> Iterator[Line]:
    """A line as the terminal folds it."""
    text = line.text
    for place, written in ((LAB, "~/.cache/inx-fleet/lab"), (CACHE, "~/.cache/inx-fleet"), (Path.home(), "~")):
        text = text.replace(str(place), written)
    row, free, style = "", _COLUMNS, ""
    for part in re.split(r"(\x1b\[[0-9;]*m)", text):
        if _SGR.fullmatch(part):
            row, style = row + part, part
            continue
        while len(part) > free:
            yield Line(seconds=line.seconds, text=row + part[:free])
            part, row, free = part[free:], style, _COLUMNS  # noqa: PLW2901
        row, free = row + part, free - len(part)
    yield Line(seconds=line.seconds, text=row)


def _spans(text: str) -> str:
    """A row with its colours."""
    spans, style = [], ""
    for number, part in enumerate(_SGR.split(text)):
        if number % 2:
            style = next((_COLOURS[code] for code in reversed(part.split(";")) if code in _COLOURS), "")
        elif part:
            spans.append(f'<tspan class="{style}">{escape(part)}</tspan>' if style else escape(part))
    return "".join(spans)


def _frames(rows: Sequence[Line]) -> tuple[list[tuple[float, int]], float]:
    """When how many rows have been printed, with the waits shortened, and how long all of it takes."""
    frames: list[tuple[float, int]] = [(0.0, 1)]
    shown_at, printed_at = 0.0, 0.0
    for number, row in enumerate(rows, start=1):
        shown_at += min(row.seconds - printed_at, _LONGEST_WAIT)
        printed_at = row.seconds
        if shown_at - frames[-1][0] >= _FRAME:
            frames.append((shown_at, number))
        else:
            frames[-1] = (frames[-1][0], number)
    return frames, shown_at + _END


def _shift(shown: int) -> int:
    """How far the column has moved when so many rows are to be seen, the last one at the bottom."""
    return (_ROWS - shown) * _HEIGHT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
