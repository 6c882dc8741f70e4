"""Rows of the family `restriction`: fields of the HTTP filters that limit and authorize."""

from __future__ import annotations

from translators.registry.row import Fidelity, Handled, Row, diagnosed, handled, ignored, lost

_FILTER = "envoy.extensions.filters.http"
_LOCAL = f"{_FILTER}.local_ratelimit.v3.LocalRateLimit"
_SERVICE = f"{_FILTER}.ratelimit.v3.RateLimit"
_LIMIT = "envoy.config.route.v3.RateLimit"
_AUTHZ = f"{_FILTER}.ext_authz.v3"
_MATCHED = ("descriptor_key", "descriptor_value", "expect_match")
_ASKED = Fidelity.APPROXIMATED
_STATISTICS = "statistics of Envoy"
_GRPC = "how gRPC services are asked"
_ANSWER = "the answer is the same"
_NOT_ADDED = "the headers are not added"
_CONSENT = "headers of the service's consent are not added"


_LIMIT_ROWS: tuple[Row, ...] = (
    *handled(_LOCAL, "status", "token_bucket", "filter_enabled", "filter_enforced", "descriptors", "stage"),
    *handled(_LOCAL, "enable_x_ratelimit_headers", "vh_rate_limits", "always_consume_default_token_bucket"),
    *handled(_LOCAL, "rate_limits"),
    *ignored(_LOCAL, _STATISTICS, "stat_prefix"),
    *ignored(_LOCAL, "the memory for values is that of the node", "max_dynamic_descriptors"),
    *ignored(_LOCAL, _ANSWER, "rate_limited_as_resource_exhausted"),
    *diagnosed(
        _LOCAL,
        "HF-UNTRANSLATED",
        "response_headers_to_add",
        "request_headers_to_add_when_not_enforced",
        effect=_NOT_ADDED,
    ),
    *diagnosed(
        _LOCAL,
        "HF-RESTRICT",
        "local_rate_limit_per_downstream_connection",
        "local_cluster_rate_limit",
        restricts=True,
    ),
    *handled("envoy.type.v3.TokenBucket", "max_tokens", "tokens_per_fill", "fill_interval"),
    *handled("envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor", "entries", "token_bucket"),
    *handled(_LIMIT, "stage", "actions", "apply_on_stream_done"),
    *lost(_LIMIT, "HF-RESTRICT", "limit", "hits_addend"),
    *handled(f"{_LIMIT}.Action", "destination_cluster", "request_headers", "query_parameters", "remote_address"),
    *handled(f"{_LIMIT}.Action", "generic_key", "header_value_match", "query_parameter_value_match"),
    *handled(f"{_LIMIT}.Action", "masked_remote_address"),
    *lost(f"{_LIMIT}.Action", "HF-RESTRICT", "source_cluster", "dynamic_metadata", "metadata", "extension"),
    *handled(f"{_LIMIT}.Action.RequestHeaders", "header_name", "descriptor_key", "skip_if_absent"),
    *handled(f"{_LIMIT}.Action.QueryParameters", "query_parameter_name", "descriptor_key", "skip_if_absent"),
    *handled(f"{_LIMIT}.Action.GenericKey", "descriptor_key", "descriptor_value"),
    *handled(f"{_LIMIT}.Action.MaskedRemoteAddress", "v4_prefix_mask_len", "v6_prefix_mask_len"),
    *handled(f"{_LIMIT}.Action.HeaderValueMatch", *_MATCHED, "headers"),
    *handled(f"{_LIMIT}.Action.QueryParameterValueMatch", *_MATCHED, "query_parameters"),
    *handled("envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry", "key", "value"),
    *ignored(_LIMIT, "runtime is not looked at", "disable_key"),
    *handled(_SERVICE, "domain", "stage", "failure_mode_deny", "rate_limits"),
    *ignored(_SERVICE, "the service is never asked; where that loses a limit HF-RLS says so", "rate_limit_service"),
    *handled(_SERVICE, "enable_x_ratelimit_headers", "rate_limited_status", "filter_enabled", "filter_enforced"),
    *ignored(_SERVICE, _GRPC, "timeout", "status_on_error", "failure_mode_deny_percent"),
    *ignored(_SERVICE, _STATISTICS, "stat_prefix"),
    *ignored(_SERVICE, _ANSWER, "rate_limited_as_resource_exhausted", "disable_x_envoy_ratelimited_header"),
    *ignored(_SERVICE, "requests of all origins are limited", "request_type"),
    *diagnosed(_SERVICE, "HF-UNTRANSLATED", "response_headers_to_add", effect=_NOT_ADDED),
    *handled(f"{_SERVICE}PerRoute", "vh_rate_limits", "rate_limits", "domain"),
    *ignored(f"{_SERVICE}PerRoute", "not implemented in Envoy", "override_option"),
)

