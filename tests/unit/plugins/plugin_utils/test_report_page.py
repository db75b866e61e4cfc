# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.filter.drift import drift
from ansible_collections.inx.fleet.plugins.filter.report_page import report_page
from ansible_collections.inx.fleet.plugins.module_utils.text import message
from ansible_collections.inx.fleet.tests.report import fleet

#: Elements without an end.
_VOID = frozenset(("meta", "input"))


class Parsed(HTMLParser):
    """A page as elements with their attributes, and as texts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def contents(self, name: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for tag, attributes in self.elements if tag == name]


@pytest.fixture(scope="module")
def parsed() -> Parsed:
    return Parsed(fleet.page())


@pytest.mark.parametrize(
    "text",
    [
        "5 of 9 hosts and containers are not as declared",
        "Made 2026-11-30 06:00 UTC",
        "Containers 6 on 3 hosts",
        "web-1 on metal1 would change: update config limits.memory, generation 4 → 5, restart nginx.service",
        "restart nginx.service (last changed by a run at 2026-11-23T10:15:04.123Z)",
        "cache on metal1 waits for a restart",
        "db-1 on metal2 is unhealthy",
        "db-2 on metal2 failed: db-2: The storage pool 'fast' does not exist.",
        "metal3 was not reached",
        f"Runs {fleet.OLD} Declared {fleet.NEW}",
        "- limits.memory: 1GiB + limits.memory: 2GiB",
        "nginx: 1.28.0 → 1.29.3 openssl: 3.5.1 → 3.5.4",
        "Restart pending since 2026-11-28 17:05 UTC",
        "- max-jobs = 2 + max-jobs = 8",
        "Disk 203.0 MiB GC roots 3 Last change 2026-11-23",
        "4 2026-11-23 10:15 UTC /nix/store/",
        "Last runs 2026-11-23 10:15 UTC generation 3 → 4, restart nginx.service Last generations",
        "Units that would change restart: nginx.service",
        "GC roots 12 Nix store 36.0 GiB of 100.0 GiB 36 % Pool default 36.0 GiB of 100.0 GiB 36 %",
        "Nix store 206.0 GiB of 224.0 GiB 92 % Pool default unknown",
        "Found on the host it does not report which system it runs",
        "Disk unknown",
        "Health stopped",
        "Runs nothing Boots next /nix/store/",
    ],
)
def test_it_shows(parsed: Parsed, text: str) -> None:
    assert text in parsed.text


def test_what_could_not_be_looked_at_says_so() -> None:
    hosts = {"metal1": {"__inx_run": {"containers": [fleet.container("web")]}, "__inx_seen": {"msg": "No Incus."}}}
    page = Parsed(report_page(drift(["metal1"], hosts)))
    assert "Health, disk, GC roots not looked at: No Incus." in page.text
    assert "Health unknown Disk unknown GC roots unknown Last change unknown" in page.text


@pytest.mark.parametrize(
    ("ended", "line"),
    [
        ({"finished": True, "error": "No room."}, "2026-11-29 09:00 UTC failed: start, No room."),
        ({"finished": False, "error": None}, "2026-11-29 09:00 UTC interrupted: start"),
    ],
)
def test_a_run_that_failed_says_so(ended: dict[str, Any], line: str) -> None:
    run = {"time": "2026-11-29T09:00:00.000Z", "failed": True, "did": ["start"], **ended}
    hosts = {
        "metal1": {
            "inx_host_run": {"last_run": {**run, "time": "2026-11-30T01:00:00.000Z"}},
            "__inx_run": {"containers": [fleet.container("web", last_run=run)]},
            "__inx_seen": {"containers": [fleet.seen("web", runs=[run])]},
        }
    }
    page = Parsed(report_page(drift(["metal1"], hosts)))
    assert f"Last runs {line}" in page.text
    assert "Last change 2026-11-29" in page.text
    assert "Last change 2026-11-30 web" in page.text


def test_a_container_that_is_not_there_has_nothing_unknown() -> None:
    create = fleet.step("create", "web: create the instance", {}, {"name": "web"})
    record = fleet.step("record", "web: record it", {}, {"generation": 1, "system": fleet.NEW})
    absent = fleet.container("web", create, record, status="Absent", system=None, running_system=None, generation=None)
    page = Parsed(report_page(drift(["metal1"], {"metal1": {"__inx_run": {"containers": [absent]}}})))
    assert "unknown" not in page.text
    assert f"Runs nothing Declared {fleet.NEW}" in page.text


def test_nothing_is_left_to_see_of_a_fleet_as_declared() -> None:
    hosts = {"metal1": {"inx_host_run": {"steps": []}, "__inx_run": {"containers": [fleet.container("web")]}}}
    page = Parsed(report_page(drift(["metal1"], hosts)))
    assert page.text.count("All is as declared") == 2
    assert "Problems" not in page.text
    assert not [one for one in page.contents("details") if "open" in one]


def test_what_differs_is_open_unless_there_is_much_of_it() -> None:
    many = [fleet.container(f"web-{number}", restart_required=True) for number in range(30)]
    hosts = {"metal1": {"__inx_run": {"containers": many}}}
    few = {"metal1": {"__inx_run": {"containers": [*many[:3], fleet.container("db")]}}}
    opened = [
        [one for one in Parsed(report_page(drift(["metal1"], found))).contents("details") if "open" in one]
        for found in (few, hosts)
    ]
    assert [len(one) for one in opened] == [3, 0]


def test_its_policy_allows_its_own_style_and_script_and_nothing_else(parsed: Parsed) -> None:
    page = fleet.page()
    (policy,) = [one["content"] for one in parsed.contents("meta") if one.get("http-equiv")]
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for name in ("style", "script")
        for text in re.findall(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)
    ]
    style, script = hashes
    assert policy == f"default-src 'none'; style-src {style}; script-src {script}; base-uri 'none'; form-action 'none'"
    assert not re.search(r"@import|url\(", page)
    for _tag, attributes in parsed.elements:
        assert not {"src", "style"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_all_that_a_link_leads_to_is_there(parsed: Parsed) -> None:
    ids = [attributes["id"] for _tag, attributes in parsed.elements if "id" in attributes]
    links = {str(one["href"])[1:] for one in parsed.contents("a")}
    named = {str(one["aria-labelledby"]) for _tag, one in parsed.elements if "aria-labelledby" in one}
    assert len(ids) == len(set(ids))
    assert {link for link in links if not link.startswith("q=")} | named <= set(ids)


# Any text in the place of any text


def replaced(value: Any, text: str) -> Any:
    """Return a value with a text in the place of all its texts that are free, but for keys that have a meaning."""
    if isinstance(value, dict):
        meant = ("state", "date", "time", "restart_required_since")
        return {key: entry if key in meant else replaced(entry, text) for key, entry in value.items()}
    if isinstance(value, list):
        return [replaced(entry, text) for entry in value]
    return text if isinstance(value, str) else value


def page_of(text: str) -> Parsed:
    return Parsed(report_page(replaced(fleet.report(), text), {"Made": text}))


ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=40)
HOSTILE = st.sampled_from(
    [
        "<script>alert(1)</script>",
        "</pre></details><img src=x onerror=alert(1)>",
        '" onmouseover="alert(1)',
        "' autofocus onfocus='alert(1)",
        "<!-- ",
        "]]>",
        "&lt;b&gt;&#x3c;",
        "\x1b[2J\x1b]0;title\x07",
        "\u202egnp.exe",
        "\u2066hidden\u2069",
        "\ud800",
        "\x00",
        "\r",
        "\u2028",
        "{{ 7 * 7 }}{% raw %}",
    ]
)


@given(st.tuples(ANY_TEXT, HOSTILE, ANY_TEXT).map("".join))
def test_any_text_is_shown_as_text(text: str) -> None:
    line = "x" + text.replace("\n", " ") + "x"
    page = page_of(line)
    assert page.elements == page_of("plain").elements
    assert message(line) in "".join(page.texts)
    assert "".join(page.texts).replace("\n", "").replace("\t", "").isprintable()


@given(ANY_TEXT)
def test_any_text_can_be_written_to_a_file(text: str) -> None:
    report_page(replaced(fleet.report(), text)).encode("utf-8")
