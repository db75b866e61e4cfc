# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hints for errors of nix."""

from __future__ import annotations

import re
from collections.abc import Callable

CODE = "Correct it where nix says so. For more, run 'nix build' with --show-trace on {host}."
DAEMON = "See 'systemctl status nix-daemon' on {host}."

_BUILD_LOG = re.compile(
    r"nix log '?(/nix/store/[^\s']+\.drv)|builder for '([^']+\.drv)' failed|Cannot build '([^']+\.drv)'"
)
# What nix (Boehm's collector) and the C++ library say when memory cannot be had.
_NO_MEMORY = re.compile(r"std::bad_alloc|[Oo]ut of [Mm]emory|Cannot allocate memory|Failed to expand heap")

_NO_QUESTIONS = "nix asks no questions here."


def _safe_directory(found: re.Match[str]) -> str:
    tree = next(text for text in found.groups() if text is not None)
    return (
        f"git does not read the tree of another user. On {{host}}, trust it with "
        f"'git config --system --add safe.directory {tree}', or write path:{tree}, which is read without git."
    )


def _builder(found: re.Match[str]) -> str:
    system = next(text for text in found.groups() if text is not None)
    if system.endswith("-darwin"):
        return "That is for macOS, which no container runs. Name a system that nixpkgs.lib.nixosSystem makes."
    return (
        f"That is for {system}, or needs a feature that {{host}} does not have. Set nixpkgs.hostPlatform to this "
        "host's, name a machine that builds it with 'builders', or see 'system-features' in nix.conf."
    )


def _plainly(advice: str) -> Callable[[re.Match[str]], str]:
    return lambda found: advice


_HINTS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        # libgit2, then git.
        re.compile(r"repository path '([^']+)' is not owned by|dubious ownership in repository at '([^']+)'"),
        _safe_directory,
    ),
    (
        re.compile(r"nix-(?:daemon|store): (?:command not found|not found|No such file)"),
        _plainly(
            "The PATH of a login by ssh there does not have nix, as with upstream's installer. Name its program in the "
            "store's address: ssh-ng://HOST?remote-program=/nix/var/nix/profiles/default/bin/nix-daemon"
            " (for ssh:// it is .../bin/nix-store)."
        ),
    ),
    (
        re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED"),
        _plainly(
            f"{_NO_QUESTIONS} Put the other host's key into /etc/ssh/ssh_known_hosts on {{host}}: compare what "
            "'ssh-keyscan OTHER_HOST' prints with /etc/ssh/ssh_host_*_key.pub there."
        ),
    ),
    (
        re.compile(r"Permission denied \([a-z,-]+\)|Too many authentication failures"),
        _plainly(
            f"{_NO_QUESTIONS} On {{host}}, give root an ssh key without a passphrase that the other host accepts: "
            "'ssh -o BatchMode=yes root@OTHER_HOST true' has to work."
        ),
    ),
    (
        re.compile(r"Connection (?:timed out|refused)|No route to host|Could not resolve hostname|connect to host "),
        _plainly("See on {host} whether 'ssh -o BatchMode=yes OTHER_HOST true' works, and whether that host is up."),
    ),
    (
        # GitHub answers 403 or 429 (docs.github.com, "Rate limits for the REST API").
        re.compile(r"rate limit|api\.github\.com\S*: HTTP error (?:403|429)"),
        _plainly(
            "Give nix a token: 'access-tokens = github.com=...' in nix.conf on {host}. Or evaluate on one host for all "
            "(inx_containers_build_host), or name a mirror of the repository (git+https://...)."
        ),
    ),
    (
        re.compile(r"No space left on device|database or disk is full|Disk quota exceeded"),
        _plainly("Make room on {host}: 'df -h /nix /tmp' shows what is full, 'nix store gc' collects garbage."),
    ),
    (
        re.compile(r"is not tracked by Git|does not exist in Git repository"),
        _plainly("A flake in a git tree has only the files that git knows. Add the file with 'git add'."),
    ),
    (
        # Nix up to 2.30, and later.
        re.compile(
            r"a '([a-z0-9_]+-[a-z]+)' with features .* is required to build|Required system: '([a-z0-9_]+-[a-z]+)'"
        ),
        _builder,
    ),
    (
        re.compile(r"does not provide attribute"),
        _plainly("List the systems of a flake with 'nix eval FLAKE#nixosConfigurations --apply builtins.attrNames'."),
    ),
)


def advice_for(said: str, otherwise: str, host: str) -> str:
    """Return what to do about an error in nix's words, or ``otherwise``; ``host`` is where it happened."""
    for pattern, advice in _HINTS:
        found = pattern.search(said)
        if found is not None:
            return advice(found).replace("{host}", host)
    return (_log_of(said) or otherwise).replace("{host}", host)


def failed_derivations(said: str) -> list[str]:
    """Return the derivations whose builds failed, if nix names their logs."""
    return list(dict.fromkeys(next(filter(None, found)) for found in _BUILD_LOG.findall(said)))


def is_out_of_memory(said: str) -> bool:
    """Return whether nix says that it could not have the memory that it needs."""
    return _NO_MEMORY.search(said) is not None


def _log_of(said: str) -> str | None:
    """Return where the whole log is, if nix says that a build failed."""
    failed = failed_derivations(said)
    if not failed:
        return None
    one = failed[0] if len(failed) == 1 else "DERIVATION"
    return f"See all of the log with 'nix log {one}' on {{host}}."
