"""Rows of the family `http_connection_manager`: what it does besides routing and filters."""

from __future__ import annotations

from typing import Any

from translators.mappings.action import upgrade_configs
from translators.mappings.http_connection_manager import (
    access_log,
    client_address,
    early_header_mutation,
    forward_client_cert,
    local_reply_config,
    path,
    request_id,
    server_name,
    tracing,
    via,
)
from translators.registry.row import Diagnosed, Fidelity, Handled, Ignored, Row, diagnosed, handled, ignored, lost

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_HCM_FILTER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"
_LOG = "envoy.config.accesslog.v3"
_LOG_FILTER = f"{_LOG}.AccessLogFilter"
_TAG = "envoy.type.tracing.v3.CustomTag"
_SAMPLINGS = ("client_sampling", "random_sampling", "overall_sampling")
_SPANS = "how spans look is up to the plugin"
_STATIC = "static in nginx"
_TIMERS = "timers of Envoy's own connections"
_LOCAL = "how Envoy logs and counts"
_MANIFEST = "a setting of the node: it is in the bootstrap manifest"
_APPROXIMATED = Fidelity.APPROXIMATED
_EARLY, _LATE = 10, 90


def _is_true(value: Any) -> bool:
    return bool(value.value)


def _is_overwrite(value: int) -> bool:
    return value == 0


def _is_plain_http1(options: Any) -> bool:
    """Tell whether clients see nothing of Http1ProtocolOptions: nginx accepts HTTP/1.0 with its own answers."""
    return not (options.accept_http_10 or options.allow_custom_methods or options.HasField("header_key_format"))


def _limits_nothing(options: Any) -> bool:
    """Tell whether the manifest holds all that HttpProtocolOptions say."""
    is_limited = any(options.HasField(name) for name in ("max_connection_duration", "max_stream_duration"))
    return not (is_limited or options.HasField("max_headers_count") or options.headers_with_underscores_action == 1)


