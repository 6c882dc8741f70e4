from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import xds
from schemas.records import Role, Severity, UnitKind
from tests.translators.certificate_factory import make_pair
from tests.translators.unit_outcome import cluster_outcome, lb_endpoint, locality, outcome, packed, resource
from translators.mappings.tls.client_certificate import secret_ssl_id
from translators.policy import Action, Policy
from translators.variant import Variant, upstream_id

ONE = [locality(lb_endpoint("10.0.0.1"))]
EDS = {"type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}}}
TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def tls_socket(**context: Any) -> dict[str, Any]:
    return {"name": "envoy.transport_sockets.tls", "typed_config": packed(TLS, context)}


def http_options(**fields: Any) -> dict[str, Any]:
    return {"typed_extension_protocol_options": {HTTP_OPTIONS: packed(HTTP_OPTIONS, fields)}}


def test_a_static_cluster_is_one_upstream():
    found = cluster_outcome({"connect_timeout": "0.25s"}, ONE)
    assert found.objects[0].key == f"/upstreams/{upstream_id('backend', Variant())}"
    assert found.value == {
        "keepalive_pool": {"idle_timeout": 60, "requests": 1000, "size": 320},
        "labels": {"xds.cluster": "backend"},
        "name": "backend",
        "nodes": [{"host": "10.0.0.1", "port": 80, "priority": 0, "weight": 1}],
        "pass_host": "pass",
        "retries": 0,
        "scheme": "http",
        "timeout": {"connect": 0.25, "read": 60, "send": 60},
        "type": "roundrobin",
    }
    assert found.codes == []


def test_nobody_uses_the_cluster():
    found = cluster_outcome({"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"}, ONE, uses=())
    assert found.objects == ()
    assert found.codes == ["CL-ORIGDST"]


def test_a_unit_without_a_cluster_is_nothing():
    assert outcome(UnitKind.CLUSTER, []).objects == ()


def test_every_distinct_variant_is_an_upstream():
    retry = {"retry_policy": {"retry_on": "5xx", "num_retries": 2}}
    found = cluster_outcome({}, ONE, uses=({}, retry, {"timeout": "1s"}), l4_uses=({"cluster": "backend"},))
    assert sorted((value["scheme"], value["retries"]) for value in found.values) == [
        ("http", 0),
        ("http", 2),
        ("tcp", 0),
    ]
    labels = {value["labels"].get("xds.var") for value in found.values}
    assert labels == {None, "r2", "l4"}
    assert all(value["nodes"] == found.values[0]["nodes"] for value in found.values)


def test_many_variants_are_worth_a_word():
    uses = tuple({"retry_policy": {"retry_on": "5xx", "num_retries": count}} for count in range(1, 6))
    assert cluster_outcome({}, ONE, uses=uses).codes == ["CL-VARIANTS"]


def test_an_l4_upstream_waits_as_long_as_the_connection_may_idle():
    proxies = ({"cluster": "backend"}, {"cluster": "backend", "idle_timeout": "0s"})
    found = cluster_outcome({}, ONE, uses=(), l4_uses=proxies)
    assert sorted(value["timeout"]["read"] for value in found.values) == [3600, 86400]
    assert all("keepalive_pool" not in value and "pass_host" not in value for value in found.values)


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        ({}, "roundrobin"),
        ({"lb_policy": "LEAST_REQUEST"}, "least_conn"),
        ({"lb_policy": "RANDOM"}, "roundrobin"),
        ({"lb_policy": "MAGLEV"}, "roundrobin"),
    ],
)
def test_lb_policies(cluster: dict[str, Any], expected: str):
    found = cluster_outcome(cluster, ONE)
    assert (found.value["type"], found.codes) == (expected, [])


