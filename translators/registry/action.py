"""Rows of the family `action`: what a route does with a request."""

from __future__ import annotations

from translators.mappings.action import (
    hash_policy,
    host_rewrite,
    prefix_rewrite,
    regex_rewrite,
    retry_policy,
    upgrade_configs,
)
from translators.registry.row import Diagnosed, Fidelity, Handled, Row, diagnosed, handled, ignored

_ROUTE = "envoy.config.route.v3"
_ACTION = f"{_ROUTE}.RouteAction"
_WEIGHTED = f"{_ROUTE}.WeightedCluster"
_REDIRECT = f"{_ROUTE}.RedirectAction"
_RETRY = f"{_ROUTE}.RetryPolicy"
_RUNTIME = "there is no runtime layer"
_TUNING = "tuning of Envoy's own streams"


def _is_unlimited(max_stream_duration: object) -> bool:
    """Tell whether a MaxStreamDuration says no more than `as long as it takes`; it has its own durations set to 0."""
    return not any(str(value) for _, value in max_stream_duration.ListFields())  # type: ignore[attr-defined]  # a proto message


_ACTION_ROWS: tuple[Row, ...] = (
    *handled(_ACTION, "cluster", "weighted_clusters", "cluster_not_found_response_code", "metadata_match"),
    Diagnosed(f"{_ACTION}.cluster_header", "RA-CLUSTER-HEADER"),
    *diagnosed(_ACTION, "RA-CLUSTER-PLUGIN", "cluster_specifier_plugin", "inline_cluster_specifier_plugin"),
    Handled(f"{_ACTION}.prefix_rewrite", prefix_rewrite.apply, Fidelity.APPROXIMATED),
    Handled(f"{_ACTION}.regex_rewrite", regex_rewrite.apply, Fidelity.APPROXIMATED, codes=("RT-REGEX",)),
    *diagnosed(_ACTION, "RT-ACTION", "path_rewrite_policy", "path_rewrite", effect="the path is not rewritten"),
    Handled(f"{_ACTION}.host_rewrite_literal", host_rewrite.apply, codes=("RA-HOST",)),
    Handled(f"{_ACTION}.auto_host_rewrite", fidelity=Fidelity.APPROXIMATED),
    *diagnosed(_ACTION, "RA-HOST", "host_rewrite_header", "host_rewrite_path_regex", "host_rewrite"),
    *ignored(_ACTION, "APISIX always sets X-Forwarded-Host", "append_x_forwarded_host"),
    *handled(_ACTION, "timeout", "idle_timeout", "retry_policy"),
    *ignored(_ACTION, _TUNING, "flush_timeout", "early_data_policy"),
    *ignored(_ACTION, "grpc-timeout is not looked at", "max_grpc_timeout", "grpc_timeout_offset"),
    *diagnosed(_ACTION, "RA-RETRY", "retry_policy_typed_config", effect="nothing is retried"),
    Handled(f"{_ACTION}.hedge_policy", retry_policy.apply_hedge, Fidelity.NOT_EXPRESSIBLE, codes=("RA-RETRY",)),
    *diagnosed(_ACTION, "RA-MIRROR", "request_mirror_policies"),
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
    *handled(f"{_WEIGHTED}.ClusterWeight", "name", "cluster_header", "weight", "metadata_match"),
    *handled(f"{_WEIGHTED}.ClusterWeight", "request_headers_to_add", "request_headers_to_remove"),
    *handled(f"{_WEIGHTED}.ClusterWeight", "response_headers_to_add", "response_headers_to_remove"),
    *handled(f"{_WEIGHTED}.ClusterWeight", "typed_per_filter_config", "host_rewrite_literal"),
    *handled(_REDIRECT, "https_redirect", "scheme_redirect", "host_redirect", "port_redirect", "path_redirect"),
    *handled(_REDIRECT, "prefix_rewrite", "regex_rewrite", "response_code", "strip_query"),
    *handled(f"{_ROUTE}.DirectResponseAction", "status", "body", "body_format"),
    *handled(_RETRY, "retry_on", "num_retries", "per_try_timeout", "per_try_idle_timeout", "retry_priority"),
    *handled(_RETRY, "retry_host_predicate", "retry_options_predicates", "retriable_status_codes"),
    *handled(_RETRY, "rate_limited_retry_back_off", "retriable_headers", "retriable_request_headers"),
    *ignored(_RETRY, "nginx tries the next node at once", "retry_back_off", "host_selection_retry_max_attempts"),
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
    *handled(f"{_ROUTE}.Route", "route", "redirect", "direct_response", "filter_action", "non_forwarding_action"),
    *diagnosed(f"{_ROUTE}.Route", "OBS-TRACE", "tracing", effect="sampling and tags of the route have no effect"),
    *handled(f"{_ROUTE}.VirtualHost", "retry_policy", "rate_limits", "cors"),
    *diagnosed(f"{_ROUTE}.VirtualHost", "RA-RETRY", "retry_policy_typed_config", effect="nothing is retried"),
    Handled(
        f"{_ROUTE}.VirtualHost.hedge_policy", retry_policy.apply_hedge, Fidelity.NOT_EXPRESSIBLE, codes=("RA-RETRY",)
    ),
    *diagnosed(f"{_ROUTE}.VirtualHost", "RA-MIRROR", "request_mirror_policies"),
    *diagnosed(f"{_ROUTE}.RouteConfiguration", "RA-MIRROR", "request_mirror_policies"),
    *handled(f"{_ROUTE}.RouteConfiguration", "internal_only_headers", "most_specific_header_mutations_wins"),
    *handled(f"{_ROUTE}.RouteConfiguration", "cluster_specifier_plugins"),
)

ROWS: tuple[Row, ...] = (*_ACTION_ROWS, *_PART_ROWS, *_LEVEL_ROWS)
