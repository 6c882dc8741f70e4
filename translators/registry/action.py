"""Rows of the family `action`: what a route does with a request."""

from __future__ import annotations

from translators.mappings.action import (
    hash_policy,
    host_rewrite,
    path_rewrite,
    path_rewrite_policy,
    prefix_rewrite,
    regex_rewrite,
    retry_policy,
    upgrade_configs,
)
from translators.registry.row import Diagnosed, Fidelity, Handled, Row, diagnosed, handled, ignored, lost

_ROUTE = "envoy.config.route.v3"
_ACTION = f"{_ROUTE}.RouteAction"
_WEIGHTED = f"{_ROUTE}.WeightedCluster"
_MIRROR = f"{_ACTION}.RequestMirrorPolicy"
_REDIRECT = f"{_ROUTE}.RedirectAction"
_RETRY = f"{_ROUTE}.RetryPolicy"
_HASH = f"{_ACTION}.HashPolicy"
_RUNTIME = "there is no runtime layer"
_TUNING = "tuning of Envoy's own streams"


def _is_unlimited(max_stream_duration: object) -> bool:
    """Tell whether a MaxStreamDuration says no more than `as long as it takes`; it has its own durations set to 0."""
    return not any(str(value) for _, value in max_stream_duration.ListFields())  # type: ignore[attr-defined]  # a proto message


_ACTION_ROWS: tuple[Row, ...] = (
    *handled(_ACTION, "cluster", "weighted_clusters", "cluster_not_found_response_code", "metadata_match"),
    Handled(f"{_ACTION}.cluster_header", codes=("RA-CLUSTER-HEADER",)),
    *diagnosed(_ACTION, "RA-CLUSTER-PLUGIN", "cluster_specifier_plugin", "inline_cluster_specifier_plugin"),
    Handled(f"{_ACTION}.prefix_rewrite", prefix_rewrite.apply, Fidelity.APPROXIMATED),
    Handled(f"{_ACTION}.regex_rewrite", regex_rewrite.apply, Fidelity.APPROXIMATED, codes=("RT-REGEX",)),
    Handled(f"{_ACTION}.path_rewrite_policy", path_rewrite_policy.apply, Fidelity.APPROXIMATED, codes=("RT-ACTION",)),
    Handled(f"{_ACTION}.path_rewrite", path_rewrite.apply, Fidelity.APPROXIMATED, codes=("HDR-FORMAT",)),
    *handled("envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig", "path_template_rewrite"),
    Handled(f"{_ACTION}.host_rewrite_literal", host_rewrite.apply, codes=("RA-HOST",)),
    Handled(f"{_ACTION}.auto_host_rewrite", fidelity=Fidelity.APPROXIMATED),
    Handled(f"{_ACTION}.host_rewrite", host_rewrite.apply_format, Fidelity.NOT_EXPRESSIBLE, codes=("RA-HOST",)),
    *diagnosed(_ACTION, "RA-HOST", "host_rewrite_header", "host_rewrite_path_regex"),
    *ignored(_ACTION, "APISIX always sets X-Forwarded-Host", "append_x_forwarded_host"),
    *handled(_ACTION, "timeout", "idle_timeout", "retry_policy"),
    *ignored(_ACTION, _TUNING, "flush_timeout", "early_data_policy"),
    *ignored(_ACTION, "grpc-timeout is not looked at", "max_grpc_timeout", "grpc_timeout_offset"),
    *diagnosed(_ACTION, "RA-RETRY", "retry_policy_typed_config", effect="nothing is retried"),
    Handled(
        f"{_ACTION}.hedge_policy",
        retry_policy.apply_hedge,
        Fidelity.NOT_EXPRESSIBLE,
        codes=("RA-RETRY",),
        is_whole=True,
    ),
    Handled(
        f"{_ACTION}.request_mirror_policies",
        fidelity=Fidelity.APPROXIMATED,
        codes=("RA-MIRROR", "TLS-UPSTREAM-UNVERIFIED"),
    ),
    *handled(_MIRROR, "cluster", "runtime_fraction"),
    *diagnosed(_MIRROR, "RA-MIRROR", "cluster_header"),
    *diagnosed(_MIRROR, "RA-MIRROR", "request_headers_mutations", effect="copies have the headers of the request"),
    *diagnosed(_MIRROR, "RA-MIRROR", "host_rewrite_literal", effect="copies have the Host header of the request"),
    *ignored(_MIRROR, "traces are APISIX's own", "trace_sampled"),
    *ignored(_MIRROR, "the Host header never gets a suffix", "disable_shadow_host_suffix_append"),
    *handled(_ACTION, "rate_limits", "include_vh_rate_limits", "cors", "priority"),
    Handled(f"{_ACTION}.hash_policy", hash_policy.apply, Fidelity.APPROXIMATED, codes=("RA-HASH-COOKIE",)),
    Handled(f"{_ACTION}.upgrade_configs", upgrade_configs.apply, codes=("RT-CONNECT",)),
    *diagnosed(_ACTION, "RA-INTERNAL-REDIRECT", "internal_redirect_policy", "max_internal_redirects"),
    *diagnosed(_ACTION, "RA-INTERNAL-REDIRECT", "internal_redirect_action"),
    Diagnosed(f"{_ACTION}.max_stream_duration", "RA-TIMEOUT", effect="streams are not ended", unless=_is_unlimited),
)

