# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign systems, and copy them to a cache or another store."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import FleetError
from .formats import valid_paths_from
from .process import NixCommand
from .sources import NixOptions, is_store_url

_REACH = "See with 'nix store info --store {store}' on {{host}} whether root can write to that store."


@dataclass(frozen=True, kw_only=True)
class Push:
    """A store that systems are copied to, and the secret key that they are signed with before."""

    store: str
    signing_key: str | None = None


def push_from(params: Mapping[str, Any]) -> Push | None:
    """Return what the options 'copy_to' and 'signing_key' ask for; FleetError when they make no sense."""
    store, key = params["copy_to"], params["signing_key"]
    if store is None:
        return None
    if not is_store_url(store):
        raise FleetError(
            f"copy_to {store!r} is not the URL of a Nix store.",
            "Write for example ssh-ng://root@cache.example.org, s3://bucket, or file:///srv/cache.",
        )
    if key is not None and not os.access(key, os.R_OK):
        raise FleetError(
            f"The signing key {key} cannot be read.",
            "Make one on that host with 'nix-store --generate-binary-cache-key NAME SECRET_FILE PUBLIC_FILE'.",
        )
    return Push(store=store, signing_key=key)


def missing_there(nix: NixCommand, push: Push, paths: Collection[str], options: NixOptions) -> list[str]:
    """Return those of ``paths`` that the other store lacks."""
    if not paths:
        return []
    problem, advice = f"{push.store} cannot be read", _REACH.format(store=push.store)
    answer = nix.path_info(["--store", push.store], paths, problem, options, advice)
    return sorted(set(paths) - valid_paths_from(json.loads(answer)))


def push_to(nix: NixCommand, push: Push, paths: Collection[str], options: NixOptions) -> None:
    """Sign built systems with all that they need, and copy them."""
    if not paths:
        return
    if push.signing_key is not None:
        sign = ["store", "sign", "--recursive", "--key-file", push.signing_key]
        nix.run([*sign, "--", *sorted(paths)], "The systems cannot be signed", options)
    # Who may log in there is trusted already, as by nixos-rebuild.
    trust = ["--no-check-sigs"] if push.store.startswith(("ssh://", "ssh-ng://")) else []
    problem = f"The copy of {len(paths)} systems to {push.store} failed"
    copy = ["copy", "--to", push.store, *trust, "--", *sorted(paths)]
    nix.run(copy, problem, options, _REACH.format(store=push.store), told=True)
