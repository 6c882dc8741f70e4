from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import xds
from schemas.records import Role, Severity, UnitKind
from tests.translators.unit_outcome import Outcome, message, outcome, packed, resource
from translators.policy import Policy, Redirects
from translators.variant import BLACKHOLE_ID, Variant, upstream_id, variant_of

NETWORK = "envoy.extensions.filters.network"
TLS = {
    "name": "tls",
    "typed_config": packed("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"),
}


def network_filter(name: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "typed_config": packed(f"{NETWORK}.{name}", data)}


def tcp(**fields: Any) -> dict[str, Any]:
    return network_filter("tcp_proxy.v3.TcpProxy", {"stat_prefix": "x", **(fields or {"cluster": "db"})})


def chain(
    name: str = "", match: dict[str, Any] | None = None, *filters: dict[str, Any], **fields: Any
) -> dict[str, Any]:
    matching = {"filter_chain_match": match} if match else {}
    return {"name": name, "filters": list(filters) or [tcp()], **matching, **fields}


def translated(*chains: dict[str, Any], policy: Policy | None = None, **listener: Any) -> Outcome:
    address = {"socket_address": {"address": "0.0.0.0", "port_value": 5432}}  # noqa: S104 - data
    data = {"name": "l4", "address": address, "filter_chains": list(chains), **listener}
    resources = [resource(Role.SUBJECT, xds.LISTENER, data)]
    resources += [resource(Role.REFERENCE, xds.CLUSTER, {"name": name}) for name in ("db", "other")]
    return outcome(UnitKind.STREAM, resources, policy=policy)


def to(cluster: str, **match: Any) -> dict[str, Any]:
    return chain(cluster, match, tcp(cluster=cluster))


def cidr(text: str) -> list[dict[str, Any]]:
    address, length = text.split("/")
    return [{"address_prefix": address, "prefix_len": int(length)}]


def test_a_tcp_proxy_is_a_stream_route():
    found = translated(chain("main"))
    assert found.value == {
        "labels": {"xds.chain": "main", "xds.listener": "l4"},
        "name": "l4/main",
        "server_port": 5432,
        "upstream_id": upstream_id("db", Variant("l4")),
    }
    assert found.codes == []


def test_the_variant_is_that_of_the_proxy():
    fields = {"cluster": "db", "max_connect_attempts": 3, "idle_timeout": "60s"}
    expected = variant_of(message(xds.CLUSTER, {"name": "db"}), message(xds.TCP_PROXY, fields), "l4")
    assert translated(chain("", None, tcp(**fields))).value["upstream_id"] == upstream_id("db", expected)


def test_the_address_narrows_the_route():
    address = {"socket_address": {"address": "10.0.0.5", "port_value": 5432}}
    assert translated(chain(), address=address).value["server_addr"] == "10.0.0.5"


def test_every_address_has_its_routes():
    more = [{"address": {"socket_address": {"address": "::", "port_value": 5433}}}]
    assert sorted(value["server_port"] for value in translated(chain(), additional_addresses=more).values) == [
        5432,
        5433,
    ]


def test_ports_are_mapped():
    assert translated(chain(), policy=Policy(port_map={5432: 15432})).value["server_port"] == 15432


def test_an_unknown_cluster_leads_nowhere():
    found = translated(chain("", None, tcp(cluster="nope")))
    assert [value.get("upstream_id") for value in found.values] == [BLACKHOLE_ID, None]
    assert found.codes == ["RA-CLUSTER-UNKNOWN"]


def test_weighted_clusters():
    weighted = {
        "clusters": [{"name": "db", "weight": 20}, {"name": "other", "weight": 10}, {"name": "db", "weight": 20}]
    }
    value = translated(chain("", None, tcp(weighted_clusters=weighted))).value
    (rule,) = value["plugins"]["traffic-split"]["rules"]
    assert [share["weight"] for share in rule["weighted_upstreams"]] == [4, 1]
    one = {"clusters": [{"name": "db", "weight": 1}, {"name": "other", "weight": 0}]}
    assert "plugins" not in translated(chain("", None, tcp(weighted_clusters=one))).value


def test_more_weighted_clusters_than_apisix_takes():
    weighted = {"clusters": [{"name": f"c{index}", "weight": 1} for index in range(21)]}
    data = {
        "name": "l4",
        "address": {"socket_address": {"address": "::", "port_value": 1}},
        "filter_chains": [chain("", None, tcp(weighted_clusters=weighted))],
    }
    clusters = [resource(Role.REFERENCE, xds.CLUSTER, {"name": f"c{index}"}) for index in range(21)]
    found = outcome(UnitKind.STREAM, [resource(Role.SUBJECT, xds.LISTENER, data), *clusters])
    assert (found.objects, found.codes) == ((), ["L4-FEATURE"])


