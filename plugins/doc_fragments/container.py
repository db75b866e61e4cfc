# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import textwrap

_IN_A_SET = r"""
after:
  description:
    - Names of containers of the same set that must be healthy before this one is changed.
    - Containers start with the host in the same order. C(boot.autostart.priority) is set for it, unless C(config)
      names that key. Incus does not wait until a container is healthy before it starts the next one.
  type: list
  elements: str
tags:
  description:
    - Tags of the container, for C(only_tags). They are stored on the instance, as C(user.inx.tags).
  type: list
  elements: str
"""

# The option "only" has a description of its own in each module.
_BESIDE_THE_SET = """
  only_tags:
    description:
      - Tags of the containers to work on. A container is selected if it has one of them, or if O(only) selects it. A
        tag that no declared container has is an error.
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


def _shared_secrets(documentation: str) -> str:
    """Suboptions of the option "secrets" of a whole set, which are those of an entry, without defaults."""
    secrets = documentation.partition("\n  secrets:\n")[2].partition("\n  secrets_at_rest:\n")[0]
    suboptions = "".join(secrets.partition("    suboptions:\n")[1:])
    return "options:\n  secrets:\n" + re.sub(r"\n +default: .*", "", suboptions) + "\n"


class ModuleDocFragment:
    """One container: as the options of a module, and as an entry of a list of them."""

    # The defaults are those of module_utils/module.py, CONTAINER_OPTIONS.
    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the container. Incus allows up to 63 letters, digits and dashes.
    type: str
    required: true
  state:
    description:
      - V(started) creates and starts the container, with the declared system.
      - V(stopped) creates and stops the container. A new system is recorded for the next start.
      - V(restarted) restarts the container on every run. It is not idempotent.
      - V(present) creates the container, and neither starts nor stops it. If it runs, it is switched to the declared
        system.
      - V(absent) removes the container, its root disk and its profile on the host. It is refused while a file system of
        the host is mounted in the root disk, because Incus would delete its contents as well.
      - If an earlier run found the declared system unhealthy, everything else is applied, and the task fails.
    type: str
    choices: [started, stopped, restarted, present, absent]
    default: started
  flake:
    description:
      - Flake with the system, as C(REF) or C(REF#ATTR). It is evaluated on the host. The system is
        C(nixosConfigurations."ATTR".config.system.build.toplevel), and C(ATTR) defaults to O(name).
      - Relative paths are refused, because a module has no working directory.
      - A container without a system needs one of O(flake), O(file) and O(system).
    type: str
  file:
    description:
      - Absolute path of a Nix expression on the host, to use instead of a flake.
    type: path
  attribute:
    description:
      - Attribute path of the system in O(file). By default C(config.system.build.toplevel).
    type: str
  system:
    description:
      - Store path of a system that exists already, or that O(copy_from) or a substituter has.
    type: str
  copy_from:
    description:
      - URL of the Nix store that has O(system), such as C(ssh-ng://root@builder.example.org) or
        C(https://cache.example.org). Missing paths are copied from there with C(nix copy). Nothing is built.
      - Over ssh the host's user logs in with its own keys and known hosts, and paths need no signature. Paths from a
        cache need a signature by a key in C(trusted-public-keys).
    type: str
  generation:
    description:
      - Number of a generation of the container's profile, to use instead of a new system.
      - V(previous) is the newest good generation before the current one, as with C(nixos-rebuild --rollback). Each run
        goes back one more generation.
    type: str
  restore_data:
    description:
      - Whether to restore the data of O(generation) from its newest snapshot, see O(snapshots). The container is
        stopped, and what is replaced is kept as a snapshot as well. A warning says of which time the data is.
      - A snapshot that was restored last is not restored again, until another system has run.
    type: bool
    default: false
  keep_generations:
    description:
      - Number of generations of the profile to keep, at least 2. Older ones are removed when the container is as
        declared. The generations that the container runs and boots, and the one that was healthy last, are never
        removed. Generations that are known to be bad are not counted, so that a rollback finds a good one.
    type: int
  override_inputs:
    description:
      - Inputs of the flake to override, as a dictionary of names and flake references.
    type: dict
    default: {}
  nix_options:
    description:
      - Settings of C(nix.conf) for this container's evaluation and build. A value is a text, a number, a boolean, or a
        list of them, which is joined with blanks as in C(nix.conf).
      - Tokens in C(access-tokens) and C(impure-env), passwords and tokens in URLs, and values of settings whose
        names contain C(token), C(password) or C(secret) are hidden in results and logs.
    type: dict
    default: {}
  impure:
    description:
      - Whether the evaluation may read environment variables and mutable paths.
    type: bool
    default: false
  accept_flake_config:
    description:
      - Whether to accept the C(nixConfig) of the flake.
    type: bool
    default: false
  builders:
    description:
      - Remote builders, in the format of the setting C(builders) of C(nix.conf).
    type: str
  target:
    description:
      - Name of the cluster member that runs the container. An instance on another member is moved with its root disk
        once its system is on the new member. The move stops and starts it.
      - If this is not given, or V(auto), an existing instance stays where it is. A new one is created by one of the
        online members, which follows from its name.
      - Run the module on every member, with the same declaration. Each run works on the containers of its own member
        and leaves the others alone.
      - Without a cluster this option is refused.
    type: str
  move_timeout:
    description:
      - Seconds to wait for a move to another member, with the root disk.
    type: int
    default: 3600
  activation:
    description:
      - V(switch) switches the running container to the system, and boots it at the next start.
      - V(boot) boots the system at the next start, and leaves the running system alone.
      - V(test) switches the running container only. The next start boots the recorded generation.
      - If C(switch-to-configuration) refuses to switch, because a check fails, because the switch needs a reboot, or
        because another switch runs for longer than O(wait_timeout), the task fails. The system was not tried, so it
        is not remembered as bad, and it stays recorded for the next start.
    type: str
    choices: [switch, boot, test]
    default: switch
  config:
    description:
      - Configuration of the instance. A key with the value V(null) is removed. A key that is not named stays as it is.
      - Lines of C(raw.lxc) are kept beside the lines that this collection needs. Lines of profiles come first.
    type: dict
    default: {}
  secret_config:
    description:
      - Configuration as in O(config), with values that are never shown, not in results, diffs, errors and check mode,
        nor in logs of the control node and the host. Additions, changes and removals are reported, without the
        values.
      - The names of the keys are stored on the instance, as C(user.inx.secret). A key stays secret as long as the
        instance has it, even if O(config) names it. To show it again, remove it first, with the value V(null).
      - Ansible hides the values everywhere in a result, so a short value such as V(1) hides much.
      - Users who may use Incus can see the values, and so can root in the container.
    type: dict
    default: {}
  secrets:
    description:
      - Files with secrets for services in the container, each at C(/inx/secrets/NAME). On the host they are in memory,
        where only root can read them, and the directory of a container is mounted in no other. See C(docs/secrets.md).
      - Contents are never shown. Results, check mode and diff mode name the secrets that are added, changed or removed.
      - A secret that is no longer in the list is removed. If this is not given, existing ones are kept. An empty list
        removes all.
      - Ansible hides the contents everywhere in a result, so a short one such as V(1) hides much.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Name of the secret, and of its file.
        type: str
        required: true
      content:
        description:
          - Content of the file, as it is. A secret without content is refused, unless it is C(optional).
        type: str
      encoding:
        description:
          - Encoding of C(content). V(base64) is for binary contents, such as those of M(ansible.builtin.slurp).
        type: str
        choices: [text, base64]
        default: text
      owner:
        description:
          - User that owns the file, by its name in the container's system, or its number.
        type: str
        default: root
      group:
        description:
          - Group of the file, by its name in the container's system, or its number.
        type: str
        default: root
      mode:
        description:
          - Mode of the file.
        type: str
        default: "0400"
      path:
        description:
          - Path in the container at which a link to the file is made, such as V(/etc/credstore/NAME) for
            C(LoadCredential=NAME). It cannot be in C(/run), the store, or another mount.
        type: str
      units:
        description:
          - Units of the container to restart when the file has changed, once, and after a switch. A unit that the
            switch has restarted, or that is stopped, is left alone.
        type: list
        elements: str
      reload:
        description:
          - Whether to reload the C(units) instead.
        type: bool
        default: false
      optional:
        description:
          - Whether the secret may have no content. It is left out then.
        type: bool
        default: false
  secrets_at_rest:
    description:
      - Whether the host keeps the O(secrets) encrypted with C(systemd-creds), by its own key and its TPM if it has one,
        so that services start after a reboot. If not, the next run brings them, and restarts their units.
    type: bool
    default: true
  devices:
    description:
      - Devices of the instance, as a dictionary of names and keys. Only the keys that are named are compared. A key
        with the value V(null) is removed.
      - A device with the value V(null) is removed. A device of a profile is hidden with a device of the type C(none).
        V({}) removes any device of that name from the instance, so that the device of the profile is used again.
      - A device without C(type) overrides keys of the device with that name in the profiles, as C(incus config device
        override) does. So C(eth0) with C(ipv4.address) alone keeps its network and gets that address. It is refused if
        no profile has a device of that name.
    type: dict
    default: {}
  publish:
    description:
      - Ports of the host to forward to the container, each as C([ADDRESS:]PORT[:CONTAINER_PORT]/PROTOCOL). V(80:80/tcp)
        and V(8080:80/tcp) listen on every IPv4 address of the host, V(192.168.1.5:53/udp) on one of them, and
        V([::]:80/tcp) also on IPv6 addresses.
      - Each is a proxy device of Incus that connects to C(127.0.0.1) in the container. Services see that
        address instead of the client's. For other proxies, such as with C(nat), use O(devices).
      - Ports that are no longer declared are closed. If this is not given, existing ones are kept.
    type: list
    elements: str
  bind_mounts:
    description:
      - Files and directories of the host to mount in the container. Ids of owners are the same numbers on both sides,
        so root of the container owns files of the host's root there.
      - The source must exist when the mount is added or changed, and when the container starts, unless
        its C(required) is V(false). At other times a missing source only causes a warning.
      - A mount that is no longer declared is removed. If this is not given, existing ones are kept.
      - All mounts of a container form one tree, see C(docs/concepts.md). A mount that another one would cover is
        refused.
    type: list
    elements: dict
    suboptions:
      source:
        description:
          - Path on the host.
        type: str
        required: true
      path:
        description:
          - The path in the container.
        type: str
        required: true
      readonly:
        description:
          - Whether the mount is read-only.
        type: bool
        default: true
      required:
        description:
          - Whether the container needs the source to start. If it does not, a missing source is not mounted. It is
            mounted at the first start at which it exists.
        type: bool
        default: true
      shift:
        description:
          - Whether ids of owners are the same numbers on both sides. This needs a file system that supports idmapped
            mounts. Others, such as NFS, FUSE and overlayfs, are refused before anything changes.
          - With V(false), files of the host belong to nobody in the container, and root of the container may only do
            with them what everybody may.
        type: bool
        default: true
  profiles:
    description:
      - Incus profiles of the instance, in order. O(store_profile) is added if it is missing.
      - If this is not given, a new instance gets V(default), and an existing one keeps its profiles, except that
        O(store_profile) replaces another store profile.
    type: list
    elements: str
  store_profile:
    description:
      - Name of the Incus profile that shares the store.
    type: str
    default: inx-container
  storage_pool:
    description:
      - Storage pool for the root disk, if the profiles have no root disk.
    type: str
  root_size:
    description:
      - Size of the root disk, such as V(10GiB), if the pool supports it.
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
      - Whether the container starts with the host. It sets C(boot.autostart).
    type: bool
  localtime:
    description:
      - Whether to share the host's C(/etc/localtime), unless a profile does.
    type: bool
    default: true
  self_update:
    description:
      - Whether the container may write to its own profile directory, so that C(nixos-rebuild switch) works inside.
      - If this is not given, a new container follows its store profile, and an existing one keeps its setting.
      - Root in the container can then write files into that directory on the host. See C(docs/security.md).
    type: bool
  volatile_root:
    description:
      - What happens to the root disk at a start. The system is in the shared store and boots from an empty root disk.
      - V(keep) keeps it.
      - V(rebuild) empties it at every start and restart by this collection, also in a rollback, with C(incus rebuild)
        and an empty source. Only O(persist) and O(devices) are kept. O(persist) should contain C(/var/lib/nixos),
        where NixOS stores the ids of users. Otherwise files may get another owner, and a warning says so.
      - V(rebuild) does not affect starts outside of this collection, such as C(incus start), C(incus restart), a reboot
        from inside, and the start with the host. The next run warns about them, and O(state=restarted) empties the
        root disk.
      - V(rebuild) is refused for an ephemeral container. A container with snapshots, or with a file system of the host
        mounted in its root disk, is not rebuilt and keeps running.
      - V(tmpfs) keeps the root disk, and mounts a tmpfs on the paths in O(tmpfs) at every start, whoever triggers it.
      - An alternative is V(rebuild) with a storage pool in memory, which is a pool with the driver C(dir) on a tmpfs
        that is mounted before Incus starts. After a reboot of the host such a pool is empty, Incus cannot start the
        container, and the next run rebuilds and starts it.
      - If this is not given, the present setting is kept.
    type: str
    choices: [keep, rebuild, tmpfs]
  tmpfs:
    description:
      - Paths on which to mount a tmpfs, with O(volatile_root=tmpfs) or O(volatile_root=rebuild). A tmpfs that is no
        longer declared is removed.
      - Changes take effect at the next start. Until then C(restart_required) is returned as true.
      - Incus 6.16 and newer use devices for them. Older versions use lines of C(raw.lxc). There a path cannot have
        volumes below it, because they would be covered.
      - For an overlay of memory and root disk, declare a device with the source C(tmpfs-overlay:) in O(devices). Its
        path must exist on the root disk, and it needs liblxc 6.0.5, which Debian 13 does not have.
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
          - Size of the tmpfs, such as V(512MiB). By default, half of the host's memory.
        type: str
      mode:
        description:
          - Mode of the mounted directory, as four octal digits in quotes.
        type: str
        default: "0755"
  persist:
    description:
      - Paths to keep on custom storage volumes, independent of the root disk.
      - A volume is named after the container and the path, such as C(web_var-lib-db). It is created if it is missing,
        and used again if the container is created again.
      - If a path is no longer declared, its volume is detached and kept. It is also kept when the container is
        removed. See O(delete_volumes).
      - A path that has files on the root disk already is refused, because the volume would hide them.
      - If this is not given, existing volumes are kept.
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
          - Storage pool of the volume. By default that of the root disk. A pool in memory is refused.
        type: str
      size:
        description:
          - Size of the volume, such as V(10GiB), if the pool supports it.
        type: str
      mode:
        description:
          - Mode of a new volume's directory, as four octal digits in quotes. Root in the container owns it.
        type: str
        default: "0755"
  delete_volumes:
    description:
      - Whether O(state=absent) also deletes all volumes that O(persist) has created for a container of this name, with
        their data and snapshots.
    type: bool
    default: false
  snapshots:
    description:
      - Snapshots of the data, taken before another system runs on it with a switch, a start or a restart. A snapshot
        has the root disk and all volumes of O(persist). With O(volatile_root=rebuild) it has the volumes only.
      - Their name is C(inx-GENERATION-TIME), with the generation that wrote the data, or 0 if that is unknown.
        Snapshots with other names are left alone.
      - A running container is frozen for the moment. Before a restart it is stopped anyway.
      - Without this option no snapshots are taken, and those that exist stay. See C(docs/data.md).
    type: dict
    suboptions:
      keep:
        description:
          - Number of snapshots to keep, at least 1. The oldest ones are removed when the new system runs.
        type: int
        default: 3
      restore:
        description:
          - Whether a rollback by O(health) restores the data of the generation that it goes back to. What was written
            since then is kept as a snapshot. Not with the driver C(zfs), which restores only the last snapshot.
        type: bool
        default: false
      full_copy:
        description:
          - Whether to take snapshots with the driver C(dir), which copies all of the data for each of them. The plan
            says how much that is.
        type: bool
        default: false
  allow_privileged:
    description:
      - Whether to allow a privileged container with the socket of the Nix daemon. The container's root is then a
        trusted user of the daemon, which is equivalent to root on the host.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait for the conditions in O(wait_for) after a start or an activation.
    type: bool
    default: true
  wait_for:
    description:
      - Conditions to wait for.
      - V(system) waits until C(systemctl is-system-running) reports V(running), or V(degraded), which causes a warning.
      - V(addresses) waits until a NIC of the instance has a global address, V(ipv4) and V(ipv6) until one has a global
        address of that family. Interfaces that exist only inside the container are ignored.
      - If the task fails because a condition is not met after a start, the next run waits again.
    type: list
    elements: str
    choices: [system, addresses, ipv4, ipv6]
    default: [system]
  wait_timeout:
    description:
      - Seconds to wait for each condition, and for the activation itself, even without O(wait). Also the time to wait
        before a switch for another boot or switch of the container to finish.
    type: int
    default: 120
  health:
    description:
      - Conditions for a healthy system after a start or an activation, and what to do if it is not healthy.
      - The system must come up without failed units, and O(health.command) must succeed. Otherwise the container is
        rolled back to the last good generation, the task fails, and the system is remembered as bad, so that no
        later run tries it again.
      - Without this, a system that does not come up fails the task and is kept. Units that fail in a switch cause a
        warning.
      - In the defaults of a set it applies to containers with O(wait).
    type: dict
    suboptions:
      command:
        description:
          - Program in the container and its arguments. It runs as root, without a shell, until it succeeds.
          - Use an absolute path, such as C(/run/current-system/sw/bin/curl). For pipes and variables, call a shell with
            C([/bin/sh, -c, "..."]).
        type: list
        elements: str
      timeout:
        description:
          - Seconds to wait until the system is healthy.
        type: int
        default: 120
      command_only:
        description:
          - Whether O(health.command) alone decides. Failed units are then ignored, and units that take long to start
            delay neither the task nor the switch, which continues on its own.
        type: bool
        default: false
      degraded:
        description:
          - Whether a system with failed units is healthy.
          - Without it, failed units make a system unhealthy. Units that had failed before the switch to it cause no
            rollback.
        type: bool
        default: false
      rollback:
        description:
          - Whether to roll back a system that is not healthy.
        type: bool
        default: true
      retry_failed:
        description:
          - Whether to try a system again that an earlier run found bad.
        type: bool
        default: false
  rehearse:
    description:
      - Whether to boot a new system in a temporary twin of the container first, and to judge it there by O(health).
        Only if it is healthy there is the container itself touched. Otherwise the task fails, and the system is
        remembered as bad.
      - The twin is what the container would be, without published ports, static addresses and devices of the host. It
        has a network of its own that leads nowhere. What it shares with the host it can only read. It is removed in
        every case.
      - Its root disk and volumes are copies if the storage driver copies without taking time and space (btrfs, zfs, LVM
        with a thin pool, ceph). Otherwise they are empty. The step in RV(ignore:steps) tells which.
      - A new container, a system that was healthy there last, and a return to an earlier generation are not rehearsed.
      - Requires O(health). Not possible in a cluster. In the defaults of a set it applies to containers with
        O(health).
    type: bool
    default: false
  stop_timeout:
    description:
      - Seconds to wait for the container to shut down. It is asked again every 5 seconds, because an init that has just
        started ignores the signal.
    type: int
    default: 60
  force:
    description:
      - Whether to kill a container that has not shut down after O(stop_timeout). Otherwise the task fails, and the
        container keeps running.
    type: bool
    default: false
  restart_if_required:
    description:
      - Whether to restart a running container when C(restart_required) would be returned as true. With
        O(activation=boot) this updates a container by a restart.
      - With O(health) the restart is an update like any other. A container that is not healthy after it goes back to an
        earlier system. Its settings do not go back.
      - A container that O(state=present) finds frozen is left as it is.
    type: bool
    default: false
"""

    # For modules that change containers.
    LOCK = r"""
options:
  lock_timeout:
    description:
      - Seconds to wait for another run that works on the same containers on this host. After that, the error names
        that run, and the containers are left as they are.
      - A run that changes nothing does not wait, and neither does check mode.
    type: int
    default: 300
"""

    # Annotated, or ansible-test takes them for texts of their own.
    SHARED_SECRETS: str = _shared_secrets(DOCUMENTATION)
    SET: str = _of_entries(DOCUMENTATION) + _BESIDE_THE_SET
