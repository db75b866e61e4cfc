# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import textwrap

_IN_A_SET = r"""
after:
  description:
    - Containers of the same set that must be healthy before this one is touched.
  type: list
  elements: str
tags:
  description:
    - Words by which C(only_tags) can choose it. They are kept on the instance, as C(user.inx.tags).
  type: list
  elements: str
"""

# The choice by name is another in each module.
_BESIDE_THE_SET = """
  only_tags:
    description:
      - Tags of the containers to work on, of which one is enough. With O(only) as well, either is enough. A tag that no
        declared container has is an error.
    type: list
    elements: str
"""


def _of_entries(documentation: str) -> str:
    """Options of the entries of the list "containers".

    Entries have no defaults of their own, so that those of the whole set can fill in what they leave out.
    """
    options = re.sub(r"\n +default: .*", "", textwrap.dedent(documentation.partition("options:\n")[2]))
    options = re.sub(r"\bO\((?=[a-z_.]+[=)])", "O(containers[].", options)
    return "options:\n  containers:\n    suboptions:\n" + textwrap.indent(options + _IN_A_SET, "      ")


class ModuleDocFragment:
    """One container: as the options of a module, and as an entry of a list of them."""

    # The defaults are those of module_utils/module.py, CONTAINER_OPTIONS.
    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the instance. As Incus has it, up to 63 letters, digits and dashes.
    type: str
    required: true
  state:
    description:
      - V(started) is running, with the declared system.
      - V(stopped) is there and not running. A new system is recorded for the next start.
      - V(restarted) restarts the container on every run. It is not idempotent.
      - V(present) is there, and left running or not as it is. If it runs, it is switched to the declared system.
      - V(absent) is not there, nor are its root disk and its profile on the host. It is refused while the host has
        something mounted in the root disk, because Incus would delete what is in there as well.
      - Beside a system that was found unhealthy by an earlier run, all else is done as it is declared, and the task
        fails.
    type: str
    choices: [started, stopped, restarted, present, absent]
    default: started
  flake:
    description:
      - The flake with the system, as C(REF) or C(REF#ATTR), evaluated on the host. The system is
        C(nixosConfigurations."ATTR".config.system.build.toplevel), and C(ATTR) defaults to O(name).
      - Relative paths are refused, since a module has no directory of its own.
      - One of O(flake), O(file) and O(system) is needed for a container that has no system yet.
    type: str
  file:
    description:
      - Absolute path of a Nix expression on the host, for those without flakes.
    type: path
  attribute:
    description:
      - The system's attribute path in O(file), C(config.system.build.toplevel) if it is not given.
    type: str
  system:
    description:
      - Store path of a system that is there already, or that O(copy_from) or a substituter has.
    type: str
  copy_from:
    description:
      - URL of the Nix store that has O(system), such as C(ssh-ng://root@builder.example.org) or
        C(https://cache.example.org). What is missing is copied from there by C(nix copy), and nothing is built.
      - Over ssh the host's own user logs in, with the keys and the known hosts that it has. What comes that way needs
        no signature. What comes from a cache needs one of a key in C(trusted-public-keys).
    type: str
  generation:
    description:
      - A generation of the container's profile, by its number, instead of a system that is to be built.
      - V(previous) is the newest good one before the current one, as C(nixos-rebuild --rollback) has it. Each run
        with it goes back one more.
    type: str
  keep_generations:
    description:
      - How many generations of the profile to keep, at least 2. Older ones are removed when the container is as
        declared, but none that runs, that boots, or that was healthy last. Those that are known to be bad are not
        counted, so that there is a good one to go back to.
    type: int
  override_inputs:
    description:
      - Inputs of the flake to override, by name, each with a flake reference. Anything but text is refused.
    type: dict
    default: {}
  nix_options:
    description:
      - Settings of C(nix.conf) for this container's evaluation and build, each with a text, a number, a boolean, or a
        list of those, which is written with blanks between them as in C(nix.conf).
      - The tokens in C(access-tokens) and C(impure-env) are hidden in results and logs, as are passwords and tokens in
        any URL. So is the value of a setting whose name has C(token), C(password) or C(secret) in it.
    type: dict
    default: {}
  impure:
    description:
      - Let the evaluation read environment variables and mutable paths.
    type: bool
    default: false
  accept_flake_config:
    description:
      - Accept the C(nixConfig) that the flake itself brings.
    type: bool
    default: false
  builders:
    description:
      - Remote builders, in the form that the setting C(builders) of C(nix.conf) has.
    type: str
  target:
    description:
      - The member of an Incus cluster that is to run the container. An instance that is at another member is stopped,
        moved here with its root disk, and started, when its system is there.
      - If this is not given, or V(auto), an existing instance stays where it is, and a new one is made by a member
        that its name chooses among those that are online.
      - The module is to run on every member, with the same declaration. Each run works on the containers of its own
        member and leaves the others alone.
      - Without a cluster it is refused.
    type: str
  move_timeout:
    description:
      - Seconds that a move to another member may take, with the root disk.
    type: int
    default: 3600
  activation:
    description:
      - V(switch) makes the system current in the running container, and the one it boots.
      - V(boot) makes it the one that the container boots, and leaves the running system alone.
      - V(test) makes it current in the running container only. The next start boots the recorded generation.
      - A system that C(switch-to-configuration) refuses to switch to, because a check of its own fails, because it
        takes a reboot, or because another switch goes on for longer than O(wait_timeout), fails the task. It was not
        tried, so that it is not remembered as bad, and it stays recorded for the next start.
    type: str
    choices: [switch, boot, test]
    default: switch
  config:
    description:
      - Configuration of the instance. A key with the value V(null) is removed, a key that is not named stays.
      - Lines of C(raw.lxc) are kept beside the one line that this collection needs there. Those of profiles come first.
    type: dict
    default: {}
  secret_config:
    description:
      - Configuration as in O(config), with values that are never shown, neither in results, diffs, errors and
        check mode, nor in the logs of Ansible on both sides. Additions, changes and removals are reported, without the
        values.
      - Which keys they are is noted on the instance, as C(user.inx.secret). They stay secret for as long as the
        instance has them, also when O(config) names them. To show one again, remove it first, with the value V(null).
      - Ansible hides the values wherever else they appear in a result, so what is as short as V(1) hides much.
      - Who may use Incus can see them, and so can root in the container.
    type: dict
    default: {}
  devices:
    description:
      - Devices of the instance by name, each a dictionary of its keys. Only the keys that are named count. A key with
        the value V(null) is removed.
      - A device with the value V(null) is removed. One that the profiles have is hidden by a device of the type
        C(none). V({}) removes that again, and any other device of that name, so that the one of the profiles is there.
      - A device without C(type) is the one of that name in the profiles, with the named keys on top, as C(incus config
        device override) makes it. So C(eth0) with C(ipv4.address) alone keeps its network, and has that address. It is
        refused when no profile has a device of that name.
    type: dict
    default: {}
  publish:
    description:
      - Ports of the host that lead into the container, each as C([ADDRESS:]PORT[:CONTAINER_PORT]/PROTOCOL). V(80/tcp)
        and V(8080:80/tcp) listen at every IPv4 address of the host, V(192.168.1.5:53/udp) at one of them, and
        V([::]:80/tcp) at IPv6 addresses, too.
      - Each is a proxy device of Incus, which connects to C(127.0.0.1) in the container. Services there see that
        address in place of the client's. For others, such as those with C(nat), use O(devices).
      - Ports that are no longer declared are closed. If this is not given, existing ones stay.
    type: list
    elements: str
  bind_mounts:
    description:
      - Files and directories of the host that are seen in the container. Owners are the same numbers on both sides, so
        that root of the container is root in there.
      - A source has to exist. A mount that is no longer declared is removed. If this is not given, existing ones stay.
      - All mounts of a container are one tree, see C(docs/concepts.md). One that another would cover is refused.
    type: list
    elements: dict
    suboptions:
      source:
        description:
          - The path on the host.
        type: str
        required: true
      path:
        description:
          - The path in the container.
        type: str
        required: true
      readonly:
        description:
          - Whether the container may not write there.
        type: bool
        default: true
  profiles:
    description:
      - Incus profiles of the instance in their order. O(store_profile) is added if it is not among them.
      - If this is not given, a new instance gets V(default), and an existing one keeps what it has, but for another
        store profile, which O(store_profile) replaces.
    type: list
    elements: str
  store_profile:
    description:
      - The Incus profile that shares the store.
    type: str
    default: inx-container
  storage_pool:
    description:
      - The storage pool for the root disk, if the profiles do not give one.
    type: str
  root_size:
    description:
      - Size of the root disk, such as V(10GiB), where the pool can limit it.
    type: str
  description:
    description:
      - Description of the instance.
    type: str
  ephemeral:
    description:
      - Whether Incus deletes the instance when it stops.
    type: bool
  autostart:
    description:
      - Whether the container starts with the host. The same as C(boot.autostart) in O(config).
    type: bool
  localtime:
    description:
      - Share the host's C(/etc/localtime), unless a profile does so.
    type: bool
    default: true
  self_update:
    description:
      - Whether the container may write its own profile directory, so that C(nixos-rebuild switch) works inside.
      - If this is not given, a new container may not, unless its store profile says otherwise, and one that this
        collection has made is kept as it was said last. What other tools have made keeps what it has.
      - Root in the container can then write files into that directory on the host. What that allows is in
        C(docs/security.md).
    type: bool
  volatile_root:
    description:
      - What becomes of the container's root at a start. The system needs nothing of it. It is in the shared store,
        and boots from an empty root.
      - V(keep) keeps it.
      - V(rebuild) empties it at every start and restart by this collection, also when going back from a bad system,
        through C(incus rebuild) with an empty source. Only what O(persist) and O(devices) name stays. An earlier
        declaration holds on when this is not given. With O(persist) a path should be C(/var/lib/nixos), where NixOS
        notes the ids of its users. Without it, what they own may get another owner. A warning says so.
      - Incus has no such thing for other starts. At C(incus start), C(incus restart), a reboot from within, and the
        start with the host, the root is what it was. The next run warns of that, and O(state=restarted) empties the
        root.
      - A container with snapshots is not rebuilt, and is left running. Nor is one in whose root disk the host has
        something mounted. An ephemeral one cannot be rebuilt.
      - V(tmpfs) keeps the root, and mounts memory over the paths in O(tmpfs), at every start, whoever triggers it.
      - A third way is a storage pool in memory, which is a pool with the driver C(dir) on a tmpfs that is mounted
        before Incus starts. Name it in O(storage_pool), together with V(rebuild). When the host has rebooted, such a
        pool is empty, Incus cannot start the container, and the next run rebuilds and starts it.
      - If this is not given, what is there stays.
    type: str
    choices: [keep, rebuild, tmpfs]
  tmpfs:
    description:
      - Paths with a tmpfs over them, for O(volatile_root=tmpfs) and O(volatile_root=rebuild). Those that are declared
        no more go away.
      - Incus from 6.16 has devices for them. They come and go only while the container is stopped. While it runs on,
        C(restart_required) is returned as true, until a run with O(state=restarted).
      - Older versions get lines of C(raw.lxc), which come into force at the next start. There a path cannot have
        volumes below it, since they would be covered.
      - For an overlay of memory and root, declare a device with the source C(tmpfs-overlay:) in O(devices). Its path
        must be in the root, and it takes liblxc 6.0.5, which Debian 13 does not have.
    type: list
    elements: dict
    suboptions:
      path:
        description:
          - The path in the container.
        type: str
        required: true
      size:
        description:
          - How much it may hold, such as V(512MiB). If this is not given, half of the host's memory.
        type: str
      mode:
        description:
          - Its mode, as four octal digits in quotes.
        type: str
        default: "0755"
  persist:
    description:
      - Paths that are kept in custom storage volumes of their own, whatever becomes of the root.
      - A volume is named after the container and the path, as C(web_var-lib-db). It is made when it is missing, and
        found again when the container is created again.
      - When a path is no longer declared, its volume is detached and kept. It also stays when the container is
        removed. See O(delete_volumes).
      - A path at which the root has files already is refused, since the volume would hide them.
      - If this is not given, what is there stays.
    type: list
    elements: dict
    suboptions:
      path:
        description:
          - The path in the container.
        type: str
        required: true
      pool:
        description:
          - The storage pool of its volume. If this is not given, that of the root disk. A pool in memory is refused.
        type: str
      size:
        description:
          - Size of the volume, such as V(10GiB), where the pool can limit it.
        type: str
      mode:
        description:
          - Mode of the new volume's directory, as four octal digits in quotes. It belongs to root in the container.
        type: str
        default: "0755"
  delete_volumes:
    description:
      - With O(state=absent), delete all volumes that O(persist) ever made for a container of this name, with what
        they hold and with their snapshots.
    type: bool
    default: false
  allow_privileged:
    description:
      - Allow a privileged container that has the socket of the Nix daemon. The container's root is then a trusted
        user of the daemon, and as good as root on the host.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait, after a start or an activation, for what O(wait_for) names.
    type: bool
    default: true
  wait_for:
    description:
      - V(system) is up when C(systemctl is-system-running) says V(running) or V(degraded). The latter causes a warning.
      - V(addresses) are there when an interface has a global address.
    type: list
    elements: str
    choices: [system, addresses]
    default: [system]
  wait_timeout:
    description:
      - Seconds to wait for each of them, and for the activation itself, also without O(wait). A container that is
        being booted by somebody else, or in which another switch goes on, is waited for as long before a switch.
    type: int
    default: 120
  health:
    description:
      - When a system counts as good after a start or an activation, and what to do if it is not.
      - It must come up, without failed units, and O(health.command) must succeed. If that does not happen, the
        container goes back to the generation that was good before, the task fails and says why, and the system is
        remembered as bad, so that no later run tries it again.
      - Without this a system that does not come up fails the task, and stays. Units that fail in a switch are warned
        of then.
      - Among the defaults of a set it holds for the containers that are waited for, see O(wait).
    type: dict
    suboptions:
      command:
        description:
          - A program in the container and its arguments, without a shell, run as root until it succeeds.
          - A path of its own is best, such as C(/run/current-system/sw/bin/curl).
        type: list
        elements: str
      timeout:
        description:
          - Seconds for all of it.
        type: int
        default: 120
      command_only:
        description:
          - Whether O(health.command) alone decides. Failed units are ignored then, and units that take long to start
            hold up neither the task nor, when nothing else is left to do, a switch, which goes on by itself.
        type: bool
        default: false
      degraded:
        description:
          - Whether a system with failed units counts as good.
        type: bool
        default: false
      rollback:
        description:
          - Whether to go back from a bad system, or leave it as it is.
        type: bool
        default: true
      retry_failed:
        description:
          - Whether to try a system again that was found bad before.
        type: bool
        default: false
  stop_timeout:
    description:
      - Seconds that the container has to shut down.
    type: int
    default: 60
  force:
    description:
      - Kill the container when it has not shut down after O(stop_timeout). Otherwise the task fails then, and the
        container runs on.
    type: bool
    default: false
"""

    # For modules that change containers.
    LOCK = r"""
options:
  lock_timeout:
    description:
      - Seconds to wait for another run that works on the same containers on this host. After that the error names
        that run, and those containers are left as they are.
      - A run that changes nothing waits for nobody, and neither does check mode.
    type: int
    default: 300
"""

    # Annotated, or ansible-test takes it for a text of its own.
    SET: str = _of_entries(DOCUMENTATION) + _BESIDE_THE_SET
