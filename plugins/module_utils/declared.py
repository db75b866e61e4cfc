# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user asked for, validated.

Nothing here looks at a server or at the file system: what can be refused from
the declaration alone is refused here, before anything else happens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal, TypeAlias

from .attached import BIND_DEVICE, PUBLISH_DEVICE, BindMount, Published, bind_mounts_from, check_ports, published_from
from .errors import FleetError
from .selection import selection_from, words
from .values import Value, same_value, value_text
from .volatile import PERSIST_DEVICE, TMPFS_DEVICE, Mounted, Volatile, check_distinct, volatile_from

State: TypeAlias = Literal["started", "stopped", "restarted", "present", "absent"]
Activation: TypeAlias = Literal["switch", "boot", "test"]
#: A generation of the container's profile: its number, or the newest good one before the current one.
GenerationChoice: TypeAlias = int | Literal["previous"]
Device: TypeAlias = Mapping[str, Value]

PROFILES_DIR = "/nix/var/nix/profiles/inx-container"
STORE_PROFILE = "inx-container"
STORE_DIR = "/nix/store"
DAEMON_SOCKET_DIR = "/nix/var/nix/daemon-socket"
DB_DIR = "/nix/var/nix/db"
LOCALTIME = "/etc/localtime"

# Incus: shared/validate/validate.go, IsHostname: one label of a host name, and no number.
_NAME = re.compile(r"(?!\d+\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
# Nix: src/libstore/path.cc, checkName: at most 211 characters of this alphabet.
_STORE_PATH = re.compile(r"/nix/store/[0-9abcdfghijklmnpqrsvwxyz]{32}-[A-Za-z0-9+\-_?=][A-Za-z0-9+\-._?=]{0,210}\Z")
_STORE_OBJECT = re.compile(_STORE_PATH.pattern.removesuffix(r"\Z") + r"(?=/|\Z)")
_NIX_SETTING = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_WORD = re.compile(r"[A-Za-z0-9._-]{1,63}\Z")
# Nix: src/libstore/store-api.cc, openStore; what is a path or a word there is a store of this host.
_STORE_URL = re.compile(r"[a-z0-9+.-]+://[^\s\x00-\x1f\x7f]+\Z")
# ssh would take a host that begins so for an option.
_DASHED_HOST = re.compile(r"[a-z0-9+.-]+://([^/@]*@)?-")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Nix: src/libflake/flakeref.cc; a path without a slash in front is one from where nix is called.
_RELATIVE_URL = re.compile(r"(path|([a-z]+\+)?file):(?!/)")
# Of Incus (shared/validate/validate.go, and cmd/incusd/api_project.go, projectValidateName), without a limit of ours.
_PROJECT = re.compile(r"(?!\.{1,2}\Z)[^/\s'\"`*\x00-\x1f\x7f]+\Z")
# What only the daemon's own configuration can say: a client that sends it has no effect.
_OF_THE_DAEMON = ("trusted-users", "allowed-users")
_AS_TEXT = "Write it as one text, as 'incus config show' does."
# What the names of devices begin with that options make.
_OWN_DEVICES = {
    TMPFS_DEVICE: "tmpfs", PERSIST_DEVICE: "persist", PUBLISH_DEVICE: "publish", BIND_DEVICE: "bind_mounts",
}


@dataclass(frozen=True, kw_only=True)
class NixOptions:
    """How nix is to be called; equal options let containers share one evaluation."""

    override_inputs: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    impure: bool = False
    accept_flake_config: bool = False
    builders: str | None = None


@dataclass(frozen=True, kw_only=True)
class Flake:
    """``nixosConfigurations."attribute"`` of the flake at ``reference``."""

    reference: str
    attribute: str

    @property
    def installable(self) -> str:
        """The argument for ``nix build``."""
        return f'{self.reference}#nixosConfigurations."{self.attribute}".config.system.build.toplevel'


@dataclass(frozen=True, kw_only=True)
class File:
    """``attribute`` of the Nix expression in ``path``, for those without flakes."""

    path: str
    attribute: str

    @property
    def installable(self) -> str:
        """The argument for ``nix build --file PATH``."""
        return self.attribute


@dataclass(frozen=True, kw_only=True)
class StorePath:
    """A system that is in the store already, that ``copy_from`` has, or a substituter."""

    path: str
    copy_from: str | None = None


Source: TypeAlias = Flake | File | StorePath


@dataclass(frozen=True, kw_only=True)
class Wait:
    """What to wait for after a start or a switch, if anything, and for how many seconds at most."""

    conditions: tuple[str, ...] = ("system",)
    timeout: int = 120


@dataclass(frozen=True, kw_only=True)
class Health:
    """When a system that was started or switched to counts as good, and what to do if it is not.

    ``command`` has no shell and runs as root in the container, until it succeeds or ``timeout`` seconds are over.
    """

    command: tuple[str, ...] = ()
    timeout: int = 120
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
    allow_privileged: bool = False
    wait: Wait = field(default_factory=Wait)
    health: Health | None = None
    stop_timeout: int = 60
    force: bool = False
    #: Names of containers of the same set that must be healthy before this one is touched.
    after: tuple[str, ...] = ()
    #: Words by which a run can choose it, None if none were declared.
    tags: tuple[str, ...] | None = None
    #: The set that the container belongs to; None leaves what is recorded on the instance.
    set_name: str | None = None
    #: The cluster member that is to run it; None is wherever it is, or is placed when it is new.
    target: str | None = None
    move_timeout: int = 3600

    @property
    def mounts(self) -> tuple[Mounted, ...]:
        """All paths at which something is declared to be mounted, but those of plain devices."""
        return (*self.volatile.mounts, *(self.bind_mounts or ()))

    @property
    def profile_dir(self) -> str:
        """The directory on the host that holds the container's Nix profile."""
        return profile_dir(self.project, self.name)

    def placed_at(self, member: str) -> Container:
        """The same container with its place settled."""
        return replace(self, target=member)


@dataclass(frozen=True, kw_only=True)
class ContainerSet:
    """Containers that are brought to what is declared in one step.

    ``parallel`` and ``max_unavailable`` are numbers of containers; None is as many as is sensible, and no limit.
    With ``purge``, members of the set ``name`` that are declared no more are removed, ``purge_limit`` at most.
    """

    containers: tuple[Container, ...]
    project: str = "default"
    name: str | None = None
    purge: bool = False
    purge_limit: int = 0
    parallel: int | None = None
    max_unavailable: int | None = None
    #: Why another host could not build the systems of some, by their names: they are left as they are.
    unbuilt: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StoreMount:
    """The declared Incus profile that shares the store."""

    name: str = STORE_PROFILE
    state: Literal["present", "absent"] = "present"
    daemon: bool = True
    #: None leaves it as it is; a new profile is without.
    database: bool | None = None
    localtime: bool = False
    self_update: bool = False
    shared_paths: tuple[str, ...] = ()
    exclusive: bool = False
    description: str | None = None


def lxc_name(project: str, name: str) -> str:
    """What liblxc calls an instance: a name of its own on the whole host, since "_" is in no instance's name."""
    return name if project == "default" else f"{project}_{name}"


def profile_dir(project: str, name: str) -> str:
    """The directory on the host that holds the Nix profile of a container."""
    return f"{PROFILES_DIR}/{lxc_name(project, name)}"


def container_name(name: str) -> str:
    """Return ``name`` when Incus would take it as an instance's name.

    Raises FleetError otherwise.
    """
    if not _NAME.match(name):
        raise FleetError(
            f"{name!r} is not a name that Incus takes for an instance.",
            "Use 1 to 63 letters, digits and dashes, no dash at either end, and not digits alone.",
        )
    return name


def project_name(name: str) -> str:
    """Return ``name`` when Incus would take it as a project's name; it is a part of a path here."""
    if not _PROJECT.match(name):
        raise FleetError(f"{name!r} is not a name that Incus takes for a project.", "See 'incus project list'.")
    return name


def container_from(params: Mapping[str, Any]) -> Container:
    """Make a Container of the parameters of inx_container (its argument spec gives their shape).

    Raises FleetError for anything that can be refused without looking at the host.
    """
    name = container_name(params["name"])
    state: State = params["state"]
    source = None if state == "absent" else _source_from(params, name)
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
        nix=_nix_options_from(params),
        activation=params["activation"],
        config=_config_from(params, name),
        secrets=frozenset(params["secret_config"]),
        devices=_devices_from(params, name),
        publish=published_from(params, name),
        bind_mounts=bind_mounts_from(params, name),
        profiles=None if params["profiles"] is None else tuple(params["profiles"]),
        store_profile=params["store_profile"],
        storage_pool=params["storage_pool"],
        root_size=params["root_size"],
        description=params["description"],
        ephemeral=params["ephemeral"],
        autostart=params["autostart"],
        localtime=params["localtime"],
        self_update=params["self_update"],
        volatile=volatile_from(params, name),
        allow_privileged=params["allow_privileged"],
        wait=_wait_from(params),
        health=_health_from(params),
        stop_timeout=_positive(params["stop_timeout"], f"{name}: stop_timeout"),
        force=params["force"],
        after=words(params.get("after"), f"{name}: after") or (),
        tags=_tags_from(params, name),
        target=None if params["target"] == "auto" else params["target"],
        move_timeout=_positive(params["move_timeout"], f"{name}: move_timeout"),
    )
    check_distinct(container.mounts, name)
    return container


