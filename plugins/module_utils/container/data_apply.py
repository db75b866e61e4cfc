# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apply the steps that are about a container's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..nix.profiles import read_generations
from ..stored_keys import TAKING
from .data import Data, begin_restoration, data_now, finish_restoration, take
from .data_steps import place_of, places_in
from .declaration import Container
from .ends import Host
from .snapshots import generation_in
from .steps import Plan, Step, Told


def _data(host: Host, plan: Plan, what: Mapping[str, Any]) -> Data:
    return Data(
        incus=host.incus,
        notes=host.notes,
        container=plan.container,
        covers_root=what["root"] is not None,
        volumes=places_in(what),
    )


def take_snapshot(host: Host, plan: Plan, step: Step) -> Told:
    """Take the snapshot of a step."""
    what = step.after["snapshot"]
    superseded = step.before.get("superseded", "")
    told = take(_data(host, plan, what), what["generation"], what["system"], superseded)
    return Told(snapshots=({**told, "drivers": what["drivers"], "copied_bytes": what["copied_bytes"]},))


def restore_data(host: Host, plan: Plan, step: Step) -> Told:
    """Restore the data of a stopped container."""
    what = step.after["data"]
    data = _data(host, plan, what)
    begin_restoration(data, what["from"], what["generation"])
    system = read_generations(plan.container.profile_dir).paths.get(generation_in(what["from"]))
    done = finish_restoration(data, system)
    return Told(warnings=(f"{plan.container.name}: {done.words}",), snapshots=(done.told,))


def remove_sets(host: Host, container: Container, sets: Mapping[str, Sequence[str]]) -> None:
    """Remove sets by their names, with the volumes that have them."""
    data = data_now(host.incus, host.notes, container)
    data.settle()
    for name, volumes in sets.items():
        data.remove(name, [place_of(text) for text in volumes])
        if host.notes.of(container).get(TAKING) == name:
            host.notes.change(container, {TAKING: ""})
