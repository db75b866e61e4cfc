# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan the steps from what was observed to what is declared.

Pure: no server, no file system, no clock. Check mode shows these steps, a
normal run applies the same ones, so the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import FleetError
from ..incus.host_mounts import check_root, check_volumes
from ..incus.models import Instance
from ..names import lxc_name
from ..nix.bootable import cannot_switch
from ..nix.profiles import Generation, Generations
from ..nix.sources import System
from ..stored_keys import ACTIVATING, MOVING, TAKING, WAITING
from ..text import incus_command
from ..values import same_value
from .data_pruning import data_warnings
from .data_steps import data_of_rollback, restored_set, stops_for_data, with_data_steps
from .declaration import Container
from .desired import Change, change, creation, volume_change
from .expanded import expanded_config
from .fallback import (
    chosen_generation,
    failed_systems,
    fallback_of,
    is_refused,
    next_generation,
    rollback_step,
)
from .in_force import restart_pending
from .kind import check_kind, check_not_renamed, check_profiles, check_survives_stop, users_warning
from .mount_sources import check_sources
from .mounts import check_volumes_are_here, check_volumes_come, own_volumes
from .observed import Observed
from .plan_warnings import id_warnings, plan_warnings
from .prune_steps import left_by, with_prune
from .rebuilds import check_rebuild, is_started, keeps_running, rebuilds
from .rehearsal import check_rehearsal, with_rehearsal, with_removal
from .secret_steps import check_secrets, removal_step, secrets_step, units_step
from .steps import Plan, Step, changed_names, new_step, numbered
from .survival import around_stop, saving


def plan_container(declared: Container, wanted: System | None, observed: Observed) -> Plan:
    """Plan one container. ``wanted`` is the system of its declared source, None when none is declared.

    Raises FleetError when the declaration cannot be met on what was observed.
    """
    check_rehearsal(declared, observed)
    return with_removal(_plan_container(declared, wanted, observed), observed)


def _plan_container(declared: Container, wanted: System | None, observed: Observed) -> Plan:
    instance = observed.instance
    if declared.target != observed.member:
        return Plan(container=declared, steps=tuple(_stale_steps(declared, observed)))
    if instance is not None:
        check_kind(declared, instance)
    if declared.state == "absent":
        kept = (users_warning(declared, observed),) if observed.users else ()
        return Plan(container=declared, steps=tuple(_absent_steps(declared, observed)), warnings=kept)
    check_profiles(declared, observed)
    number = chosen_generation(declared, observed)
    if number is not None:
        wanted = System(path=observed.generations.paths[number], built=True, generation=number)
    system = wanted.path if wanted is not None else observed.generations.system
    if system is None:
        raise FleetError(
            f"{declared.name} has no system yet, and none is declared.", "Give 'flake', 'file' or 'system'."
        )
    check_secrets(declared, wanted, observed)
    if wanted is None and (instance is None or is_started(declared, instance)):
        _check_store(declared, observed.generations)
    if instance is None:
        check_not_renamed(declared, observed)
        new = with_data_steps(declared, observed, _steps_for_new(declared, wanted, system, observed))
        steps = with_prune(declared, system, observed, new)
        check_sources(declared, observed, steps, {})
        return Plan(container=declared, system=wanted, steps=steps, warnings=tuple(id_warnings(declared)))
    if wanted is not None and is_refused(declared, wanted, instance):
        return _plan_for_failed(declared, wanted, observed, instance)
    return _plan_for_existing(declared, wanted, system, observed, instance)


def _plan_for_existing(
    declared: Container, wanted: System | None, system: str, observed: Observed, instance: Instance
) -> Plan:
    if not (keeps_running(declared, instance) and restored_set(declared, observed) is not None):
        plan = _plan_as_declared(declared, wanted, system, observed, instance)
        if not plan.restart_required or not _restarts(declared, instance):
            return plan
    restarted = _plan_as_declared(replace(declared, state="restarted"), wanted, system, observed, instance)
    return replace(restarted, container=declared)