def extension(*policies: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    listed = [
        {
            "typed_extension_config": {
                "name": name,
                "typed_config": packed(f"envoy.extensions.load_balancing_policies.{name}", data),
            }
        }
        for name, data in policies
    ]
    return {"load_balancing_policy": {"policies": listed}}


def test_policies_by_extension():
    def type_of(*policies: tuple[str, dict[str, Any]]) -> str:
        return str(cluster_outcome({"lb_policy": "MAGLEV", **extension(*policies)}, ONE).value["type"])

    inner = extension(("least_request.v3.LeastRequest", {}))["load_balancing_policy"]
    assert type_of(("least_request.v3.LeastRequest", {}), ("round_robin.v3.RoundRobin", {})) == "least_conn"
    client_side = "client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin"
    assert type_of((client_side, {})) == "ewma"
    assert type_of(("wrr_locality.v3.WrrLocality", {"endpoint_picking_policy": inner})) == "least_conn"
    assert type_of(("override_host.v3.OverrideHost", {"fallback_policy": inner})) == "least_conn"
    assert type_of(("subset.v3.Subset", {"subset_lb_policy": inner})) == "least_conn"
    unknown = cluster_outcome({"load_balancing_policy": {}}, ONE)
    assert (unknown.value["type"], unknown.codes) == ("roundrobin", ["CL-FEATURE"])


def test_a_hash_needs_a_policy_that_hashes_and_something_to_hash():
    use = {"hash_policy": [{"header": {"header_name": "x-user"}}]}
    value = cluster_outcome({"lb_policy": "RING_HASH"}, ONE, uses=(use,)).value
    assert (value["type"], value["hash_on"], value["key"]) == ("chash", "header", "x-user")
    assert "hash_on" not in cluster_outcome({"lb_policy": "RANDOM"}, ONE, uses=(use,)).value


def test_pick_first_tries_one_endpoint_after_the_other():
    endpoints = [locality(lb_endpoint("10.0.0.2"), lb_endpoint("10.0.0.1"))]
    nodes = cluster_outcome(extension(("pick_first.v3.PickFirst", {})), endpoints).value["nodes"]
    assert [(node["host"], node["priority"]) for node in nodes] == [("10.0.0.2", 0), ("10.0.0.1", -1)]


def test_slow_start_is_not_followed():
    slowly = {"slow_start_config": {"slow_start_window": "60s"}}
    (found,) = cluster_outcome({"round_robin_lb_config": slowly}, ONE).found("CL-FEATURE")
    assert (found.severity, found.path) == (Severity.INFO, "round_robin_lb_config.slow_start_config")
    (found,) = cluster_outcome(extension(("least_request.v3.LeastRequest", slowly)), ONE).found("CL-FEATURE")
    assert (found.severity, found.path) == (Severity.INFO, "load_balancing_policy")


def test_names_are_resolved_by_discovery_where_the_operator_has_it():
    named = [locality(lb_endpoint("db.example.com", 5432))]
    policy = Policy(dns_servers=("10.0.0.53:53",))
    value = cluster_outcome({"type": "STRICT_DNS"}, named, policy=policy).value
    assert (value["discovery_type"], value["service_name"], "nodes" in value) == ("dns", "db.example.com:5432", False)
    for cluster, endpoints in (
        ({"type": "LOGICAL_DNS"}, named),
        ({"type": "STRICT_DNS"}, [locality(lb_endpoint("10.0.0.1"))]),
        ({"type": "STRICT_DNS"}, [locality(lb_endpoint("a.example.com"), lb_endpoint("b.example.com"))]),
    ):
        assert cluster_outcome(cluster, endpoints, policy=policy).value["nodes"]
    assert cluster_outcome({"type": "STRICT_DNS"}, named).value["nodes"]
    assert cluster_outcome({"least_request_lb_config": {"choice_count": 3}}, ONE).codes == []


def test_endpoints_that_have_not_arrived():
    pending = cluster_outcome(EDS)
    assert (pending.value["nodes"], pending.codes) == ([], ["EP-PENDING"])
    empty = cluster_outcome(EDS, [])
    assert empty.value["nodes"] == []
    (diagnostic,) = empty.diagnostics
    assert (diagnostic.code, diagnostic.severity, diagnostic.value) == ("EP-PENDING", Severity.INFO, "no endpoints")
    assert cluster_outcome({}, [locality()]).codes == ["EP-PENDING"]


def test_endpoints_inside_the_cluster_are_read_too():
    cluster = {"name": "c", "load_assignment": {"cluster_name": "c", "endpoints": ONE}}
    resources = [resource(Role.SUBJECT, xds.CLUSTER, cluster), resource(Role.USE, xds.ROUTE_ACTION, {}, "l7")]
    assert len(outcome(UnitKind.CLUSTER, resources).value["nodes"]) == 1


@pytest.mark.parametrize(
    ("cluster", "codes", "node_count"),
    [
        ({"type": "LOGICAL_DNS"}, [], 1),
        ({"type": "STRICT_DNS"}, ["CL-FEATURE"], 1),
        ({"type": "ORIGINAL_DST"}, ["CL-ORIGDST"], 0),
        (
            {
                "cluster_type": {
                    "name": "envoy.cluster.dns",
                    "typed_config": packed("envoy.extensions.clusters.dns.v3.DnsCluster"),
                }
            },
            ["CL-FEATURE"],
            1,
        ),
        (
            {
                "cluster_type": {
                    "name": "envoy.cluster.logical_dns",
                    "typed_config": packed(
                        "envoy.extensions.clusters.dns.v3.DnsCluster", {"all_addresses_in_single_endpoint": True}
                    ),
                }
            },
            [],
            1,
        ),
        (
            {
                "cluster_type": {
                    "name": "envoy.clusters.aggregate",
                    "typed_config": packed("envoy.extensions.clusters.aggregate.v3.ClusterConfig", {"clusters": ["a"]}),
                }
            },
            ["CL-TYPE", "RA-CLUSTER-UNKNOWN"],
            0,
        ),
        ({"cluster_type": {"name": "mine"}}, ["CL-TYPE"], 0),
    ],
)
def test_cluster_types(cluster: dict[str, Any], codes: list[str], node_count: int):
    found = cluster_outcome(cluster, [locality(lb_endpoint("db.example.com", 5432))])
    assert (found.codes, len(found.value["nodes"])) == (codes, node_count)


def test_an_unknown_number_of_type_is_not_a_guess():
    cluster = xds.message_class(xds.CLUSTER)(name="c")
    cluster.type = 77
    body = cluster.SerializeToString()
    subject = resource(Role.SUBJECT, xds.CLUSTER, {"name": "c"})
    subject = type(subject)(subject.role, subject.type_url, subject.name, body)
    assert outcome(UnitKind.CLUSTER, [subject]).codes == ["CL-TYPE"]


def test_http2_is_spoken_as_grpc():
    found = cluster_outcome(http_options(explicit_http_config={"http2_protocol_options": {}}), ONE)
    assert (found.value["scheme"], found.codes) == ("grpc", ["CL-H2"])
    old = cluster_outcome({"http2_protocol_options": {}}, ONE)
    assert (old.value["scheme"], old.codes) == ("grpc", ["CL-H2"])
    plain = cluster_outcome(http_options(explicit_http_config={"http_protocol_options": {}}), ONE)
    assert (plain.value["scheme"], plain.codes) == ("http", [])
    third = cluster_outcome(http_options(explicit_http_config={"http3_protocol_options": {}}), ONE)
    assert (third.value["scheme"], third.codes) == ("http", ["CL-FEATURE"])


@pytest.mark.parametrize("chooser", ["use_downstream_protocol_config", "auto_config"])
def test_where_the_protocol_is_chosen_per_request_grpc_has_an_upstream_of_its_own(chooser: str):
    both = {"http_protocol_options": {}, "http2_protocol_options": {}}
    found = cluster_outcome(http_options(**{chooser: both}), ONE, l4_uses=({"cluster": "backend"},))
    assert sorted(value["scheme"] for value in found.values) == ["grpc", "http", "tcp"]
    assert [(one.code, one.severity) for one in found.diagnostics] == [("CL-H2", Severity.INFO)]


def test_one_protocol_to_choose_from_is_no_choice():
    found = cluster_outcome(http_options(auto_config={"http_protocol_options": {}}), ONE)
    assert (found.value["scheme"], found.codes) == ("http", [])


def test_unknown_protocol_options_are_told():
    options = {"typed_extension_protocol_options": {"mine": packed("xds.type.v3.TypedStruct", {"type_url": "a/B"})}}
    assert cluster_outcome(options, ONE).codes == ["CFG-UNKNOWN-ANY"]


def test_keepalive():
    options = http_options(
        common_http_protocol_options={"idle_timeout": "30s", "max_requests_per_connection": 5},
        explicit_http_config={"http_protocol_options": {}},
    )
    assert cluster_outcome(options, ONE).value["keepalive_pool"] == {"idle_timeout": 30, "requests": 5, "size": 320}
    old = cluster_outcome({"max_requests_per_connection": 7}, ONE).value["keepalive_pool"]
    assert old["requests"] == 7
    endless = cluster_outcome({"common_http_protocol_options": {"idle_timeout": "0s"}}, ONE).value["keepalive_pool"]
    assert endless["idle_timeout"] == 86400


@pytest.mark.parametrize(
    ("limits", "codes"),
    [
        ({}, []),
        ({"max_requests": 4294967295}, []),
        ({"max_requests": 100}, ["CL-BREAKER"]),
        ({"retry_budget": {}}, ["CL-BREAKER"]),
    ],
)
def test_limits_count_only_when_they_can_be_reached(limits: dict[str, Any], codes: list[str]):
    assert cluster_outcome({"circuit_breakers": {"thresholds": [limits]}}, ONE).codes == codes


def test_what_is_not_translated_says_so():
    cluster = {
        "outlier_detection": {"max_ejection_percent": 10},
        "upstream_bind_config": {"source_address": {"address": "10.0.0.9", "port_value": 0}},
    }
    assert cluster_outcome(cluster, ONE).codes == ["CL-FEATURE", "CL-OUTLIER"]


def test_filters_that_only_feed_metrics_do_not_matter():
    assert cluster_outcome({"filters": [{"name": "istio.metadata_exchange"}]}, ONE).codes == []
    assert cluster_outcome({"filters": [{"name": "mine"}]}, ONE).codes == ["CL-FEATURE"]


def test_a_socket_that_cannot_be_evaluated_closes_the_cluster():
    found = cluster_outcome({"transport_socket_matcher": {}}, ONE)
    assert (found.value["nodes"], found.codes) == ([], ["TLS-SOCKET"])
    named = cluster_outcome({"transport_socket": {"name": "mine"}}, ONE)
    assert (named.value["nodes"], named.codes) == ([], ["TLS-SOCKET"])


@pytest.mark.parametrize(
    "inner", ["tap.v3.Tap", "tcp_stats.v3.Config", "internal_upstream.v3.InternalUpstreamTransport"]
)
def test_wrapped_sockets_are_looked_through(inner: str):
    wrapped = packed(f"envoy.extensions.transport_sockets.{inner}", {"transport_socket": tls_socket()})
    found = cluster_outcome({"transport_socket": {"name": "w", "typed_config": wrapped}}, ONE)
    assert (found.value["scheme"], found.codes) == ("https", [])


@pytest.mark.parametrize(
    "socket",
    [
        {"name": "envoy.transport_sockets.raw_buffer"},
        {"name": "x", "typed_config": packed("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer")},
    ],
)
def test_plaintext_sockets(socket: dict[str, Any]):
    found = cluster_outcome({"transport_socket": socket}, ONE)
    assert (found.value["scheme"], found.codes) == ("http", [])


def test_tls_without_verification():
    assert cluster_outcome({"transport_socket": tls_socket()}, ONE).value["scheme"] == "https"
    grpc = {"transport_socket": tls_socket(), "http2_protocol_options": {}}
    assert cluster_outcome(grpc, ONE).value["scheme"] == "grpcs"
    l4 = cluster_outcome({"transport_socket": tls_socket()}, ONE, uses=(), l4_uses=({"cluster": "backend"},))
    assert l4.value["scheme"] == "tls"


SPIFFE = [{"san_type": "URI", "matcher": {"exact": "spiffe://td/sa"}}]
VERIFYING = [
    {"validation_context": {"trusted_ca": {"inline_string": "x"}}},
    {"validation_context": {"match_typed_subject_alt_names": SPIFFE}},
    {"validation_context_sds_secret_config": {"name": "unknown"}},
    {"combined_validation_context": {"validation_context_sds_secret_config": {"name": "unknown"}}},
    {
        "combined_validation_context": {
            "default_validation_context": {"system_root_certs": {}},
            "validation_context_sds_secret_config": {"name": "open"},
        }
    },
]
NOT_VERIFYING = [
    {},
    {"validation_context": {}},
    {"validation_context": {"trust_chain_verification": "ACCEPT_UNTRUSTED", "system_root_certs": {}}},
    {"validation_context_sds_secret_config": {"name": "open"}},
    {"combined_validation_context": {"validation_context_sds_secret_config": {"name": "open"}}},
]
OPEN_SECRET = {"name": "open", "validation_context": {}}


@pytest.mark.parametrize("common", VERIFYING)
def test_verification_closes_the_cluster_unless_the_policy_gives_it_up(common: dict[str, Any]):
    cluster = {"transport_socket": tls_socket(common_tls_context=common)}
    uses: tuple[dict[str, Any], ...] = ({}, {"retry_policy": {"retry_on": "5xx"}})
    closed = cluster_outcome(cluster, ONE, uses=uses, secrets=(OPEN_SECRET,))
    assert [value["nodes"] for value in closed.values] == [[], []]
    assert closed.codes == ["TLS-UPSTREAM-UNVERIFIED"]
    for action, codes in ((Action.WARN, ["TLS-UPSTREAM-UNVERIFIED"]), (Action.ALLOW, [])):
        policy = Policy(overrides={"TLS-UPSTREAM-UNVERIFIED": action})
        open_ = cluster_outcome(cluster, ONE, secrets=(OPEN_SECRET,), policy=policy)
        assert (len(open_.value["nodes"]), open_.value["scheme"], open_.codes) == (1, "https", codes)


@pytest.mark.parametrize("common", NOT_VERIFYING)
def test_what_does_not_verify_closes_nothing(common: dict[str, Any]):
    found = cluster_outcome({"transport_socket": tls_socket(common_tls_context=common)}, ONE, secrets=(OPEN_SECRET,))
    assert (len(found.value["nodes"]), found.codes) == (1, [])


def test_san_validation_by_name_is_verification():
    socket = tls_socket(auto_sni_san_validation=True)
    assert cluster_outcome({"transport_socket": socket}, ONE).codes == ["TLS-UPSTREAM-UNVERIFIED"]
    options = http_options(upstream_http_protocol_options={"auto_sni": True, "auto_san_validation": True})
    assert cluster_outcome({"transport_socket": tls_socket(), **options}, ONE).codes == ["TLS-UPSTREAM-UNVERIFIED"]


def test_the_sni_is_the_host_header():
    cluster = {"transport_socket": tls_socket(sni="api.example.com")}
    assert cluster_outcome(cluster, ONE).codes == ["TLS-SNI-HOST"]
    assert cluster_outcome(cluster, ONE, uses=({"host_rewrite_literal": "API.example.com"},)).codes == []
    assert cluster_outcome(cluster, ONE, uses=({"host_rewrite_literal": "a"}, {})).codes == ["TLS-SNI-HOST"]
    auto = http_options(upstream_http_protocol_options={"auto_sni": True})
    assert cluster_outcome({**cluster, **auto}, ONE).codes == []


SDS = {"tls_certificate_sds_secret_configs": [{"name": "client"}]}
KNOWN = {"name": "client", "tls_certificate": {}}
PAIR = make_pair("client")
INLINE = {
    "tls_certificates": [
        {"certificate_chain": {"inline_string": PAIR.cert}, "private_key": {"inline_string": PAIR.key}}
    ]
}


def presenting(common: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"transport_socket": tls_socket(common_tls_context=common), **fields}


def test_the_certificate_of_a_secret_is_presented_by_its_id():
    found = cluster_outcome(presenting(SDS), ONE, uses=({}, {"auto_host_rewrite": True}), secrets=(KNOWN,))
    assert [value["tls"] for value in found.values] == [{"client_cert_id": secret_ssl_id("client")}] * 2
    assert {key.key.split("/")[1] for key in found.objects} == {"upstreams"}


def test_an_inline_certificate_comes_with_the_cluster_and_has_its_name():
    found = cluster_outcome(presenting(INLINE), ONE, l4_uses=({"cluster": "backend"},))
    ssl, *upstreams = found.values
    assert ssl == {"cert": PAIR.cert, "key": PAIR.key, "labels": {"xds.cluster": "backend"}, "type": "client"}
    ids = {found.objects[0].key.removeprefix("/ssls/")}
    assert {value["tls"]["client_cert_id"] for value in upstreams} == ids
    assert sorted(value["scheme"] for value in upstreams) == ["https", "tls"]
    assert cluster_outcome(presenting(INLINE), ONE, uses=()).objects == ()


def test_another_inline_certificate_changes_the_ssl_object_alone():
    other = make_pair("other")
    renewed = {"certificate_chain": {"inline_string": other.cert}, "private_key": {"inline_string": other.key}}
    before = cluster_outcome(presenting(INLINE), ONE).objects
    after = cluster_outcome(presenting({"tls_certificates": [renewed]}), ONE).objects
    assert [one.key for one in before] == [one.key for one in after]
    assert [one.key.split("/")[1] for one in set(before) - set(after)] == ["ssls"]


@pytest.mark.parametrize(
    ("common", "secrets", "codes"),
    [
        (SDS, (), ["SEC-PENDING"]),
        (SDS, ({"name": "client", "validation_context": {}},), ["CFG-INVALID"]),
        ({**SDS, **INLINE}, (KNOWN,), ["CFG-INVALID"]),
        ({"tls_certificate_provider_instance": {"instance_name": "x"}}, (), ["TLS-PROVIDER"]),
        ({"tls_certificates": [{"certificate_chain": {"filename": "/x"}}]}, (), ["SEC-SOURCE"]),
    ],
)
def test_without_the_certificate_it_wants_a_cluster_answers_503(
    common: dict[str, Any], secrets: tuple[dict[str, Any], ...], codes: list[str]
):
    found = cluster_outcome(presenting(common), ONE, secrets=secrets)
    assert (found.value["nodes"], "tls" in found.value, found.codes) == ([], False, codes)


def test_an_operator_may_do_without_the_certificate_of_a_provider():
    policy = Policy(overrides={"TLS-PROVIDER": Action.WARN})
    common = {"tls_certificate_provider_instance": {"instance_name": "x"}}
    found = cluster_outcome(presenting(common), ONE, policy=policy)
    assert (len(found.value["nodes"]), "tls" in found.value, found.codes) == (1, False, ["TLS-PROVIDER"])


def test_probes_present_no_certificate_so_the_port_is_probed():
    check = {
        "timeout": "2s",
        "interval": "5s",
        "unhealthy_threshold": 3,
        "healthy_threshold": 2,
        "alt_port": 81,
        "http_health_check": {"path": "/ready", "host": "h", "request_headers_to_add": []},
    }
    found = cluster_outcome(presenting(SDS, health_checks=[check]), ONE, secrets=(KNOWN,))
    assert found.value["checks"]["active"] == {
        "type": "tcp",
        "timeout": 2,
        "port": 81,
        "healthy": {"interval": 5, "successes": 2},
        "unhealthy": {"interval": 5, "tcp_failures": 3, "timeouts": 3},
    }
    assert found.codes == ["CL-FEATURE"]
    plain = cluster_outcome(presenting({}, health_checks=[check]), ONE)
    assert (plain.value["checks"]["active"]["type"], plain.codes) == ("https", [])


def test_older_nodes_present_no_certificate_on_streams():
    policy = Policy(apisix_versions="3.17-3.18")
    l4 = ({"cluster": "backend"},)
    found = cluster_outcome(presenting(SDS), ONE, l4_uses=l4, secrets=(KNOWN,), policy=policy)
    assert [value["scheme"] for value in found.values] == ["https"]
    assert found.codes == ["OUT-VERSION"]
    assert cluster_outcome(presenting(SDS), ONE, l4_uses=l4, secrets=(KNOWN,)).codes == []


def matched(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"filter_metadata": {"envoy.transport_socket_match": metadata}}}


