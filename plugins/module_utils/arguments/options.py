# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specs and helpers shared by the modules."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule, _load_params, missing_required_lib
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.respawn import has_respawned, probe_interpreters_for_module, respawn_module
from ansible.module_utils.errors import UnsupportedError

from ..container.declaration import Container, container_from
from ..container.ends import Host
from ..container.notes import Notes
from ..container.precedence import laid_over, without_nulls
from ..container.secrets import SECRET_OPTIONS
from ..container.set_declaration import ContainerSet, container_set_from
from ..errors import FleetError
from ..incus.client import Incus
from ..incus.connection import PYLXD_IMPORT_ERROR
from ..incus.endpoint import DEFAULT_URL, endpoint_from
from ..info.query import JMESPATH_IMPORT_ERROR
from ..nix.command import Nix
from ..nix.process import NIX_DIRECTORIES
from ..paths import INTERPRETER, STORE_PROFILE, SYSTEM_INTERPRETERS
from ..values import byte_count
from .module import FleetModule, given

#: The options of the doc fragment inx.fleet.incus.
INCUS_OPTIONS: dict[str, Any] = {
    "url": {"type": "str", "default": DEFAULT_URL},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path"},
    "server_cert": {"type": "path"},
    "project": {"type": "str", "default": "default"},
    "request_timeout": {"type": "int", "default": 120},
    "operation_timeout": {"type": "int", "default": 300},
}

#: The options of the doc fragment inx.fleet.nix.
NIX_OPTIONS: dict[str, Any] = {
    "build_in_check_mode": {"type": "bool", "default": False},
    "build_timeout": {"type": "int", "default": 3600},
    "evaluation_memory": {"type": "str"},
}

#: The option of the doc fragment inx.fleet.container.lock, for modules that change containers.
LOCK_OPTIONS: dict[str, Any] = {"lock_timeout": {"type": "int", "default": 300}}

#: A container as inx_container takes it, and as an entry of a set.
CONTAINER_OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {
        "type": "str",
        "choices": ["started", "stopped", "restarted", "present", "absent"],
        "default": "started",
    },
    "flake": {"type": "str"},
    "file": {"type": "path"},
    "attribute": {"type": "str"},
    "system": {"type": "str"},
    "copy_from": {"type": "str"},
    "generation": {"type": "str"},
    "restore_data": {"type": "bool", "default": False},
    "keep_generations": {"type": "int"},
    "override_inputs": {"type": "dict", "default": {}},
    "nix_options": {"type": "dict", "default": {}},
    "impure": {"type": "bool", "default": False},
    "accept_flake_config": {"type": "bool", "default": False},
    "builders": {"type": "str"},
    "target": {"type": "str"},
    "move_timeout": {"type": "int", "default": 3600},
    "activation": {"type": "str", "choices": ["switch", "boot", "test"], "default": "switch"},
    "config": {"type": "dict", "default": {}},
    "secret_config": {"type": "dict", "default": {}, "no_log": True},
    "secrets": {"type": "list", "elements": "dict", "options": SECRET_OPTIONS, "no_log": False},
    "secrets_at_rest": {"type": "bool", "default": True, "no_log": False},
    "devices": {"type": "dict", "default": {}},
    "publish": {"type": "list", "elements": "str"},
    "bind_mounts": {
        "type": "list",
        "elements": "dict",
        "options": {
            "source": {"type": "str", "required": True},
            "path": {"type": "str", "required": True},
            "readonly": {"type": "bool", "default": True},
            "required": {"type": "bool", "default": True},
            "shift": {"type": "bool", "default": True},
        },
    },
    "profiles": {"type": "list", "elements": "str"},
    "store_profile": {"type": "str", "default": STORE_PROFILE},
    "storage_pool": {"type": "str"},
    "root_size": {"type": "str"},
    "description": {"type": "str"},
    "ephemeral": {"type": "bool"},
    "autostart": {"type": "bool"},
    "localtime": {"type": "bool", "default": True},
    "self_update": {"type": "bool"},
    "volatile_root": {"type": "str", "choices": ["keep", "rebuild", "tmpfs"]},
    "tmpfs": {
        "type": "list",
        "elements": "dict",
        "options": {
            "path": {"type": "str", "required": True},
            "size": {"type": "str"},
            "mode": {"type": "str", "default": "0755"},
        },
    },
    "persist": {
        "type": "list",
        "elements": "dict",
        "options": {
            "path": {"type": "str", "required": True},
            "pool": {"type": "str"},
            "size": {"type": "str"},
            "mode": {"type": "str", "default": "0755"},
        },
    },
    "delete_volumes": {"type": "bool", "default": False},
    "snapshots": {
        "type": "dict",
        "options": {
            "keep": {"type": "int", "default": 3},
            "restore": {"type": "bool", "default": False},
            "full_copy": {"type": "bool", "default": False},
        },
    },
    "allow_privileged": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
    "wait_for": {
        "type": "list",
        "elements": "str",
        "choices": ["system", "addresses", "ipv4", "ipv6"],
        "default": ["system"],
    },
    "wait_timeout": {"type": "int", "default": 120},
    "health": {
        "type": "dict",
        "options": {
            "command": {"type": "list", "elements": "str"},
            "timeout": {"type": "int", "default": 120},
            "command_only": {"type": "bool", "default": False},
            "degraded": {"type": "bool", "default": False},
            "rollback": {"type": "bool", "default": True},
            "retry_failed": {"type": "bool", "default": False},
        },
    },
    "rehearse": {"type": "bool", "default": False},
    "stop_timeout": {"type": "int", "default": 60},
    "force": {"type": "bool", "default": False},
    "restart_if_required": {"type": "bool", "default": False},
}


