from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from schemas.records import Resource, Role, UnitKind
from tests.translators.unit_outcome import Outcome, outcome, packed, resource
from translators.policy import Policy, Redirects
from translators.view_unit import PLUGINS

HTTP = [{"name": "envoy.filters.network.http_connection_manager"}]
TCP = [{"name": "envoy.filters.network.tcp_proxy"}]
TLS = {"name": "envoy.transport_sockets.tls"}


def listener(name: str, port: int, *chains: dict[str, Any], address: str = "0.0.0.0", **fields: Any) -> dict[str, Any]:  # noqa: S104 - data
    socket = {"address": address, "port_value": port, **fields.pop("socket", {})}
    return {"name": name, "address": {"socket_address": socket}, "filter_chains": list(chains), **fields}


def viewed(*listeners: dict[str, Any], policy: Policy | None = None, others: tuple[Resource, ...] = ()) -> Outcome:
    stubs = [resource(Role.SUBJECT, xds.LISTENER, data) for data in listeners]
    return outcome(UnitKind.VIEW, [*stubs, *others], policy=policy)


def test_metrics_are_one_global_rule():
    found = viewed()
    assert found.objects[0].key == "/global_rules/xds"
    assert found.value == {"id": "xds", "plugins": {"prometheus": {"prefer_name": True}}}


def test_an_empty_view_needs_no_port():
    assert viewed().manifest == {
        "node_listen": [],
        "plugins": list(PLUGINS),
        "router": "radixtree_host_uri",
        "ssl_listen": [],
        "stream_plugins": ["ip-restriction", "limit-conn", "traffic-split"],
        "stream_tcp": [],
        "stream_udp": [],
    }


def test_ports_by_what_they_speak():
    found = viewed(
        listener("d", 9443, {"filters": TCP, "transport_socket": TLS}),
        listener("a", 8080, {"filters": HTTP}),
        listener("b", 8443, {"filters": HTTP, "transport_socket": TLS}),
        listener("c", 9000, {"filters": TCP, "transport_socket": {"name": "envoy.transport_sockets.raw_buffer"}}),
        listener("e", 8081, default_filter_chain={"filters": HTTP}),
    )
    assert found.manifest["node_listen"] == [{"port": 8080}, {"port": 8081}]
    assert found.manifest["ssl_listen"] == [{"port": 8443}]
    assert found.manifest["stream_tcp"] == [{"addr": 9000, "tls": False}, {"addr": 9443, "tls": True}]
    assert found.codes == []


def test_sockets_in_full_are_looked_into():
    context = packed("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext")
    full = {"name": "x", "typed_config": context}
    assert viewed(listener("a", 8443, {"filters": HTTP, "transport_socket": full})).manifest["ssl_listen"]


def test_what_listens_on_loopback_stays_there():
    found = viewed(
        listener("a", 8080, {"filters": HTTP}, address="127.0.0.1"),
        listener("b", 9000, {"filters": TCP}, address="127.0.0.1"),
        listener("c", 8081, {"filters": HTTP}, address="127.0.0.1"),
        listener("d", 8081, {"filters": HTTP}),
        listener("e", 9001, {"filters": TCP}, address="::1"),
    )
    assert found.manifest["node_listen"] == [{"ip": "127.0.0.1", "port": 8080}, {"port": 8081}]
    assert found.manifest["stream_tcp"] == [
        {"addr": "127.0.0.1:9000", "tls": False},
        {"addr": "[::1]:9001", "tls": False},
    ]


def test_ports_are_mapped_and_more_addresses_counted():
    more = [{"address": {"socket_address": {"address": "::", "port_value": 81}}}]
    found = viewed(
        listener("a", 80, {"filters": HTTP}, additional_addresses=more), policy=Policy(port_map={80: 9080, 81: 9081})
    )
    assert found.manifest["node_listen"] == [{"port": 9080}, {"port": 9081}]


def test_ports_that_are_not_opened():
    found = viewed(
        listener("a", 80, {"filters": HTTP}, bind_to_port=False),
        listener("b", 81, {"filters": HTTP}, deprecated_v1={"bind_to_port": False}),
    )
    assert (found.manifest["node_listen"], found.codes) == ([], [])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"name": "a", "address": {"pipe": {"path": "/x"}}}, "LST-ADDR"),
        ({"name": "a"}, "LST-ADDR"),
        (listener("a", 0), "LST-ADDR"),
        (listener("a", 53, socket={"protocol": "UDP"}), "LST-ADDR"),
        ({"name": "a", "internal_listener": {}}, "LST-INTERNAL"),
    ],
)
def test_listeners_without_a_port_for_apisix(data: dict[str, Any], code: str):
    assert viewed(data).codes == [code]