def test_a_limit_of_connections():
    limit = network_filter("connection_limit.v3.ConnectionLimit", {"stat_prefix": "x", "max_connections": 7})
    assert translated(chain("", None, limit, tcp())).value["plugins"]["limit-conn"]["conn"] == 7


@pytest.mark.parametrize(
    ("listed", "codes"),
    [
        (network_filter("rbac.v3.RBAC", {"matcher": {}}), ["L4-RBAC"]),
        (network_filter("ext_authz.v3.ExtAuthz"), ["L4-FILTER"]),
        (network_filter("local_ratelimit.v3.LocalRateLimit"), ["L4-FILTER"]),
        (network_filter("sni_cluster.v3.SniCluster"), ["L4-PASSTHROUGH"]),
        ({"name": "unknown", "typed_config": packed("xds.type.v3.TypedStruct", {"type_url": "a/B"})}, ["L4-FILTER"]),
        ({"name": "nameless"}, ["L4-FILTER"]),
        ({"name": "later", "config_discovery": {"type_urls": ["a/B"]}}, ["EXT-PENDING"]),
    ],
)
def test_filters_that_may_restrict_close_the_chain(listed: dict[str, Any], codes: list[str]):
    found = translated(chain("", None, listed, tcp()))
    assert (found.objects, found.codes) == ((), codes)


def test_what_a_closed_chain_takes_is_nobody_elses():
    guard = network_filter("rbac.v3.RBAC", {"matcher": {}})
    closed = chain("closed", {"source_prefix_ranges": cidr("10.0.0.0/8")}, guard, tcp())
    found = translated(closed, default_filter_chain=to("other"))
    served = [value["remote_addr"] for value in found.values]
    assert {value["labels"]["xds.chain"] for value in found.values} == {"other"}
    assert not any(ip_address("10.1.2.3") in ip_network(network) for network in served)
    assert any(ip_address("11.1.2.3") in ip_network(network) for network in served)


def test_a_protocol_proxy_is_plain_tcp_to_its_only_cluster():
    redis = network_filter("redis_proxy.v3.RedisProxy", {"prefix_routes": {"catch_all_route": {"cluster": "db"}}})
    found = translated(chain("", None, redis))
    assert found.value["upstream_id"] == translated(chain("", None, tcp())).value["upstream_id"]
    assert found.codes == ["L4-FILTER"]
    routes = {"catch_all_route": {"cluster": "db"}, "routes": [{"prefix": "a", "cluster": "other"}]}
    two = translated(chain("", None, network_filter("redis_proxy.v3.RedisProxy", {"prefix_routes": routes})))
    assert (two.objects, two.codes) == ((), ["L4-FILTER"])
    none = translated(chain("", None, network_filter("thrift_proxy.v3.ThriftProxy")))
    assert (none.objects, none.codes) == ((), ["L4-FILTER"])


def test_observers_do_not():
    assert len(translated(chain("", None, network_filter("mongo_proxy.v3.MongoProxy"), tcp())).objects) == 1


def test_a_chain_that_proxies_nowhere():
    found = translated(chain("", None, network_filter("mongo_proxy.v3.MongoProxy")))
    assert (found.objects, found.codes) == ((), ["L4-FILTER"])


def test_settings_of_the_proxy_that_are_lost():
    found = translated(chain("", None, tcp(cluster="db", max_downstream_connection_duration="60s", access_log=[{}])))
    assert (len(found.objects), found.codes) == (1, ["L4-FEATURE", "OBS-ALS"])
    tunnel = translated(chain("", None, tcp(cluster="db", tunneling_config={"hostname": "x:1"})))
    assert (tunnel.objects, tunnel.codes) == ((), ["L4-FEATURE"])


def test_chains_by_sni_behind_tls():
    match = {"server_names": ["b.example", "*.A.example"], "transport_protocol": "tls"}
    found = translated(chain("x", match, transport_socket=TLS))
    assert sorted(value["sni"] for value in found.values if "server_port" in value) == ["*.a.example", "b.example"]
    assert "sni" not in translated(chain(transport_socket=TLS)).value


@pytest.mark.parametrize("match", [{"server_names": ["a.example"]}, {"transport_protocol": "tls"}])
def test_tls_that_is_not_terminated_is_not_routed(match: dict[str, Any]):
    found = translated(chain("x", match))
    assert (found.objects, found.codes) == ((), ["L4-PASSTHROUGH"])


def test_a_port_speaks_tls_or_not():
    found = translated(chain("tls", {"transport_protocol": "tls"}, transport_socket=TLS), chain("plain"))
    assert ([value["labels"]["xds.chain"] for value in found.values], found.codes) == (["tls"], ["LST-TLS-MIX"])


