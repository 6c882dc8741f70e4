"""Rows of the family `http`: HttpConnectionManager and the HTTP filters, each by the message that configures it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translators.mappings.http_filter import (
    api_key_auth,
    composite,
    csrf,
    decoration,
    ext_authz,
    header_mutation,
    jwt_authn,
    local_ratelimit,
    lua,
    ratelimit,
    rbac,
    wasm,
)
from translators.mappings.http_filter.switch import is_switched_off
from translators.registry.row import Diagnosed, Fidelity, Handled, Ignored, Row, diagnosed, handled, ignored

if TYPE_CHECKING:
    from collections.abc import Callable

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_FILTER = "envoy.extensions.filters.http"
_STATIC = "static in nginx"
_TIMERS = "timers of Envoy's own connections"
_LOCAL = "how Envoy logs and counts"
_METADATA = "metadata inside Envoy; what depends on it is diagnosed where it stands"
_OBSERVER = "observes only"
_KEPT_ESCAPED_SLASHES = (0, 4)
"""IMPLEMENTATION_SPECIFIC_DEFAULT and UNESCAPE_AND_FORWARD: nginx matches the unescaped path and forwards."""


def _is_true(value: Any) -> bool:
    return bool(value.value)


def _keeps_escaped_slashes(value: int) -> bool:
    return value in _KEPT_ESCAPED_SLASHES


def _is_plain_http1(options: Any) -> bool:
    """Tell whether clients see nothing of Http1ProtocolOptions: nginx accepts HTTP/1.0 with its own answers."""
    return not (options.accept_http_10 or options.allow_custom_methods or options.HasField("header_key_format"))


def _has_no_provider(tracing: Any) -> bool:
    return not tracing.HasField("provider")


_MANAGER_ROWS: tuple[Row, ...] = (
    *handled(_HCM, "rds", "route_config", "scoped_routes", "http_filters", "upgrade_configs", "stream_idle_timeout"),
    *handled(_HCM, "strip_matching_host_port", "strip_any_host_port"),
    *ignored(_HCM, _STATIC, "codec_type", "stat_prefix", "max_request_headers_kb", "proxy_100_continue"),
    *ignored(_HCM, _STATIC, "represent_ipv4_remote_address_as_ipv4_mapped_ipv6", "typed_header_validation_config"),
    *ignored(_HCM, _STATIC, "stream_error_on_invalid_http_message", "add_proxy_protocol_connection_state"),
    *ignored(_HCM, _STATIC, "append_local_overload", "strip_trailing_host_dot", "path_normalization_options"),
    *ignored(_HCM, _TIMERS, "drain_timeout", "delayed_close_timeout", "request_headers_timeout", "request_timeout"),
    *ignored(_HCM, _TIMERS, "stream_flush_timeout", "http1_safe_max_connection_duration"),
    *ignored(_HCM, _TIMERS, "common_http_protocol_options"),
    *ignored(_HCM, _LOCAL, "access_log_flush_interval", "flush_access_log_on_new_request", "access_log_options"),
    *ignored(_HCM, _LOCAL, "add_user_agent", "proxy_status_config"),
    *ignored(_HCM, "nginx takes the address of the connection", "use_remote_address", "internal_address_config"),
    *ignored(_HCM, "APISIX sets X-Forwarded-* itself", "append_x_forwarded_port", "skip_xff_append"),
    *ignored(_HCM, "request ids are made at the node", "generate_request_id", "preserve_external_request_id"),
    *ignored(_HCM, "request ids are made at the node", "request_id_extension"),
    *ignored(_HCM, "limits and timers of Envoy's own codecs", "http2_protocol_options", "http3_protocol_options"),
    Diagnosed(f"{_HCM}.http_protocol_options", "HCM-CODEC", unless=_is_plain_http1),
    *diagnosed(_HCM, "HCM-CODEC", "server_name", "server_header_transformation", effect="Server is that of APISIX"),
    *diagnosed(_HCM, "HCM-CODEC", "via", effect="no Via header is written"),
    *diagnosed(_HCM, "HCM-CODEC", "always_set_request_id_in_response", effect="the response has no x-request-id"),
    *diagnosed(_HCM, "HCM-CODEC", "scheme_header_transformation", effect="the scheme is that of the connection"),
    *diagnosed(_HCM, "HCM-XFF", "xff_num_trusted_hops", "original_ip_detection_extensions"),
    *diagnosed(
        _HCM,
        "HCM-XFF",
        "forward_client_cert_details",
        "set_current_client_cert_details",
        "forward_client_cert_matcher",
        effect="x-forwarded-client-cert passes as the client sent it",
    ),
    *diagnosed(_HCM, "HCM-EARLY", "early_header_mutation_extensions"),
    *diagnosed(_HCM, "HCM-LOCALREPLY", "local_reply_config"),
    *diagnosed(_HCM, "OBS-ALS", "access_log"),
    Diagnosed(f"{_HCM}.tracing", "OBS-TRACE", unless=_has_no_provider),
    Diagnosed(f"{_HCM}.normalize_path", "HCM-PATH", unless=_is_true),
    Ignored(f"{_HCM}.merge_slashes", "nginx merges slashes"),
    Diagnosed(f"{_HCM}.path_with_escaped_slashes_action", "HCM-PATH", unless=_keeps_escaped_slashes),
)


def _decorating(*filters: str) -> tuple[Row, ...]:
    return tuple(Diagnosed(f"{_FILTER}.{name}", "HF-UNTRANSLATED", unless=is_switched_off) for name in filters)


def _restricting(code: str, *filters: str, unless: Callable[[Any], bool] = is_switched_off) -> tuple[Row, ...]:
    return tuple(Diagnosed(f"{_FILTER}.{name}", code, restricts=True, unless=unless) for name in filters)


def _harmless(reason: str, *types: str) -> tuple[Row, ...]:
    return tuple(Ignored(name, reason) for name in types)


_FILTER_ROWS: tuple[Row, ...] = (
    *_harmless("routing is what routes are for", f"{_FILTER}.router.v3.Router"),
    *_harmless(_OBSERVER, f"{_FILTER}.grpc_stats.v3.FilterConfig", "stats.PluginConfig"),
    *_harmless(_METADATA, f"{_FILTER}.set_metadata.v3.Config", f"{_FILTER}.header_to_metadata.v3.Config"),
    *_harmless(_METADATA, f"{_FILTER}.json_to_metadata.v3.JsonToMetadata", f"{_FILTER}.set_filter_state.v3.Config"),
    *_harmless(_METADATA, f"{_FILTER}.thrift_to_metadata.v3.ThriftToMetadata", f"{_FILTER}.ip_tagging.v3.IPTagging"),
    *_harmless(_METADATA, f"{_FILTER}.grpc_field_extraction.v3.GrpcFieldExtractionConfig"),
    *_harmless(_METADATA, f"{_FILTER}.proto_message_extraction.v3.ProtoMessageExtractionConfig"),
    *_harmless(_OBSERVER, f"{_FILTER}.proto_message_logging.v3.ProtoMessageLoggingConfig"),
    *_harmless(
        _METADATA, "io.istio.http.peer_metadata.Config", "istio.envoy.config.filter.http.authn.v2alpha1.FilterConfig"
    ),
    *_harmless("ALPN towards sidecars of Istio", "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig"),
    *_harmless(
        "HBONE tunnels of Istio", "io.istio.http.connect_baggage.Config", "io.istio.http.connect_authority.Config"
    ),
    *_harmless("the list of clusters and hosts is complete", f"{_FILTER}.on_demand.v3.OnDemand"),
    *_harmless("nginx speaks no HTTP/3 upstream", f"{_FILTER}.alternate_protocols_cache.v3.FilterConfig"),
    *_harmless("the codec of upstream filters", f"{_FILTER}.upstream_codec.v3.UpstreamCodec"),
    *_harmless("a test tool", f"{_FILTER}.kill_request.v3.KillRequest"),
    Handled(
        f"{_FILTER}.header_mutation.v3.HeaderMutation",
        header_mutation.apply,
        Fidelity.APPROXIMATED,
        codes=("HDR-VALUE", "HDR-FORMAT", "HF-UNTRANSLATED"),
    ),
    Handled(
        f"{_FILTER}.header_mutation.v3.HeaderMutationPerRoute",
        header_mutation.apply,
        Fidelity.APPROXIMATED,
        codes=("HDR-VALUE", "HDR-FORMAT", "HF-UNTRANSLATED"),
    ),
    Diagnosed(f"{_FILTER}.cors.v3.Cors", "HF-UNTRANSLATED", unless=decoration.has_no_cors_policy),
    Diagnosed(f"{_FILTER}.cors.v3.CorsPolicy", "HF-UNTRANSLATED", unless=decoration.has_no_cors_policy),
    Diagnosed(f"{_FILTER}.fault.v3.HTTPFault", "HF-UNTRANSLATED", unless=decoration.injects_nothing),
    *_decorating("compressor.v3.Compressor", "gzip.v3.Gzip", "decompressor.v3.Decompressor", "buffer.v3.Buffer"),
    *_decorating("grpc_web.v3.GrpcWeb", "grpc_http1_bridge.v3.Config", "grpc_http1_reverse_bridge.v3.FilterConfig"),
    *_decorating("grpc_json_transcoder.v3.GrpcJsonTranscoder", "connect_grpc_bridge.v3.FilterConfig"),
    *_decorating("grpc_json_reverse_transcoder.v3.GrpcJsonReverseTranscoder", "tap.v3.Tap", "geoip.v3.Geoip"),
    *_decorating("health_check.v3.HealthCheck", "stateful_session.v3.StatefulSession", "original_src.v3.OriginalSrc"),
    *_decorating("cache.v3.CacheConfig", "cache_v2.v3.CacheV2Config", "custom_response.v3.CustomResponse"),
    *_decorating("credential_injector.v3.CredentialInjector", "gcp_authn.v3.GcpAuthnFilterConfig"),
    *_decorating("aws_lambda.v3.Config", "aws_request_signing.v3.AwsRequestSigning", "cdn_loop.v3.CdnLoopConfig"),
    *_decorating("dynamic_forward_proxy.v3.FilterConfig", "file_system_buffer.v3.FileSystemBufferFilterConfig"),
    *_decorating("adaptive_concurrency.v3.AdaptiveConcurrency", "admission_control.v3.AdmissionControl"),
    *_decorating("bandwidth_limit.v3.BandwidthLimit", "rate_limit_quota.v3.RateLimitQuotaFilterConfig"),
    *_decorating("mcp.v3.Mcp", "mcp_router.v3.McpRouter", "transform.v3.TransformConfig"),
    Handled(
        f"{_FILTER}.rbac.v3.RBAC",
        rbac.apply,
        Fidelity.EXACT,
        codes=("HF-RESTRICT", "HF-META", "TLS-SAN", "RT-HEADER", "RT-REGEX"),
    ),
    Handled(
        f"{_FILTER}.jwt_authn.v3.JwtAuthentication",
        jwt_authn.apply,
        Fidelity.APPROXIMATED,
        codes=(
            "AUTH-JWKS",
            "AUTH-JWT-AUD",
            "AUTH-JWT-CLAIM",
            "HF-DUP",
            "HF-RESTRICT",
            "HF-UNTRANSLATED",
            "RT-HEADER",
            "RT-REGEX",
        ),
    ),
    *_restricting("HF-RESTRICT", "ext_authz.v3.ExtAuthz", unless=ext_authz.asks_nobody),
    *_restricting("HF-RESTRICT", "local_ratelimit.v3.LocalRateLimit", unless=local_ratelimit.limits_nothing),
    *_restricting("HF-RESTRICT", "csrf.v3.CsrfPolicy", unless=csrf.checks_nothing),
    Handled(
        f"{_FILTER}.api_key_auth.v3.ApiKeyAuth",
        api_key_auth.apply,
        Fidelity.APPROXIMATED,
        codes=("HF-DUP", "HF-RESTRICT"),
    ),
    Diagnosed(
        f"{_FILTER}.basic_auth.v3.BasicAuth",
        "HF-RESTRICT",
        restricts=True,
        effect="every route the filter guards answers 403: APISIX wants passwords, the filter has hashes of them",
        remedy="use api_key_auth or jwt_authn, or check passwords at the service and allow HF-RESTRICT in the policy",
        unless=is_switched_off,
    ),
    Diagnosed(
        f"{_FILTER}.oauth2.v3.OAuth2",
        "HF-RESTRICT",
        restricts=True,
        effect="every route the filter guards answers 403: APISIX logs in only where the issuer is discovered",
        remedy="log in at a proxy in front and verify its tokens with jwt_authn, or allow HF-RESTRICT in the policy",
        unless=is_switched_off,
    ),
    *_restricting("HF-RESTRICT", "proto_api_scrubber.v3.ProtoApiScrubberConfig"),
    Handled(f"{_FILTER}.ratelimit.v3.RateLimit", ratelimit.apply, Fidelity.NOT_EXPRESSIBLE, codes=("HF-RLS",)),
    *_restricting("HF-CODE", "ext_proc.v3.ExternalProcessor", "dynamic_modules.v3.DynamicModuleFilter"),
    *_restricting("HF-CODE", "golang.v3alpha.Config", "composite.v3.Composite"),
    *_restricting("HF-CODE", "wasm.v3.Wasm", unless=wasm.is_telemetry),
    *_restricting("HF-CODE", "lua.v3.Lua", unless=lua.runs_nothing),
    Handled(
        "envoy.extensions.common.matching.v3.ExtensionWithMatcher",
        composite.apply,
        Fidelity.NOT_EXPRESSIBLE,
        codes=("HF-CODE", "HF-UNTRANSLATED"),
    ),
)

ROWS: tuple[Row, ...] = (*_MANAGER_ROWS, *_FILTER_ROWS)
