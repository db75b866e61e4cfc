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
      - The Incus server, by its Unix socket on the host as C(unix:PATH), or as C(https://HOST:8443).
      - It must be the server of the host that the module runs on, since what containers run is on that host's file
        system. Any other is refused. Over https, a certificate can be restricted to some projects
        (C(incus config trust add-certificate --restricted --projects shop)), which a socket cannot.
    type: str
    default: unix:/var/lib/incus/unix.socket
  client_cert:
    description:
      - Certificate of the client for https, a file on the host.
    type: path
  client_key:
    description:
      - Its key, a file on the host.
    type: path
  server_cert:
    description:
      - The certificate that the server at a https O(url) must have, a file on the host such as
        C(/var/lib/incus/server.crt), or C(cluster.crt) there for a member of a cluster.
      - If this is not given, its certificate must be of an authority that the host trusts, and be for the name in
        O(url). A connection that is not verified is never used.
    type: path
  project:
    description:
      - The Incus project to work in.
    type: str
    default: default
  request_timeout:
    description:
      - Seconds that Incus may take to answer a request.
    type: int
    default: 120
  operation_timeout:
    description:
      - Seconds that Incus may take for each thing that it does in the background, such as creating, starting or
        deleting an instance. What does not end in time may still be going on. The next run waits for it, for as long.
    type: int
    default: 300
requirements:
  - pylxd >= 2.3 (the role P(inx.fleet.host#role) installs it under C(/opt/inx-fleet), where the modules find it)
  - Incus >= 6.0
"""
