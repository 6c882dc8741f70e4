"""Circuit breakers limit requests where the operator wants that; everything else they limit is reported."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import forwarded, message, route_outcome
from tests.translators.unit_outcome import cluster_outcome
from translators.mappings.cluster.circuit_breakers import limiting
from translators.policy import Policy

CLUSTER = "envoy.config.cluster.v3.Cluster"
LIMITED = {"thresholds": [{"max_requests": 5}, {"priority": "HIGH", "max_requests": 7}]}
WANTED = {"circuit_breakers": "limit_conn"}


@pytest.mark.parametrize(
    ("breakers", "policy", "is_reported"),
    [
        ({"thresholds": [{"max_requests": 2**32 - 1}]}, {}, False),
        (LIMITED, {}, True),
        (LIMITED, WANTED, False),
        ({"thresholds": [{"max_requests": 5, "max_retries": 1}]}, WANTED, True),
        ({"thresholds": [{"retry_budget": {}}]}, WANTED, True),
        ({"per_host_thresholds": [{"max_connections": 1}]}, WANTED, True),
    ],
)
def test_limits_that_no_route_holds_are_reported(
    breakers: dict[str, Any], policy: dict[str, Any], *, is_reported: bool
):
    outcome = cluster_outcome({"type": "STATIC", "circuit_breakers": breakers}, policy=Policy(**policy))
    assert ("CL-BREAKER" in outcome.codes) is is_reported


@pytest.mark.parametrize(("priority", "count"), [(0, 5), (1, 7)])
def test_each_priority_has_a_limit(priority: int, count: int):
    found = limiting(message(CLUSTER, {"name": "c", "circuit_breakers": LIMITED}), priority)
    assert found["limit-conn"]["conn"] == count


def test_clusters_and_priorities_are_counted_apart():
    clusters = [message(CLUSTER, {"name": name, "circuit_breakers": LIMITED}) for name in "ab"]
    keys = {limiting(cluster, priority)["limit-conn"]["key"] for cluster in clusters for priority in (0, 1)}
    assert len(keys) == 4


def test_a_cluster_without_limits_or_that_is_not_known_has_none():
    assert limiting(None, 0) == {}
    assert limiting(message(CLUSTER, {"name": "c", "circuit_breakers": {"thresholds": [{"max_retries": 1}]}}), 0) == {}


def test_routes_limit_only_where_the_operator_wants_it():
    clusters = ({"name": "backend", "circuit_breakers": LIMITED},)
    assert "limit-conn" not in route_outcome(forwarded(), clusters=clusters).plugins
    limited = route_outcome(forwarded(priority="HIGH"), clusters=clusters, decisions=WANTED)
    assert limited.plugins["limit-conn"]["conn"] == 7


def test_a_draw_among_clusters_is_not_limited():
    clusters = ({"name": "backend", "circuit_breakers": LIMITED}, "other")
    weighted = {"clusters": [{"name": name, "weight": 1} for name in ("backend", "other")]}
    outcome = route_outcome({"route": {"weighted_clusters": weighted}}, clusters=clusters, decisions=WANTED)
    assert ("limit-conn" in outcome.plugins, outcome.codes) == (False, ["CL-BREAKER"])
