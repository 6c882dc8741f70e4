"""UDP listeners: one cluster for all datagrams, or none."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from schemas.records import Role, UnitKind
from tests.translators.unit_outcome import Outcome, cluster_outcome, lb_endpoint, locality, outcome, packed, resource
from translators.variant import BLACKHOLE_ID

UDP = "envoy.extensions.filters.udp.udp_proxy.v3"


def listener(*filters: dict[str, Any], **fields: Any) -> Outcome:
    address = {"socket_address": {"address": "10.0.0.9", "port_value": 53, "protocol": "UDP"}}
    data = {"name": "dns", "address": address, "listener_filters": list(filters), **fields}
    resources = [resource(Role.SUBJECT, xds.LISTENER, data), resource(Role.REFERENCE, xds.CLUSTER, {"name": "db"})]
    return outcome(UnitKind.STREAM, resources)


def proxy(**fields: Any) -> dict[str, Any]:
    return {"name": "proxy", "typed_config": packed(f"{UDP}.UdpProxyConfig", fields)}


def to(cluster: str) -> dict[str, Any]:
    return {"action": {"name": "route", "typed_config": packed(f"{UDP}.Route", {"cluster": cluster})}}


def test_datagrams_go_to_the_cluster():
    found = listener(proxy(cluster="db"))
    assert (found.value["server_port"], found.value["server_addr"]) == (53, "10.0.0.9")
    assert found.codes == []
    use = resource(Role.USE, xds.UDP_PROXY, {"cluster": "db"}, "udp")
    upstream = outcome(UnitKind.CLUSTER, [resource(Role.SUBJECT, xds.CLUSTER, {"name": "db"}), use])
    assert upstream.objects[0].key == f"/upstreams/{found.value['upstream_id']}"
    assert (upstream.value["scheme"], upstream.value["timeout"]["read"]) == ("udp", 60)


def test_a_matcher_whose_every_way_leads_to_one_cluster_is_one():
    predicate = {"single_predicate": {"value_match": {"exact": "a"}}}
    both = {"matcher_list": {"matchers": [{"predicate": predicate, "on_match": to("db")}]}, "on_no_match": to("db")}
    assert listener(proxy(matcher=both)).value["upstream_id"] == listener(proxy(cluster="db")).value["upstream_id"]
    for matcher in (
        {**both, "on_no_match": to("other")},
        {"matcher_list": both["matcher_list"]},
        {"matcher_tree": {"exact_match_map": {"map": {"a": to("db")}}}, "on_no_match": to("db")},
    ):
        found = listener(proxy(matcher=matcher))
        assert (found.objects, found.codes) == ((), ["LST-MATCHER"])


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ((), "LST-ADDR"),
        (({"name": "dns_filter"},), "L4-FILTER"),
        ((proxy(cluster="db", tunneling_config={}),), "L4-FEATURE"),
        ((proxy(cluster="db"), {"name": "other"}), "L4-FILTER"),
    ],
)
def test_what_else_is_asked_is_not_served(filters: tuple[dict[str, Any], ...], code: str):
    found = listener(*filters)
    assert (found.objects, found.codes) == ((), [code])


def test_a_cluster_that_is_not_known():
    found = listener(proxy(cluster="gone"))
    assert found.codes == ["RA-CLUSTER-UNKNOWN"]
    assert any(value.get("upstream_id") == BLACKHOLE_ID for value in found.values)


def test_endpoints_of_udp_are_for_udp_only():
    endpoint = lb_endpoint("10.0.0.1")
    endpoint["endpoint"]["address"]["socket_address"]["protocol"] = "UDP"
    assert cluster_outcome({}, [locality(endpoint)]).codes == ["EP-ADDR"]
