# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let containers of a set release what others of it claim, before those claim it. Pure.

What a container gives up has a step of its own at the head of its plan, and what it takes a second one. Heads have no
turn: those that belong together are done at once, by whichever container needs one of them first (handover.py). First
all release, so there is no circle, and nothing is away for longer than it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..incus.models import Config, Devices
from ..stored_keys import RELEASED
from .claims import KEYS_ALONE, VOLUME, Claim, claims, meeting
from .expanded import expanded
from .in_force import mounted_anew, stale_disks
from .observed import Observed
from .released import left_hidden, note_of
from .steps import BUILDING, Plan, Step, changed_names, new_step

_Held = frozenset[Claim]
# What hides a device of the profiles.
_MASK = {"type": "none"}
# Steps after which it has all devices again, or none.
_RENEWING = frozenset(("stop", "restart", "move"))


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """An instance between two steps, as far as claims depend on it."""

    here: bool = False
    runs: bool = False
    ephemeral: bool = False
    profiles: tuple[str, ...] = ()
    config: Config = field(default_factory=dict)
    devices: Devices = field(default_factory=dict)


def with_exchange(plans: Sequence[Plan], before: Mapping[str, Observed], first: Collection[str] = ()) -> list[Plan]:
    """Return the plans with heads, and with what each step waits for. Those ``first`` are done before all others."""
    plans = [_stopped_first(plan, before[plan.container.name]) for plan in plans]
    held = {plan.container.name: _held(plan.steps, before[plan.container.name]) for plan in plans}
    given = {name: _but(stages[0], stages[-1]) for name, stages in held.items()}
    taken = {name: _but(frozenset().union(*stages), stages[0]) for name, stages in held.items()}
    moved = {name: meeting(held, _of_others(taken, name)) for name, held in given.items()}
    missing = {
        plan.container.name: _missing(plan, before[plan.container.name], moved[plan.container.name]) for plan in plans
    }
    if not any(moved.values()) and not any(missing.values()):
        return list(plans)

    def headed(plan: Plan) -> Plan:
        name = plan.container.name
        return plan if name in first else _with_head(plan, before[name], moved, taken[name], missing[name])

    found = [headed(plan) for plan in plans]
    releasing = {plan.container.name for plan in found if plan.released or plan.container.name in first}
    sources = {name: gives for name, gives in moved.items() if gives and name in releasing}
    return [_with_claims(plan, before[plan.container.name], sources) for plan in found]


def held_after(plan: Plan, seen: Observed) -> _Held:
    """Return what a container holds when its plan is done."""
    return _held(plan.steps, seen)[-1]


def newly_held(plan: Plan, seen: Observed) -> _Held:
    """Return what a container holds when its plan is done and does not hold now."""
    held = _held(plan.steps, seen)
    return _but(held[-1], held[0])


def devices_after(steps: Sequence[Step], seen: Observed) -> Devices:
    """Return the expanded devices of a container after some steps."""
    stage = _now(seen)
    for step in steps:
        stage = _after(stage, step)
    return _expanded(stage, seen)


def _expanded(stage: _Stage, seen: Observed) -> Devices:
    return expanded(stage.profiles, seen.profiles, {}, stage.devices).devices


def _but(some: Iterable[Claim], others: Iterable[Claim]) -> _Held:
    """Return claims without those for the very same, by whichever device."""
    known = {(claim.kind, claim.where, claim.what) for claim in others}
    return frozenset(claim for claim in some if (claim.kind, claim.where, claim.what) not in known)


def _of_others(held: Mapping[str, _Held], name: str) -> list[Claim]:
    return [claim for other, found in held.items() if other != name for claim in found]


# What is held between the steps


def _held(steps: Sequence[Step], seen: Observed) -> list[_Held]:
    """Return what is held before the first step, and after each."""
    stage, found = _now(seen), list[_Held]()
    for step in (None, *steps):
        stage = stage if step is None else _after(stage, step)
        found.append(claims(_expanded(stage, seen), stage.config, runs=stage.runs) if stage.here else frozenset())
    return found