MATCHES = {
    "transport_socket_matches": [
        {"name": "mtls", "match": {"tls": "yes"}, "transport_socket": tls_socket()},
        {"name": "rest", "match": {}, "transport_socket": {"name": "envoy.transport_sockets.raw_buffer"}},
    ]
}


def test_the_socket_is_chosen_by_endpoint_metadata():
    tls = cluster_outcome(MATCHES, [locality(lb_endpoint("10.0.0.1", **matched(tls="yes")))])
    assert (tls.value["scheme"], tls.codes) == ("https", [])
    plain = cluster_outcome(MATCHES, [locality(lb_endpoint("10.0.0.1", **matched(tls="no")))])
    assert (plain.value["scheme"], plain.codes) == ("http", [])
    by_locality = cluster_outcome(MATCHES, [locality(lb_endpoint("10.0.0.1"), **matched(tls="yes"))])
    assert by_locality.value["scheme"] == "https"
    none = cluster_outcome({"transport_socket_matches": MATCHES["transport_socket_matches"][:1]}, ONE)
    assert none.value["scheme"] == "http"


def test_what_is_found_in_a_chosen_socket_is_said_to_stand_there():
    common = {"tls_certificate_sds_secret_configs": [{"name": "client"}]}
    match = {"name": "mtls", "match": {}, "transport_socket": tls_socket(common_tls_context=common)}
    (found,) = cluster_outcome({"transport_socket_matches": [match]}, ONE).diagnostics
    assert found.path.startswith("transport_socket_matches[mtls].transport_socket.common_tls_context.")


