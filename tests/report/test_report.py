# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report in a browser: read, filtered, looked at."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ansible_collections.inx.fleet.plugins.filter.drift import drift
from ansible_collections.inx.fleet.plugins.filter.report_page import report_page
from ansible_collections.inx.fleet.tests.report import fleet
from ansible_collections.inx.fleet.tests.report.browser import NAMES, Browser, Tab, browser, find
from ansible_collections.inx.fleet.tests.report.picture import picture

COLLECTION = Path(__file__).resolve().parents[2]
#: Names of all hosts and containers that are seen.
SEEN = "[...document.querySelectorAll('h3, h4')].filter(one => one.checkVisibility()).map(one => one.textContent)"
COUNT = "document.getElementById('count').textContent"
ALL = ["metal1", "web-1", "web-2", "cache", "mail", "metal2", "db-1", "db-2", "metal3"]

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    """A browser."""
    program = find()
    if program is None:
        pytest.skip(
            f"Nothing to open a page with: install one of {', '.join(NAMES)}. As root on Debian it is done here."
        )
    with browser(program) as started:
        yield started


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the fleet."""
    return written(tmp_path_factory.mktemp("report"), fleet.page())


def written(directory: Path, page: str) -> Path:
    file = directory / "fleet.html"
    file.write_text(page, encoding="utf-8")
    return file


def complaints(tab: Tab) -> list[str]:
    """Return what the browser says of errors, and of what the policy of the page forbids."""
    return [str(event) for event in tab.events("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")]


# What is read


def test_it_is_shown_whole_and_loads_nothing(opened: Browser, file: Path) -> None:
    tab = opened.open(file)
    assert tab.tell(SEEN) == ALL
    assert tab.tell("document.querySelector('h1').innerText").startswith("5 of 9 hosts and containers are not")
    assert [event["request"]["url"] for event in tab.events("Network.requestWillBeSent")] == [file.as_uri()]
    assert complaints(tab) == []


def test_without_scripts_all_but_the_filter_is_there(opened: Browser, file: Path) -> None:
    tab = opened.open(file, "#q=web", scripts=False)
    assert tab.tell(SEEN) == ALL
    assert not tab.tell("document.getElementById('search').checkVisibility()")


def test_a_reader_of_the_screen_finds_its_parts(opened: Browser, file: Path) -> None:
    nodes = opened.open(file).call("Accessibility.getFullAXTree")["nodes"]
    parts = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]}
    roles = [role for role, _name in parts]
    assert {"banner", "main", "search", "contentinfo"} <= set(roles)
    expected = {
        ("searchbox", "Filter"),
        ("region", "Overview"),
        ("region", "Problems"),
        ("region", "Hosts"),
        ("article", "metal1"),
        ("heading", "web-1"),
        ("status", ""),
    }
    assert expected <= parts, sorted(parts)


# The filter


@pytest.mark.parametrize(
    ("typed", "seen"),
    [
        ("web", ["metal1", "web-1", "web-2"]),
        ("WEB  canary", ["metal1", "web-1"]),
        ("metal2", ["metal2", "db-1", "db-2"]),
        ("fast", ["metal2", "db-2"]),
        ("state:waiting", ["metal1", "cache"]),
        ("state:clean mail", ["metal1", "mail"]),
        ("state:unhealthy", ["metal2", "db-1"]),
        ("no such thing", []),
        ("<b>", []),
    ],
)
def test_typing_filters_and_the_address_keeps_it(opened: Browser, file: Path, typed: str, seen: list[str]) -> None:
    tab = opened.open(file)
    tab.click("#filter")
    tab.type(typed)
    assert tab.tell(SEEN) == seen
    linked = opened.open(file, f"#q={quote(typed, safe='')}")
    assert linked.tell("location.hash") == tab.tell("location.hash")
    assert linked.tell(SEEN) == seen
    assert linked.tell(COUNT) == tab.tell(COUNT)
    assert complaints(tab) == complaints(linked) == []


def test_it_says_how_many_are_shown(opened: Browser, file: Path) -> None:
    assert opened.open(file).tell(COUNT) == "9 hosts and containers"
    assert opened.open(file, "#q=mail").tell(COUNT) == "1 of 9 shown"
    assert opened.open(file, "#q=%zz").tell(COUNT) == "0 of 9 shown"


def test_a_counter_filters_and_a_problem_leads_to_its_container(opened: Browser, file: Path) -> None:
    tab = opened.open(file)
    tab.click(".tile.failed a")
    tab.until(SEEN, ["metal2", "db-2"])
    tab.click(".tile.all a")
    tab.until(SEEN, ALL)
    tab.tell("document.querySelectorAll('details').forEach(one => one.open = false)")
    tab.click(".problems a[href='#host-1-container-1']")
    tab.until("document.querySelector('#host-1-container-1 details').open", True)
    tab.tell("location.hash = '#q=db'")
    tab.until(SEEN, ["metal2", "db-1", "db-2"])
    # What it leads to is shown, whatever is filtered.
    tab.tell("location.hash = '#host-1-container-2'")
    tab.until(SEEN, ALL)


# How it looks


@pytest.mark.parametrize("width", [320, 390, 760, 1200])
def test_it_fits_any_width(opened: Browser, tmp_path: Path, width: int) -> None:
    long = "an-unbroken-name-" * 20
    steps = [fleet.step("update", f"web: update {long}", {"config": {long: long}}, {"config": {long: f"{long}2"}})]
    found = fleet.container(long, *steps, failed=True, error=long, packages=[long])
    page = report_page(drift([long], {long: {"__inx_run": {"containers": [found]}}}), {"Inventory": long})
    for file in (written(tmp_path, page), written(tmp_path, fleet.page())):
        tab = opened.open(file, width=width)
        tab.tell("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert tab.tell("document.documentElement.scrollWidth") <= width
        wide = (
            "[...document.querySelectorAll('body *:not(.skip)')].filter(one => !one.closest('pre'))"
            ".filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"
        )
        assert tab.tell(wide) == []
    assert tab.tell("[...document.querySelectorAll('pre')].every(one => getComputedStyle(one).overflowX == 'auto')")


CONTRAST = """
(() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const found = channels(getComputedStyle(one).backgroundColor);
      if (found[3] !== 0) return found;
    }
  };
  const poor = [];
  for (const one of document.querySelectorAll("body *")) {
    if (![...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
    const pair = [light(channels(getComputedStyle(one).color)), light(ground(one))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) poor.push(`${one.outerHTML.slice(0, 60)}: ${ratio}`);
  }
  return poor;
})()
"""


def test_it_follows_light_and_dark_and_can_be_read_in_both(opened: Browser, file: Path) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        tab = opened.open(file, scheme=scheme)
        tab.tell("document.querySelectorAll('details').forEach(one => one.open = true)")
        grounds.append(tab.tell("getComputedStyle(document.body).backgroundColor"))
        assert tab.tell(CONTRAST) == []
    light, dark = (sum(map(int, re.findall(r"\d+", ground))) for ground in grounds)
    assert light > 600
    assert dark < 150


def test_the_picture_of_the_documentation_is_taken_from_it(opened: Browser, tmp_path: Path) -> None:
    taken, shown = picture(opened, tmp_path), (COLLECTION / "docs" / "report.png").read_bytes()
    assert size_of(taken) == size_of(shown), "Run 'make report-picture'."
    assert 50_000 < len(shown) < 300_000


def size_of(png: bytes) -> tuple[int, int]:
    """Return width and height of a PNG."""
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


# What containers say


HOSTILE = [
    "<script>window.owned = 1</script>",
    "<img src=x onerror='window.owned = 1'>",
    "\"><svg onload='window.owned = 1'>",
    "</pre></details></main><a href='javascript:window.owned = 1'>click</a>",
    "--></style><style>* { display: none }</style>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_container_says_is_text(opened: Browser, tmp_path: Path, text: str) -> None:
    step = fleet.step("update", text, {text: text}, {text: [text, text]})
    one = fleet.container(text, step, failed=True, error=text, status=text, packages=[text])
    seen = fleet.seen(text, tags=[text], problems=[text], health={"state": text}, address=text)
    host: dict[str, Any] = {"inx_host_run": {"steps": [step]}, "__inx_run": {"containers": [one]}}
    page = report_page(drift([text], {text: {**host, "__inx_seen": {"containers": [seen]}}}), {"Made": text})
    tab = opened.open(written(tmp_path, page))
    tab.tell("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert tab.tell("window.owned") is None
    assert tab.tell("document.querySelectorAll('script, style').length") == 2
    assert tab.tell("document.querySelector('h4').textContent") == text
    assert tab.tell(f"document.body.innerText.split({json.dumps(text)}).length") > 10
    assert complaints(tab) == []


def test_a_large_fleet_is_filtered_while_one_types(opened: Browser, tmp_path: Path) -> None:
    names = [f"web-{number}" for number in range(40)]
    run = {"containers": [fleet.container(name, restart_required=name == "web-7") for name in names]}
    seen = {"containers": [fleet.seen(name) for name in names]}
    hosts = {f"metal{number}": {"__inx_run": run, "__inx_seen": seen} for number in range(50)}
    tab = opened.open(written(tmp_path, report_page(drift(list(hosts), hosts))))
    tab.click("#filter")
    tab.type("metal33 web-7")
    assert tab.tell(SEEN) == ["metal33", "web-7"]
