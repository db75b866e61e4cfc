# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.nix.build_log import BuildLog, Work
from ansible_collections.inx.fleet.plugins.module_utils.text import plain

DRV = "/nix/store/v1b707k952dwyfjyp065bqzdpmahxfcc-nixos-system-web.drv"
PATH = "/nix/store/nfr06q1j306z60kdzan4f8d9d1aspl1x-busybox"
# As Nix 2.26 writes them.
BUILDS = {"action": "start", "id": 1, "level": 0, "parent": 0, "text": "", "type": 104}
BUILD = {
    "action": "start",
    "fields": [DRV, "", 1, 1],
    "id": 2,
    "level": 3,
    "parent": 0,
    "text": f"building '{DRV}'",
    "type": 105,
}
COPIES = {"action": "start", "id": 3, "level": 3, "parent": 0, "text": "copying 6 paths", "type": 103}
COPY = {
    "action": "start",
    "fields": [PATH, "local", "file:///cache"],
    "id": 4,
    "level": 3,
    "parent": 0,
    "text": f"copying path '{PATH}' to 'file:///cache'",
    "type": 100,
}
QUERY = {"action": "start", "id": 5, "level": 6, "parent": 0, "text": "querying info about missing paths", "type": 0}
FAILURE = {
    "action": "msg",
    "column": None,
    "level": 0,
    "msg": f"\x1b[31;1merror:\x1b[0m builder for '\x1b[35;1m{DRV}\x1b[0m' failed with exit code 1",
    "raw_msg": "",
}


def result(activity: int, kind: int, *fields: Any) -> dict[str, Any]:
    return {"action": "result", "fields": list(fields), "id": activity, "type": kind}


def stop(activity: int) -> dict[str, Any]:
    return {"action": "stop", "id": activity}


def read(*said: Any) -> BuildLog:
    """Return what is known after nix said this; a text is a line of another program."""
    log = BuildLog()
    for one in said:
        log.feed(one if isinstance(one, str) else f"@nix {json.dumps(one)}")
    return log


def test_builds_are_counted_and_named() -> None:
    log = read(BUILDS, result(1, 105, 2, 9, 1, 0), BUILD)
    assert log.work() == Work(built=2, to_build=9, building=("nixos-system-web",))


def test_build_that_has_ended_is_not_named() -> None:
    assert read(BUILDS, BUILD, stop(2)).work().building == ()


def test_builds_stay_counted_when_nix_goes_on_to_the_next_thing() -> None:
    log = read(BUILDS, result(1, 105, 9, 9, 0, 0), stop(1), {**BUILDS, "id": 8}, result(8, 105, 1, 2, 1, 0))
    assert log.work() == Work(built=10, to_build=11)


def test_bytes_of_copies_are_those_that_were_announced() -> None:
    log = read(COPIES, result(3, 106, 100, 2101176), COPY, result(4, 105, 21, 2025056, 0, 0))
    assert (log.work().copied, log.work().to_copy) == (21, 2101176)


def test_bytes_of_a_copy_stay_counted() -> None:
    log = read(COPY, result(4, 105, 50, 50, 0, 0), stop(4), {**COPY, "id": 9}, result(9, 105, 1, 10, 0, 0))
    assert (log.work().copied, log.work().to_copy) == (51, 60)


def test_deleted_paths_are_counted() -> None:
    deleting = {"action": "msg", "level": 3, "msg": f"deleting '{PATH}'"}
    log = read({"action": "msg", "level": 3, "msg": "deleting garbage..."}, deleting, deleting)
    assert log.work() == Work(deleted=2)


def test_text_is_what_nix_prints_without_json() -> None:
    log = read({"action": "msg", "level": 3, "msg": "this derivation will be built:"}, BUILDS, QUERY, BUILD, stop(2))
    assert log.text == f"this derivation will be built:\nbuilding '{DRV}'..."


def test_details_are_not_printed() -> None:
    assert read({"action": "msg", "level": 4, "msg": "evaluating file"}, QUERY).text == ""


def test_error_of_a_build_has_the_end_of_its_log() -> None:
    lines = [result(2, 101, f"line {number}") for number in range(30)]
    said = plain(read(BUILDS, BUILD, *lines, stop(2), FAILURE).text).splitlines()[1:]
    assert said[:3] == [
        f"error: builder for '{DRV}' failed with exit code 1;",
        "       last 25 log lines:",
        "       > line 5",
    ]
    assert said[-2:] == ["       For full logs, run:", f"         nix log {DRV}"]
    assert len(said) == 29


def test_error_of_a_build_without_a_log_is_as_it_is() -> None:
    assert plain(read(BUILD, stop(2), FAILURE).text).endswith("failed with exit code 1")


def test_error_of_newer_nix_has_the_log_too() -> None:
    failure = {**FAILURE, "msg": f"error: Cannot build '{DRV}'.\n       Reason: builder failed with exit code 1."}
    said = read(BUILD, result(2, 101, "No rule to make target"), failure).text
    assert "> No rule to make target" in said


def test_lines_of_other_programs_are_printed() -> None:
    lines = ["ssh: connect to host builder port 22: No route to host", '@nix {"action":"start"', "@nix [1]"]
    assert read(*lines).text.splitlines() == lines


@given(
    st.lists(
        st.one_of(
            st.text(),
            st.dictionaries(
                st.sampled_from(["action", "id", "level", "type", "fields", "msg", "text"]),
                st.one_of(st.none(), st.integers(), st.text(), st.sampled_from(["start", "stop", "result", "msg"])),
            ),
            st.builds(result, st.integers(1, 5), st.sampled_from([101, 105, 106]), st.one_of(st.none(), st.integers())),
            st.sampled_from([BUILDS, BUILD, COPIES, COPY]),
        )
    )
)
def test_log_never_fails(said: list[Any]) -> None:
    log = read(*said)
    work = log.work()
    assert work.copied <= work.to_copy
    assert isinstance(log.text, str)