def test_endpoints_with_another_socket_than_most_are_left_out():
    tls = [lb_endpoint(f"10.0.0.{last}", **matched(tls="yes")) for last in (1, 2)]
    found = cluster_outcome(MATCHES, [locality(*tls, lb_endpoint("10.0.0.3"))])
    assert [node["host"] for node in found.value["nodes"]] == ["10.0.0.1", "10.0.0.2"]
    (diagnostic,) = found.found("CL-TLS-MIXED")
    assert diagnostic.effect.startswith("1 of 3 endpoints are left out")


@pytest.mark.parametrize(
    ("endpoints", "expected", "codes"),
    [
        ([lb_endpoint("a.example")], {"pass_host": "rewrite", "upstream_host": "a.example"}, []),
        ([lb_endpoint("a.example"), lb_endpoint("b.example")], {"pass_host": "node"}, []),
        ([lb_endpoint("10.0.0.1")], {"pass_host": "pass"}, []),
        ([lb_endpoint("10.0.0.1", hostname="h")], {"pass_host": "rewrite", "upstream_host": "h"}, []),
        (
            [lb_endpoint("10.0.0.1", hostname="h"), lb_endpoint("10.0.0.2", hostname="i")],
            {"pass_host": "pass"},
            ["RA-HOST"],
        ),
        ([], {"pass_host": "pass"}, ["EP-PENDING"]),
    ],
)
def test_auto_host_rewrite(endpoints: list[dict[str, Any]], expected: dict[str, str], codes: list[str]):
    found = cluster_outcome({}, [locality(*endpoints)], uses=({"auto_host_rewrite": True},))
    assert ({name: found.value.get(name) for name in expected}, found.codes) == (expected, codes)
    assert ("upstream_host" in found.value) == ("upstream_host" in expected)


