"""Rows of the family `cluster`: Cluster, its load assignment, and what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.mappings.cluster import (
    circuit_breakers,
    cluster_type,
    common_lb_config,
    connection,
    health_check,
    http_protocol_options,
    load_balancing_policy,
    outlier_detection,
    subset,
)
from translators.mappings.endpoint import drop_overloads
from translators.registry.row import Diagnosed, Fidelity, Handled, Ignored, Row, diagnosed, handled, ignored, lost

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas import xds

_CLUSTER = "envoy.config.cluster.v3.Cluster"
_COMMON_LB = f"{_CLUSTER}.CommonLbConfig"
_SUBSETS = f"{_CLUSTER}.LbSubsetConfig"
_ENDPOINT = "envoy.config.endpoint.v3"
_COMMON_HTTP = "envoy.config.core.v3.HttpProtocolOptions"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HEALTH = "envoy.config.core.v3.HealthCheck"
_HTTP_HEALTH = f"{_HEALTH}.HttpHealthCheck"
_OUTLIER = "envoy.config.cluster.v3.OutlierDetection"
_HTTP2 = "envoy.config.core.v3.Http2ProtocolOptions"
_UPSTREAM_HTTP = "envoy.config.core.v3.UpstreamHttpProtocolOptions"
_CHOICES = ("ExplicitHttpConfig", "UseDownstreamHttpConfig", "AutoHttpConfig")
_CODECS = "limits and timers of Envoy's own codecs"
_RATES = "said by the detectors that use them"
_PROBES = "probes are APISIX's own"
_STATISTICS = "statistics of Envoy"
_BUFFERS = "buffers and sockets are static in nginx"
_RESOLVER = "the resolver is set in config.yaml of the node (dns_resolver)"
_TUNING = "tuning of Envoy's own balancer"
_LIMITS = "limits of Envoy's own connections"


def _only_exchange_metadata(filters: Iterable[xds.Message]) -> bool:
    """Tell whether the filters are Istio's, which only feed its metrics (mapping.md section 4.7, last row)."""
    return all(network_filter.name == "istio.metadata_exchange" for network_filter in filters)