def _restarts(declared: Container, instance: Instance) -> bool:
    """Return whether it is restarted when that is required; a frozen one only if it is to run."""
    return declared.restart_if_required and (declared.state == "started" or instance.status != "Frozen")


def _plan_as_declared(
    declared: Container, wanted: System | None, system: str, observed: Observed, instance: Instance
) -> Plan:
    check_rebuild(declared, instance, observed)
    whole = differs = change(declared, instance, observed)
    changed = differs.after.get("devices", {})
    if observed.is_elsewhere:
        moving = with_data_steps(declared, observed, _steps_for_move(declared, wanted, observed, instance, differs))
        steps = with_prune(declared, system, observed, moving)
        check_sources(declared, observed, steps, changed)
        return Plan(container=declared, system=wanted, steps=steps)
    check_volumes_are_here(declared, instance, observed)
    restart_required = keeps_running(declared, instance) and (
        bool(differs.late or differs.waiting) or _is_pending(instance, observed)
    )
    warnings = tuple(plan_warnings(declared, instance, observed, differs if restart_required else None))
    if restart_required:
        differs = differs.without_late()
    existing = _steps_for_existing(declared, wanted, observed, instance, differs)
    changing = with_data_steps(declared, observed, existing)
    changing = (*changing, *units_step(declared, observed, changing))
    steps = with_prune(declared, system, observed, changing)
    warnings = (*differs.warnings, *warnings, *data_warnings(declared, observed, steps))
    warnings = (*warnings, *check_sources(declared, observed, steps, changed))
    plan = Plan(
        container=declared,
        system=wanted,
        steps=steps,
        warnings=warnings,
        restart_required=restart_required or _boots_another(declared, observed, steps),
        fallback=fallback_of(system, instance, observed.generations),
        awaits=_awaits(declared, instance),
    )
    return with_rehearsal(plan, system, whole, instance, observed)


# The steps


def _absent_steps(declared: Container, observed: Observed) -> Iterator[Step]:
    """Yield the steps of a removal. The instance is last: while it exists, the next run finishes a killed one."""
    name, instance, generations = declared.name, observed.instance, observed.generations
    if instance is not None:
        config = expanded_config(instance.profiles, observed.profiles, instance.config)
        if same_value(True, config.get("security.protection.delete", "")):
            raise FleetError(
                f"{name} is protected against deletion by security.protection.delete.",
                # Its own value wins over a profile's.
                "To allow it: "
                + incus_command(declared.project, "config", "set", name, "security.protection.delete=false"),
            )
        check_root(name, lxc_name(declared.project, name), observed.host_mounts)
    volumes = own_volumes(declared, observed) if declared.volatile.delete_volumes else {}
    check_volumes(name, declared.project, volumes, observed.host_mounts)
    if instance is not None and instance.is_running:
        yield new_step("stop", name, "stop", {"status": instance.status}, {"status": "Stopped"})
    if generations.directory and not observed.users:
        yield _forget_step(declared, generations)
    yield from removal_step(declared, observed)
    if instance is not None:
        yield new_step("delete", name, "delete the instance and its root disk", {"instance": "present"}, {})
    if volumes:
        gone = dict.fromkeys(volumes)
        yield new_step("volume", name, f"delete the volumes {', '.join(gone)}", {"volumes": volumes}, {"volumes": gone})


def _steps_for_new(declared: Container, wanted: System | None, system: str, observed: Observed) -> Iterator[Step]:
    name = declared.name
    body = creation(declared, observed)
    if wanted is not None:
        yield from _build_step(name, wanted)
    yield from _volume_step(declared, None, observed)
    yield from secrets_step(declared, observed)
    yield new_step("create", name, "create the instance", {}, body)
    if wanted is not None:
        yield from _record_step(declared, wanted, observed)
    if declared.state in ("started", "restarted"):
        yield new_step("start", name, "start", {"status": "absent"}, {"status": "Running", "system": system})


