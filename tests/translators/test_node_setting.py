from __future__ import annotations

from typing import Any

from schemas import xds
from schemas.records import Role, UnitKind
from tests.translators.test_view_rule import chain, listener
from tests.translators.unit_outcome import Outcome, outcome, packed, resource
from translators.policy import Policy

TRACE = "envoy.config.trace.v3."


def viewed(*listeners: dict[str, Any], **policy: Any) -> Outcome:
    stubs = [resource(Role.SUBJECT, xds.LISTENER, data) for data in listeners]
    return outcome(UnitKind.VIEW, stubs, policy=Policy(**policy))


def tls(**context: Any) -> dict[str, Any]:
    name = xds.DOWNSTREAM_TLS_CONTEXT.rpartition("/")[2]
    return {"name": "tls", "typed_config": packed(name, context)}


def params(**fields: Any) -> dict[str, Any]:
    return {"common_tls_context": {"tls_params": fields}}


def named(**fields: Any) -> dict[str, Any]:
    return {**chain(**fields), "filter_chain_match": {"server_names": ["a.example"]}}


def test_what_nobody_asks_for_is_not_in_the_manifest():
    asked = {"enable_http2", "ssl", "nginx_http", "http_snippet", "trusted_addresses", "plugin_attr", "proxy_protocol"}
    assert not asked & viewed(listener("a", 80, chain())).manifest.keys()
    assert not asked & viewed(listener("a", 443, named(socket=tls()))).manifest.keys()


def test_protocols_are_those_of_all_together():
    old = tls(**params(tls_minimum_protocol_version="TLSv1_1", tls_maximum_protocol_version="TLSv1_2"))
    found = viewed(listener("a", 443, named(socket=old)), listener("b", 444, named(socket=tls())))
    assert found.manifest["ssl"] == {"ssl_protocols": "TLSv1.1 TLSv1.2 TLSv1.3"}


def test_ciphers_are_set_once():
    both = tls(**params(cipher_suites=["[A|B]", "C"]))
    assert viewed(listener("a", 443, named(socket=both))).manifest["ssl"] == {"ssl_ciphers": "A:B:C"}
    other = tls(**params(cipher_suites=["D"]))
    found = viewed(listener("a", 443, named(socket=both)), listener("b", 444, named(socket=other)))
    assert "ssl" not in found.manifest
    assert [(one.code, one.name) for one in found.diagnostics] == [("HCM-CODEC", "b")]


def test_http2_has_to_be_on_where_it_is_offered():
    offered = {"common_tls_context": {"alpn_protocols": ["h2", "http/1.1"]}}
    assert viewed(listener("a", 443, named(socket=tls(**offered)))).manifest["enable_http2"] is True


def test_tickets_and_clients_without_sni():
    assert viewed(listener("a", 443, chain(socket=tls(session_ticket_keys={})))).manifest["ssl"] == {
        "fallback_sni": "fallback",
        "ssl_session_tickets": True,
    }


def test_limits_of_connections_are_the_widest():
    slow = chain(
        common_http_protocol_options={"idle_timeout": "90s", "max_requests_per_connection": 10},
        request_timeout="0.5s",
        max_request_headers_kb=96,
    )
    found = viewed(
        listener("a", 80, slow), listener("b", 81, chain(common_http_protocol_options={"idle_timeout": "5s"}))
    )
    assert found.manifest["nginx_http"] == {"client_body_timeout": "500ms", "keepalive_timeout": "90s"}
    assert found.manifest["http_snippet"] == "large_client_header_buffers 4 96k;\nkeepalive_requests 10;"
    endless = viewed(listener("a", 80, chain(common_http_protocol_options={"idle_timeout": "0s"})))
    assert endless.manifest["nginx_http"] == {"keepalive_timeout": "86400s"}


def test_headers_with_underscores_go_for_all_or_for_none():
    drop = chain(common_http_protocol_options={"headers_with_underscores_action": "DROP_HEADER"})
    assert viewed(listener("a", 80, drop)).manifest["nginx_http"] == {"underscores_in_headers": "off"}
    found = viewed(listener("a", 80, drop), listener("b", 81, chain()))
    assert "nginx_http" not in found.manifest
    assert found.codes == ["HCM-CODEC"]


def test_trusted_addresses_are_those_of_all():
    def trusting(prefix: str) -> dict[str, Any]:
        cidrs = {"cidrs": [{"address_prefix": prefix, "prefix_len": 8}]}
        config = packed("envoy.extensions.http.original_ip_detection.xff.v3.XffConfig", {"xff_trusted_cidrs": cidrs})
        return chain(original_ip_detection_extensions=[{"name": "xff", "typed_config": config}])

    found = viewed(listener("a", 80, trusting("10.0.0.0")), listener("b", 81, trusting("11.0.0.0")))
    assert found.manifest["trusted_addresses"] == ["10.0.0.0/8", "11.0.0.0/8"]


def tracer(name: str, cluster: str, **config: Any) -> dict[str, Any]:
    grpc = {"grpc_service": {"envoy_grpc": {"cluster_name": cluster}}}
    provider = {"name": "p", "typed_config": packed(f"{TRACE}{name}", {**grpc, **config})}
    return chain(tracing={"provider": provider})


def test_collectors_are_known_to_the_node():
    collectors = {"oap": "http://oap:12800", "otel": "http://otel:4318", "other": "http://other:4318"}
    found = viewed(
        listener("a", 80, tracer("SkyWalkingConfig", "oap", client_config={"service_name": "edge"})),
        listener("b", 81, tracer("OpenTelemetryConfig", "otel")),
        listener("c", 82, tracer("OpenTelemetryConfig", "otel")),
        listener("d", 83, tracer("OpenTelemetryConfig", "other")),
        listener("e", 84, tracer("OpenTelemetryConfig", "unknown")),
        collectors=collectors,
    )
    assert found.manifest["plugin_attr"] == {
        "skywalking": {"endpoint_addr": "http://oap:12800", "service_name": "edge"}
    }
    assert found.values[1] == {"collector": {"address": "otel:4318"}}
    assert [(one.code, one.name) for one in found.diagnostics] == [("OBS-TRACE", "d")]


def test_zipkin_is_told_by_its_routes():
    provider = packed(f"{TRACE}ZipkinConfig", {"collector_cluster": "z", "collector_endpoint": "/"})
    found = viewed(
        listener("a", 80, chain(tracing={"provider": {"name": "p", "typed_config": provider}})),
        collectors={"z": "http://z:9411"},
    )
    assert len(found.objects) == 1
    assert "plugin_attr" not in found.manifest


def test_the_clients_address_where_all_agree():
    hop = chain(use_remote_address=True, xff_num_trusted_hops=1)
    agreed = viewed(listener("a", 80, hop), listener("b", 81, chain())).manifest["nginx_http"]
    assert agreed["real_ip_header"] == "x-forwarded-for"
    edge = chain(use_remote_address=True)
    assert "nginx_http" not in viewed(listener("a", 80, hop), listener("b", 81, edge)).manifest
    proxied = {"listener_filters": [{"name": "envoy.filters.listener.proxy_protocol"}]}
    assert viewed(listener("a", 80, hop, **proxied)).manifest["nginx_http"]["real_ip_header"] == "proxy_protocol"