ROWS: tuple[Row, ...] = (
    *handled(_HCM, "rds", "route_config", "scoped_routes", "http_filters", "stream_idle_timeout"),
    Handled(f"{_HCM}.upgrade_configs", upgrade_configs.apply_manager, codes=("HF-UNTRANSLATED",)),
    *handled(_HCM, "strip_matching_host_port", "strip_any_host_port"),
    *ignored(_HCM, _STATIC, "codec_type", "stat_prefix", "proxy_100_continue"),
    *ignored(_HCM, _STATIC, "represent_ipv4_remote_address_as_ipv4_mapped_ipv6", "typed_header_validation_config"),
    *ignored(_HCM, _STATIC, "stream_error_on_invalid_http_message", "add_proxy_protocol_connection_state"),
    *ignored(_HCM, _STATIC, "append_local_overload", "strip_trailing_host_dot"),
    *ignored(_HCM, _TIMERS, "drain_timeout", "delayed_close_timeout", "request_headers_timeout"),
    *ignored(_HCM, _TIMERS, "stream_flush_timeout", "http1_safe_max_connection_duration"),
    *ignored(_HCM, _LOCAL, "access_log_flush_interval", "flush_access_log_on_new_request", "access_log_options"),
    *ignored(_HCM, _LOCAL, "add_user_agent", "proxy_status_config"),
    *ignored(_HCM, "nginx takes the address of the connection", "internal_address_config"),
    *ignored(_HCM, "APISIX sets X-Forwarded-* itself", "append_x_forwarded_port"),
    *ignored(_HCM, "limits and timers of Envoy's own codecs", "http2_protocol_options", "http3_protocol_options"),
    *ignored(_HCM, _MANIFEST, "max_request_headers_kb", "request_timeout"),
    Diagnosed(
        f"{_HCM}.common_http_protocol_options",
        "HCM-CODEC",
        unless=_limits_nothing,
        effect="durations and numbers of headers are not limited, headers with underscores dropped at most",
    ),
    Diagnosed(f"{_HCM}.http_protocol_options", "HCM-CODEC", unless=_is_plain_http1),
    Handled(f"{_HCM}.server_name", server_name.apply, phase=_LATE),
    Diagnosed(
        f"{_HCM}.server_header_transformation",
        "HCM-CODEC",
        effect="Server is never that of the upstream",
        unless=_is_overwrite,
    ),
    Handled(f"{_HCM}.via", via.apply, _APPROXIMATED, codes=("HDR-VALUE",)),
    Handled(f"{_HCM}.always_set_request_id_in_response", request_id.apply, _APPROXIMATED),
    *(
        Handled(f"{_HCM}.{name}", fidelity=_APPROXIMATED)
        for name in ("generate_request_id", "preserve_external_request_id")
    ),
    Ignored(f"{_HCM}.request_id_extension", "ids are UUIDs"),
    *diagnosed(_HCM, "HCM-CODEC", "scheme_header_transformation", effect="the scheme is that of the connection"),
    Handled(f"{_HCM}.use_remote_address", fidelity=_APPROXIMATED),
    Handled(f"{_HCM}.xff_num_trusted_hops", client_address.apply_hops, _APPROXIMATED, codes=("HCM-XFF",)),
    Handled(
        f"{_HCM}.original_ip_detection_extensions",
        client_address.apply_extensions,
        _APPROXIMATED,
        codes=("HCM-XFF",),
    ),
    *diagnosed(_HCM, "HCM-XFF", "skip_xff_append", effect="the address is appended to X-Forwarded-For all the same"),
    Handled(f"{_HCM}.forward_client_cert_details", forward_client_cert.apply, _APPROXIMATED, codes=("HCM-XFF",)),
    *handled(_HCM, "set_current_client_cert_details"),
    Diagnosed(
        f"{_HCM}.forward_client_cert_matcher",
        "HCM-XFF",
        effect="x-forwarded-client-cert is removed from every request",
        remedy="use forward_client_cert_details",
    ),
    Handled(
        f"{_HCM}.early_header_mutation_extensions",
        early_header_mutation.apply,
        _APPROXIMATED,
        phase=_EARLY,
        codes=("HCM-EARLY", "HDR-VALUE", "HDR-FORMAT"),
    ),
    Handled(
        f"{_HCM}.local_reply_config",
        local_reply_config.apply,
        _APPROXIMATED,
        codes=("HCM-LOCALREPLY", "HDR-FORMAT"),
        is_whole=True,
    ),
    Handled(f"{_HCM}.access_log", access_log.apply, _APPROXIMATED, codes=("OBS-ALS",)),
    Handled(f"{_HCM}.tracing", tracing.apply, _APPROXIMATED, codes=("OBS-TRACE",)),
    Handled("envoy.config.route.v3.Route.tracing", fidelity=_APPROXIMATED, codes=("OBS-TRACE",)),
    *handled(f"{_HCM}.Tracing", *_SAMPLINGS, "custom_tags", "provider"),
    *ignored(f"{_HCM}.Tracing", _SPANS, "verbose", "max_path_tag_length", "spawn_upstream_span"),
    *ignored(f"{_HCM}.Tracing", _SPANS, "operation", "upstream_operation"),
    *handled("envoy.config.trace.v3.Tracing.Http", "typed_config"),
    *ignored("envoy.config.trace.v3.Tracing.Http", "the type says it", "name"),
    *handled("envoy.config.route.v3.Tracing", *_SAMPLINGS, "custom_tags"),
    *ignored("envoy.config.route.v3.Tracing", _SPANS, "operation", "upstream_operation"),
    *handled(_TAG, "tag", "request_header"),
    *lost(_TAG, "OBS-TRACE", "literal", "environment", "metadata", "value"),
    *handled(f"{_TAG}.Header", "name"),
    *ignored(f"{_TAG}.Header", "spans of requests without the header lack the tag", "default_value"),
    *handled(f"{_LOG}.AccessLog", "name", "filter", "typed_config"),
    *handled(_LOG_FILTER, "status_code_filter", "duration_filter", "not_health_check_filter", "runtime_filter"),
    *handled(_LOG_FILTER, "and_filter", "or_filter", "header_filter"),
    *lost(_LOG_FILTER, "OBS-ALS", "traceable_filter", "response_flag_filter", "grpc_status_filter"),
    *lost(_LOG_FILTER, "OBS-ALS", "extension_filter", "metadata_filter", "log_type_filter"),
    *handled(f"{_LOG}.AndFilter", "filters"),
    *handled(f"{_LOG}.OrFilter", "filters"),
    *handled(f"{_LOG}.StatusCodeFilter", "comparison"),
    *handled(f"{_LOG}.DurationFilter", "comparison"),
    *handled(f"{_LOG}.ComparisonFilter", "op", "value"),
    *handled(f"{_LOG}.HeaderFilter", "header"),
    *handled(f"{_LOG}.RuntimeFilter", "percent_sampled"),
    *ignored(f"{_LOG}.RuntimeFilter", "there is no runtime layer", "runtime_key"),
    *ignored(f"{_LOG}.RuntimeFilter", "every request is drawn by itself", "use_independent_randomness"),
    *handled(f"{_HCM}.SetCurrentClientCertDetails", "subject", "cert"),
    *lost(f"{_HCM}.SetCurrentClientCertDetails", "HCM-XFF", "chain", "dns", "uri"),
    *handled(f"{_HCM}.UpgradeConfig", "upgrade_type", "enabled"),
    *lost(f"{_HCM}.UpgradeConfig", "HF-UNTRANSLATED", "filters"),
    *handled(f"{_HCM_FILTER}", "name", "typed_config", "config_discovery", "is_optional", "disabled"),
    Diagnosed(f"{_HCM}.normalize_path", "HCM-PATH", unless=_is_true),
    Ignored(f"{_HCM}.merge_slashes", "nginx merges slashes"),
    *diagnosed(_HCM, "HCM-PATH", "path_normalization_options"),
    Handled(f"{_HCM}.path_with_escaped_slashes_action", path.apply, _APPROXIMATED, codes=("HCM-PATH",)),
)