def _steps_for_existing(
    declared: Container, wanted: System | None, observed: Observed, instance: Instance, differs: Change
) -> Iterator[Step]:
    name = declared.name
    if wanted is not None:
        yield from _build_step(name, wanted)
    yield from _volume_step(declared, instance, observed)
    yield from secrets_step(declared, observed)
    # What lets it survive the stop, and what Incus may refuse, comes before the stop. What ends it with one, after.
    first, last = around_stop(differs, late=bool(differs.late))
    boots = observed.generations.system
    records = wanted is not None and (declared.activation != "test" or boots is None)
    if wanted is not None and records:
        boots = wanted.path
    stops = _stops_first(declared, instance, bool(last.after)) or stops_for_data(declared, observed, boots)
    if not stops:
        first, last = differs, Change()
    yield from _update_step(name, first)
    if stops:
        check_survives_stop(declared, instance)
        running = {"status": instance.status, "system": instance.running_system}
        yield new_step("stop", name, "stop", running, {"status": "Stopped", "system": None})
        instance = replace(instance, status="Stopped", running_system=None)
    yield from _update_step(name, last)
    if wanted is not None and records:
        yield from _record_step(declared, wanted, observed)
    yield from _steps_to_state(declared, wanted, instance, boots)


def _steps_to_state(
    declared: Container, wanted: System | None, instance: Instance, boots: str | None
) -> Iterator[Step]:
    """Stop it, start it, or switch what runs; ``boots`` is the system that a start boots."""
    name, status = declared.name, {"status": instance.status}
    if declared.state == "stopped":
        if instance.is_running:
            check_survives_stop(declared, instance)
            yield new_step("stop", name, "stop", status, {"status": "Stopped"})
        return
    runs = instance.running_system
    if instance.status == "Frozen" and declared.state == "present" and TAKING not in instance.notes:
        return
    if instance.status == "Frozen" and declared.state != "restarted":
        yield new_step("unfreeze", name, "unfreeze", status, {"status": "Running"})
    elif instance.is_running and declared.state == "restarted":
        before = {**status, "system": runs, **_on_trial(instance)}
        yield new_step("restart", name, "restart", before, {"status": "Running", "system": boots})
        # A boot ends the trial of what was switched to.
        runs, instance = boots, _off_trial(instance)
    elif not instance.is_running and is_started(declared, instance):
        yield from _rebuild_step(declared, instance)
        yield _start_step(name, instance, boots, {**status, **_mark("moving", MOVING in instance.config)})
        runs = boots
    elif not instance.is_running:
        return
    if wanted is not None:
        yield from _activate_step(declared, wanted, instance, runs)


def _steps_for_move(
    declared: Container, wanted: System | None, observed: Observed, instance: Instance, differs: Change
) -> Iterator[Step]:
    """Yield the steps of a move. The system is here before the instance, so that it can start at any time after."""
    name = declared.name
    if wanted is None or wanted.generation is not None:
        raise FleetError(
            f"{name} is at {instance.location}, with its generations. To be moved here its system must be declared.",
            "Give 'flake', 'file' or 'system'.",
        )
    if instance.is_running:
        check_survives_stop(declared, instance)
    check_volumes_come(declared, instance, observed)
    yield from _build_step(name, wanted)
    yield from _volume_step(declared, instance, observed)
    yield from secrets_step(declared, observed)
    yield from _record_step(declared, wanted, observed)
    # The rest of what changes may only be right where it comes to, such as a path of the host.
    first, last = saving(differs)
    yield from _update_step(name, first)
    before = {"location": instance.location, "status": instance.status}
    after = {"location": observed.member, "status": "Stopped"}
    yield new_step("move", name, f"move from {instance.location} to {observed.member}", before, after)
    yield from _update_step(name, last)
    if is_started(declared, instance):
        yield from _rebuild_step(declared, instance)
        status = {"status": "Stopped", **_mark("moving", MOVING in instance.config)}
        yield _start_step(name, instance, wanted.path, status)