_CLUSTER_ROWS: tuple[Row, ...] = (
    *handled(_CLUSTER, "name", "eds_cluster_config", "load_assignment", "transport_socket", "transport_socket_matches"),
    Handled(f"{_CLUSTER}.lb_subset_config", subset.report_single_host, codes=("CL-FEATURE",)),
    Handled(f"{_CLUSTER}.type", cluster_type.apply_type, Fidelity.EXACT, codes=("CL-TYPE", "CL-ORIGDST")),
    Handled(
        f"{_CLUSTER}.cluster_type",
        cluster_type.apply_cluster_type,
        Fidelity.EXACT,
        codes=("CL-TYPE", "RA-CLUSTER-UNKNOWN", "CL-TLS-MIXED"),
    ),
    Handled(f"{_CLUSTER}.connect_timeout", connection.apply_connect_timeout),
    Handled(f"{_CLUSTER}.lb_policy", load_balancing_policy.apply, Fidelity.APPROXIMATED, codes=("CL-FEATURE",)),
    Handled(
        f"{_CLUSTER}.load_balancing_policy",
        load_balancing_policy.apply,
        Fidelity.APPROXIMATED,
        phase=60,
        codes=("CL-FEATURE",),
    ),
    Handled(f"{_CLUSTER}.common_lb_config", common_lb_config.apply, Fidelity.APPROXIMATED),
    Handled(f"{_CLUSTER}.max_requests_per_connection", connection.apply_max_requests),
    Handled(f"{_CLUSTER}.common_http_protocol_options", connection.apply_common_options),
    Handled(f"{_CLUSTER}.http2_protocol_options", http_protocol_options.apply_http2, codes=("CL-H2",)),
    Handled(f"{_CLUSTER}.upstream_http_protocol_options", http_protocol_options.apply_upstream_options),
    Handled(
        f"{_CLUSTER}.typed_extension_protocol_options",
        http_protocol_options.apply_extensions,
        phase=60,
        codes=("CFG-UNKNOWN-ANY",),
    ),
    Handled(f"{_CLUSTER}.round_robin_lb_config", load_balancing_policy.apply_slow_start, codes=("CL-FEATURE",)),
    Handled(f"{_CLUSTER}.least_request_lb_config", load_balancing_policy.apply_slow_start, codes=("CL-FEATURE",)),
    *ignored(_CLUSTER, _TUNING, "ring_hash_lb_config", "maglev_lb_config", "preconnect_policy", "cleanup_interval"),
    *ignored(_CLUSTER, _STATISTICS, "alt_stat_name", "track_timeout_budgets", "track_cluster_stats", "lrs_server"),
    *ignored(_CLUSTER, _STATISTICS, "lrs_report_endpoint_metrics", "metadata"),
    *ignored(_CLUSTER, _BUFFERS, "per_connection_buffer_limit_bytes", "upstream_connection_options"),
    *ignored(_CLUSTER, _BUFFERS, "connection_pool_per_downstream_connection", "http_protocol_options"),
    *ignored(_CLUSTER, "health is decided at translation time", "close_connections_on_host_health_failure"),
    *ignored(_CLUSTER, "health is decided at translation time", "ignore_health_on_host_removal"),
    *ignored(_CLUSTER, "nodes load their configuration in one piece", "wait_for_warm_on_init"),
    *ignored(_CLUSTER, "replaced by HttpProtocolOptions", "protocol_selection"),
    *ignored(_CLUSTER, _RESOLVER, "dns_refresh_rate", "dns_jitter", "dns_failure_refresh_rate", "respect_dns_ttl"),
    *ignored(_CLUSTER, _RESOLVER, "dns_lookup_family", "dns_resolvers", "use_tcp_for_dns_lookups"),
    *ignored(_CLUSTER, _RESOLVER, "dns_resolution_config", "typed_dns_resolver_config"),
    *ignored(_CLUSTER, "said by CL-ORIGDST", "original_dst_lb_config"),
    *diagnosed(_CLUSTER, "CL-FEATURE", "upstream_bind_config", "upstream_config"),
    Diagnosed(f"{_CLUSTER}.filters", "CL-FEATURE", unless=_only_exchange_metadata),
    Handled(
        f"{_CLUSTER}.health_checks",
        health_check.apply,
        Fidelity.APPROXIMATED,
        codes=("CL-HC-MULTI", "CL-HC-GRPC", "CL-FEATURE"),
    ),
    Handled(
        f"{_CLUSTER}.outlier_detection",
        outlier_detection.apply,
        Fidelity.APPROXIMATED,
        phase=70,
        codes=("CL-OUTLIER",),
    ),
    Handled(
        f"{_CLUSTER}.circuit_breakers",
        circuit_breakers.apply,
        Fidelity.NOT_EXPRESSIBLE,
        codes=("CL-BREAKER",),
        is_whole=True,
    ),
    Diagnosed(
        f"{_CLUSTER}.transport_socket_matcher",
        "TLS-SOCKET",
        restricts=True,
        remedy="use transport_socket_matches",
    ),
    Handled(f"{_COMMON_LB}.healthy_panic_threshold", common_lb_config.apply_panic_threshold, Fidelity.APPROXIMATED),
    Handled(f"{_COMMON_LB}.zone_aware_lb_config", common_lb_config.apply_zone_aware, Fidelity.APPROXIMATED),
    *handled(_COMMON_LB, "locality_weighted_lb_config"),
    *ignored(_COMMON_LB, _TUNING, "update_merge_window", "ignore_new_hosts_until_first_hc"),
    *ignored(_COMMON_LB, _TUNING, "close_connections_on_host_set_change", "consistent_hashing_lb_config"),
    *ignored(_COMMON_LB, _TUNING, "override_host_status"),
    *handled(_SUBSETS, "fallback_policy", "default_subset", "subset_selectors", "list_as_any"),
    *ignored(_SUBSETS, _TUNING, "locality_weight_aware", "scale_locality_weight", "panic_mode_any"),
    *ignored(_SUBSETS, "no metadata is tried in turn", "metadata_fallback_policy"),
    *handled(f"{_SUBSETS}.LbSubsetSelector", "keys", "single_host_per_subset"),
    *handled(f"{_SUBSETS}.LbSubsetSelector", "fallback_policy", "fallback_keys_subset"),
    *handled(f"{_CLUSTER}.EdsClusterConfig", "eds_config", "service_name"),
    *handled(f"{_CLUSTER}.CustomClusterType", "name", "typed_config"),
    *handled(f"{_CLUSTER}.TransportSocketMatch", "match", "transport_socket"),
    *ignored(f"{_CLUSTER}.TransportSocketMatch", _STATISTICS, "name"),
    *lost(f"{_CLUSTER}.RoundRobinLbConfig", "CL-FEATURE", "slow_start_config"),
    *lost(f"{_CLUSTER}.LeastRequestLbConfig", "CL-FEATURE", "slow_start_config"),
    *ignored(f"{_CLUSTER}.LeastRequestLbConfig", _TUNING, "choice_count", "active_request_bias"),
    *handled(f"{_COMMON_LB}.ZoneAwareLbConfig", "fail_traffic_on_panic"),
    *ignored(
        f"{_COMMON_LB}.ZoneAwareLbConfig", "all zones are used, as in a zone that is too small", "min_cluster_size"
    ),
    *ignored(f"{_COMMON_LB}.ZoneAwareLbConfig", "all zones are used: that of a node is not known", "routing_enabled"),
    *handled("envoy.config.cluster.v3.LoadBalancingPolicy", "policies"),
    *handled("envoy.config.cluster.v3.LoadBalancingPolicy.Policy", "typed_extension_config"),
)