def test_a_socket_nginx_cannot_speak():
    found = translated(chain(transport_socket={"name": "envoy.transport_sockets.alts"}))
    assert (found.objects, found.codes) == ((), ["TLS-SOCKET"])


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"prefix_ranges": cidr("10.1.0.0/16")}, [("10.1.0.0/16", None)]),
        ({"source_prefix_ranges": cidr("10.2.0.0/16")}, [(None, "10.2.0.0/16")]),
        ({"direct_source_prefix_ranges": cidr("10.2.0.1/32")}, [(None, "10.2.0.1")]),
        ({"source_type": "SAME_IP_OR_LOOPBACK"}, [(None, "127.0.0.0/8"), (None, "::1")]),
        ({"destination_port": 5432}, [(None, None)]),
    ],
)
def test_what_a_chain_matches(match: dict[str, Any], expected: list[tuple[str | None, str | None]]):
    found = translated(chain("x", match))
    routes = sorted(((v.get("server_addr"), v.get("remote_addr")) for v in found.values), key=str)
    assert (routes, found.codes) == (expected, [])


@pytest.mark.parametrize(
    ("match", "code"),
    [
        ({"source_ports": [80]}, "LST-MATCHER"),
        ({"source_type": "EXTERNAL"}, "LST-MATCHER"),
        (
            {"source_prefix_ranges": cidr("10.0.0.0/8"), "direct_source_prefix_ranges": cidr("10.0.0.0/8")},
            "LST-MATCHER",
        ),
        ({"destination_port": 99}, "LST-PORT-CLOSED"),
    ],
)
def test_what_cannot_be_matched_is_not_served(match: dict[str, Any], code: str):
    found = translated(chain("x", match))
    assert (found.objects, found.codes) == ((), [code])


def test_ranges_outside_the_listeners_address_match_nothing():
    address = {"socket_address": {"address": "10.0.0.5", "port_value": 5432}}
    assert translated(chain("x", {"prefix_ranges": cidr("10.9.0.0/16")}), address=address).objects == ()
    inside = translated(chain("x", {"prefix_ranges": cidr("10.0.0.0/16")}), address=address)
    assert inside.value["server_addr"] == "10.0.0.5"


def test_alpn_gives_way_to_a_chain_without():
    twin = translated(to("db", application_protocols=["h2"]), to("other"))
    assert ([value["labels"]["xds.chain"] for value in twin.values], twin.codes) == (["other"], ["LST-ALPN"])
    alone = translated(to("db", application_protocols=["h2"]))
    assert (len(alone.objects), alone.codes) == (1, ["LST-ALPN"])


def test_two_chains_that_match_the_same():
    found = translated(to("db"), to("other"))
    assert ([value["labels"]["xds.chain"] for value in found.values], found.codes) == (["db"], ["LST-STREAM-OVERLAP"])


def test_the_default_chain_gets_the_rest():
    found = translated(to("db", prefix_ranges=cidr("10.0.0.0/8")), default_filter_chain=to("other"))
    served = {value["server_addr"]: value["labels"]["xds.chain"] for value in found.values}
    assert served["10.0.0.0/8"] == "db"
    assert {"::/0", "128.0.0.0/1"} <= served.keys()
    assert found.codes == []


def test_a_default_chain_alone():
    data = {
        "name": "l4",
        "address": {"socket_address": {"address": "::", "port_value": 1, "ipv4_compat": True}},
        "default_filter_chain": chain(),
    }
    resources = [resource(Role.SUBJECT, xds.LISTENER, data), resource(Role.REFERENCE, xds.CLUSTER, {"name": "db"})]
    assert outcome(UnitKind.STREAM, resources).value["labels"]["xds.chain"] == "default"


def test_http_chains_are_not_ours():
    stub = {"name": "http", "filter_chain_match": {"prefix_ranges": cidr("10.0.0.0/8")}}
    named = chain("hcm", None, {"name": "envoy.filters.network.http_connection_manager"})
    assert len(translated(stub, named, chain("main")).objects) == 1


@pytest.mark.parametrize(
    ("listener", "codes"),
    [
        ({"address": {"pipe": {"path": "/x"}}}, ["LST-ADDR"]),
        ({"address": {"socket_address": {"address": "::", "port_value": 53, "protocol": "UDP"}}}, ["LST-ADDR"]),
        ({"address": {"socket_address": {"address": "::", "port_value": 0}}}, ["LST-ADDR"]),
        ({"address": {"socket_address": {"address": "name.example", "port_value": 1}}}, ["LST-ADDR"]),
        ({"internal_listener": {}}, ["LST-INTERNAL"]),
        ({"filter_chain_matcher": {}}, ["LST-MATCHER"]),
        ({"filter_chains": []}, ["CFG-INVALID"]),
    ],
)
def test_listeners_that_are_not_served(listener: dict[str, Any], codes: list[str]):
    found = translated(chain(), **listener)
    assert (found.objects, [code for code in found.codes if code in codes]) == ((), codes)