def test_a_host_that_proxy_rewrite_cannot_hold():
    value = cluster_outcome({}, ONE, uses=({"host_rewrite_literal": "a_b.example"},)).value
    assert (value["pass_host"], value["upstream_host"]) == ("rewrite", "a_b.example")


SUBSETS = {"lb_subset_config": {"fallback_policy": "NO_FALLBACK", "subset_selectors": [{"keys": ["v"]}]}}


def in_subset(address: str, **metadata: Any) -> dict[str, Any]:
    return lb_endpoint(address, metadata={"filter_metadata": {"envoy.lb": metadata}})


@pytest.mark.parametrize(
    ("config", "wanted", "hosts"),
    [
        ({}, {"v": "1"}, ["10.0.0.1"]),
        ({}, {"v": "9"}, []),
        ({}, {"w": "1"}, []),
        ({}, None, []),
        ({"fallback_policy": "ANY_ENDPOINT"}, {"v": "9"}, ["10.0.0.1", "10.0.0.2"]),
        ({"fallback_policy": "DEFAULT_SUBSET", "default_subset": {"v": "2"}}, None, ["10.0.0.2"]),
        (
            {"subset_selectors": [{"keys": ["v"], "fallback_policy": "ANY_ENDPOINT"}]},
            {"v": "9"},
            ["10.0.0.1", "10.0.0.2"],
        ),
        ({"list_as_any": True}, {"v": "2"}, ["10.0.0.2"]),
        ({"subset_selectors": []}, {"v": "9"}, ["10.0.0.1", "10.0.0.2"]),
    ],
)
def test_subsets(config: dict[str, Any], wanted: dict[str, Any] | None, hosts: list[str]):
    use = {"metadata_match": {"filter_metadata": {"envoy.lb": wanted}}} if wanted is not None else {}
    cluster = {"lb_subset_config": {**SUBSETS["lb_subset_config"], **config}}
    second = {"v": ["2", "3"]} if config.get("list_as_any") else {"v": "2"}
    endpoints = [locality(in_subset("10.0.0.1", v="1"), in_subset("10.0.0.2", **second))]
    found = cluster_outcome(cluster, endpoints, uses=(use,))
    assert [node["host"] for node in found.value["nodes"]] == hosts