def _now(seen: Observed) -> _Stage:
    instance = seen.instance
    if instance is None:
        return _Stage()
    return _Stage(
        here=not seen.is_elsewhere,
        runs=instance.is_running,
        ephemeral=instance.ephemeral,
        profiles=instance.profiles,
        config=instance.config,
        devices=instance.devices,
    )


def _after(stage: _Stage, step: Step) -> _Stage:
    if step.action in ("create", "update"):
        return replace(
            stage,
            here=stage.here or step.action == "create",
            ephemeral=bool(step.after.get("ephemeral", stage.ephemeral)),
            profiles=tuple(step.after.get("profiles", stage.profiles)),
            config=_written(stage.config, step.after.get("config", {})),
            devices=_written(stage.devices, step.after.get("devices", {})),
        )
    if step.action in ("start", "restart", "unfreeze"):
        return replace(stage, here=True, runs=True)
    if step.action in ("stop", "move"):
        return replace(stage, runs=False, here=step.action == "move" or not stage.ephemeral)
    return _Stage() if step.action == "delete" else stage


def _written(entries: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**entries, **change}.items() if value is not None}


# The head of a plan


def _stopped_first(plan: Plan, seen: Observed) -> Plan:
    """Return the plan with its stop before all else if it would claim something only to stop then."""
    stop = next((step for step in plan.steps if step.action == "stop"), None)
    if stop is None or plan.container.state != "stopped" or seen.instance is None or seen.instance.ephemeral:
        return plan
    held = _held(plan.steps, seen)
    if not _but(frozenset().union(*held), held[0] | held[-1]):
        return plan
    return replace(plan, steps=(stop, *(step for step in plan.steps if step is not stop)))


def _with_head(plan: Plan, seen: Observed, moved: Mapping[str, _Held], taken: _Held, missing: frozenset[str]) -> Plan:
    """Return the plan with its head: the step that releases what others claim, and the one that claims.

    What is ``missing`` is released as well, so that it is added again.
    """
    name = plan.container.name
    gives, takes = moved[name], meeting(taken, _of_others(moved, name))
    if seen.instance is None or not (gives or takes or missing):
        return plan
    ends = [number for number, step in enumerate(plan.steps) if step.action in ("stop", "delete")]
    lasting = meeting(gives, _held_stopped(seen))
    if gives and plan.container.state == "absent":
        head = 1 + (ends[-1] if lasting else ends[0])
        return replace(plan, head=head, released=head)
    changed = {device for step in plan.steps if step.action == "update" for device in step.after.get("devices", {})}
    if ends and not seen.instance.ephemeral and any(claim.device not in changed for claim in gives - lasting):
        plan, gives = _moved_first(plan, ends[0]), lasting
    elif ends and not seen.instance.ephemeral and gives and not lasting:
        return _moved_first(plan, ends[0])
    number = next((n for n, one in enumerate(plan.steps) if one.action == "update"), None)
    is_by_profiles = any(claim.device not in changed for claim in gives)
    if is_by_profiles and number is not None and not (takes or missing) and _is_early(plan, number):
        return _moved_first(plan, number)
    if number is None:
        if not missing:
            return plan
        number, nothing = plan.head, new_step("update", name, "", {}, {})
        plan = replace(plan, steps=(*plan.steps[:number], nothing, *plan.steps[number:]))
    return _split(plan, seen, number, gives=gives, takes=takes, missing=missing)


def _is_early(plan: Plan, number: int) -> bool:
    """Return whether one of the steps needs nothing that those before it do."""
    return all(step.action in BUILDING for step in plan.steps[:number])


def _moved_first(plan: Plan, number: int) -> Plan:
    """Return the plan with one of its steps before all others, as its head."""
    steps = (plan.steps[number], *plan.steps[:number], *plan.steps[number + 1 :])
    return replace(plan, steps=steps, head=1, released=1)


def _held_stopped(seen: Observed) -> _Held:
    """Return what a container would hold if it were stopped."""
    stage = replace(_now(seen), runs=False)
    return claims(_expanded(stage, seen), stage.config, runs=False)