_PART_ROWS: tuple[Row, ...] = (
    *handled(_WEIGHTED, "clusters", "header_name", "use_hash_policy"),
    *ignored(_WEIGHTED, "the sum of the weights is what counts", "total_weight"),
    *ignored(_WEIGHTED, _RUNTIME, "runtime_key_prefix"),
    *handled(f"{_WEIGHTED}.ClusterWeight", "name", "weight", "metadata_match"),
    Handled(f"{_WEIGHTED}.ClusterWeight.cluster_header", codes=("RA-CLUSTER-HEADER",)),
    *handled(f"{_WEIGHTED}.ClusterWeight", "request_headers_to_add", "request_headers_to_remove"),
    *handled(f"{_WEIGHTED}.ClusterWeight", "response_headers_to_add", "response_headers_to_remove"),
    *handled(f"{_WEIGHTED}.ClusterWeight", "typed_per_filter_config", "host_rewrite_literal"),
    *handled(_REDIRECT, "https_redirect", "scheme_redirect", "host_redirect", "port_redirect", "path_redirect"),
    *handled(_REDIRECT, "prefix_rewrite", "regex_rewrite", "response_code", "strip_query"),
    *handled(f"{_ROUTE}.DirectResponseAction", "status", "body", "body_format"),
    *handled(_RETRY, "retry_on", "num_retries", "per_try_timeout", "per_try_idle_timeout"),
    *ignored(_RETRY, "said by RA-RETRY where retry_on asks for them", "retriable_status_codes"),
    *lost(_RETRY, "RA-RETRY", "retriable_headers", "retriable_request_headers"),
    *lost(_RETRY, "RA-RETRY", "retry_priority", "rate_limited_retry_back_off", "retry_options_predicates"),
    Handled(f"{_RETRY}.retry_host_predicate", fidelity=Fidelity.APPROXIMATED, codes=("RA-RETRY",), is_whole=True),
    *ignored(_RETRY, "nginx tries the next node at once", "retry_back_off", "host_selection_retry_max_attempts"),
    *handled(f"{_ACTION}.UpgradeConfig", "upgrade_type", "enabled"),
    *ignored(f"{_ACTION}.UpgradeConfig", "said by RT-CONNECT", "connect_config"),
    *handled(_HASH, "header", "cookie", "connection_properties", "query_parameter", "terminal"),
    *lost(_HASH, "RA-HASH-COOKIE", "filter_state"),
    *handled(f"{_HASH}.Header", "header_name"),
    *lost(f"{_HASH}.Header", "RA-HASH-COOKIE", "regex_rewrite"),
    *handled(f"{_HASH}.Cookie", "name"),
    *lost(f"{_HASH}.Cookie", "RA-HASH-COOKIE", "ttl"),
    *ignored(f"{_HASH}.Cookie", "said by RA-HASH-COOKIE: no cookie is generated", "path", "attributes"),
    *handled(f"{_HASH}.ConnectionProperties", "source_ip"),
    *handled(f"{_HASH}.QueryParameter", "name"),
    *handled("envoy.type.matcher.v3.RegexMatchAndSubstitute", "pattern", "substitution"),
    *handled("envoy.config.core.v3.HeaderValueOption", "header", "append", "append_action", "keep_empty_value"),
    *handled("envoy.config.core.v3.HeaderValue", "key", "value", "raw_value"),
    *handled(f"{_ROUTE}.FilterConfig", "config", "is_optional", "disabled"),
)

_LEVELS = ("Route", "VirtualHost", "RouteConfiguration")
_MUTATIONS = (
    "request_headers_to_add",
    "request_headers_to_remove",
    "response_headers_to_add",
    "response_headers_to_remove",
)

_LEVEL_ROWS: tuple[Row, ...] = (
    *(row for level in _LEVELS for row in handled(f"{_ROUTE}.{level}", *_MUTATIONS, "typed_per_filter_config")),
    *handled(f"{_ROUTE}.Route", "route", "redirect", "direct_response"),
    *lost(f"{_ROUTE}.Route", "RT-ACTION", "filter_action", "non_forwarding_action"),
    *handled(f"{_ROUTE}.VirtualHost", "retry_policy", "rate_limits", "cors"),
    *diagnosed(f"{_ROUTE}.VirtualHost", "RA-RETRY", "retry_policy_typed_config", effect="nothing is retried"),
    Handled(
        f"{_ROUTE}.VirtualHost.hedge_policy",
        retry_policy.apply_hedge,
        Fidelity.NOT_EXPRESSIBLE,
        codes=("RA-RETRY",),
        is_whole=True,
    ),
    *handled(f"{_ROUTE}.VirtualHost", "request_mirror_policies"),
    *handled(f"{_ROUTE}.RouteConfiguration", "request_mirror_policies"),
    *handled(f"{_ROUTE}.RouteConfiguration", "internal_only_headers", "most_specific_header_mutations_wins"),
    *ignored(f"{_ROUTE}.RouteConfiguration", "said by RA-CLUSTER-PLUGIN where it is used", "cluster_specifier_plugins"),
)

ROWS: tuple[Row, ...] = (*_ACTION_ROWS, *_PART_ROWS, *_LEVEL_ROWS)
