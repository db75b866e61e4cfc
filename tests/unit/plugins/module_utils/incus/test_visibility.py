# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""As Incus 6.0.4 and 7.0.2 answer."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.incus.visibility import hidden_because

TLS: dict[str, Any] = {"auth_user_method": "tls", "config": {"core.https_address": "127.0.0.1:8443"}}
FULL = {"restricted": False, "projects": []}


@pytest.mark.parametrize(
    ("info", "certificate"),
    [({"auth_user_method": "unix", "config": {}}, None), (TLS, FULL), ({**TLS, "config": {"cluster.x": "1"}}, FULL)],
)
def test_who_sees_all(info: dict[str, Any], certificate: dict[str, Any] | None) -> None:
    assert hidden_because(info, certificate) is None


@pytest.mark.parametrize(
    ("info", "certificate", "why"),
    [
        (TLS, {"restricted": True, "projects": ["shop", "ci"]}, "restricted to some projects (shop, ci)"),
        (TLS, {"restricted": True, "projects": []}, "restricted to some projects (none)"),
        (TLS, None, "may not list all"),
        ({**TLS, "config": {}}, FULL, "may not list all"),
        ({**TLS, "config": {**TLS["config"], "authorization.scriptlet": "def"}}, FULL, "may not list all"),
        ({**TLS, "config": {**TLS["config"], "openfga.api.url": "https://"}}, FULL, "may not list all"),
        ({"auth_user_method": "oidc", "config": TLS["config"]}, None, "may not list all"),
        ({}, None, "may not list all"),
    ],
)
def test_who_may_not(info: dict[str, Any], certificate: dict[str, Any] | None, why: str) -> None:
    told = hidden_because(info, certificate)
    assert told is not None
    assert why in told
