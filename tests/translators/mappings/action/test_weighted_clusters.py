"""Shares of requests: exact ranges, one small document per change of a weight."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.translators.route_parts import header, http_filter, packed, route_outcome
from translators.variant import BLACKHOLE_ID

CLUSTERS = ("v1", "v2", "v3")


def weighted(*entries: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"route": {"weighted_clusters": {"clusters": list(entries)}, **fields}}


def entry(name: str, weight: int, **fields: Any) -> dict[str, Any]:
    return {"name": name, "weight": weight, **fields}


def rules(outcome: Any) -> list[dict[str, Any]]:
    return outcome.only.volatile["traffic-split"]["rules"]


def targets(outcome: Any) -> list[str]:
    return [rule["weighted_upstreams"][0]["upstream_id"].partition(".")[0] for rule in rules(outcome)]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=3).filter(any))
def test_each_cluster_gets_its_share(weights: list[int]):
    outcome = route_outcome(
        weighted(*(entry(name, weight) for name, weight in zip(CLUSTERS, weights, strict=False))), clusters=CLUSTERS
    )
    drawn = dict.fromkeys(CLUSTERS, 0)
    patterns = [
        (target, re.compile(rule["match"][0]["vars"][0][2]) if "match" in rule else None)
        for target, rule in zip(targets(outcome), rules(outcome), strict=True)
    ]
    step = 64
    for value in range(0, 65536, step):
        request_id = f"0000{value:04x}"
        drawn[next(target for target, pattern in patterns if pattern is None or pattern.match(request_id))] += step
    for name, weight in zip(CLUSTERS, weights, strict=False):
        assert abs(drawn[name] - 65536 * weight / sum(weights)) <= step
        assert weight or name not in targets(outcome)


def test_a_new_weight_changes_nothing_but_the_volatile_part():
    before = route_outcome(weighted(entry("v1", 90), entry("v2", 10)), clusters=CLUSTERS).only
    after = route_outcome(weighted(entry("v1", 80), entry("v2", 20)), clusters=CLUSTERS).only
    whole = route_outcome(weighted(entry("v1", 100), entry("v2", 0)), clusters=CLUSTERS).only
    assert before.fields == after.fields == whole.fields
    assert before.volatile != after.volatile


def test_the_route_carries_the_upstream_of_the_first_cluster_that_exists_whatever_its_weight():
    for weights in ((0, 1, 1), (1, 0, 0), (3, 2, 1)):
        entries = [entry(name, weight) for name, weight in zip(("gone", "v2", "v3"), weights, strict=True)]
        part = route_outcome(weighted(*entries), clusters=CLUSTERS).only
        assert part.fields["upstream_id"].startswith("v2.")
    unknown = route_outcome(weighted(entry("gone", 1), entry("lost", 1)), clusters=CLUSTERS).only
    assert unknown.fields["upstream_id"] == "xds-blackhole"


def test_the_only_entry_needs_no_draw():
    part = route_outcome(weighted(entry("v1", 5)), clusters=CLUSTERS).only
    assert part.volatile == {}


def test_weights_of_zero_lead_nowhere():
    outcome = route_outcome(weighted(entry("v1", 0)), clusters=CLUSTERS)
    assert (outcome.answer["http_status"], outcome.codes) == (503, ["CFG-INVALID"])
    assert outcome.only.is_blocking


def test_connect_timeouts_add_up_to_the_longest():
    clusters = [{"name": "v1", "connect_timeout": "1s"}, {"name": "v2", "connect_timeout": "2.5s"}]
    part = route_outcome(weighted(entry("v1", 1), entry("v2", 1)), clusters=clusters).only
    assert part.fields["timeout"] == {"connect": 2.5, "read": 15, "send": 15}


def test_an_unknown_cluster_keeps_its_share():
    outcome = route_outcome(weighted(entry("v1", 1), entry("gone", 1)), clusters=CLUSTERS)
    assert targets(outcome) == ["v1", BLACKHOLE_ID]
    assert outcome.codes == ["RA-CLUSTER-UNKNOWN"]


def test_an_unknown_cluster_with_another_answer_gets_a_route_of_its_own():
    route = weighted(entry("gone", 1), entry("v1", 1), cluster_not_found_response_code="INTERNAL_SERVER_ERROR")
    first, second = route_outcome(route, clusters=CLUSTERS).parts
    assert (first.suffix, first.fields["plugins"]["fault-injection"]["abort"]["http_status"]) == ("gone", 500)
    assert first.conditions
    assert second.fields["upstream_id"].startswith("v1.")
    assert not second.conditions


def test_an_entry_by_header_leads_to_each_cluster():
    outcome = route_outcome(weighted({"cluster_header": "x-c", "weight": 1}, entry("v1", 1)), clusters=CLUSTERS)
    assert [part.suffix for part in outcome.parts] == ["x-c.v1", "x-c.v2", "x-c.v3", "x-c", "v1"]
    first, *_, unnamed, last = outcome.parts
    (draw,) = unnamed.conditions
    assert first.conditions == (draw, ("http_x_c", "==", "v1"))
    assert unnamed.is_blocking
    assert (last.conditions, outcome.codes) == ((), [])


@pytest.mark.parametrize("draw", [{"header_name": "x-draw"}, {"use_hash_policy": True}])
def test_draws_that_are_not_random_are_said(draw: dict[str, Any]):
    clusters = [entry("v1", 1), entry("v2", 1)]
    outcome = route_outcome({"route": {"weighted_clusters": {"clusters": clusters, **draw}}}, clusters=CLUSTERS)
    assert outcome.codes == ["RA-HASH-COOKIE"]


def test_entries_with_headers_of_their_own_become_routes():
    own = {"request_headers_to_add": [header("x-version", "%UPSTREAM_CLUSTER%")]}
    outcome = route_outcome(weighted(entry("v1", 1, **own), entry("v1", 1), entry("v2", 2)), clusters=CLUSTERS)
    assert [part.suffix for part in outcome.parts] == ["v1", "v1#2", "v2"]
    assert [bool(part.conditions) for part in outcome.parts] == [True, True, False]
    assert [part.fields.get("plugins", {}) for part in outcome.parts] == [
        {"proxy-rewrite": {"headers": {"add": {"x-version": "v1"}}, "use_real_request_uri_unsafe": True}},
        {},
        {},
    ]
    assert all(not part.volatile for part in outcome.parts)


def test_entries_with_hosts_of_their_own_become_routes():
    route = weighted(
        entry("v1", 1, host_rewrite_literal="v1.example"),
        entry("v2", 1, host_rewrite_literal="under_score"),
        entry("v3", 1),
        host_rewrite_literal="all.example",
    )
    parts = route_outcome(route, clusters=CLUSTERS).parts
    hosts = [part.fields.get("plugins", {}).get("proxy-rewrite", {}).get("host") for part in parts]
    assert hosts == ["v1.example", None, "all.example"]


def test_entries_with_filters_of_their_own_become_routes():
    off = packed("envoy.config.route.v3.FilterConfig", {"disabled": True})
    route = weighted(entry("v1", 1, typed_per_filter_config={"guard": off}), entry("v2", 1))
    filters = [http_filter(".ext_authz.v3.ExtAuthz")]
    first, second = route_outcome(route, clusters=CLUSTERS, filters=filters).parts
    assert first.fields["upstream_id"].startswith("v1.")
    assert second.is_blocking


def test_metadata_alone_stays_in_the_variant():
    metadata = {"filter_metadata": {"envoy.lb": {"version": "1"}}}
    part = route_outcome(weighted(entry("v1", 1, metadata_match=metadata), entry("v2", 1)), clusters=CLUSTERS).only
    assert part.volatile
