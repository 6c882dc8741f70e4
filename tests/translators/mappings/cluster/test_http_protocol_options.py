"""The SNI that Envoy makes of a request is the Host header, or it is said to be another."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.unit_outcome import cluster_outcome, lb_endpoint, locality, packed

HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
SOCKET = {"transport_socket": {"name": "tls", "typed_config": packed(TLS)}}
ENDPOINTS = [locality(lb_endpoint("10.0.0.1"))]


def in_extension(**options: Any) -> dict[str, Any]:
    whole = {"explicit_http_config": {"http_protocol_options": {}}, "upstream_http_protocol_options": options}
    return {"typed_extension_protocol_options": {HTTP: packed(HTTP, whole)}}


def in_cluster(**options: Any) -> dict[str, Any]:
    return {"upstream_http_protocol_options": options}


@pytest.mark.parametrize("place", [in_extension, in_cluster])
def test_the_host_header_as_sni_is_what_nginx_sends(place):
    assert cluster_outcome({**SOCKET, **place(auto_sni=True)}, ENDPOINTS).codes == []


@pytest.mark.parametrize("place", [in_extension, in_cluster])
def test_another_header_as_sni_is_said(place):
    options = place(auto_sni=True, override_auto_sni_header="x-name")
    assert cluster_outcome({**SOCKET, **options}, ENDPOINTS).codes == ["TLS-SNI-HOST"]


@pytest.mark.parametrize("place", [in_extension, in_cluster])
def test_names_that_must_be_verified_close_the_cluster(place):
    options = place(auto_sni=True, auto_san_validation=True)
    assert cluster_outcome({**SOCKET, **options}, ENDPOINTS).codes == ["TLS-UPSTREAM-UNVERIFIED"]
