# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declarations of containers, validated.

Nothing here looks at a server or at the file system: what can be refused from
the declaration alone is refused here, before anything else happens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from ..errors import FleetError
from ..names import container_name, project_name, word
from ..nix.sources import NixOptions, Source, nix_options_from, source_from
from ..paths import STORE_PROFILE, profile_dir
from ..text import UNPRINTABLE, incus_command
from ..values import Value, base_60, byte_count, same_value, value_text
from .attached import BIND_DEVICE, PUBLISH_DEVICE, BindMount, Published, bind_mounts_from, published_from
from .commands import command_from
from .secret_device import SECRETS_DEVICE
from .secrets import Secret, secrets_from
from .selection import words
from .snapshots import Snapshots, restore_data_from, snapshots_from
from .volatile import PERSIST_DEVICE, TMPFS_DEVICE, Mounted, Volatile, check_distinct, volatile_from

State: TypeAlias = Literal["started", "stopped", "restarted", "present", "absent"]
Activation: TypeAlias = Literal["switch", "boot", "test"]
#: A generation of the container's profile: its number, or the newest good one before the current one.
GenerationChoice: TypeAlias = int | Literal["previous"]
Device: TypeAlias = Mapping[str, Value]


_PERCENTAGE = re.compile(r"\d+%\Z")
# What the names of devices begin with that options make.
_OWN_DEVICES = {
    TMPFS_DEVICE: "tmpfs",
    PERSIST_DEVICE: "persist",
    PUBLISH_DEVICE: "publish",
    BIND_DEVICE: "bind_mounts",
    SECRETS_DEVICE: "secrets",
}


@dataclass(frozen=True, kw_only=True)
class Wait:
    """What to wait for after a start or a switch, if anything, and for how many seconds at most."""

    conditions: tuple[str, ...] = ("system",)
    timeout: int = 120

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the conditions that are about addresses: of any family, or of one."""
        return tuple(condition for condition in self.conditions if condition != "system")


@dataclass(frozen=True, kw_only=True)
class Health:
    """When a system that was started or switched to counts as good, and what to do if it is not.

    ``command`` has no shell and runs as root in the container, until it succeeds or ``timeout`` seconds are over.
    With ``command_only`` systemd is not asked for failed units, or for the end of the boot.
    """

    command: tuple[str, ...] = ()
    timeout: int = 120
    command_only: bool = False
    degraded: bool = False
    rollback: bool = True
    retry_failed: bool = False


@dataclass(frozen=True, kw_only=True)
class Container:
    """One declared container. ``None`` always means "not declared: leave it as it is"."""

    name: str
    project: str = "default"
    state: State = "started"
    source: Source | None = None
    generation: GenerationChoice | None = None
    keep_generations: int | None = None
    nix: NixOptions = field(default_factory=NixOptions)
    activation: Activation = "switch"
    #: With the secret ones among it, which ``secrets`` names.
    config: Mapping[str, Value] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    secret_files: tuple[Secret, ...] | None = None
    secrets_at_rest: bool = True
    devices: Mapping[str, Device | None] = field(default_factory=dict)
    publish: tuple[Published, ...] | None = None
    bind_mounts: tuple[BindMount, ...] | None = None
    profiles: tuple[str, ...] | None = None
    store_profile: str = STORE_PROFILE
    storage_pool: str | None = None
    root_size: str | None = None
    description: str | None = None
    ephemeral: bool | None = None
    autostart: bool | None = None
    localtime: bool = True
    self_update: bool | None = None
    volatile: Volatile = field(default_factory=Volatile)
    snapshots: Snapshots | None = None
    #: Restore the data of ``generation`` with it.
    restore_data: bool = False
    allow_privileged: bool = False
    wait: Wait = field(default_factory=Wait)
    health: Health | None = None
    #: Try another system in a twin before the container is touched.
    rehearse: bool = False
    stop_timeout: int = 60
    force: bool = False
    #: Restart it when a restart is what it waits for.
    restart_if_required: bool = False
    #: Names of containers of the same set that must be healthy before this one is touched.
    after: tuple[str, ...] = ()
    #: The priority at which it starts with the host, as the order of its set has it; None if it is in no order.
    boot_priority: int | None = None
    #: Words by which a run can choose it, None if none were declared.
    tags: tuple[str, ...] | None = None
    #: The set that the container belongs to; None leaves what is recorded on the instance.
    set_name: str | None = None
    #: The cluster member that is to run it; None is wherever it is, or is placed when it is new.
    target: str | None = None
    move_timeout: int = 3600

    @property
    def mounts(self) -> tuple[Mounted, ...]:
        """Return all paths with a declared mount, except those of plain devices."""
        return (*self.volatile.mounts, *(self.bind_mounts or ()))

    @property
    def profile_dir(self) -> str:
        """Return the directory on the host that holds the container's Nix profile."""
        return profile_dir(self.project, self.name)

    def placed_at(self, member: str) -> Container:
        """Return the container with its cluster member set."""
        return replace(self, target=member)