_PROTOCOL_ROWS: tuple[Row, ...] = (
    Handled(f"{_HTTP}.common_http_protocol_options", connection.apply_common_options),
    Handled(f"{_HTTP}.explicit_http_config", http_protocol_options.apply_explicit, codes=("CL-H2", "CL-FEATURE")),
    Handled(f"{_HTTP}.use_downstream_protocol_config", http_protocol_options.apply_mixed, codes=("CL-H2",)),
    Handled(f"{_HTTP}.auto_config", http_protocol_options.apply_mixed, codes=("CL-H2",)),
    Handled(f"{_HTTP}.upstream_http_protocol_options", http_protocol_options.apply_upstream_options),
    *handled(_HTTP, "hash_policy", "retry_policy", "request_mirror_policies"),
    *ignored(_HTTP, "nginx validates headers itself", "header_validation_config"),
    *diagnosed(_HTTP, "CL-FEATURE", "http_filters", effect="the upstream filters do not run"),
    *diagnosed(_HTTP, "CL-OUTLIER", "outlier_detection"),
    *handled(_COMMON_HTTP, "idle_timeout", "max_requests_per_connection"),
    *ignored(_COMMON_HTTP, _LIMITS, "max_connection_duration", "max_headers_count", "max_response_headers_kb"),
    *ignored(_COMMON_HTTP, _LIMITS, "max_stream_duration", "headers_with_underscores_action"),
    *(
        Handled(f"{_HTTP}.{choice}.http2_protocol_options", fidelity=Fidelity.APPROXIMATED, codes=("CL-H2",))
        for choice in _CHOICES
    ),
    *(Ignored(f"{_HTTP}.{choice}.http_protocol_options", _CODECS) for choice in _CHOICES),
    *lost(f"{_HTTP}.ExplicitHttpConfig", "CL-FEATURE", "http3_protocol_options"),
    *ignored(f"{_HTTP}.UseDownstreamHttpConfig", "nginx speaks no HTTP/3 upstream", "http3_protocol_options"),
    *ignored(f"{_HTTP}.AutoHttpConfig", "nginx speaks no HTTP/3 upstream", "http3_protocol_options"),
    *ignored(f"{_HTTP}.AutoHttpConfig", "nginx speaks no HTTP/3 upstream", "alternate_protocols_cache_options"),
    *handled(_UPSTREAM_HTTP, "auto_sni", "auto_san_validation"),
    *diagnosed(_UPSTREAM_HTTP, "TLS-SNI-HOST", "override_auto_sni_header"),
    *ignored(_HTTP2, _CODECS, "hpack_table_size", "max_concurrent_streams", "initial_stream_window_size"),
    *ignored(_HTTP2, _CODECS, "initial_connection_window_size", "max_outbound_frames", "use_oghttp2_codec"),
    *ignored(_HTTP2, _CODECS, "max_outbound_control_frames", "max_consecutive_inbound_frames_with_empty_payload"),
    *ignored(_HTTP2, _CODECS, "max_inbound_priority_frames_per_stream", "max_metadata_size", "connection_keepalive"),
    *ignored(_HTTP2, _CODECS, "max_inbound_window_update_frames_per_data_frame_sent", "custom_settings_parameters"),
    *ignored(_HTTP2, _CODECS, "stream_error_on_invalid_http_messaging", "allow_metadata"),
    *ignored(_HTTP2, _CODECS, "override_stream_error_on_invalid_http_message"),
    *ignored(_HTTP2, "CONNECT is not forwarded", "allow_connect"),
    *ignored("envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions", _LIMITS, "idle_timeout"),
)