#: Which addresses come first in results.
ADDRESS_OPTIONS: dict[str, Any] = {
    "address_family": {"type": "str", "choices": ["ipv4", "ipv6"], "default": "ipv4"},
}

#: Which of them exclude or require each other, in the terms of AnsibleModule.
CONTAINER_RULES: dict[str, Any] = {
    "mutually_exclusive": [("flake", "file", "system", "generation"), ("copy_from", "flake"), ("copy_from", "file")],
    "required_by": {"attribute": ("file",)},
}

#: The same as an entry of the set that inx_containers takes.
MEMBER_OPTIONS: dict[str, Any] = {
    **CONTAINER_OPTIONS,
    "after": {"type": "list", "elements": "str"},
    "tags": {"type": "list", "elements": "str"},
}


def without_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return an argument spec without defaults, so that the defaults of a set can fill in what is not given."""
    return {
        name: {
            key: without_defaults(value) if key == "options" else value
            for key, value in option.items()
            if key != "default"
        }
        for name, option in options.items()
    }


#: What all containers of a set share, and is not among the defaults.
SHARED_SECRETS: dict[str, Any] = {
    "secret_config": CONTAINER_OPTIONS["secret_config"],
    "secrets": without_defaults({"secrets": CONTAINER_OPTIONS["secrets"]})["secrets"],
}


class SetModule(FleetModule):
    """A module with a list of containers. It names the container that has a wrong parameter."""

    def __init__(self, argument_spec: dict[str, Any], **options: Any) -> None:
        super().__init__(argument_spec, **options)
        entries = self.params["containers"]
        self.params["containers"] = _as_given(entries, _load_params().get("containers"), MEMBER_OPTIONS)

    def refused_entries(self) -> list[str]:
        """Return the errors of those entries that Ansible refuses, each with the container's name."""
        return _refused_entries(_load_params())


#: The containers of a set, and which of them a run is about.
SET_OPTIONS: dict[str, Any] = {
    "containers": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": without_defaults(MEMBER_OPTIONS),
    },
    "defaults": {"type": "dict", "default": {}},
    "only": {"type": "list", "elements": "str"},
    "only_tags": {"type": "list", "elements": "str"},
}


def container_set(params: Mapping[str, Any]) -> ContainerSet:
    """Return the set that the parameters of inx_containers declare. Raise FleetError for what is wrong with it."""
    containers = declared_containers(params)
    shared = {key: value for key, value in params["defaults"].items() if key in ("stop_timeout", "force")}
    return container_set_from(params, containers, _member({**params, "defaults": shared}, {"name": "purged"}))


def declared_containers(params: Mapping[str, Any]) -> list[Container]:
    """Return the entries of a list of containers, each with the defaults applied."""
    return [_member(params, entry) for entry in params["containers"]]


def _member(params: Mapping[str, Any], entry: Mapping[str, Any]) -> Container:
    for option in SHARED_SECRETS:
        if option in params["defaults"]:
            raise FleetError(
                f"{option!r} is among the defaults, whose values Ansible does not hide.",
                "Give it beside them, as an option of the module.",
            )
    shared = {option: value for option in SHARED_SECRETS if (value := params.get(option)) is not None}
    defaults = {**without_nulls(params["defaults"]), "secret_config": {}, **shared}
    declared = without_nulls(laid_over(defaults, entry))
    validated = {**_validated(entry["name"], declared, MEMBER_OPTIONS, **CONTAINER_RULES), "project": params["project"]}
    if not validated["wait"] and "health" not in entry:
        # What holds for all has no say over one that is not waited for, and that one none over the others.
        validated["health"] = None
    if validated["health"] is None and "rehearse" not in entry:
        validated["rehearse"] = False
    return container_from(validated)