def _split(plan: Plan, seen: Observed, number: int, *, gives: _Held, takes: _Held, missing: frozenset[str]) -> Plan:
    """Return the plan with up to two steps at its head in the place of a part of an update."""
    step, instance = plan.steps[number], seen.instance
    is_live = not any(one.action in ("stop", "move") for one in plan.steps[:number])
    if not is_live and any(claim.where.startswith(VOLUME) for claim in gives):
        # Incus may take it only while it is stopped.
        return plan
    own = {} if instance is None else dict(instance.devices)
    inherited = expanded(() if instance is None else instance.profiles, seen.profiles, {}, {}).devices
    release = {
        **_released(step, seen, inherited, gives),
        **{device: _MASK if device in inherited else None for device in missing},
    }
    rest = _without_released(step, own, release)
    found = []
    if release:
        before = {device: own.get(device) for device in release}
        nics = missing - seen.lost_proxies - seen.replaced.disks
        found.append(_with_host_names(_devices_step(plan, "release", before, release), nics))
    claiming = {} if "profiles" in rest.after or not is_live else _claiming(rest, gives | takes)
    if release and (gives or takes) and "profiles" in rest.after and _is_early(plan, number):
        # What profiles give comes with all of them.
        found.append(replace(rest, summary=f"{step.container}: claim {', '.join(changed_names(rest.after))}"))
        rest = replace(rest, before={}, after={})
    elif claiming:
        before = {device: rest.before["devices"][device] for device in claiming}
        found.append(_devices_step(plan, "claim", before, claiming))
        rest = _with_devices(rest, *(_without(side["devices"], claiming) for side in (rest.before, rest.after)))
    *head, rest = _with_note([*found, rest], seen) if release else (*found, rest)
    kept = (rest,) if rest.after else ()
    steps = (*head, *plan.steps[:number], *kept, *plan.steps[number + 1 :])
    return replace(plan, steps=steps, head=plan.head + len(head), released=plan.released + bool(release))


