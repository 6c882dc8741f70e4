from __future__ import annotations

from typing import Any

import pytest

from tests.translators.unit_outcome import cluster_outcome, lb_endpoint, locality


def socket(**fields: Any) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": "10.0.0.9", **fields}}}}


@pytest.mark.parametrize(
    ("endpoint", "path", "value"),
    [
        ({"endpoint": {"address": {"pipe": {"path": "/run/x.sock"}}}}, "pipe", "/run/x.sock"),
        (
            {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "in"}}}},
            "envoy_internal_address",
            "in",
        ),
        ({"endpoint": {}}, "address", ""),
        (socket(port_value=0), "socket_address.port_value", "0"),
        (socket(port_value=65536), "socket_address.port_value", "65536"),
        (socket(named_port="http"), "socket_address.port_value", "http"),
        (socket(port_value=53, protocol="UDP"), "socket_address.protocol", "UDP"),
        (lb_endpoint("bad host"), "socket_address.address", "bad host"),
        (lb_endpoint("fe80::1%eth0"), "socket_address.address", "fe80::1%eth0"),
        (lb_endpoint("a" * 254), "socket_address.address", "a" * 254),
    ],
)
def test_addresses_that_apisix_cannot_use_are_left_out(endpoint: dict[str, Any], path: str, value: str):
    found = cluster_outcome({}, [locality(endpoint, lb_endpoint("10.0.0.1"))])
    assert [node["host"] for node in found.value["nodes"]] == ["10.0.0.1"]
    (diagnostic,) = found.diagnostics
    assert (diagnostic.code, diagnostic.value) == ("EP-ADDR", value)
    assert diagnostic.path == f"endpoints[0].lb_endpoints[0].endpoint.address.{path}"


def test_endpoints_by_name():
    assignment = {"named_endpoints": {"a": lb_endpoint("10.0.0.7")["endpoint"]}}
    found = cluster_outcome({}, [locality({"endpoint_name": "a"}, {"endpoint_name": "b"})], assignment=assignment)
    assert [node["host"] for node in found.value["nodes"]] == ["10.0.0.7"]
    (diagnostic,) = found.diagnostics
    assert (diagnostic.code, diagnostic.value) == ("EP-ADDR", "b")


def test_endpoints_in_a_list():
    listed = {"load_balancer_endpoints": {"lb_endpoints": [lb_endpoint("10.0.0.7")]}}
    assert [node["host"] for node in cluster_outcome({}, [listed]).value["nodes"]] == ["10.0.0.7"]


def test_endpoints_by_discovery_of_their_own():
    leds = {"leds_cluster_locality_config": {"leds_collection_name": "x"}}
    found = cluster_outcome({}, [leds, locality(lb_endpoint("10.0.0.1"))])
    assert (len(found.value["nodes"]), found.codes) == (1, ["EP-LEDS"])


def test_a_weight_of_zero_gets_no_traffic():
    found = cluster_outcome({}, [locality(lb_endpoint("10.0.0.1", load_balancing_weight=0))])
    assert found.value["nodes"] == []
