# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.incus.endpoint import Endpoint, endpoint_from

URL = "https://127.0.0.1:8443"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Certificates and a key, which only look like some."""
    for name in ("client_cert", "server_cert"):
        (tmp_path / name).write_text(ssl.DER_cert_to_PEM_cert(b"x"), encoding="ascii")
    (tmp_path / "client_key").write_text("k", encoding="ascii")
    return {name: str(tmp_path / name) for name in ("client_cert", "client_key", "server_cert")}


def endpoint(url: str, **given: str | int | None) -> Endpoint:
    certificates = {"client_cert": None, "client_key": None, "server_cert": None}
    return endpoint_from({**certificates, "request_timeout": 120, "operation_timeout": 300, "url": url, **given})


def test_a_pinned_server(files: dict[str, str]) -> None:
    found = endpoint(f"{URL}/", **files)
    assert not found.is_local
    assert found.arguments == {
        "endpoint": URL,
        "cert": (files["client_cert"], files["client_key"]),
        "verify": files["server_cert"],
    }


def test_without_a_certificate_of_the_server_it_is_verified_as_any(files: dict[str, str]) -> None:
    assert endpoint(URL, **{**files, "server_cert": None}).arguments["verify"] is True


@pytest.mark.parametrize("missing", ["client_cert", "client_key"])
def test_the_client_has_to_show_who_it_is(files: dict[str, str], missing: str) -> None:
    with pytest.raises(FleetError, match=f"needs '{missing}'"):
        endpoint(URL, **{**files, missing: None})


def test_certificates_are_for_https(files: dict[str, str]) -> None:
    for url in ("unix:/var/lib/incus/unix.socket", "http://127.0.0.1"):
        with pytest.raises(FleetError, match="Certificates go with https"):
            endpoint(url, **files)


def test_what_is_no_certificate(files: dict[str, str]) -> None:
    with pytest.raises(FleetError, match="not a certificate in PEM format"):
        endpoint(URL, **{**files, "server_cert": files["client_key"]})
    with pytest.raises(FleetError, match="cannot be read"):
        endpoint(URL, **{**files, "client_key": "/nothing"})


@pytest.mark.parametrize("url", ["http://127.0.0.1:8443", "127.0.0.1", "unix:relative", "ftp://h"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(FleetError, match="is not the URL of an Incus socket"):
        endpoint(url)


@pytest.mark.parametrize("option", ["request_timeout", "operation_timeout"])
def test_what_is_no_time(option: str) -> None:
    with pytest.raises(FleetError, match=f"{option} is 0, but it is a number of seconds"):
        endpoint("https://h:8443", **{option: 0})
