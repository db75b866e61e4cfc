# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connection settings for the Incus API: a socket of this host, or an address with the certificates of both sides."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import FleetError

DEFAULT_URL = "unix:/var/lib/incus/unix.socket"
_CERTIFICATES = ("client_cert", "client_key", "server_cert")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """``address`` is the path of a socket, or a URL with https.

    Without ``server_cert`` the server's certificate is verified as any web site's; it is never left unverified.
    Incus has so many seconds for each answer, and for each operation that it does in the background.
    """

    address: str
    client_cert: str | None = None
    client_key: str | None = None
    server_cert: str | None = None
    request_timeout: int = 120
    operation_timeout: int = 300

    @property
    def is_local(self) -> bool:
        """Return whether it is a socket of this host."""
        return self.address.startswith("/")

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments for pylxd. A path in ``verify`` pins that certificate, whatever name is in it."""
        if self.is_local:
            return {"endpoint": self.address}
        return {
            "endpoint": self.address,
            "cert": (self.client_cert, self.client_key),
            "verify": self.server_cert or True,
        }


def endpoint_from(params: Mapping[str, Any]) -> Endpoint:
    """Make an Endpoint of a module's parameters; FleetError says what is wrong with them, or missing on the host."""
    url, timeouts = params["url"], _timeouts_from(params)
    given = {name: params[name] for name in _CERTIFICATES if params[name] is not None}
    if not url.startswith("https://"):
        if given:
            raise FleetError(f"{', '.join(given)} with the url {url!r}.", "Certificates go with https://HOST:8443.")
        return replace(local_endpoint(url), **timeouts)
    for name in ("client_cert", "client_key"):
        if name not in given:
            raise FleetError(f"The url {url!r} needs {name!r}.", "Incus identifies this user by it.")
    for name, path in given.items():
        _check_pem(name, path)
    return replace(Endpoint(address=url.rstrip("/"), **given), **timeouts)


def _timeouts_from(params: Mapping[str, Any]) -> dict[str, Any]:
    # An operation is waited for with requests that Incus answers in half of their time.
    least = {"request_timeout": 2, "operation_timeout": 1}
    for name, seconds in least.items():
        if params[name] < seconds:
            problem = f"{name} is {params[name]}, but it is a number of seconds from {seconds}."
            raise FleetError(problem, "Raise it, or leave it out.")
    return {name: params[name] for name in least}


def _check_pem(name: str, path: str) -> None:
    try:
        with open(path, encoding="ascii") as file:
            text = file.read()
        if name != "client_key":
            ssl.PEM_cert_to_DER_cert(text)
    except OSError as error:
        raise FleetError(f"{name} {path} cannot be read: {error.strerror}.", "It is a file on the host.") from error
    except ValueError as error:
        raise FleetError(
            f"{name} {path} is not a certificate in PEM format.", "Name a file that begins with '-----BEGIN'."
        ) from error


def local_endpoint(url: str = DEFAULT_URL) -> Endpoint:
    """Return the endpoint of a URL ``unix:PATH``, after a check that its socket can be used."""
    path = url.removeprefix("unix:")
    if not url.startswith("unix:") or not path.startswith("/"):
        advice = f"Write it as {DEFAULT_URL}, or https://HOST:8443."
        raise FleetError(f"{url!r} is not the URL of an Incus socket.", advice)
    if not os.path.exists(path):
        raise FleetError(
            f"The Incus socket {path} does not exist.",
            "Install and start Incus on the host (the role inx.fleet.host does it), or set 'url'.",
        )
    if not os.access(path, os.R_OK | os.W_OK):
        raise FleetError(
            f"This user may not use the Incus socket {path}.", "Become root, or join the group incus-admin."
        )
    return Endpoint(address=path)