_ENDPOINT_ROWS: tuple[Row, ...] = (
    *handled(f"{_ENDPOINT}.ClusterLoadAssignment", "cluster_name", "endpoints", "named_endpoints", "policy"),
    Handled(f"{_ENDPOINT}.ClusterLoadAssignment.Policy.drop_overloads", drop_overloads.apply, codes=("CL-DROP",)),
    *handled(f"{_ENDPOINT}.ClusterLoadAssignment.Policy.DropOverload", "drop_percentage"),
    *ignored(f"{_ENDPOINT}.ClusterLoadAssignment.Policy.DropOverload", "statistics of Envoy", "category"),
    *handled(f"{_ENDPOINT}.ClusterLoadAssignment.Policy", "overprovisioning_factor"),
    *ignored(
        f"{_ENDPOINT}.ClusterLoadAssignment.Policy",
        "endpoints stay until discovery says otherwise",
        "endpoint_stale_after",
        "weighted_priority_health",
    ),
    *handled(f"{_ENDPOINT}.LocalityLbEndpoints", "locality", "metadata", "lb_endpoints", "load_balancer_endpoints"),
    *handled(f"{_ENDPOINT}.LocalityLbEndpoints", "load_balancing_weight", "priority"),
    *lost(f"{_ENDPOINT}.LocalityLbEndpoints", "EP-LEDS", "leds_cluster_locality_config"),
    *handled(f"{_ENDPOINT}.LocalityLbEndpoints.LbEndpointList", "lb_endpoints"),
    *ignored(f"{_ENDPOINT}.LocalityLbEndpoints", "not used by Envoy either", "proximity"),
    *handled(f"{_ENDPOINT}.LbEndpoint", "endpoint", "endpoint_name", "health_status", "metadata"),
    *handled(f"{_ENDPOINT}.LbEndpoint", "load_balancing_weight"),
    *handled(f"{_ENDPOINT}.Endpoint", "address", "hostname"),
    Handled(f"{_ENDPOINT}.Endpoint.health_check_config", codes=("CL-FEATURE",)),
    *handled(f"{_ENDPOINT}.Endpoint.HealthCheckConfig", "port_value", "hostname", "address"),
    *handled(f"{_ENDPOINT}.Endpoint.HealthCheckConfig", "disable_active_health_check"),
    Ignored(f"{_ENDPOINT}.Endpoint.additional_addresses", "the first address is used"),
)

