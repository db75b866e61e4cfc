# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rehearse a system in a twin of its container, and remove the twin. The container itself is only read."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..errors import ConflictError, FleetError, UnhealthyError, cleaning_up
from ..incus.hints import naming_config
from ..names import lxc_name
from ..nix.profiles import add_generation, make_profile, remove_profile
from ..nix.rehearsals import Rehearsal, read_rehearsal, remove_record, write_rehearsal
from ..stored_keys import REHEARSAL
from ..text import incus_command
from .declaration import Container
from .ends import Host
from .health import journal, quoted_journal, verify
from .rollback import note_bad
from .secret_apply import Owners
from .secret_inside import make_links
from .secrets import SecretNotes, wanted_links
from .steps import Plan, Step
from .twin import Twin, network_config


class UnfitError(FleetError):
    """A system was not healthy in its rehearsal. ``step`` was done, and nothing else."""

    def __init__(self, problem: str, advice: str, step: Step) -> None:
        super().__init__(problem, advice)
        self.step = step


def rehearse(host: Host, plan: Plan, twin: Twin, step: Step) -> None:
    """Bring a system up in a twin, and remove the twin, whatever comes of it.

    Raises UnfitError if it is not healthy there. Any other FleetError says nothing of the system.
    """
    container, system = plan.container, step.after["rehearsed"]
    remove_rehearsal(host, container)
    _check_free(host, twin.rehearsal)
    write_rehearsal(twin.rehearsal)
    try:
        _bring_up(host, container, twin, system)
    except UnhealthyError as why:
        unfit = _unfit(host, container, twin, step, why)
        with cleaning_up(unfit, f"Removing {twin.container.name}"):
            remove_rehearsal(host, container)
        raise unfit from why
    except FleetError as why:
        error = FleetError(
            f"{container.name}: {system} could not be rehearsed, and {container.name} was left as it is: {why.problem}",
            why.advice,
        )
        with cleaning_up(error, f"Removing {twin.container.name}"):
            remove_rehearsal(host, container)
        raise error from why
    remove_rehearsal(host, container)


def _check_free(host: Host, rehearsal: Rehearsal) -> None:
    """Raise ConflictError if the name of the twin belongs to somebody else's instance."""
    if host.incus.instance(rehearsal.twin) is not None:
        rename = incus_command(rehearsal.project, "rename", rehearsal.twin, "NEW")
        raise ConflictError(
            f"{rehearsal.container} cannot be rehearsed: there is an instance {rehearsal.twin}, which is not its twin.",
            f"Rename it ('{rename}').",
        )


def _bring_up(host: Host, container: Container, twin: Twin, system: str) -> None:
    """Make a twin, start it and wait until it is healthy."""
    incus, copy = host.incus, twin.container
    make_profile(copy.profile_dir)
    add_generation(copy.profile_dir, 1, system)
    if twin.rehearsal.network is not None:
        description = f"Rehearsal of {container.name}"
        incus.create_network(twin.rehearsal.network, description, network_config(twin.rehearsal))
    for volume in twin.volumes:
        if volume.source is None:
            incus.create_volume(volume.pool, volume.name, volume.config)
        else:
            incus.copy_volume(volume.pool, volume.source, volume.name, volume.config)
    _write_secrets(host, container, copy)
    make = incus.create_instance if twin.source is None else partial(incus.copy_instance, twin.source)
    with naming_config(twin.body["config"]):
        make(twin.body)
    make_links(incus, copy.name, wanted_links(copy.secret_files or ()), {})
    incus.set_state(copy.name, "start")
    Owners(host, copy, system).after_start()
    verify(incus, copy, system)


def _write_secrets(host: Host, container: Container, copy: Container) -> None:
    """Give a twin the declared secrets, in memory alone, with the owners that they have in the container."""
    if copy.secret_files:
        own, lxc = (lxc_name(one.project, one.name) for one in (container, copy))
        notes = SecretNotes(ids=host.secrets.look(own).notes.ids, links=wanted_links(copy.secret_files))
        seen = replace(host.secrets.look(lxc), notes=notes)
        host.secrets.write(lxc, copy.secret_files, seen, notes, at_rest=False)


def _unfit(host: Host, container: Container, twin: Twin, step: Step, why: UnhealthyError) -> UnfitError:
    """Return the error of a bad system with what the twin said, and remember the system as bad."""
    name, copy, bad = container.name, twin.container.name, step.after["rehearsed"]
    said = journal(host.incus, copy, bad)
    complaint = f"{name}: {bad} is not healthy in its rehearsal: {why.problem.removeprefix(f'{copy}: ')}"
    error = UnfitError(
        "\n".join([complaint, *quoted_journal(said), f"{name} was left as it is. {bad} is remembered as bad."]),
        "Declare another system, or 'health: {retry_failed: true}' to try this one again.",
        step,
    )
    error.output.update(why.output)
    error.output["journal"] = "\n".join(f"{title}\n{text}" for title, text in said)
    with cleaning_up(error, "Remembering it"):
        note_bad(host, container, bad)
    return error


def remove_rehearsal(host: Host, container: Container) -> None:
    """Remove all that was made for a rehearsal of a container, and nothing without its mark. Its record goes last."""
    found, incus = read_rehearsal(container.project, container.name), host.incus
    if found is None:
        return
    twin = incus.instance(found.twin)
    if twin is not None and twin.config.get(REHEARSAL) == found.lxc:
        if twin.is_running:
            incus.set_state(found.twin, "stop", container.stop_timeout, force=True)
        incus.delete_instance(found.twin)
    for pool, name in found.volumes:
        volume = incus.volume(pool, name)
        if volume is not None and volume.config.get(REHEARSAL) == found.lxc:
            incus.delete_volume(pool, name)
    network = None if found.network is None else incus.network(found.network)
    if network is not None and network.config.get(REHEARSAL) == found.lxc:
        incus.delete_network(network.name)
    copy = Container(name=found.twin, project=found.project)
    lxc = lxc_name(copy.project, copy.name)
    if twin is None or twin.config.get(REHEARSAL) == found.lxc:
        if lxc in host.secrets.kept():
            host.secrets.remove(lxc)
        remove_profile(copy.profile_dir)
    remove_record(found)