@pytest.mark.parametrize("unbound", [{"bind_to_port": False}, {"deprecated_v1": {"bind_to_port": False}}])
def test_a_listener_without_a_port_is_served_where_the_node_redirects_its_connections(unbound: dict[str, Any]):
    socket = {"address": {"socket_address": {"address": "10.96.0.7", "port_value": 5432}}}
    policy = Policy(redirects=Redirects(ports={"output/10.96.0.7:5432": 20123}))
    found = translated(chain(), policy=policy, **socket, **unbound)
    assert (found.value["server_port"], found.value.get("server_addr")) == (20123, None)
    assert [(one.code, one.severity, one.value) for one in found.diagnostics] == [
        ("LST-PORT-CLOSED", Severity.WARN, "20123")
    ]


def test_chains_for_different_destinations_get_ports_of_their_own():
    policy = Policy(redirects=Redirects(ports={"output/10.0.0.0/8:5432": 20001, "output/*:5432": 20002}))
    chains = (to("a", prefix_ranges=cidr("10.0.0.0/8")), to("b"))
    found = translated(*chains, policy=policy, bind_to_port=False)
    assert sorted(
        (value["server_port"], value["labels"]["xds.chain"]) for value in found.values if "server_port" in value
    ) == [
        (20001, "a"),
        (20002, "b"),
    ]


def test_a_chain_for_another_port_is_reached_by_redirected_connections_only():
    policy = Policy(redirects=Redirects(ports={"prerouting/*:9000": 20001}))
    chains = (to("inside", destination_port=9000), to("rest"))
    inbound = {"use_original_dst": True, "traffic_direction": "INBOUND"}
    found = translated(*chains, policy=policy, **inbound)
    assert sorted(
        (value["server_port"], value["labels"]["xds.chain"]) for value in found.values if "server_port" in value
    ) == [
        (5432, "rest"),
        (20001, "inside"),
    ]
    assert [code for code in translated(*chains).codes if code == "LST-PORT-CLOSED"] == ["LST-PORT-CLOSED"]


def test_other_chains_of_a_listener_with_discovery_are_served():
    found = translated(chain(), fcds_config={"name": "x"})
    assert (len(found.objects), found.codes) == (1, ["LST-FCDS"])


def test_listener_filters_without_a_counterpart():
    assert translated(chain(), listener_filters=[{"name": "original_src"}]).codes == ["LST-LFILTER"]
    assert translated(chain(), listener_filters=[{"name": "envoy.filters.listener.tls_inspector"}]).codes == []


def test_a_unit_without_a_listener():
    assert outcome(UnitKind.STREAM, []).objects == ()


PREFIXES = st.sampled_from([None, "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.2.0.0/16", "2001:db8::/32"])
ADDRESSES = st.sampled_from(["10.0.0.1", "10.1.0.1", "10.1.2.3", "10.2.0.1", "192.0.2.1", "2001:db8::1", "2001:db9::1"])


def envoy_choice(matches: list[tuple[str | None, str | None]], server: str, remote: str) -> int | None:
    """Choose as Envoy does: by the longest destination prefix, then among those by the longest source prefix."""

    def length(prefix: str | None, address: str) -> int | None:
        if prefix is None:
            return -1
        network = ip_network(prefix)
        return network.prefixlen if ip_address(address) in network else None

    by_server = [(length(match[0], server), index) for index, match in enumerate(matches)]
    longest = max((found for found, _ in by_server if found is not None), default=None)
    if longest is None:
        return None
    in_bucket = [index for found, index in by_server if found == longest]
    by_remote = [(found, -index) for index in in_bucket if (found := length(matches[index][1], remote)) is not None]
    return -max(by_remote)[1] if by_remote else None


@given(st.lists(st.tuples(PREFIXES, PREFIXES), min_size=1, max_size=4, unique=True), ADDRESSES, ADDRESSES)
def test_every_connection_has_one_route_and_it_is_envoys(
    matches: list[tuple[str | None, str | None]], server: str, remote: str
):
    chains = []
    for index, (destination, source) in enumerate(matches):
        match = {"prefix_ranges": cidr(destination)} if destination else {}
        match |= {"source_prefix_ranges": cidr(source)} if source else {}
        chains.append(chain(str(index), match))
    found = translated(*chains)

    def holds(field: str, address: str, value: dict[str, Any]) -> bool:
        return field not in value or ip_address(address) in ip_network(value[field])

    hits = [v for v in found.values if holds("server_addr", server, v) and holds("remote_addr", remote, v)]
    assert len(hits) <= 1
    chosen = envoy_choice(matches, server, remote)
    assert [int(value["labels"]["xds.chain"]) for value in hits] == ([] if chosen is None else [chosen])
