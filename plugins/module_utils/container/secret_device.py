# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The device that mounts a container's directory of secrets in it, and in no copy of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..names import lxc_name
from ..paths import SECRETS_DIR, SECRETS_TARGET
from ..values import Value, same_value

#: The device with a container's directory of secrets.
SECRETS_DEVICE = "inx-secrets"
#: A hook of liblxc, followed by the name of the container whose device it is. A copy has both: an empty directory takes
#: the place of the device's before it starts, and it does not start if that cannot be done.
GUARD = (
    """lxc.hook.pre-start=/bin/sh -c '[ "$LXC_NAME" = "$0" ] || """
    f"""{{ d=$(sed -n "s|^lxc.mount.entry = \\([^ ]*\\) {SECRETS_TARGET[1:]} .*|\\1|p" "$LXC_CONFIG_FILE") && """
    """{ [ -z "$d" ] || ! mountpoint -q "$d" || """
    """{ umount "$d" && mount -t tmpfs -o ro,nosuid,nodev,noexec,mode=755,size=4k inx-secrets "$d"; }; }; }'"""
)


def directory_of(project: str, name: str) -> str:
    """Return the directory of a container's secrets, in the memory of the host."""
    return f"{SECRETS_DIR}/{lxc_name(project, name)}"


def secrets_device(
    secrets: Sequence[object] | None, directory: str, stored: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, Value] | None]:
    """Return the device of a container's directory, None for one that it is not to have, such as that of another."""
    if secrets:
        return {
            SECRETS_DEVICE: {
                "type": "disk",
                "source": directory,
                "path": SECRETS_TARGET,
                "readonly": True,
                "shift": True,
                # After a reboot without what is kept at rest it starts, and the next run brings them.
                "required": False,
            }
        }
    found = stored.get(SECRETS_DEVICE)
    is_of_another = found is not None and found.get("source") != directory
    return {SECRETS_DEVICE: None} if secrets is not None or is_of_another else {}


def guard_lines(
    secrets: Sequence[object] | None, project: str, name: str, stored: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Return the line of raw.lxc that an instance needs which is to have a device of secrets."""
    wanted = secrets_device(secrets, directory_of(project, name), stored)
    has_device = wanted.get(SECRETS_DEVICE) if SECRETS_DEVICE in wanted else stored.get(SECRETS_DEVICE)
    return [f"{GUARD} {lxc_name(project, name)}"] if has_device else []


def has_own_device(devices: Mapping[str, Mapping[str, str]], directory: str) -> bool:
    """Return whether an instance has the directory mounted, as far as its devices go."""
    found = devices.get(SECRETS_DEVICE, {})
    return found.get("source") == directory and same_value(True, found.get("shift", ""))