def test_unknown_fields_are_told_with_their_path():
    subject = resource(Role.SUBJECT, xds.CLUSTER, {"name": "c"})
    odd = type(subject)(subject.role, subject.type_url, subject.name, subject.body + b"\xfa\x7f\x01x")
    (found,) = outcome(UnitKind.CLUSTER, [odd]).found("CFG-UNKNOWN-FIELD")
    assert (found.code, found.name, found.path) == ("CFG-UNKNOWN-FIELD", "c", "#2047")


ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.2", "::1", "2001:db8::2", "db.example.com", "bad host", ""])
ENDPOINTS = st.builds(
    lb_endpoint,
    ADDRESSES,
    st.integers(0, 70000),
    load_balancing_weight=st.integers(1, 2**32 - 1),
    health_status=st.sampled_from(["UNKNOWN", "HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT", "DEGRADED"]),
)
LOCALITIES = st.builds(
    lambda endpoints, **fields: locality(*endpoints, **{k: v for k, v in fields.items() if v is not None}),
    st.lists(ENDPOINTS, max_size=4),
    priority=st.integers(0, 3),
    load_balancing_weight=st.one_of(st.none(), st.integers(1, 2**32 - 1)),
    locality=st.sampled_from([{"region": "a"}, {"region": "b"}, {"region": "b", "zone": "z"}]),
)
CLUSTERS = st.fixed_dictionaries(
    {"lb_policy": st.sampled_from(["ROUND_ROBIN", "LEAST_REQUEST", "RING_HASH", "MAGLEV"])},
    optional={"common_lb_config": st.sampled_from([{}, {"locality_weighted_lb_config": {}}])},
)
HASHED = {"hash_policy": [{"connection_properties": {"source_ip": True}}]}