def _validated(name: str, declared: Mapping[str, Any], options: Mapping[str, Any], **rules: Any) -> dict[str, Any]:
    """Return a container's options as Ansible validates them.

    Raise FleetError with all that Ansible refuses, and the container's name, which Ansible itself does not say.
    """
    result = ArgumentSpecValidator(options, **rules).validate(declared)
    if result.error_messages:
        problems = ". ".join(_refusal(error) for error in result.errors.errors)
        raise FleetError(f"{name}: {problems}.", "See 'ansible-doc inx.fleet.inx_container'.")
    validated: dict[str, Any] = result.validated_parameters
    return validated


def _refusal(error: Exception) -> str:
    """Return Ansible's words without those that say nothing here: the list of all forty options."""
    if isinstance(error, UnsupportedError):
        return f"unsupported parameters: {str(error).partition('. Supported parameters')[0]}"
    return str(error).rstrip(".")


def _refused_entries(raw: Mapping[str, Any]) -> list[str]:
    """Return the errors of those entries of a set that Ansible refuses, each with the container's name."""
    entries, options = raw.get("containers"), without_defaults(MEMBER_OPTIONS)
    errors = []
    for number, entry in enumerate(entries if isinstance(entries, list) else [], 1):
        if isinstance(entry, Mapping):
            try:
                _validated(str(entry.get("name") or f"entry {number}"), given(entry, options), options)
            except FleetError as error:
                errors.append(str(error))
    return errors


def _as_given(value: Any, raw: Any, options: Mapping[str, Any]) -> Any:
    """Return a validated entry without the options that Ansible adds, with nothing in them, where they are left out.

    What its author gave stays, null too: it takes away what the entry shares with others.
    """
    if isinstance(value, list):
        raws = raw if isinstance(raw, list) and len(raw) == len(value) else [None] * len(value)
        return [_as_given(entry, given, options) for entry, given in zip(value, raws, strict=True)]
    if not isinstance(value, Mapping):
        return value
    given = raw if isinstance(raw, Mapping) else {}
    return {
        key: _as_given(entry, given.get(key), options[key]["options"]) if "options" in options.get(key, {}) else entry
        for key, entry in value.items()
        if entry is not None or key in given
    }


def require_pylxd(module: AnsibleModule) -> None:
    """Continue with an interpreter that has pylxd, or fail with how to install it."""
    _require(module, "pylxd", PYLXD_IMPORT_ERROR)


def require_jmespath(module: AnsibleModule) -> None:
    """Continue with an interpreter that has jmespath, or fail with how to install it."""
    _require(module, "jmespath", JMESPATH_IMPORT_ERROR)


def _require(module: AnsibleModule, library: str, lacking: ImportError | None) -> None:
    if lacking is None:
        return
    if not has_respawned() and (interpreter := _interpreter_with(library)) is not None:
        respawn_module(interpreter)
    module.fail_json(
        msg=f"{missing_required_lib(library)} The role inx.fleet.host installs it in {os.path.dirname(INTERPRETER)}.",
        exception="".join(traceback.format_exception(lacking)),
    )


def _interpreter_with(library: str) -> str | None:
    """Return another interpreter of the host that has the library, None if there is none."""
    if os.path.exists(INTERPRETER):
        # It is tried by itself: looking first would import the library twice in most runs.
        return INTERPRETER
    found: str | None = probe_interpreters_for_module(SYSTEM_INTERPRETERS, library)
    return found


def connect(module: AnsibleModule, all_projects: bool = False) -> Incus:
    """Return the Incus project that the module's options name, or all projects."""
    return Incus(endpoint_from(module.params), None if all_projects else module.params["project"])


def open_host(module: FleetModule) -> Host:
    """Incus and nix of the host; FleetError says what it lacks."""
    incus = connect(module)
    return Host(incus=incus, nix=open_nix(module), notes=Notes(incus), events=module.events)


def open_nix(module: FleetModule) -> Nix:
    """Return the nix of the host. Raises FleetError when there is none."""
    memory = memory_from(module.params["evaluation_memory"])
    return Nix(command=find_nix(module), timeout=module.params["build_timeout"], memory=memory, events=module.events)


def memory_from(text: str | None) -> int | None:
    """Return the bytes that 'evaluation_memory' means; FleetError when it is not a size."""
    if text is None:
        return None
    size = byte_count(text)
    if not size:
        raise FleetError(f"evaluation_memory: {text!r} is not a size.", "Write it as 4GiB.")
    return size


def find_nix(module: AnsibleModule) -> str:
    """Return the path of the command nix. Raises FleetError when there is none."""
    command: str | None = module.get_bin_path("nix", opt_dirs=NIX_DIRECTORIES)
    if command is None:
        raise FleetError("This host has no nix.", "Install it (the role inx.fleet.host does it).")
    return command