_AUTHZ_ROWS: tuple[Row, ...] = (
    Handled(f"{_AUTHZ}.ExtAuthz.grpc_service", fidelity=_ASKED, codes=("HF-RESTRICT",), is_whole=True),
    *handled(f"{_AUTHZ}.ExtAuthz", "http_service", "failure_mode_allow", "with_request_body"),
    *handled(f"{_AUTHZ}.ExtAuthz", "status_on_error", "filter_enabled", "deny_at_disable"),
    *handled(f"{_AUTHZ}.ExtAuthz", "allowed_headers", "disallowed_headers"),
    *ignored(f"{_AUTHZ}.ExtAuthz", _STATISTICS, "stat_prefix", "charge_cluster_response_stats"),
    *ignored(f"{_AUTHZ}.ExtAuthz", _STATISTICS, "emit_filter_state_stats", "filter_metadata"),
    *ignored(f"{_AUTHZ}.ExtAuthz", _GRPC, "transport_api_version", "encode_raw_headers", "metadata_context_namespaces"),
    *ignored(f"{_AUTHZ}.ExtAuthz", _GRPC, "typed_metadata_context_namespaces", "route_metadata_context_namespaces"),
    *ignored(f"{_AUTHZ}.ExtAuthz", _GRPC, "route_typed_metadata_context_namespaces", "bootstrap_metadata_labels_key"),
    *ignored(f"{_AUTHZ}.ExtAuthz", "what is not valid is not sent", "validate_mutations"),
    *ignored(f"{_AUTHZ}.ExtAuthz", "nginx has limits of its own", "max_denied_response_body_bytes"),
    *ignored(f"{_AUTHZ}.ExtAuthz", "nginx has limits of its own", "enforce_response_header_limits"),
    *ignored(f"{_AUTHZ}.ExtAuthz", "tells the upstream only", "failure_mode_allow_header_add"),
    *diagnosed(
        f"{_AUTHZ}.ExtAuthz", "HF-ORDER", "clear_route_cache", effect="the route is not chosen again by new headers"
    ),
    *diagnosed(
        f"{_AUTHZ}.ExtAuthz",
        "HF-META",
        "filter_enabled_metadata",
        "enable_dynamic_metadata_ingestion",
        effect="the service is asked whatever the metadata say, and gives none",
    ),
    *diagnosed(
        f"{_AUTHZ}.ExtAuthz",
        "HF-UNTRANSLATED",
        "include_peer_certificate",
        "include_tls_session",
        "decoder_header_mutation_rules",
        effect="the service works without this setting",
    ),
    *handled(f"{_AUTHZ}.HttpService", "server_uri", "path_prefix", "authorization_request", "authorization_response"),
    *diagnosed(f"{_AUTHZ}.HttpService", "HF-UNTRANSLATED", "retry_policy", effect="the service is asked once"),
    *handled(f"{_AUTHZ}.AuthorizationRequest", "allowed_headers", "headers_to_add"),
    *handled(f"{_AUTHZ}.AuthorizationResponse", "allowed_upstream_headers", "allowed_client_headers"),
    *diagnosed(
        f"{_AUTHZ}.AuthorizationResponse",
        "HDR-VALUE",
        "allowed_client_headers_on_success",
        "allowed_upstream_headers_to_append",
        effect=_CONSENT,
    ),
    *diagnosed(f"{_AUTHZ}.AuthorizationResponse", "HF-META", "dynamic_metadata_from_headers"),
    *handled(f"{_AUTHZ}.ExtAuthzPerRoute", "disabled", "check_settings"),
    *handled(f"{_AUTHZ}.CheckSettings", "disable_request_body_buffering", "with_request_body"),
    Handled(f"{_AUTHZ}.CheckSettings.grpc_service", fidelity=_ASKED, codes=("HF-RESTRICT",), is_whole=True),
    *handled(f"{_AUTHZ}.CheckSettings", "http_service"),
    *ignored(f"{_AUTHZ}.CheckSettings", _GRPC, "context_extensions"),
    *handled(f"{_AUTHZ}.BufferSettings", "max_request_bytes", "allow_partial_message"),
    *ignored(f"{_AUTHZ}.BufferSettings", _GRPC, "pack_as_bytes"),
)

ROWS: tuple[Row, ...] = (*_LIMIT_ROWS, *_AUTHZ_ROWS)