def container_set_from(params: Mapping[str, Any], containers: Sequence[Container]) -> ContainerSet:
    """Make a ContainerSet of the parameters of inx_containers and of its containers.

    Raises FleetError for what is wrong between containers: a name declared twice, an order that cannot be.
    """
    names = [container.name for container in containers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FleetError(f"Declared twice: {', '.join(twice)}.", "A name belongs to one container.")
    _check_order(containers)
    _check_ports(containers)
    name = word(params["set"], "name for a set")
    if params["purge_limit"] < 0:
        raise FleetError(f"purge_limit is {params['purge_limit']}.", "It is a number of containers from 0.")
    if params["parallel"] is not None and params["parallel"] < 1:
        raise FleetError(f"parallel is {params['parallel']}.", "It is a number of containers from 1.")
    chosen = _chosen(params, containers)
    return ContainerSet(
        containers=tuple(replace(container, set_name=name) for container in chosen),
        project=project_name(params["project"]),
        name=name,
        purge=params["purge"],
        purge_limit=params["purge_limit"],
        parallel=params["parallel"],
        max_unavailable=_share_from(params["max_unavailable"], len(containers)),
        unbuilt={name: str(why) for name, why in params["unbuilt"].items()},
    )


def word(text: str, what: str) -> str:
    """Return ``text`` when it can be a part of a path; FleetError says that ``what`` is none otherwise."""
    if not _WORD.match(text) or text.strip(".") == "":
        raise FleetError(f"{text!r} is no {what}.", "Use up to 63 letters, digits, dots, dashes, underscores.")
    return text


def _chosen(params: Mapping[str, Any], containers: Sequence[Container]) -> list[Container]:
    """Return those that 'only' and 'only_tags' select, which come after no other then."""
    if params["purge"] and (params["only"] is not None or params["only_tags"] is not None):
        raise FleetError("'purge' looks at the whole set, and 'only' at a part of it.", "Keep one of them.")
    chosen = chosen_containers(params, containers)
    names = {container.name for container in chosen}
    return [
        replace(container, after=tuple(name for name in container.after if name in names)) for container in chosen
    ]


def chosen_containers(params: Mapping[str, Any], containers: Sequence[Container]) -> list[Container]:
    """Return those that 'only' and 'only_tags' select. Raise FleetError if an item of them selects none."""
    selection = selection_from(params["only"], params["only_tags"])
    tagged = {container.name: container.tags or () for container in containers}
    for option, item in selection.unmatched(tagged):
        if option == "only":
            raise FleetError(
                f"only: no declared container is called {item!r}.",
                f"Name one, or a pattern such as web-*. Declared are: {', '.join(tagged) or 'none'}.",
            )
        raise FleetError(f"only_tags: no declared container has the tag {item!r}.", "See their 'tags'.")
    return [container for container in containers if selection.selects(container.name, container.tags or ())]


def _check_order(containers: Sequence[Container]) -> None:
    by_name = {container.name: container for container in containers}
    for container in containers:
        for other in container.after:
            if other not in by_name:
                raise FleetError(f"{container.name}: after: {other} is not in this set.", "Declare it here as well.")
            if by_name[other].state not in ("started", "restarted"):
                raise FleetError(
                    f"{container.name}: after: {other} is declared {by_name[other].state}, so it never gets healthy.",
                    f"Declare {other} started, or remove it from 'after'.",
                )
            if not by_name[other].wait.conditions and by_name[other].health is None:
                raise FleetError(
                    f"{container.name}: after: nobody waits until {other} is up, so nothing can come after it.",
                    f"Declare 'wait: true' or 'health' for {other}, or remove it from 'after'.",
                )
    try:
        TopologicalSorter({container.name: container.after for container in containers}).prepare()
    except CycleError as error:
        raise FleetError(f"after: a circle: {' after '.join(error.args[1])}.", "Cut it somewhere.") from error


def _check_ports(containers: Sequence[Container]) -> None:
    """Refuse two containers that publish the same port of a host, unless they are told to run on different ones."""
    for target in {container.target for container in containers}:
        there = [container for container in containers if container.target == target and container.state != "absent"]
        check_ports((container.name, entry) for container in there for entry in container.publish or ())


def _share_from(text: str | None, total: int) -> int | None:
    """A number of containers, or a percentage of them rounded down; at least one."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})(%?)", text)
    number = int(match[1]) if match else 0
    if match is None or number < 1 or (match[2] and number > 100):
        raise FleetError(f"max_unavailable: {text!r} is no number of containers.", "Write for example 2, or 25%.")
    return max(1, total * number // 100) if match[2] else number


def store_object(path: str) -> str | None:
    """The store path in or below which ``path`` is by its text; None when it is in none."""
    match = _STORE_OBJECT.match(path)
    return match[0] if match else None


def store_mount_from(params: Mapping[str, Any]) -> StoreMount:
    """Make a StoreMount of the parameters of inx_store_mount; raises FleetError on bad paths."""
    name = params["name"]
    if not name or "/" in name or _UNPRINTABLE.search(name) or name.startswith("-"):
        raise FleetError(f"{name!r} is not a name for an Incus profile.", "Use letters, digits and dashes.")
    for path in params["shared_paths"]:
        if not path.startswith("/") or ".." in path.split("/") or _UNPRINTABLE.search(path) or path.strip("/") == "":
            raise FleetError(
                f"shared_paths: {path!r} cannot be shared.", "Name absolute paths below / and without '..'."
            )
    return StoreMount(
        name=name,
        state=params["state"],
        daemon=params["daemon"],
        database=params["database"],
        localtime=params["localtime"],
        self_update=params["self_update"],
        shared_paths=tuple(path.rstrip("/") for path in params["shared_paths"]),
        exclusive=params["exclusive"],
        description=params["description"],
    )


def _source_from(params: Mapping[str, Any], name: str) -> Source | None:
    given = [key for key in ("flake", "file", "system", "generation") if params[key] is not None]
    if len(given) > 1:
        raise FleetError(f"{name}: {' and '.join(given)} are given, but a container has one system.", "Keep one.")
    if params["copy_from"] is not None and (params["flake"] is not None or params["file"] is not None):
        raise FleetError(
            f"{name}: 'copy_from' goes with 'system': what this host evaluates, it builds or has substituted.",
            "Give 'system' with it, as inx.fleet.inx_system returns it.",
        )
    if params["attribute"] is not None and params["file"] is None:
        raise FleetError(f"{name}: 'attribute' goes with 'file'.", "For a flake write REF#ATTR.")
    if params["flake"] is not None:
        return _flake_from(params["flake"], name)
    if params["file"] is not None:
        return _file_from(params["file"], params["attribute"], name)
    if params["system"] is not None:
        return _store_path_from(params["system"], params["copy_from"], name)
    return None


def _flake_from(text: str, name: str) -> Flake:
    reference, hash_sign, attribute = text.partition("#")
    advice = "Write REF or REF#ATTR, for example /etc/nixos#web or github:owner/repo#web."
    if not reference or _UNPRINTABLE.search(text) or " " in text or reference.startswith("-"):
        raise FleetError(f"{name}: {text!r} is not a flake reference.", advice)
    if reference.startswith((".", "~")) or _RELATIVE_URL.match(reference):
        raise FleetError(
            f"{name}: the flake reference {text!r} is relative, and the module has no directory to start from.",
            "Give the absolute path that the flake has on the host.",
        )
    if hash_sign and (not attribute or any(char in attribute for char in '#"\\$^')):
        raise FleetError(f"{name}: {attribute!r} is not a name in nixosConfigurations.", advice)
    return Flake(reference=reference, attribute=attribute or name)


def _file_from(path: str, attribute: str | None, name: str) -> File:
    if not path.startswith("/") or _UNPRINTABLE.search(path):
        raise FleetError(f"{name}: file {path!r} is not an absolute path.", "Give the path that it has on the host.")
    attribute = attribute or "config.system.build.toplevel"
    if attribute.startswith("-") or _UNPRINTABLE.search(attribute) or " " in attribute or "^" in attribute:
        raise FleetError(f"{name}: {attribute!r} is not an attribute path.", "Write it as nix does: a.b.c")
    return File(path=path, attribute=attribute)


def _store_path_from(path: str, copy_from: str | None, name: str) -> StorePath:
    if not _STORE_PATH.match(path):
        raise FleetError(
            f"{name}: system {path!r} is not a store path.",
            "Give a path right below /nix/store, as 'readlink -f result' prints it.",
        )
    if copy_from is not None and (not _STORE_URL.match(copy_from) or _DASHED_HOST.match(copy_from)):
        raise FleetError(
            f"{name}: copy_from {copy_from!r} is not the URL of a Nix store.",
            "Write for example ssh-ng://root@builder.example.org, or https://cache.example.org.",
        )
    return StorePath(path=path, copy_from=copy_from)


def _generation_from(params: Mapping[str, Any], name: str) -> GenerationChoice | None:
    text = params["generation"]
    if text is None:
        return None
    if params["activation"] == "test":
        raise FleetError(f"{name}: 'generation' does not go with 'activation: test'.", "Use 'switch' or 'boot'.")
    if text == "previous":
        return "previous"
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise FleetError(f"{name}: generation {text!r} is no generation.", "Give its number, or 'previous'.")
    return int(text)


def _keep_generations_from(params: Mapping[str, Any], name: str) -> int | None:
    number: int | None = params["keep_generations"]
    if number is not None and number < 2:
        raise FleetError(
            f"{name}: keep_generations is {number}, and nothing would be left to go back to.", "Keep 2 or more."
        )
    return number


def _nix_options_from(params: Mapping[str, Any]) -> NixOptions:
    settings = tuple(sorted((key, _setting_text(key, value)) for key, value in params["nix_options"].items()))
    for key, value in settings:
        if not _NIX_SETTING.match(key) or _UNPRINTABLE.search(value):
            raise FleetError(f"nix_options: {key!r} is not a setting of nix.conf.", "See 'nix config show' for them.")
        if key.removeprefix("extra-") in _OF_THE_DAEMON:
            raise FleetError(f"nix_options: {key!r} is the daemon's to know.", "Set it in nix.conf on the host.")
    for key, value in params["override_inputs"].items():
        if not (_is_plain_word(key) and isinstance(value, str) and _is_plain_word(value)):
            raise FleetError(
                f"override_inputs: {key!r}: {value!r} is not an input and a flake reference.",
                "Write for example {nixpkgs: github:NixOS/nixpkgs/nixos-25.11}, or leave the input out.",
            )
    if params["builders"] is not None and "\x00" in params["builders"]:
        raise FleetError("builders holds a NUL character.", "Write it as in nix.conf.")
    return NixOptions(
        override_inputs=tuple(sorted(params["override_inputs"].items())),
        settings=settings,
        impure=params["impure"],
        accept_flake_config=params["accept_flake_config"],
        builders=params["builders"],
    )


def _setting_text(name: str, value: Any) -> str:
    """A value as nix.conf has it: the elements of a list with blanks between them."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    if any(part is None or isinstance(part, (list, tuple, Mapping)) for part in parts):
        raise FleetError(
            f"nix_options: {name!r} has a value that is no text, number or boolean, and no list of them.",
            'Write it as in nix.conf; "" is a setting without a value.',
        )
    return " ".join(map(value_text, parts))


def _is_plain_word(text: str) -> bool:
    """Whether it is something that nix does not take for an option."""
    return text != "" and not text.startswith("-") and not _UNPRINTABLE.search(text)


def _config_from(params: Mapping[str, Any], name: str) -> Mapping[str, Value]:
    twice = sorted(set(params["config"]) & set(params["secret_config"]))
    if twice:
        raise FleetError(f"{name}: {', '.join(twice)}: both in config and in secret_config.", "Keep one of them.")
    config: dict[str, Value] = {**params["config"], **params["secret_config"]}
    for key in params["secret_config"]:
        if key.split() != [key]:
            raise FleetError(f"{name}: secret_config: {key!r} is no config key.", "Write it without blanks.")
    for key, value in config.items():
        if not key or _UNPRINTABLE.search(key):
            raise FleetError(f"{name}: {key!r} is no config key.", "See 'incus config show' for those that are set.")
        if key.startswith("volatile."):
            raise FleetError(f"{name}: config key {key!r} belongs to Incus.", "Remove it from the declaration.")
        if isinstance(value, (list, tuple, Mapping)):
            raise FleetError(f"{name}: config key {key!r} has a value that is no text, number or boolean.", _AS_TEXT)
    if params["autostart"] is not None:
        declared = config.get("boot.autostart")
        if declared is not None and not same_value(params["autostart"], value_text(declared)):
            raise FleetError(f"{name}: autostart and config 'boot.autostart' say different things.", "Keep one.")
        config["boot.autostart"] = params["autostart"]
    return config


def _devices_from(params: Mapping[str, Any], name: str) -> Mapping[str, Device | None]:
    devices: Mapping[str, Any] = params["devices"]
    for device, keys in devices.items():
        if not device or "/" in device or _UNPRINTABLE.search(device):
            raise FleetError(f"{name}: {device!r} is no name for a device.", "Use letters, digits, dots and dashes.")
        if device == "nixprofiles":
            raise FleetError(f"{name}: the device 'nixprofiles' is made by this module.", "Use 'self_update' for it.")
        if device.startswith(tuple(_OWN_DEVICES)):
            option = next(option for prefix, option in _OWN_DEVICES.items() if device.startswith(prefix))
            raise FleetError(f"{name}: the device {device!r} is named as this module's.", f"Use {option!r} for it.")
        if keys is not None and not isinstance(keys, Mapping):
            raise FleetError(
                f"{name}: device {device!r} must be a dictionary of its keys, or null to remove it.",
                "Write for example {type: disk, source: /srv, path: /srv}.",
            )
        if keys is not None and not keys.get("type", "disk"):
            raise FleetError(f"{name}: the type of the device {device!r} is empty.", "Leave it out, or name one.")
        for key, value in (keys or {}).items():
            if isinstance(value, (list, tuple, Mapping)):
                problem = f"{name}: device {device!r}: {key!r} has a value that is no text, number or boolean."
                raise FleetError(problem, _AS_TEXT)
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
        raise FleetError(f"{name}: 'health' cannot be told without waiting.", "Remove 'wait: false', or 'health'.")
    command = tuple(given["command"] or ())
    if any("\x00" in word for word in command) or (command and not command[0]):
        raise FleetError(f"{name}: health: {list(command)} is no command.", "Give a list: the program, its arguments.")
    return Health(
        command=command,
        timeout=_positive(given["timeout"], f"{name}: health timeout"),
        degraded=given["degraded"],
        rollback=given["rollback"],
        retry_failed=given["retry_failed"],
    )


def _positive(value: int, what: str) -> int:
    if value < 1:
        raise FleetError(f"{what} is {value}, but it is a number of seconds from 1.", "Raise it, or leave it out.")
    return value
