from __future__ import annotations

import pytest

from schemas.uses import reduce_use
from tests.translators.route_parts import forwarded, message, packed, route_outcome
from translators.variant import BLACKHOLE_ID, upstream_id, variant_of

ACTION = "envoy.config.route.v3.RouteAction"


def test_the_upstream_is_the_one_that_the_cluster_unit_emits():
    cluster = {"name": "backend", "lb_policy": "MAGLEV"}
    action = {
        "cluster": "backend",
        "hash_policy": [{"header": {"header_name": "x-user"}}],
        "retry_policy": {"retry_on": "reset", "num_retries": 4},
    }
    part = route_outcome({"route": action}, clusters=[cluster]).only
    use = reduce_use(message(ACTION, action))
    known = message("envoy.config.cluster.v3.Cluster", cluster)
    assert part.fields["upstream_id"] == upstream_id("backend", variant_of(known, use, "l7"))


def test_an_unknown_cluster_leads_to_the_placeholder():
    outcome = route_outcome(forwarded(), clusters=())
    assert outcome.only.fields["upstream_id"] == BLACKHOLE_ID
    assert [(one.code, one.path) for one in outcome.diagnostics] == [
        ("RA-CLUSTER-UNKNOWN", "virtual_hosts[shop].routes[0].route.cluster")
    ]


@pytest.mark.parametrize(("code", "status"), [("NOT_FOUND", 404), ("INTERNAL_SERVER_ERROR", 500)])
def test_an_unknown_cluster_is_answered_as_wanted(code: str, status: int):
    outcome = route_outcome(forwarded(cluster_not_found_response_code=code), clusters=())
    assert outcome.answer == {"http_status": status, "body": ""}
    assert outcome.codes == ["RA-CLUSTER-UNKNOWN"]


def test_a_known_cluster_ignores_what_would_be_answered():
    outcome = route_outcome(forwarded(cluster_not_found_response_code="NOT_FOUND"))
    assert outcome.only.fields["upstream_id"].startswith("backend.")


def test_grpc_has_an_upstream_of_its_own_where_the_cluster_takes_both_protocols():
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    chosen = packed(options, {"use_downstream_protocol_config": {}})
    clusters = ({"name": "backend", "typed_extension_protocol_options": {options: chosen}}, "v2")
    grpc, other = route_outcome(forwarded(), clusters=clusters).parts
    assert (grpc.suffix, other.suffix, other.conditions) == ("grpc", "", ())
    assert grpc.conditions[0][0] == "http_content_type"
    assert grpc.fields["upstream_id"] != other.fields["upstream_id"]
    weighted = {"clusters": [{"name": "backend", "weight": 1}, {"name": "v2", "weight": 1}]}
    parts = route_outcome({"route": {"weighted_clusters": weighted}}, clusters=clusters).parts
    assert [part.suffix for part in parts] == ["backend.grpc", "backend", "v2"]
