from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import xds
from tests.translators.unit_outcome import message, packed
from translators.validate import problem_of
from translators.variant import BLACKHOLE_ID, Variant, blackhole, upstream_id, variant_of

RING = {"name": "c", "lb_policy": "RING_HASH"}


def use(**fields: Any) -> xds.Message:
    return message(xds.ROUTE_ACTION, fields)


def of(cluster: dict[str, Any], **fields: Any) -> Variant:
    return variant_of(message(xds.CLUSTER, {"name": "c", **cluster}), use(**fields))


def test_a_plain_use_is_the_default_variant():
    assert variant_of(None, None) == Variant() == of({}) == of({}, timeout="3s")
    assert Variant().canonical() == "{}"
    assert Variant().summary() == ""


@pytest.mark.parametrize(
    ("policy", "retries"),
    [
        ({"retry_on": "5xx"}, 1),
        ({"retry_on": "connect-failure, refused-stream", "num_retries": 2}, 2),
        ({"retry_on": "retriable-4xx", "num_retries": 2}, 0),
        ({"retry_on": "", "num_retries": 2}, 0),
        ({"retry_on": "reset", "num_retries": 0}, 0),
        ({"retry_on": "reset", "num_retries": 4_000_000_000}, 255),
    ],
)
def test_retries_are_those_that_nginx_can_make(policy: dict[str, Any], retries: int):
    assert of({}, retry_policy=policy).retries == retries


def test_the_route_timeout_bounds_all_tries():
    policy = {"retry_on": "5xx"}
    assert of({}, retry_policy=policy).retry_timeout_s == 15
    assert of({}, retry_policy=policy, timeout="2.5s").retry_timeout_s == 2.5
    assert of({}, retry_policy=policy, timeout="0s").retry_timeout_s == 0
    assert of({}, timeout="2.5s").retry_timeout_s == 0


@pytest.mark.parametrize(
    ("hash_policy", "expected"),
    [
        ([{"header": {"header_name": "X-User"}}], ("header", "x-user")),
        ([{"cookie": {"name": "sid", "ttl": "0s"}}], ("cookie", "sid")),
        ([{"connection_properties": {"source_ip": True}}], ("vars", "remote_addr")),
        ([{"query_parameter": {"name": "q"}}], ("vars", "arg_q")),
        ([{"header": {"header_name": ":path"}}], ("vars_combinations", "${real_request_uri}")),
        (
            [{"header": {"header_name": "x-a"}}, {"cookie": {"name": "b"}}],
            ("vars_combinations", "${http_x_a}${cookie_b}"),
        ),
        ([{"header": {"header_name": "x-a"}, "terminal": True}, {"cookie": {"name": "b"}}], ("header", "x-a")),
        ([{"filter_state": {"key": "k"}}], ("", "")),
        ([{"header": {"header_name": "x-a", "regex_rewrite": {"pattern": {"regex": "a"}}}}], ("", "")),
    ],
)
def test_hash_policies(hash_policy: list[dict[str, Any]], expected: tuple[str, str]):
    variant = of(RING, hash_policy=hash_policy)
    assert (variant.hash_on, variant.hash_key) == expected
    assert of({"lb_policy": "LEAST_REQUEST"}, hash_policy=hash_policy).hash_on == ""


def test_an_extension_policy_replaces_the_enum():
    ring = packed("envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash")
    unknown = packed("xds.type.v3.TypedStruct", {"type_url": "x.y/Custom", "value": {}})
    policies = [
        {"typed_extension_config": {"name": "a", "typed_config": unknown}},
        {"typed_extension_config": {"name": "b", "typed_config": ring}},
    ]
    cluster = {"lb_policy": "ROUND_ROBIN", "load_balancing_policy": {"policies": policies}}
    assert of(cluster, hash_policy=[{"header": {"header_name": "x"}}]).hash_on == "header"


def test_the_cluster_gives_defaults_of_routes():
    options = packed(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        {"retry_policy": {"retry_on": "5xx", "num_retries": 3}, "explicit_http_config": {"http_protocol_options": {}}},
    )
    cluster = {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}}
    assert of(cluster).retries == 3
    assert of(cluster, retry_policy={"retry_on": "reset"}).retries == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"auto_host_rewrite": True}, ("node", "")),
        ({"auto_host_rewrite": False}, ("pass", "")),
        ({"host_rewrite_literal": "plain.example:8080"}, ("pass", "")),
        ({"host_rewrite_literal": "under_score.example"}, ("rewrite", "under_score.example")),
        ({"host_rewrite_literal": "[::1]:80"}, ("rewrite", "[::1]:80")),
        ({"host_rewrite_literal": "a b"}, ("pass", "")),
    ],
)
def test_only_hosts_that_proxy_rewrite_cannot_hold_are_the_upstreams(fields: dict[str, Any], expected: tuple[str, str]):
    variant = of({}, **fields)
    assert (variant.pass_host, variant.upstream_host) == expected


def test_a_subset_counts_only_where_the_cluster_has_subsets():
    match = {"filter_metadata": {"envoy.lb": {"version": "v1", "canary": True}}}
    assert of({}, metadata_match=match).subset == ""
    subsets = {"lb_subset_config": {"subset_selectors": [{"keys": ["version"]}]}}
    assert of(subsets, metadata_match=match).subset == '{"canary":true,"version":"v1"}'


def test_tcp_proxies_are_variants_of_their_own():
    proxy = message(
        xds.TCP_PROXY, {"hash_policy": [{"source_ip": {}}], "max_connect_attempts": 3, "idle_timeout": "0s"}
    )
    variant = variant_of(message(xds.CLUSTER, RING), proxy, "l4")
    assert variant == Variant("l4", retries=2, hash_on="vars", hash_key="remote_addr", idle_timeout_s=0)
    assert variant.summary() == "l4,r2,vars:remote_addr"
    assert upstream_id("c", variant) != upstream_id("c", Variant())


@given(st.sampled_from(["pass", "node"]), st.integers(0, 5), st.sampled_from(["", "a"]), st.sampled_from(["l7", "l4"]))
def test_equal_variants_and_only_they_have_one_id(pass_host: Any, retries: int, host: str, layer: Any):
    variant = Variant(layer, retries, pass_host=pass_host, upstream_host=host)
    again = Variant(**{"layer": "l7", "pass_host": "pass", **orjson.loads(variant.canonical())})
    assert again == variant
    assert upstream_id("c", variant) == upstream_id("c", again)
    assert (upstream_id("c", variant) == upstream_id("c", Variant())) == (variant == Variant())


def test_ids_hold_no_characters_of_cluster_names():
    assert upstream_id("outbound|9080|v1|reviews", Variant()).startswith("outbound-9080-v1-reviews.")


def test_the_blackhole_is_a_valid_upstream_without_nodes():
    assert blackhole().key == f"/upstreams/{BLACKHOLE_ID}"
    assert orjson.loads(blackhole().value)["nodes"] == []
    assert problem_of(blackhole()) is None


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, 3600),
        ({"idle_timeout": "9s"}, 9),
        ({"idle_timeout": "9s", "downstream_idle_timeout": "8s", "upstream_idle_timeout": "7s"}, 7),
        ({"idle_timeout": "0s", "upstream_idle_timeout": "7s"}, 7),
        ({"idle_timeout": "0s", "upstream_idle_timeout": "0s"}, 0),
    ],
)
def test_a_connection_may_be_idle_as_long_as_no_side_minds(fields: dict[str, Any], seconds: float):
    assert variant_of(None, message(xds.TCP_PROXY, fields), "l4").idle_timeout_s == seconds