def container_from(params: Mapping[str, Any]) -> Container:
    """Make a Container of the parameters of inx_container (its argument spec gives their shape).

    Raises FleetError for anything that can be refused without looking at the host.
    """
    name = container_name(params["name"])
    state: State = params["state"]
    source = None if state == "absent" else source_from(params, name)
    if params["ephemeral"] and state == "stopped":
        raise FleetError(
            f"{name}: an ephemeral container is deleted by its stop, so it cannot be kept in state 'stopped'.",
            "Declare 'state: absent', or 'ephemeral: false'.",
        )
    container = Container(
        name=name,
        project=project_name(params["project"]),
        state=state,
        source=source,
        generation=None if state == "absent" else _generation_from(params, name),
        keep_generations=_keep_generations_from(params, name),
        nix=nix_options_from(params),
        activation=params["activation"],
        config=_config_from(params, name),
        secrets=frozenset(params["secret_config"]),
        secret_files=secrets_from(params, name),
        secrets_at_rest=params["secrets_at_rest"],
        devices=_devices_from(params, name),
        publish=published_from(params, name),
        bind_mounts=bind_mounts_from(params, name),
        profiles=_profiles_from(params, name),
        store_profile=params["store_profile"],
        storage_pool=params["storage_pool"],
        root_size=_size_from(params["root_size"], f"{name}: root_size"),
        description=params["description"],
        ephemeral=params["ephemeral"],
        autostart=params["autostart"],
        localtime=params["localtime"],
        self_update=params["self_update"],
        volatile=volatile_from(params, name),
        snapshots=snapshots_from(params, name),
        restore_data=restore_data_from(params, name),
        allow_privileged=params["allow_privileged"],
        wait=_wait_from(params),
        health=_health_from(params),
        rehearse=_rehearse_from(params),
        stop_timeout=_positive(params["stop_timeout"], f"{name}: stop_timeout"),
        force=params["force"],
        restart_if_required=params["restart_if_required"],
        after=words(params.get("after"), f"{name}: after") or (),
        tags=_tags_from(params, name),
        target=None if params["target"] == "auto" else params["target"],
        move_timeout=_positive(params["move_timeout"], f"{name}: move_timeout"),
    )
    check_distinct(container.mounts, name)
    return container


def _generation_from(params: Mapping[str, Any], name: str) -> GenerationChoice | None:
    text = params["generation"]
    if text is None:
        return None
    if params["activation"] == "test":
        raise FleetError(f"{name}: 'generation' cannot be used with 'activation: test'.", "Use 'switch' or 'boot'.")
    if text == "previous":
        return "previous"
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise FleetError(f"{name}: generation {text!r} is not valid.", "Give its number, or 'previous'.")
    return int(text)


def _keep_generations_from(params: Mapping[str, Any], name: str) -> int | None:
    number: int | None = params["keep_generations"]
    if number is not None and number < 2:
        raise FleetError(
            f"{name}: keep_generations is {number}, and nothing would be left to go back to.", "Keep 2 or more."
        )
    return number


def _config_from(params: Mapping[str, Any], name: str) -> Mapping[str, Value]:
    twice = sorted(set(params["config"]) & set(params["secret_config"]))
    if twice:
        raise FleetError(f"{name}: {', '.join(twice)}: both in config and in secret_config.", "Keep one of them.")
    config: dict[str, Value] = {**params["config"], **params["secret_config"]}
    for key in params["secret_config"]:
        if key.split() != [key]:
            raise FleetError(f"{name}: secret_config: {key!r} is not a config key.", "Write it without blanks.")
    for key, value in config.items():
        if not key or UNPRINTABLE.search(key):
            raise FleetError(f"{name}: {key!r} is not a config key.", f"See '{_show(params)}' for those that are set.")
        if key.startswith("volatile."):
            raise FleetError(f"{name}: config key {key!r} belongs to Incus.", "Remove it from the declaration.")
        if isinstance(value, (list, tuple, Mapping)):
            raise FleetError(
                f"{name}: config key {key!r} has a value that is not a text, number or boolean.", _as_text(params)
            )
        if key == "limits.memory" and not _PERCENTAGE.match(value_text(value)):
            _size_from(value_text(value), f"{name}: config key 'limits.memory'")
    if params["autostart"] is not None:
        declared = config.get("boot.autostart")
        if declared is not None and not same_value(params["autostart"], value_text(declared)):
            raise FleetError(f"{name}: autostart and config 'boot.autostart' say different things.", "Keep one.")
        config["boot.autostart"] = params["autostart"]
    return config


