# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What every module has that speaks to Incus."""

    DOCUMENTATION = r"""
options:
  url:
    description:
      - URL of the Incus server, as C(unix:PATH) for its Unix socket on the host, or as C(https://HOST:8443).
      - It must be the server of the host that the module runs on, because the systems of containers are on that host.
        Any other server is refused. Over https, a certificate can be restricted to some projects
        (C(incus config trust add-certificate --restricted --projects shop)).
    type: str
    default: unix:/var/lib/incus/unix.socket
  client_cert:
    description:
      - Path of the client certificate for https, on the host.
    type: path
  client_key:
    description:
      - Path of the client key for https, on the host.
    type: path
  server_cert:
    description:
      - Path of the certificate that the server must have, on the host, such as C(/var/lib/incus/server.crt), or
        C(cluster.crt) in the same directory for a member of a cluster.
      - If this is not given, the certificate must be signed by a CA that the host trusts, for the name in O(url). The
        certificate is always verified.
    type: path
  project:
    description:
      - Name of the Incus project.
    type: str
    default: default
  request_timeout:
    description:
      - Seconds to wait for Incus to answer a request.
    type: int
    default: 120
  operation_timeout:
    description:
      - Seconds to wait for each operation of Incus, such as creating, starting or deleting an instance. An operation
        that does not end in time may still be running. The next run waits for it, for up to the same time.
    type: int
    default: 300
requirements:
  - pylxd >= 2.3 (the role P(inx.fleet.host#role) installs it under C(/opt/inx-fleet), where the modules find it)
  - Incus >= 6.0
"""
