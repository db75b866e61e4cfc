# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: inx
short_description: Add the NixOS containers of a fleet as hosts
version_added: 0.1.0
description:
  - Adds the containers of other inventory hosts as hosts, the same containers that M(inx.fleet.inx_container_info)
    returns.
  - Queries all hosts of earlier inventory sources in parallel, once each, over Ansible's own connections. The control
    node needs no Incus, and Incus opens no port.
  - The inventory file must be named C(inx.yml) or C(*.inx.yml), or end in C(.yaml) instead.
author:
  - inx.fleet contributors (@inx-fleet)
extends_documentation_fragment:
  - constructed
  - inventory_cache
notes:
  - Ansible reads the files of an inventory directory in alphabetical order. If O(hosts) matches nothing in the sources
    before this one, Ansible exits.
  - 'A container is in the groups C(inx), C(inx_host_HOST), C(inx_project_PROJECT), C(inx_state_STATE), such as
    C(inx_state_running), and C(inx_system_NAME), after the system that it boots, such as
    C(inx_system_nixos_system_web_25_11).'
  - "A container has the variables C(inx_name), C(inx_host) (the inventory host), C(inx_project), C(inx_location) (the
    cluster member), C(inx_status), C(inx_description), C(inx_ephemeral), C(inx_profiles), C(inx_set), C(inx_tags),
    C(inx_addresses) (of its NICs, by interface), C(inx_address), C(inx_system) and C(inx_system_name) (the system that
    it boots next, which only root can read), C(inx_generation), C(inx_restart_required) (null for users who may not
    read the profiles), and C(inx_config) (keys that begin with C(user.), without those that are or were secret, see
    O(inx.fleet.inx_container#module:secret_config))."
  - Values from Incus are never evaluated as templates.
  - In a cluster, each member reports the containers that it runs. Name all members in O(hosts).
requirements:
  - jmespath on the control node, for O(query). Without it Ansible exits.
  - Incus 6.0 or newer on the hosts
seealso:
  - plugin: inx.fleet.incus
    plugin_type: connection
  - module: inx.fleet.inx_container_info
  - name: JMESPath
    description: Language of O(query).
    link: https://jmespath.org/
options:
  plugin:
    description:
      - Name of this plugin.
    type: str
    required: true
    choices: [inx.fleet.inx]
  hosts:
    description:
      - Hosts whose containers are added, as names of hosts and groups of earlier inventory sources, or as patterns
        such as V(metal*).
    type: list
    elements: str
    default: [all]
  hostname:
    description:
      - Jinja2 expression for the name of a container in the inventory. It can use the container's variables.
      - By default, the name is V(NAME.HOST), or V(NAME.PROJECT.HOST) in a project other than V(default).
    type: str
  query:
    description:
      - JMESPath expression that selects containers from the list of all containers. Each has its variables as keys,
        without the prefix C(inx_).
    type: str
  connection:
    description:
      - Connection of plays to the containers.
      - V(exec) connects through the host, with P(inx.fleet.incus#connection).
      - V(address) sets C(ansible_host) to C(inx_address). Your variables set the rest.
      - V(none) sets nothing.
    type: str
    choices: [exec, address, none]
    default: exec
  address_family:
    description:
      - Family of C(inx_address), if the container has an address of it, and of the addresses that come first in
        C(inx_addresses).
    type: str
    choices: [ipv4, ipv6]
    default: ipv4
  sudo:
    description:
      - Whether to become root on the hosts, to query Incus and to connect to containers, with the hosts' own
        C(ansible_become_method), C(ansible_become_password) and so on.
      - By default, C(ansible_become) of each host.
      - A password must be a variable, or in the file of C(--become-password-file). Inventory plugins do not get the
        answer to C(--ask-become-pass).
    type: bool
  timeout:
    description:
      - Seconds to wait for the connection to a host, and for each answer of its Incus.
    type: int
    default: 30
  unreachable:
    description:
      - What to do if a host does not answer.
      - V(warn) continues with the other hosts, and with the cached containers of this host.
      - V(fail) rejects the inventory source. Ansible reports this and continues without the source, unless
        C(any_unparsed_is_failed=true) is set in the section C(inventory) of its configuration.
    type: str
    choices: [warn, fail]
    default: warn
"""

EXAMPLES = r"""
# inx.yml, beside the inventory of the hosts: add all containers of all hosts
plugin: inx.fleet.inx

---
# Add running containers of the group metal, and create groups
plugin: inx.fleet.inx
hosts: [metal]
query: "[?status=='Running']"
compose:
  role: inx_config['user.role'] | default('none')
groups:
  shop: inx_project == 'shop'
keyed_groups:
  - key: inx_tags
    prefix: tag

---
# Connect to addresses through the host, and cache the inventory for ten minutes
plugin: inx.fleet.inx
connection: address
compose:
  ansible_ssh_common_args: "'-o ProxyJump=root@' ~ inx_host"
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/inx-inventory
cache_timeout: 600
"""

import re
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import partial, reduce
from typing import Any, NoReturn

from ansible import constants, context
from ansible.cli import CLI
from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleParserError
from ansible.inventory.helpers import get_group_vars
from ansible.module_utils.basic import missing_required_lib
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.vars import combine_vars
from ansible.vars.plugins import get_vars_from_inventory_sources

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.info.inventory import (
    TIMED_OUT,
    Facts,
    check_unique,
    chosen_by,
    containers_of,
    groups_of,
    look,
    preferring,
    unreadable_in,
)
from ansible_collections.inx.fleet.plugins.module_utils.info.query import JMESPATH_IMPORT_ERROR, compiled
from ansible_collections.inx.fleet.plugins.plugin_utils.container_host import execute, give_up_after, open_host

_FILE = re.compile(r"(.*[./])?inx\.ya?ml\Z")
_HOSTNAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_CONNECTION = "inx.fleet.incus"
_ORDER = "The source that defines it must come first: name it before this one, or so that it sorts first."
# Version 1 had no number, and secrets in it: it is replaced.
_CACHE_VERSION = 2


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """The containers of the hosts that earlier sources have."""

    NAME = "inx.fleet.inx"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and _FILE.match(path) is not None

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache=cache)
        self._path = path
        self._read_config_data(path)
        try:
            self._check_query()
            told = self._told(path, cache)
            for name, facts in self._named(self._chosen(told)):
                self._add(name, facts)
        except FleetError as error:
            raise AnsibleParserError(str(error)) from error

    # Asking the hosts

    def _check_query(self) -> None:
        """Raise AnsibleParserError for a query that is not valid, before any host is asked."""
        if self.get_option("query") is None:
            return
        if JMESPATH_IMPORT_ERROR is not None:
            _end_with(f"{missing_required_lib('jmespath')} It is needed on the control node, for 'query'.")
        compiled(self.get_option("query"))

    def _told(self, path: str, cache: bool) -> Mapping[str, list[Facts]]:
        """Return the containers of each host, now or as remembered.

        Of a host that cannot be asked they are those that are remembered, if any are: it is not taken for empty.
        """
        hosts = self._hosts()
        remembers = self.get_option("cache")
        key = self.get_cache_key(path)
        remembered = _remembered(self._cache.get(key, {})) if remembers else {}
        known = {host: remembered[host] for host in hosts if host in remembered} if cache else {}
        told = {**known, **self._ask([host for host in hosts if host not in known], remembered)}
        if remembers and (told.keys() - known.keys() or not cache):
            # Not the answers as they are, in which there are secrets.
            self._cache[key] = {"version": _CACHE_VERSION, "hosts": told}
        return told

    def _hosts(self) -> list[str]:
        """Return the selected hosts, without those that are containers themselves."""
        names = {name for wish in self.get_option("hosts") for name in self._meant_by(wish)}
        return sorted(name for name in names if not self._is_container(name))

    def _meant_by(self, wish: str) -> set[str]:
        every = self.inventory.hosts
        if not every:
            _end_with(f"{self._path}: hosts: the inventory has no host before this file. {_ORDER}")
        if wish == "all":
            return set(every)
        if wish in self.inventory.groups:
            return {host.name for host in self.inventory.groups[wish].get_hosts()}
        found = {name for name in every if fnmatchcase(name, wish)}
        if not found:
            problem = f"{wish!r} is neither a host nor a group of the inventory sources before this file."
            _end_with(f"{self._path}: hosts: {problem} {_ORDER}")
        return found

    def _is_container(self, name: str) -> bool:
        return "inx" in {group.name for group in self.inventory.hosts[name].get_groups()}

    def _ask(self, hosts: list[str], remembered: Mapping[str, list[Facts]]) -> dict[str, list[Facts]]:
        """Return the containers of those hosts that answer, or else those that are remembered. Warn of the others."""
        problems: dict[str, str] = {}
        told: dict[str, list[Facts]] = {}
        connections: dict[str, Any] = {}
        for host in hosts:
            try:
                connections[host] = self._open(host)
            except AnsibleError as error:
                problems[host] = str(error)
        with ThreadPoolExecutor(max_workers=constants.DEFAULT_FORKS) as pool:
            answers = {host: pool.submit(self._ask_one, connection) for host, connection in connections.items()}
        for host, answer in answers.items():
            try:
                told[host] = containers_of(host, answer.result())
                unreadable = unreadable_in(answer.result())
            except (AnsibleError, FleetError) as error:
                problems[host] = str(error)
                continue
            for name in unreadable:
                self.display.warning(f"{name} is missing from the inventory: Incus of {host} cannot look at it.")
        self._tell(problems, remembered)
        return {**{host: remembered[host] for host in problems if host in remembered}, **told}

    def _open(self, host: str) -> Any:
        variables = self._variables_of(host)
        self.templar.available_variables = variables
        keys = _given_password()
        connection = open_host(host, variables, self.templar, keys, become=self.get_option("sudo"))
        give_up_after(connection, self.get_option("timeout"))
        return connection

    def _variables_of(self, name: str) -> dict[str, Any]:
        """Return a host's variables from the inventory sources before this one, and from group_vars and host_vars."""
        host, sources = self.inventory.hosts[name], self.inventory.processed_sources
        groups = host.get_groups()
        beside = partial(get_vars_from_inventory_sources, self.loader, sources, stage="all")
        layers = (get_group_vars(groups), beside(groups), host.get_vars(), beside([host]))
        return dict(reduce(combine_vars, layers))

    def _ask_one(self, connection: Any) -> str:
        timeout = self.get_option("timeout")
        code, stdout, stderr = _execute_quietly(connection, ["sh", "-c", look(timeout)])
        if code == TIMED_OUT:
            raise AnsibleError(f"Its Incus has not answered after {timeout} s.")
        if code != 0:
            said = stderr.decode(errors="replace").strip()
            raise AnsibleError(f"Its Incus cannot be queried: {said} (For a user who may not use Incus, set 'sudo'.)")
        return str(stdout.decode(errors="replace"))

    def _tell(self, problems: Mapping[str, str], remembered: Collection[str]) -> None:
        if not problems:
            return
        told = {host: f"{host}: {' '.join(problem.split())}" for host, problem in sorted(problems.items())}
        if self.get_option("unreachable") == "fail":
            problem = f"The containers of these hosts are not known. {' '.join(told.values())}"
            raise FleetError(problem, "Fix that, or set 'unreachable: warn' to continue without them.")
        for host, line in told.items():
            if host in remembered:
                self.display.warning(f"The containers of a host come from the cache. {line}")
            else:
                self.display.warning(f"The containers of a host are missing from the inventory. {line}")

    # Telling Ansible

    def _chosen(self, told: Mapping[str, list[Facts]]) -> list[Facts]:
        family = self.get_option("address_family")
        containers = [preferring(family, facts) for host in sorted(told) for facts in told[host]]
        query = self.get_option("query")
        return containers if query is None else chosen_by(query, containers)

    def _named(self, containers: list[Facts]) -> list[tuple[str, Facts]]:
        named = [(self._name(facts), facts) for facts in containers]
        check_unique(named)
        for name, _facts in named:
            if name in self.inventory.hosts:
                raise FleetError(f"hostname: there is a host {name!r} already.", "Let it give another name.")
        return named

    def _name(self, facts: Facts) -> str:
        expression = self.get_option("hostname")
        if expression is None:
            project = [] if facts["project"] == "default" else [facts["project"]]
            return ".".join([facts["name"], *project, facts["host"]])
        where = f"hostname: {expression!r} for {facts['name']} of {facts['host']}"
        try:
            name = self._compose(expression, _variables(facts))
        except AnsibleError as error:
            raise FleetError(
                f"{where} fails: {str(error).rstrip('.')}.",
                "Write it in Jinja, of the variables that 'ansible-inventory --list' shows.",
            ) from error
        if not isinstance(name, str) or not _HOSTNAME.match(name):
            raise FleetError(f"{where} gives {name!r}.", "A name has letters, digits, dots, dashes and underscores.")
        return name

    def _add(self, name: str, facts: Facts) -> None:
        variables = {**_variables(facts), **self._way_in(facts)}
        self.inventory.add_host(name)
        for group in groups_of(facts):
            self.inventory.add_child(self.inventory.add_group(self._sanitize_group_name(group)), name)
        for key, value in variables.items():
            self.inventory.set_variable(name, key, value)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)

    def _way_in(self, facts: Facts) -> dict[str, Any]:
        """Return the connection variables of a container."""
        way = self.get_option("connection")
        if way == "exec":
            return {
                "ansible_connection": _CONNECTION,
                "ansible_incus_host": facts["host"],
                "ansible_incus_instance": facts["name"],
                "ansible_incus_project": facts["project"],
                **({} if self.get_option("sudo") is None else {"ansible_incus_sudo": self.get_option("sudo")}),
            }
        return {"ansible_host": facts["address"]} if way == "address" and facts["address"] is not None else {}


def _end_with(problem: str) -> NoReturn:
    """End Ansible: of any other error it warns, and goes on without the containers that a play is meant for."""
    raise SystemExit(f"ERROR: {problem}")


def _given_password() -> dict[str, Any]:
    """Return the password that Ansible was given for becoming root, where an inventory plugin can know it."""
    path = context.CLIARGS.get("become_password_file") or constants.BECOME_PASSWORD_FILE
    return {"become_pass": CLI.get_password_from_file(path)} if path else {}


def _execute_quietly(connection: Any, words: Sequence[str]) -> tuple[int, bytes, bytes]:
    """Execute a command whose answer has secrets in it: at -vvv Ansible's ssh shows it otherwise."""
    connection._play_context.no_log = True
    try:
        return execute(connection, words)
    except AnsibleConnectionFailure:
        # What keeps it from the host is hidden, too, and is not a secret.
        connection._play_context.no_log = False
        connection.exec_command("true", sudoable=False)
        raise


def _remembered(cached: Mapping[str, Any]) -> Mapping[str, list[Facts]]:
    """Return the containers of each host in a cache; none of a cache that another version has written."""
    hosts: Mapping[str, list[Facts]] = cached.get("hosts", {}) if cached.get("version") == _CACHE_VERSION else {}
    return hosts


def _variables(facts: Facts) -> dict[str, Any]:
    return {f"inx_{key}": value for key, value in facts.items()}
