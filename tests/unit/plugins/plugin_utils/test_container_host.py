# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shlex
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar

from ansible_collections.inx.fleet.plugins.plugin_utils.container_host import execute, open_host


@pytest.fixture(scope="module", autouse=True)
def loader() -> None:
    init_plugin_loader()


def opened(become: bool | None = None, keys: dict[str, Any] | None = None, **variables: Any) -> Any:
    everything = {"ansible_connection": "local", **variables}
    return open_host("here", everything, Templar(DataLoader(), everything), keys, become=become)


@pytest.mark.parametrize(
    ("become", "variables", "expected"),
    [
        (None, {}, False),
        (None, {"ansible_become": "yes"}, True),
        (False, {"ansible_become": True}, False),
        (True, {}, True),
    ],
)
def test_the_host_or_the_option_says_whether_to_become_root(
    become: bool | None, variables: dict[str, Any], expected: bool
) -> None:
    assert (opened(become, **variables).become is not None) == expected


@pytest.mark.parametrize("keys", [None, {"become_pass": "of the run"}])
def test_the_variables_of_the_host_say_how(keys: dict[str, Any] | None) -> None:
    host = opened(True, keys, ansible_become_user="toor", ansible_become_exe="/opt/sudo")
    words = shlex.split(host.become.build_become_command("true", host._shell))
    assert words[0] == "/opt/sudo"
    assert words[words.index("-u") + 1] == "toor"
    # With a password it asks for it.
    assert ("-p" in words) == (keys is not None)


def test_an_unknown_way() -> None:
    with pytest.raises(AnsibleError, match="ansible_become_method: there is no become plugin 'hocus'"):
        opened(True, ansible_become_method="hocus")


def test_a_command_is_executed_as_its_words_are() -> None:
    words = ["printf", "%s", "it's $HOME"]
    # Stands for sudo.
    as_env = opened(True, ansible_become_exe="env", ansible_become_flags="", ansible_become_user="")
    assert execute(opened(), words) == execute(as_env, words) == (0, b"it's $HOME", b"")