def test_quic_is_http3_on_the_tls_port():
    quic = listener(
        "q",
        8443,
        {"filters": HTTP, "transport_socket": TLS},
        socket={"protocol": "UDP"},
        udp_listener_config={"quic_options": {}},
    )
    found = viewed(quic, listener("t", 8443, {"filters": HTTP, "transport_socket": TLS}))
    assert (found.manifest["ssl_listen"], found.codes) == ([{"enable_http3": True, "port": 8443}], [])


def test_one_port_cannot_speak_tls_and_plaintext():
    found = viewed(
        listener("a", 80, {"name": "t", "filters": HTTP, "transport_socket": TLS}, {"name": "p", "filters": HTTP})
    )
    assert (found.manifest["ssl_listen"], found.manifest["node_listen"]) == ([{"port": 80}], [])
    assert [(d.code, d.path) for d in found.diagnostics] == [("LST-TLS-MIX", "filter_chains[p]")]


def test_one_port_cannot_speak_http_and_something_else():
    found = viewed(listener("a", 80, {"filters": HTTP}), listener("b", 80, {"filters": TCP}))
    assert found.manifest["stream_tcp"] == []
    assert [(d.code, d.name) for d in found.diagnostics] == [("LST-PROTO-CLASH", "b")]


def test_tcp_and_udp_of_one_number():
    found = viewed(listener("a", 53, {"filters": TCP}), listener("b", 53, socket={"protocol": "UDP"}))
    assert found.codes == ["LST-ADDR", "LST-PROTO-CLASH"]
    assert found.manifest["stream_udp"] == [{"addr": 53}]


def test_types_that_no_unit_carries_are_named():
    other = Resource(Role.SIBLING, xds.TYPED_EXTENSION_CONFIG, "extension", b"")
    (found,) = viewed(others=(other,)).diagnostics
    assert (found.code, found.type_url, found.name) == ("CFG-UNKNOWN-ANY", xds.TYPED_EXTENSION_CONFIG, "extension")


@pytest.mark.parametrize(("name", "code"), [("scope-1", "RT-SHADOWED"), ("", "RT-PENDING")])
def test_scopes_that_nobody_takes_and_scopes_that_do_not_come(name: str, code: str):
    (found,) = viewed(others=(Resource(Role.SIBLING, xds.SCOPED_ROUTE_CONFIGURATION, name, b""),)).diagnostics
    assert (found.code, found.name) == (code, name)


PROXIED = {"listener_filters": [{"name": "envoy.filters.listener.proxy_protocol"}]}


def test_ports_that_speak_proxy_protocol():
    found = viewed(
        listener("a", 80, {"filters": HTTP}, **PROXIED),
        listener("b", 443, {"filters": HTTP, "transport_socket": TLS, "use_proxy_proto": True}),
        listener("c", 9000, {"filters": TCP}, **PROXIED),
        listener("d", 81, {"filters": HTTP}),
    )
    assert found.manifest["proxy_protocol"] == {"listen_http_port": 80, "listen_https_port": 443}
    assert found.manifest["node_listen"] == [{"port": 81}]
    assert found.manifest["ssl_listen"] == []
    assert found.manifest["stream_tcp"] == [{"addr": 9000, "proxy_protocol": True, "tls": False}]
    assert found.codes == []


def test_listeners_without_a_port_have_one_that_the_node_redirects_to():
    ports = {"output/10.96.0.7:5432": 20001, "output/*:5432": 20002, "prerouting/*:9000": 20003}
    found = viewed(
        listener("any", 5432, {"filters": TCP}, bind_to_port=False),
        listener("vip", 5432, {"filters": TCP}, address="10.96.0.7", bind_to_port=False),
        listener(
            "in",
            15006,
            {"filters": TCP, "filter_chain_match": {"destination_port": 9000}},
            {"filters": HTTP},
            use_original_dst=True,
            traffic_direction="INBOUND",
        ),
        policy=Policy(redirects=Redirects(ports=ports)),
    )
    assert found.manifest["redirects"] == [
        "nft add rule inet nat output ip daddr 10.96.0.7 tcp dport 5432 redirect to :20001",
        "nft add rule inet nat output tcp dport 5432 redirect to :20002",
        "nft add rule inet nat prerouting tcp dport 9000 redirect to :20003",
    ]
    assert [port["addr"] for port in found.manifest["stream_tcp"]] == [20001, 20002, 20003]
    assert found.manifest["node_listen"] == [{"port": 15006}]
    assert found.codes == []


def test_two_destinations_on_one_port_are_reported():
    found = viewed(
        listener("a", 1, {"filters": TCP}, bind_to_port=False),
        listener("b", 2, {"filters": TCP}, bind_to_port=False),
        policy=Policy(redirects=Redirects(ports={"output/*:1": 20001, "output/*:2": 20001})),
    )
    assert found.codes == ["LST-STREAM-OVERLAP"]
    assert found.diagnostics[0].value == "output/*:2"
