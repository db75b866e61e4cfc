# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules share towards Ansible: common options, pylxd's interpreter, the end of a task."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.respawn import has_respawned, respawn_module

from .container.declaration import Container, ContainerSet, container_from, container_set_from
from .container.rollback import Host
from .errors import FleetError
from .incus.client import Incus
from .incus.connection import PYLXD_IMPORT_ERROR
from .incus.endpoint import DEFAULT_URL, endpoint_from
from .info.query import JMESPATH_IMPORT_ERROR
from .nix.command import Nix
from .nix.process import NIX_DIRECTORIES
from .paths import STORE_PROFILE
from .values import byte_count, combined

#: Where the role inx.fleet.host puts pylxd.
INTERPRETER = "/opt/inx-fleet/bin/python"

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

#: The options of the doc fragment inx.fleet.incus for modules that call nix.
NIX_OPTIONS: dict[str, Any] = {
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
    "devices": {"type": "dict", "default": {}},
    "publish": {"type": "list", "elements": "str"},
    "bind_mounts": {
        "type": "list",
        "elements": "dict",
        "options": {
            "source": {"type": "str", "required": True},
            "path": {"type": "str", "required": True},
            "readonly": {"type": "bool", "default": True},
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
    "allow_privileged": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
    "wait_for": {
        "type": "list",
        "elements": "str",
        "choices": ["system", "addresses"],
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
    "stop_timeout": {"type": "int", "default": 60},
    "force": {"type": "bool", "default": False},
}


#: The same as an entry of the set that inx_containers takes.
MEMBER_OPTIONS: dict[str, Any] = {
    **CONTAINER_OPTIONS,
    "after": {"type": "list", "elements": "str"},
    "tags": {"type": "list", "elements": "str"},
}


def without_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """An argument spec that leaves out what is not given, so that defaults of another place can fill it in."""
    return {
        name: {
            key: without_defaults(value) if key == "options" else value
            for key, value in option.items()
            if key != "default"
        }
        for name, option in options.items()
    }


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
    """The set that the parameters of inx_containers declare; FleetError says what is wrong with it."""
    return container_set_from(params, declared_containers(params))


def declared_containers(params: Mapping[str, Any]) -> list[Container]:
    """The entries of a list of containers, each with the defaults that hold for all."""
    return [_member(params, entry) for entry in params["containers"]]


def _member(params: Mapping[str, Any], entry: Mapping[str, Any]) -> Container:
    if "secret_config" in params["defaults"]:
        raise FleetError(
            "'secret_config' is among the defaults, whose values Ansible does not hide.",
            "Give it beside them, as an option of the module.",
        )
    defaults = {**params["defaults"], "secret_config": params.get("secret_config") or {}}
    own = given_options(entry)
    declared = combined(defaults, own)
    result = ArgumentSpecValidator(MEMBER_OPTIONS).validate(declared)
    if result.error_messages:
        problem = f"{entry['name']}: {' '.join(result.error_messages)}"
        raise FleetError(problem, "See 'ansible-doc inx.fleet.inx_container'.")
    validated = {**result.validated_parameters, "project": params["project"]}
    if not validated["wait"] and "health" not in own:
        # What holds for all has no say over one that is not waited for, and that one none over the others.
        validated["health"] = None
    return container_from(validated)


def given_options(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry says itself: Ansible adds the options that are left out, with nothing in them.

    Below config and devices nothing is added, and null has a meaning.
    """
    return {
        key: _without_nulls(value) if "options" in MEMBER_OPTIONS[key] else value
        for key, value in entry.items()
        if value is not None
    }


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(entry) for entry in value]
    return {key: entry for key, entry in value.items() if entry is not None}


def require_pylxd(module: AnsibleModule) -> None:
    """Go on under an interpreter that has pylxd, or fail saying how to get it."""
    _require(module, "pylxd", PYLXD_IMPORT_ERROR)


def require_jmespath(module: AnsibleModule) -> None:
    """The same with jmespath, for what asks for it."""
    _require(module, "jmespath", JMESPATH_IMPORT_ERROR)


def _require(module: AnsibleModule, library: str, lacking: ImportError | None) -> None:
    if lacking is None:
        return
    if os.path.exists(INTERPRETER) and not has_respawned():
        respawn_module(INTERPRETER)
    module.fail_json(
        msg=f"{missing_required_lib(library)} The role inx.fleet.host installs it in {os.path.dirname(INTERPRETER)}.",
        exception="".join(traceback.format_exception(lacking)),
    )


def connect(module: AnsibleModule, all_projects: bool = False) -> Incus:
    """The Incus project that the module's options name, or all of them."""
    return Incus(endpoint_from(module.params), None if all_projects else module.params["project"])


def open_host(module: AnsibleModule) -> Host:
    """Incus and nix of the host; FleetError says what it lacks."""
    return Host(incus=connect(module), nix=open_nix(module))


def open_nix(module: AnsibleModule) -> Nix:
    """The nix of the host; FleetError when there is none."""
    memory = memory_from(module.params["evaluation_memory"])
    return Nix(command=find_nix(module), timeout=module.params["build_timeout"], memory=memory)


def memory_from(text: str | None) -> int | None:
    """Return the bytes that 'evaluation_memory' means; FleetError when it is not a size."""
    if text is None:
        return None
    size = byte_count(text)
    if not size:
        raise FleetError(f"evaluation_memory: {text!r} is not a size.", "Write it as 4GiB.")
    return size


def find_nix(module: AnsibleModule) -> str:
    """The path of the command nix; FleetError when there is none."""
    command: str | None = module.get_bin_path("nix", opt_dirs=NIX_DIRECTORIES)
    if command is None:
        raise FleetError("There is no nix on this host.", "Install it (the role inx.fleet.host does it).")
    return command
