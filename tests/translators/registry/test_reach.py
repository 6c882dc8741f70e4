"""The descriptor walk: no field that a mapping can meet lacks a decision, and what is said to be read is (law 8)."""

from __future__ import annotations

import re
from pathlib import Path

import translators
from translators.registry import ROWS, Handled, reach

PROJECT = Path(translators.__file__).parent.parent
ROUTE = "envoy.config.route.v3"
CORS = ("envoy.extensions.filters.http.cors.v3.CorsPolicy", f"{ROUTE}.CorsPolicy")
BY_ELIMINATION = {
    *(f"envoy.type.matcher.v3.ValueMatcher.{kind}_match" for kind in ("null", "double", "bool", "list", "or")),
    *(
        f"envoy.config.accesslog.v3.AccessLogFilter.{kind}_filter"
        for kind in ("traceable", "response_flag", "grpc_status", "extension", "metadata", "log_type")
    ),
    f"{ROUTE}.RateLimit.Action.dynamic_metadata",
    f"{ROUTE}.Route.filter_action",
    f"{ROUTE}.Route.non_forwarding_action",
    "envoy.config.core.v3.HealthCheck.custom_health_check",
}
"""Members of a oneof that the mapping takes as `none of those I know`."""
BY_BUILT_NAME = {
    *(f"{policy}.{field}" for policy in CORS for field in ("allow_methods", "allow_headers")),
    *(
        f"envoy.config.cluster.v3.OutlierDetection.enforcing_consecutive_{kind}"
        for kind in ("5xx", "gateway_failure", "local_origin_failure")
    ),
}
"""The mapping puts the field's name together, as `f"allow_{field}"`."""


def words_of_the_sources() -> set[str]:
    found: set[str] = set()
    for package in ("translators", "producers"):
        for source in (PROJECT / package).rglob("*.py"):
            if "registry" not in source.parts:
                found.update(re.findall(r"\w+", source.read_text()))
    return found


def test_every_reachable_field_has_a_row():
    assert reach.undecided_fields() == []


def test_the_walk_goes_deep_and_into_extensions():
    walked = {field.full_name for field in reach.reachable_fields()}
    assert len(walked) > 1000
    assert "envoy.config.rbac.v3.Principal.Authenticated.principal_name" in walked
    assert "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext.require_client_certificate" in walked
    assert "envoy.config.endpoint.v3.LbEndpoint.health_status" in walked
    assert "xds.type.matcher.v3.Matcher.MatcherTree.MatchMap.map" in walked


def test_what_is_decided_as_a_whole_is_not_walked():
    walked = {field.full_name for field in reach.reachable_fields()}
    assert "envoy.config.cluster.v3.Cluster.circuit_breakers" in walked
    assert "envoy.config.cluster.v3.CircuitBreakers.thresholds" not in walked


def test_a_field_without_a_row_is_found(monkeypatch):
    lost = "envoy.config.endpoint.v3.LbEndpoint.health_status"
    monkeypatch.delitem(ROWS, lost)
    assert reach.undecided_fields() == [lost]


def test_what_is_said_to_be_read_is_read_somewhere():
    words = words_of_the_sources()
    unread = {
        name
        for name, row in ROWS.items()
        if isinstance(row, Handled) and row.apply is None and name.rpartition(".")[2] not in words
    }
    assert unread == BY_ELIMINATION | BY_BUILT_NAME