@given(CLUSTERS, st.lists(LOCALITIES, max_size=4))
def test_whatever_the_endpoints_the_upstreams_are_valid(cluster: dict[str, Any], endpoints: list[dict[str, Any]]):
    found = cluster_outcome(cluster, endpoints, uses=({}, HASHED))
    assert "OUT-SCHEMA" not in found.codes
    for value in found.values:
        nodes = value["nodes"]
        assert all(node["weight"] >= 1 for node in nodes)
        keys = [(-node["priority"], node["host"], node["port"]) for node in nodes]
        assert keys == sorted(set(keys))
        if value["type"] == "chash":
            assert all(node["weight"] <= 100 for node in nodes)
    again = cluster_outcome(cluster, endpoints, uses=(HASHED, {}))
    assert again.objects == found.objects


@given(st.lists(LOCALITIES, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_the_order_of_endpoints_means_nothing(endpoints: list[dict[str, Any]], random: Any):
    shuffled = [
        dict(group, lb_endpoints=random.sample(group["lb_endpoints"], len(group["lb_endpoints"])))
        for group in endpoints
    ]
    random.shuffle(shuffled)
    assert cluster_outcome({}, shuffled).objects == cluster_outcome({}, endpoints).objects


@given(st.lists(LOCALITIES, max_size=3), st.lists(LOCALITIES, max_size=3))
def test_new_endpoints_change_nothing_but_nodes(before: list[dict[str, Any]], after: list[dict[str, Any]]):
    first, second = cluster_outcome(EDS, before), cluster_outcome(EDS, after)
    assert [found.key for found in first.objects] == [found.key for found in second.objects]
    for one, other in zip(first.values, second.values, strict=True):
        assert one | {"nodes": []} == other | {"nodes": []}
    assert all(found.key.startswith("/upstreams/") for found in second.objects)


def test_values_are_canonical_json():
    (found,) = cluster_outcome({}, ONE).objects
    assert found.value == orjson.dumps(orjson.loads(found.value), option=orjson.OPT_SORT_KEYS)


def test_a_subset_falls_back_to_fewer_keys():
    narrow = {"keys": ["v", "w"], "fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["v"]}
    cluster = {"lb_subset_config": {"fallback_policy": "NO_FALLBACK", "subset_selectors": [narrow, {"keys": ["v"]}]}}
    endpoints = [locality(in_subset("10.0.0.1", v="1", w="1"), in_subset("10.0.0.2", v="2", w="1"))]

    def hosts(**wanted: str) -> list[str]:
        use = {"metadata_match": {"filter_metadata": {"envoy.lb": wanted}}}
        return [node["host"] for node in cluster_outcome(cluster, endpoints, uses=(use,)).value["nodes"]]

    assert hosts(v="1", w="1") == ["10.0.0.1"]
    assert hosts(v="2", w="9") == ["10.0.0.2"]
    assert hosts(v="9", w="9") == []


def test_one_endpoint_per_subset_is_not_followed():
    cluster = {"lb_subset_config": {"subset_selectors": [{"keys": ["v"], "single_host_per_subset": True}]}}
    (found,) = cluster_outcome(cluster, ONE).found("CL-FEATURE")
    assert (found.severity, found.path) == (
        Severity.INFO,
        "lb_subset_config.subset_selectors[0].single_host_per_subset",
    )