def _as_text(params: Mapping[str, Any]) -> str:
    return f"Write it as one text, as '{_show(params)}' does."


def _show(params: Mapping[str, Any]) -> str:
    return incus_command(params["project"], "config", "show", params["name"])


def _profiles_from(params: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    profiles = params["profiles"]
    twice = sorted({one for one in profiles or () if profiles.count(one) > 1})
    if twice:
        raise FleetError(f"{name}: profiles: {', '.join(twice)}: named twice.", "Name each profile once.")
    return None if profiles is None else tuple(profiles)


def _size_from(text: str | None, what: str) -> str | None:
    """Return a size that Incus takes. Raise FleetError for anything else."""
    # Incus: shared/units/units.go, ParseByteSizeString: an empty one is none, and "1 bytes" is one.
    if text and byte_count(text.removesuffix(" bytes")) is None:
        raise FleetError(f"{what}: {text!r} is not a size.", "Write it as Incus does, for example 4GiB.")
    return text


def _devices_from(params: Mapping[str, Any], name: str) -> Mapping[str, Device | None]:
    devices: Mapping[str, Any] = params["devices"]
    for device, keys in devices.items():
        if not device or "/" in device or UNPRINTABLE.search(device):
            raise FleetError(f"{name}: {device!r} is not a valid device name.", "Use letters, digits, dots and dashes.")
        if device == "nixprofiles":
            raise FleetError(f"{name}: the device 'nixprofiles' is made by this module.", "Use 'self_update' for it.")
        if device.startswith(tuple(_OWN_DEVICES)):
            option = next(option for prefix, option in _OWN_DEVICES.items() if device.startswith(prefix))
            raise FleetError(
                f"{name}: the device {device!r} has a name that this module reserves.", f"Use {option!r} for it."
            )
        if keys is not None and not isinstance(keys, Mapping):
            raise FleetError(
                f"{name}: device {device!r} must be a dictionary of its keys, or null to remove it.",
                "Write for example {type: disk, source: /srv, path: /srv}.",
            )
        if keys is not None and not keys.get("type", "disk"):
            raise FleetError(f"{name}: the type of the device {device!r} is empty.", "Leave it out, or name one.")
        for key, value in (keys or {}).items():
            if key == "hwaddr" and isinstance(value, int):
                address = base_60(value, 6)
                raise FleetError(
                    f"{name}: device {device!r}: hwaddr is the number {value}, which YAML makes of {address}.",
                    f'Write it in quotes: "{address}".',
                )
            if isinstance(value, (list, tuple, Mapping)):
                problem = f"{name}: device {device!r}: {key!r} has a value that is not a text, number or boolean."
                raise FleetError(problem, _as_text(params))
    return devices


def _wait_from(params: Mapping[str, Any]) -> Wait:
    timeout = _positive(params["wait_timeout"], f"{params['name']}: wait_timeout")
    return Wait(conditions=tuple(params["wait_for"]) if params["wait"] else (), timeout=timeout)


def _tags_from(params: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """Return the tags of a container. Raise FleetError for what cannot be one."""
    tags = words(params.get("tags"), f"{name}: tags")
    for tag in tags or ():
        word(tag, f"tag (of {name})")
    return None if tags is None else tuple(sorted(set(tags)))


def _health_from(params: Mapping[str, Any]) -> Health | None:
    given, name = params["health"], params["name"]
    if given is None:
        return None
    if not params["wait"]:
        raise FleetError(f"{name}: 'health' requires 'wait: true'.", "Remove 'wait: false', or 'health'.")
    command = command_from(given["command"], name)
    if given["command_only"] and not command:
        raise FleetError(f"{name}: health: 'command_only' is given without a command.", "Add 'command' to 'health'.")
    return Health(
        command=command,
        command_only=given["command_only"],
        timeout=_positive(given["timeout"], f"{name}: health timeout"),
        degraded=given["degraded"],
        rollback=given["rollback"],
        retry_failed=given["retry_failed"],
    )


def _rehearse_from(params: Mapping[str, Any]) -> bool:
    if params["rehearse"] and params["health"] is None:
        raise FleetError(
            f"{params['name']}: 'rehearse' requires 'health', which decides about the rehearsal.",
            "Declare 'health', {} at least, or remove 'rehearse'.",
        )
    return bool(params["rehearse"])


def _positive(value: int, what: str) -> int:
    if value < 1:
        raise FleetError(f"{what} is {value}, but it is a number of seconds from 1.", "Raise it, or leave it out.")
    return value