_HEALTH_ROWS: tuple[Row, ...] = (
    *handled(_HEALTH, "timeout", "interval", "unhealthy_interval", "unhealthy_threshold", "healthy_threshold"),
    *handled(_HEALTH, "alt_port", "http_health_check", "tcp_health_check"),
    *lost(_HEALTH, "CL-HC-GRPC", "grpc_health_check"),
    *lost(_HEALTH, "CL-FEATURE", "custom_health_check"),
    *lost(f"{_HEALTH}.TcpHealthCheck", "CL-FEATURE", "send", "receive", "proxy_protocol_config"),
    *handled(f"{_HEALTH}.Payload", "text", "binary"),
    *ignored(_HEALTH, _PROBES, "initial_jitter", "interval_jitter", "interval_jitter_percent", "reuse_connection"),
    *ignored(_HEALTH, _PROBES, "no_traffic_interval", "no_traffic_healthy_interval"),
    *ignored(_HEALTH, _PROBES, "unhealthy_edge_interval", "healthy_edge_interval"),
    *ignored(_HEALTH, _STATISTICS, "event_log_path", "event_logger", "event_service"),
    *ignored(_HEALTH, _STATISTICS, "always_log_health_check_failures", "always_log_health_check_success"),
    *ignored(_HEALTH, _PROBES, "tls_options", "transport_socket_match_criteria"),
    *handled(_HTTP_HEALTH, "host", "path", "send", "request_headers_to_add", "expected_statuses", "method"),
    *handled(_HTTP_HEALTH, "retriable_statuses"),
    *ignored(_HTTP_HEALTH, _PROBES, "receive", "response_buffer_size", "request_headers_to_remove"),
    *ignored(_HTTP_HEALTH, _PROBES, "codec_client_type", "service_name_matcher"),
)

_OUTLIER_ROWS: tuple[Row, ...] = (
    *handled(_OUTLIER, "consecutive_5xx", "enforcing_consecutive_5xx", "base_ejection_time"),
    *handled(_OUTLIER, "consecutive_gateway_failure", "enforcing_consecutive_gateway_failure"),
    *handled(_OUTLIER, "consecutive_local_origin_failure", "enforcing_consecutive_local_origin_failure"),
    *handled(_OUTLIER, "split_external_local_origin_errors"),
    *(
        Diagnosed(f"{_OUTLIER}.{field}", "CL-OUTLIER", unless=outlier_detection.is_off)
        for field in (
            "enforcing_success_rate",
            "enforcing_local_origin_success_rate",
            "enforcing_failure_percentage",
            "enforcing_failure_percentage_local_origin",
        )
    ),
    Diagnosed(
        f"{_OUTLIER}.max_ejection_percent",
        "CL-OUTLIER",
        effect="all endpoints may be ejected, then all are used",
        unless=outlier_detection.is_no_cap,
    ),
    *diagnosed(_OUTLIER, "CL-OUTLIER", "monitors"),
    *ignored(_OUTLIER, _RATES, "success_rate_minimum_hosts", "success_rate_request_volume"),
    *ignored(_OUTLIER, _RATES, "success_rate_stdev_factor", "failure_percentage_threshold"),
    *ignored(_OUTLIER, _RATES, "failure_percentage_minimum_hosts", "failure_percentage_request_volume"),
    *ignored(_OUTLIER, "failures are counted as they happen", "interval", "always_eject_one_host"),
    *ignored(_OUTLIER, "a probe brings endpoints back", "max_ejection_time", "max_ejection_time_jitter"),
    *ignored(_OUTLIER, "a probe brings endpoints back", "successful_active_health_check_uneject_host"),
)

ROWS: tuple[Row, ...] = (*_CLUSTER_ROWS, *_PROTOCOL_ROWS, *_ENDPOINT_ROWS, *_HEALTH_ROWS, *_OUTLIER_ROWS)