def _stale_steps(declared: Container, observed: Observed) -> Iterator[Step]:
    """Yield the removal of generations that are left here of a container that runs on another member."""
    instance, found = observed.instance, observed.generations
    is_used = instance is None or not instance.is_running or bool(observed.users)
    if observed.is_elsewhere and found.directory and not is_used:
        # Before what a later run sees that something is left by.
        yield from removal_step(declared, observed)
        yield _forget_step(declared, found)


def _stops_first(declared: Container, instance: Instance, late: bool) -> bool:
    """Return whether the stop comes before other work: ``late`` changes, or a root that is emptied."""
    restarts = declared.state == "restarted" and (late or rebuilds(declared, instance))
    return instance.is_running and (restarts or (declared.state == "stopped" and late))


def _volume_step(declared: Container, instance: Instance | None, observed: Observed) -> Iterator[Step]:
    before, after = volume_change(declared, instance, observed)
    if after:
        yield new_step("volume", declared.name, f"volume {', '.join(after)}", {"volumes": before}, {"volumes": after})


def _build_step(name: str, wanted: System) -> Iterator[Step]:
    if wanted.built:
        return
    if wanted.copy_from is None:
        yield new_step("build", name, f"build {wanted.path}", {}, {"system": wanted.path})
    else:
        yield new_step("copy", name, f"copy {wanted.path} from {wanted.copy_from}", {}, {"system": wanted.path})


def _record_step(declared: Container, wanted: System, observed: Observed) -> Iterator[Step]:
    """Yield the step to a new generation, or back to the chosen one."""
    found = observed.generations
    before = {"generation": found.current, "system": found.system}
    if wanted.generation is not None:
        if wanted.generation != found.current:
            after = {"generation": wanted.generation, "system": wanted.path}
            summary = f"go to generation {wanted.generation}, {wanted.path}"
            yield new_step("record", declared.name, summary, before, after)
    elif found.system != wanted.path:
        after = {"generation": next_generation(found, wanted.path), "system": wanted.path}
        yield new_step("record", declared.name, f"record {wanted.path} as its system", before, after)


def _activate_step(declared: Container, wanted: System, instance: Instance, runs: str | None) -> Iterator[Step]:
    if declared.activation == "boot":
        return
    unfinished = runs == wanted.path and runs == instance.running_system and ACTIVATING in instance.notes
    if runs == wanted.path and not unfinished:
        return
    summary = f"{declared.activation} to {wanted.path}"
    if unfinished:
        summary += " again: the last activation did not finish"
    if not wanted.switches:
        raise cannot_switch(declared.name, wanted.path)
    after = {"running_system": wanted.path, "activation": declared.activation}
    yield new_step("activate", declared.name, summary, {"running_system": runs, **_on_trial(instance)}, after)


def _update_step(name: str, differs: Change) -> Iterator[Step]:
    if differs.after:
        summary = f"update {', '.join(changed_names(differs.after))}"
        yield replace(new_step("update", name, summary, differs.before, differs.after), notes=differs.notes)


def _rebuild_step(declared: Container, instance: Instance) -> Iterator[Step]:
    if rebuilds(declared, instance):
        yield new_step("rebuild", declared.name, "empty its root", {"root": "as it is"}, {"root": "empty"})


def _start_step(name: str, instance: Instance, boots: str | None, before: Mapping[str, Any]) -> Step:
    # What a start boots needs no activation any more.
    return new_step("start", name, "start", {**before, **_on_trial(instance)}, {"status": "Running", "system": boots})


def _on_trial(instance: Instance) -> dict[str, str]:
    return {"activating": instance.notes[ACTIVATING]} if ACTIVATING in instance.notes else {}


