# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether Incus may hide instances from this user.

Incus leaves out of a list what the user has no permission for, and says nothing. Asked for one instance it answers 403
to those who may not know, and 404 only when there is none. So a list never proves that something is gone; a 404 does.
(Tried on 6.0.4 and 7.0.2 with restricted certificates and with authorization.scriptlet. A 7.0 lists nothing, where 6.0
answers 500, in a project that the user may not see.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What to do about a list that may be incomplete.
FULL_VIEW = (
    "For all of them, run the task without 'url', as root at the host's own socket, or with a certificate that is not "
    "restricted."
)
# Configuration with which the server itself decides who sees what. Scriptlets hold for certificates, too.
_AUTHORIZATION = ("authorization.", "openfga.")


def hidden_because(info: Mapping[str, Any], certificate: Mapping[str, Any] | None) -> str | None:
    """Return why lists may lack instances, None when they have all.

    ``info`` is the answer of GET /1.0, ``certificate`` that of GET /1.0/certificates/NAME for the user's own one, None
    when Incus does not show it.
    """
    method = info.get("auth_user_method")
    if method == "unix":
        return None
    if method == "tls" and certificate is not None:
        if certificate.get("restricted"):
            projects = ", ".join(certificate.get("projects") or ()) or "none"
            return f"The certificate is restricted to some projects ({projects}): Incus does not list other instances."
        # A server's address is in its configuration: without it, the configuration is hidden.
        config = info.get("config") or {}
        if config and not any(key.startswith(_AUTHORIZATION) for key in config):
            return None
    return "Incus may not list all instances to this user."
