from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from translators.findings import Findings
from translators.mappings.listener import listener_filter
from translators.policy import Policy
from translators.where import Where

PACKAGE = "type.googleapis.com/envoy.extensions.filters.listener."
PROXY = {"@type": f"{PACKAGE}proxy_protocol.v3.ProxyProtocol"}


def listener(*filters: dict[str, Any]) -> xds.Message:
    return xds.from_json({"name": "web", "listener_filters": list(filters)}, xds.message_class(xds.LISTENER)())


def said(*filters: dict[str, Any]) -> list[tuple[str, str]]:
    findings = Findings(Policy())
    listener_filter.apply(listener(*filters), None, Where(xds.LISTENER, "web"), findings)
    return [(found.code, found.path) for found in findings.diagnostics()]


@pytest.mark.parametrize(
    "listed",
    [
        {"name": "envoy.filters.listener.tls_inspector"},
        {"name": "x", "typed_config": {"@type": f"{PACKAGE}original_dst.v3.OriginalDst"}},
        {"name": "envoy.filters.listener.proxy_protocol"},
        {"name": "pp", "typed_config": PROXY},
    ],
)
def test_what_nginx_does_anyway(listed: dict[str, Any]):
    assert said(listed) == []


def test_a_filter_that_some_ports_do_without():
    some = {"filter_disabled": {"destination_port_range": {"start": 80, "end": 81}}}
    path = "listener_filters[pp].filter_disabled"
    assert said({"name": "pp", "typed_config": PROXY, **some}) == [("LST-LFILTER", path)]
    assert said({"name": "envoy.filters.listener.tls_inspector", **some}) == []


def test_what_has_no_counterpart():
    source = {"name": "src", "typed_config": {"@type": f"{PACKAGE}original_src.v3.OriginalSrc"}}
    assert said(source, {"name": ""}) == [
        ("LST-LFILTER", "listener_filters[1]"),
        ("LST-LFILTER", "listener_filters[src]"),
    ]


def test_proxy_protocol_is_never_optional():
    listed = {"name": "pp", "typed_config": {**PROXY, "allow_requests_without_proxy_protocol": True}}
    assert said(listed) == [("LST-LFILTER", "listener_filters[pp].allow_requests_without_proxy_protocol")]


def test_who_speaks_proxy_protocol():
    assert listener_filter.speaks_proxy_protocol(listener({"name": "pp", "typed_config": PROXY}))
    assert listener_filter.speaks_proxy_protocol(listener({"name": "envoy.filters.listener.proxy_protocol"}))
    assert not listener_filter.speaks_proxy_protocol(listener({"name": "envoy.filters.listener.tls_inspector"}))