def _devices_step(plan: Plan, verb: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Step:
    summary = f"{verb} device {', device '.join(sorted(after))}"
    return new_step("update", plan.container.name, summary, {"devices": dict(before)}, {"devices": dict(after)})


def _with_host_names(step: Step, missing: Collection[str]) -> Step:
    """Return a step that removes NICs which are missing already: Incus fails to remove one without a name on the host.

    It says then "Failed clearing netprio rules: device name is empty" (6.0 and 7.0).
    """
    if not missing:
        return step
    names = {_host_name(device): f"gone-{number}" for number, device in enumerate(sorted(missing))}
    return _with_part(step, "config", dict.fromkeys(names), names)


def _with_note(steps: Sequence[Step], seen: Observed) -> list[Step]:
    """Return steps with a note of the devices that hide those of profiles after the first one.

    The last one that claims with such a device removes the note.
    """
    first, *others = steps
    own, config = ({}, {}) if seen.instance is None else (seen.instance.devices, seen.instance.config)
    left = {} if seen.instance is None else left_hidden(seen.instance)
    following = {device for step in others for device in step.after.get("devices", {})}
    hiding = {
        device: keys
        for device, keys in first.after["devices"].items()
        if keys is not None and device in following and (device in left or device not in own)
    }
    if not hiding:
        return [first, *others]
    note, noted = {RELEASED: note_of({**left, **hiding})}, {**left, **hiding}.keys()
    last = max(number for number, step in enumerate(others) if noted & step.after.get("devices", {}).keys())
    for number, step in enumerate(others):
        sides = [_without(side.get("config", {}), (RELEASED,)) for side in (step.before, step.after)]
        if number == last:
            sides = [{**sides[0], **note}, {**sides[1], RELEASED: None}]
        others[number] = _with_part(step, "config", *sides)
    old, new = (side.get("config", {}) for side in (first.before, first.after))
    return [_with_part(first, "config", {**old, RELEASED: config.get(RELEASED)}, {**new, **note}), *others]


def _host_name(device: str) -> str:
    return f"volatile.{device}.host_name"


def _missing(plan: Plan, seen: Observed, gives: _Held) -> frozenset[str]:
    """Return the devices that are to be added again to a running container, and that no restart brings.

    They are declared, or hold what it gives up.

    They are in its configuration only, since Incus takes one away when it fails to change it: it notes no name of a NIC
    on the host then. Or they are disks whose source was replaced.
    """
    container = plan.container
    declared = {name for name, keys in container.devices.items() if keys is not None}
    declared.update(entry.device for entry in container.publish or ())
    declared.update(claim.device for claim in gives)
    instance = seen.instance
    if instance is None or seen.is_elsewhere or any(step.action in _RENEWING for step in plan.steps):
        return frozenset()
    nics = {
        name
        for name, keys in expanded(instance.profiles, seen.profiles, {}, instance.devices).devices.items()
        if keys.get("type") == "nic" and _is_noted(keys) and _host_name(name) not in instance.config
    }
    is_up = instance.status == "Running" and instance.config.get("volatile.last_state.power") == "RUNNING"
    if not is_up or plan.error:
        return frozenset()
    now, then = devices_after((), seen), devices_after(plan.steps, seen)
    stale = stale_disks(now, then, mounted_anew(container, seen))
    return (seen.lost_proxies | nics) & declared | stale


def _is_noted(keys: Mapping[str, str]) -> bool:
    """Return whether Incus notes the name of a NIC on the host while it runs."""
    return "network" in keys or keys.get("nictype") in ("bridged", "p2p", "routed", "physical")


def _released(step: Step, seen: Observed, inherited: Devices, gives: _Held) -> dict[str, Mapping[str, str] | None]:
    """Return the devices that hold what is given up, as they are without it."""
    wanted, stage = step.after.get("devices", {}), _now(seen)
    own, held = stage.devices, _held((), seen)[0]
    found: dict[str, Mapping[str, str] | None] = {}
    for device in sorted({claim.device for claim in gives}):
        final = wanted.get(device, own.get(device))
        claimed = claims({} if final is None else {device: final}, {}, runs=stage.runs)
        if device in wanted and not (final is None and device in inherited) and not _but(claimed, held):
            found[device] = final
            continue
        kinds = {claim.kind for claim in gives if claim.device == device}
        keys = own.get(device, inherited.get(device, {}))
        # Incus makes another MAC address for a NIC that was away.
        alone = KEYS_ALONE if "hwaddr" in keys else KEYS_ALONE | {"host_name"}
        if kinds <= alone:
            found[device] = {key: value for key, value in keys.items() if key not in kinds}
        else:
            found[device] = _MASK if device in inherited else None
    return found


def _without_released(step: Step, own: Devices, release: Mapping[str, Mapping[str, str] | None]) -> Step:
    """Return an update that finds the devices as they were released."""
    before, after = dict(step.before.get("devices", {})), dict(step.after.get("devices", {}))
    for device, keys in release.items():
        final = after.pop(device, own.get(device))
        before.pop(device, None)
        if final != keys:
            before[device], after[device] = keys, final
    return _with_devices(step, before, after)


def _with_devices(step: Step, before: Mapping[str, Any], after: Mapping[str, Any]) -> Step:
    """Return an update of other devices."""
    step = _with_part(step, "devices", before, after)
    return replace(step, summary=f"{step.container}: update {', '.join(changed_names(step.after))}")


def _with_part(step: Step, part: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Step:
    """Return a step with another part, without it if that is empty."""
    sides = [_without(side, (part,)) for side in (step.before, step.after)]
    if after:
        sides = [{**sides[0], part: dict(before)}, {**sides[1], part: dict(after)}]
    return replace(step, before=sides[0], after=sides[1])


def _without(entries: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: entry for name, entry in entries.items() if name not in names}


def _claiming(step: Step, moved: _Held) -> dict[str, Any]:
    """Return the devices of an update that claim what others release, or have released something themselves."""
    wanted = step.after.get("devices", {})
    names = {claim.device for claim in moved}
    return {device: keys for device, keys in wanted.items() if device in names}


# What each step waits for


def _with_claims(plan: Plan, seen: Observed, sources: Mapping[str, _Held]) -> Plan:
    held = _held(plan.steps, seen)
    steps = []
    for number, step in enumerate(plan.steps):
        new = _but(held[number + 1], held[number])
        names = {name for name, gives in sources.items() if name != plan.container.name and meeting(new, gives)}
        steps.append(replace(step, claims_from=frozenset(names)) if names else step)
    return replace(plan, steps=tuple(steps))
