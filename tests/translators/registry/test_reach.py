"""The descriptor walk: no field that a mapping can meet is without a decision, and what is said to be read is (law 8)."""

from __future__ import annotations

import re
from pathlib import Path

import translators
from translators.registry import ROWS, Handled, reach

PROJECT = Path(translators.__file__).parent.parent
READ_BY_TYPE = {
    "envoy.config.core.v3.RuntimeFractionalPercent",
}


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
    unread = [
        name
        for name, row in ROWS.items()
        if isinstance(row, Handled) and row.apply is None and name.rpartition(".")[2] not in words
    ]
    assert unread == []