def _off_trial(instance: Instance) -> Instance:
    return replace(instance, notes={key: value for key, value in instance.notes.items() if key != ACTIVATING})


def _mark(key: str, there: bool) -> dict[str, str]:
    return {key: "true"} if there else {}


def _forget_step(declared: Container, found: Generations) -> Step:
    before = {"generations": numbered(found.paths)}
    return new_step("forget", declared.name, f"remove {declared.profile_dir}", before, {})


# Generations, and going back


def _check_store(declared: Container, found: Generations) -> None:
    """Raise FleetError if a container would start with a system that is lost."""
    if found.system in found.lost:
        raise FleetError(
            f"{declared.name}: its system {found.system} is not in the store any more, and none is declared.",
            "Give 'flake', 'file' or 'system', or another 'generation'.",
        )


def _plan_for_failed(declared: Container, wanted: System, observed: Observed, instance: Instance) -> Plan:
    """Plan all that is declared but the bad system: it is not tried again, and the plan ends with that error.

    What runs or boots a bad system goes back to a good one, also where an earlier run was cut off on its way back.
    """
    name, found = declared.name, observed.generations
    fallback = None if observed.is_elsewhere else fallback_of(wanted.path, instance, found)
    bad = {wanted.path, *failed_systems(instance)}
    unfinished = instance.is_running and ACTIVATING in instance.notes
    returns = fallback if unfinished or bad & {instance.running_system, found.system} else None
    good = returns or Generation(number=found.current or 0, system=found.system or "")
    error = FleetError(
        f"{name}: {wanted.path} was found unhealthy by an earlier run and is not tried again. "
        f"Its generation is {good.number}, {good.system}.",
        "Declare another system, or 'health: {retry_failed: true}'.",
    )
    if observed.is_elsewhere or (good.system in {*bad, ""} and declared.state != "stopped"):
        # There is nothing good to start.
        pending = keeps_running(declared, instance) and restart_pending(instance)
        return Plan(container=declared, system=wanted, restart_required=pending, error=error)
    chosen = None
    if returns is not None:
        chosen = System(path=returns.system, built=True, generation=returns.number)
    # It is restarted with a good system, as soon as one is declared.
    settled = replace(declared, activation="switch", restart_if_required=False, restore_data=False)
    plan = _plan_for_existing(settled, chosen, good.system, observed, instance)
    # What is good is not pruned by a run that ends with an error.
    steps = tuple(step for step in plan.steps if step.action != "prune")
    plan = replace(plan, container=declared, system=wanted, steps=steps, error=error)
    if returns is None or not keeps_running(declared, instance):
        return plan
    data = data_of_rollback(declared, observed, returns, wanted.path)
    rollback = rollback_step(name, found, instance.running_system, returns, data)
    others = (step for step in steps if step.action not in ("record", "activate", "snapshot"))
    return replace(plan, steps=(*others, rollback), fallback=returns)


# What a run leaves for later


def _awaits(declared: Container, instance: Instance) -> bool:
    """Return whether it goes on, or starts, without what an earlier run waited for in vain after a start."""
    is_awaited = WAITING in instance.notes and bool(declared.wait.conditions or declared.health)
    is_frozen = instance.status == "Frozen" and declared.state == "present"
    return is_awaited and not is_frozen and (keeps_running(declared, instance) or is_started(declared, instance))


def _boots_another(declared: Container, observed: Observed, steps: Sequence[Step]) -> bool:
    """Tell whether it runs on with another system than the one that is recorded for its next start.

    With 'activation: test' that is what is declared.
    """
    instance, found = left_by(declared, observed, steps)
    if not keeps_running(declared, instance) or declared.activation == "test":
        return False
    return None not in (instance.running_system, found.system) and instance.running_system != found.system


def _is_pending(instance: Instance, observed: Observed) -> bool:
    """Return whether notes say that a restart is due, where nothing better tells."""
    return observed.started is None and restart_pending(instance, observed.addresses or ())
