# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules and roles take, to hold examples against it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.inx.fleet.plugins.module_utils.arguments.options import MEMBER_OPTIONS, without_defaults

COLLECTION = Path(__file__).resolve().parents[3]
NAMESPACE = "inx.fleet."
MODULES = sorted(path.stem for path in (COLLECTION / "plugins" / "modules").glob("*.py"))
# What a group adds to its hosts, under a name of its own.
_OF = "inx_containers_of_"
ROLES = sorted(path.name for path in (COLLECTION / "roles").iterdir())
# In the place of a template, whose value only a play can tell.
_ANY = {"list": [], "dict": {}, "int": 1, "bool": True, "float": 1.0}


class _SpecFoundError(Exception):
    """Thrown where a module hands over what it takes."""


def _find_spec(argument_spec: Mapping[str, Any], supports_check_mode: bool = False, **rules: Any) -> None:
    raise _SpecFoundError(dict(argument_spec), rules)


def argument_spec(module: str) -> dict[str, Any]:
    """The argument spec of a module, as it gives it to Ansible."""
    return _spec_and_rules(module)[0]


def _spec_and_rules(module: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a module's argument spec, and which options exclude or require each other."""
    code = importlib.import_module(f"ansible_collections.inx.fleet.plugins.modules.{module}")
    base = next(name for name in ("SetModule", "FleetModule") if hasattr(code, name))
    with patch.object(code, base, _find_spec):
        try:
            code.main()
        except _SpecFoundError as found:
            spec, rules = found.args
            return spec, rules
    raise AssertionError(f"{module} makes no such module")


def role_options(role: str) -> dict[str, Any]:
    """The variables of a role, of all its entry points."""
    text = (COLLECTION / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    entries = yaml.safe_load(text)["argument_specs"].values()
    return {name: option for entry in entries for name, option in entry["options"].items()}


def errors_of_tasks(tasks: Any) -> Iterator[str]:
    """What is wrong with the tasks, blocks and plays in a piece of YAML; anything else in there is passed over."""
    for task in tasks if isinstance(tasks, list) else []:
        if not isinstance(task, dict):
            continue
        for section in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
            yield from errors_of_tasks(task.get(section))
        for name in task:
            if str(name).startswith(NAMESPACE):
                yield from errors_of_module(name.removeprefix(NAMESPACE), task[name] or {})


def errors_of_module(module: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    """What a module would say of arguments before it does anything."""
    if module not in MODULES:
        yield f"There is no module {module}."
        return
    spec, rules = _spec_and_rules(module)
    yield from _errors(spec, arguments, module, **rules)
    yield from errors_of_containers(arguments.get("containers"), arguments.get("defaults"), module)


def errors_of_containers(containers: Any, defaults: Any, where: str) -> Iterator[str]:
    """What is wrong with a list of containers, and with what they share."""
    options = without_defaults(MEMBER_OPTIONS)
    for entry in containers if isinstance(containers, list) else []:
        if isinstance(entry, dict):
            yield from _errors(options, entry, where)
    if isinstance(defaults, dict):
        yield from _errors(options, {"name": "any", **defaults}, where)


def errors_of_variables(variables: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the roles' variables among some variables."""
    for role in ROLES:
        prefix = f"inx_{role}"
        options = role_options(role)
        # A container's variable inx_host, which the inventory plugin sets, is none of the role host.
        given = {
            name: value
            for name, value in variables.items()
            if name in options or (name.startswith(f"{prefix}_") and not name.startswith(_OF))
        }
        yield from _errors(options, given, f"role {role}")
    yield from errors_of_containers(None, variables.get("inx_containers_defaults"), "containers")
    for name, value in variables.items():
        if name == "inx_containers" or name.startswith(_OF):
            yield from errors_of_containers(value, None, name)


def _errors(options: Mapping[str, Any], given: Mapping[str, Any], where: str, **rules: Any) -> Iterator[str]:
    filled = {name: _filled(options.get(name, {}), value) for name, value in given.items()}
    for message in ArgumentSpecValidator(dict(options), **rules).validate(filled).error_messages:
        yield f"{where}: {message}"


def _filled(option: Mapping[str, Any], value: Any) -> Any:
    is_template = isinstance(value, str) and "{{" in value
    return _ANY.get(option.get("type", "str"), "any") if is_template else value
