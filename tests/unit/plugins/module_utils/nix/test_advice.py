# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nix, ssh, git and GitHub say, as they say it, and what has to be in the advice."""

from __future__ import annotations

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.nix.advice import CODE, DAEMON, advice_for, is_out_of_memory

SAID = [
    # Nix 2.26.3, git 2.47.3
    (
        "error: opening Git repository \"/srv/o\": repository path '/srv/o' is not owned by current user",
        "safe.directory /srv/o'",
    ),
    ("fatal: detected dubious ownership in repository at '/srv/o'", "safe.directory /srv/o'"),
    # bash and dash of the other host, by ssh
    (
        "bash: line 1: nix-daemon: command not found",
        "remote-program=/nix/var/nix/profiles/default/bin/nix-daemon",
    ),
    ("sh: 1: nix-daemon: not found", "remote-program="),
    ("bash: nix-store: command not found", "remote-program="),
    # OpenSSH 10.0
    ("Host key verification failed.", "/etc/ssh/ssh_known_hosts on metal1"),
    ("root@builder: Permission denied (publickey,password).", "ssh key without a passphrase"),
    ("ssh: connect to host builder port 22: Connection timed out", "BatchMode"),
    ("ssh: Could not resolve hostname builder: Name or service not known", "BatchMode"),
    # GitHub's answer, in the words of Nix 2.26
    (
        "error: unable to download 'https://api.github.com/repos/o/r/commits/HEAD': HTTP error 403\n"
        '       response body: {"message":"API rate limit exceeded for 192.0.2.1."}',
        "access-tokens",
    ),
    (
        "error: unable to download 'https://api.github.com/repos/o/r/commits/HEAD': HTTP error 429",
        "inx_containers_build_host",
    ),
    ("error: writing to file: No space left on device", "df -h"),
    ("error: path '/srv/a/x.nix' does not exist in Git repository \"/srv/a\"", "git add"),
    # Nix 2.26.3, then 2.31
    (
        "error: a 'aarch64-darwin' with features {} is required to build "
        "'/nix/store/ihq201pbz8s5avn8mx3c0k10bsanavh5-d.drv', "
        "but I am a 'x86_64-linux' with features {benchmark, big-parallel, nixos-test, uid-range}",
        "macOS",
    ),
    (
        "error: Cannot build '/nix/store/ihq201pbz8s5avn8mx3c0k10bsanavh5-d.drv'.\n"
        "       Reason: required system or feature not available\n"
        "       Required system: 'aarch64-linux' with features {}\n"
        "       Current system: 'x86_64-linux' with features {benchmark, big-parallel, kvm, nixos-test}",
        "nixpkgs.hostPlatform",
    ),
    ("error: flake 'path:/srv/a' does not provide attribute 'nixosConfigurations.\"w\"'", "builtins.attrNames"),
]


@pytest.mark.parametrize(("said", "word"), SAID)
def test_the_advice_is_about_what_nix_says(said: str, word: str) -> None:
    advice = advice_for(said, DAEMON, "metal1")
    assert word in advice
    assert "{" not in advice


def test_space_is_not_the_cause_of_everything() -> None:
    for otherwise in (CODE, DAEMON):
        advice = advice_for("error: something else", otherwise, "metal1")
        assert "df " not in advice
        assert "metal1" in advice


@pytest.mark.parametrize("said", ["terminate called after throwing 'std::bad_alloc'", "error: out of memory"])
def test_memory(said: str) -> None:
    assert is_out_of_memory(said)
    assert not is_out_of_memory("error: undefined variable 'memory'")
