"""Clusters that a header of the request names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.translators.route_parts import AT, context, header, http_filter, message, route_outcome
from translators.action import build_parts
from translators.findings import Findings

ROUTE = {"match": {"prefix": "/"}, "route": {"cluster_header": "X-Cluster"}}
MUTATION = ".header_mutation.v3.HeaderMutation"
DENY = {"rules": {"action": "DENY", "policies": {"p": {"permissions": [{"any": True}], "principals": [{"any": True}]}}}}


def test_a_part_for_each_cluster_then_an_answer():
    outcome = route_outcome(ROUTE, clusters=("b", "a"))
    assert [(part.suffix, part.conditions) for part in outcome.parts] == [
        ("a", (("http_x_cluster", "==", "a"),)),
        ("b", (("http_x_cluster", "==", "b"),)),
        ("", ()),
    ]
    first, second, last = outcome.parts
    assert [one.fields["upstream_id"].partition(".")[0] for one in (first, second)] == ["a", "b"]
    assert (last.is_blocking, last.fields["plugins"]["fault-injection"]["abort"]["http_status"]) == (True, 503)
    assert outcome.codes == []


def test_a_cluster_more_renames_nothing():
    before, after = (route_outcome(ROUTE, clusters=names).parts for names in (("a", "c"), ("a", "b", "c")))
    assert [part for part in after if part.suffix != "b"] == before


def test_too_many_clusters_are_told():
    around = replace(context(), has_all_clusters=False)
    findings = Findings(around.policy)
    (part,) = build_parts(message("envoy.config.route.v3.Route", ROUTE), around, AT, findings)
    assert part.is_blocking
    assert [found.code for found in findings.diagnostics()] == ["RA-CLUSTER-HEADER"]


@pytest.mark.parametrize(
    "mutation",
    [{"remove": "x-cluster"}, {"append": header("X-Cluster", "a")}],
)
def test_a_filter_that_changes_the_header_would_be_overlooked(mutation: dict[str, Any]):
    filters = [http_filter(MUTATION, {"mutations": {"request_mutations": [mutation]}})]
    outcome = route_outcome(ROUTE, filters=filters)
    assert outcome.only.is_blocking
    assert outcome.codes == ["RA-CLUSTER-HEADER"]


def test_filters_that_answer_stand_once_in_front():
    conditional = {
        "rules": {
            "action": "DENY",
            "policies": {
                "p": {
                    "permissions": [{"header": {"name": "x-h", "present_match": True}}],
                    "principals": [{"any": True}],
                }
            },
        }
    }
    guarded = route_outcome(ROUTE, clusters=("a", "b"), filters=[http_filter(".rbac.v3.RBAC", conditional)])
    assert [part.is_guard for part in guarded.parts] == [True, False, False, False]
    closed = route_outcome(ROUTE, clusters=("a", "b"), filters=[http_filter(".rbac.v3.RBAC", DENY)])
    assert closed.only.is_blocking
