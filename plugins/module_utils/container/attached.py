# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Published ports and bind mounts, as they are declared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Any

from ..errors import FleetError
from ..values import Value, base_60
from .volatile import UNPRINTABLE, Mounted, mount_path, slug

# What devices of the collection begin with: all else is somebody else's.
PUBLISH_DEVICE = "inx-publish-"
BIND_DEVICE = "inx-bind-"

_EVERY_ADDRESS = str(IPv4Address(0))
_PUBLISHED = re.compile(
    r"(?:(?P<address>\d+(?:\.\d+){3}|\[[0-9a-f:.]+\]):)?(?P<port>\d{1,5})(?::(?P<inner>\d{1,5}))?/(?P<protocol>tcp|udp)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Published:
    """A port of the host and the port of the container's loopback interface that it leads to."""

    port: int
    inner: int
    protocol: str
    address: str = _EVERY_ADDRESS

    @property
    def listen(self) -> str:
        """Return the address on which the host listens, as Incus writes it."""
        return f"{self.protocol}:{self.address}:{self.port}"

    @property
    def device(self) -> str:
        """Return the name of its device."""
        address = "" if self.address == _EVERY_ADDRESS else self.address.strip("[]")
        return PUBLISH_DEVICE + slug(f"{address}/{self.port}/{self.protocol}")

    @property
    def keys(self) -> dict[str, Value]:
        """Return its device."""
        return {"type": "proxy", "listen": self.listen, "connect": f"{self.protocol}:127.0.0.1:{self.inner}"}

    def meets(self, other: Published) -> bool:
        """Return whether one host cannot have both."""
        addresses = {self.address, other.address}
        same_address = len(addresses) == 1 or _EVERY_ADDRESS in addresses or "[::]" in addresses
        return (self.protocol, self.port) == (other.protocol, other.port) and same_address


@dataclass(frozen=True, kw_only=True)
class BindMount(Mounted):
    """A file or directory of the host that is seen in the container, too."""

    prefix = BIND_DEVICE
    source: str
    readonly: bool = True
    required: bool = True
    shift: bool = True

    @property
    def keys(self) -> dict[str, Value]:
        """Return its device. If it is shifted, owners have the same numbers on both sides, by an idmapped mount."""
        return {
            "required": None if self.required else False,
            "type": "disk",
            "source": self.source,
            "path": self.path,
            "readonly": self.readonly,
            "shift": True if self.shift else None,
        }


def published_from(params: Mapping[str, Any], name: str) -> tuple[Published, ...] | None:
    """Return the published ports. Raises FleetError for an entry that is not valid."""
    if params["publish"] is None:
        return None
    found = tuple(_port_from(text, name) for text in params["publish"])
    check_ports([(name, entry) for entry in found])
    return found


def bind_mounts_from(params: Mapping[str, Any], name: str) -> tuple[BindMount, ...] | None:
    """Return the declared bind mounts. Raises FleetError for an entry that is not valid."""
    if params["bind_mounts"] is None:
        return None
    return tuple(
        BindMount(
            source=_source_from(entry["source"], name),
            path=mount_path(entry["path"], f"{name}: bind_mounts"),
            readonly=entry["readonly"],
            required=entry["required"],
            shift=entry["shift"],
        )
        for entry in params["bind_mounts"]
    )


def check_ports(published: Iterable[tuple[str, Published]]) -> None:
    """Refuse two entries that listen at the same place of one host. Each comes with its container's name."""
    seen: list[tuple[str, Published]] = []
    for name, entry in published:
        for other, found in seen:
            if entry.meets(found):
                raise FleetError(
                    f"publish: {entry.listen} of {name} and {found.listen} of {other} are the same port of the host.",
                    "Publish one of them at another port or address.",
                )
        seen.append((name, entry))


def attached_devices(
    published: Sequence[Published] | None, bind_mounts: Sequence[BindMount] | None, stored: Iterable[str]
) -> dict[str, dict[str, Value] | None]:
    """Return the devices for what is declared, None for those of ``stored`` that are no longer declared."""
    wanted: dict[str, dict[str, Value] | None] = {}
    for prefix, entries in ((PUBLISH_DEVICE, published), (BIND_DEVICE, bind_mounts)):
        if entries is not None:
            wanted.update({name: None for name in stored if name.startswith(prefix)})
            wanted.update({entry.device: entry.keys for entry in entries})
    return wanted


def _port_from(text: str, name: str) -> Published:
    match = _PUBLISHED.fullmatch(text)
    ports = [] if match is None else [int(match["port"]), int(match["inner"] or match["port"])]
    if match is None or not all(1 <= port <= 65535 for port in ports) or not _is_address(match["address"]):
        if re.fullmatch(r"[1-9][0-9]+", text):
            mapping = base_60(int(text), 2)
            raise FleetError(
                f"{name}: publish: {text!r} is not a valid port mapping. YAML reads an unquoted {mapping} "
                "as that number.",
                f'Write "{text}/tcp" or "{mapping}/tcp", in quotes.',
            )
        raise FleetError(
            f"{name}: publish: {text!r} is not a valid port mapping.",
            "Write [ADDRESS:]PORT[:CONTAINER_PORT]/PROTOCOL, for example 8080:80/tcp or 192.168.1.5:53/udp.",
        )
    address = (match["address"] or _EVERY_ADDRESS).lower()
    return Published(port=ports[0], inner=ports[1], protocol=match["protocol"].lower(), address=address)


def _is_address(text: str | None) -> bool:
    try:
        return text is None or bool(ip_address(text.strip("[]")))
    except ValueError:
        return False


def _source_from(text: str, name: str) -> str:
    path = text.rstrip("/")
    if not path.startswith("/") or ".." in path.split("/") or UNPRINTABLE.search(path):
        raise FleetError(
            f"{name}: bind_mounts: the source {text!r} is not a path below /.", "Write its absolute path on the host."
        )
    return path
