"""Rows of the family `match`: what decides which route a request takes."""

from __future__ import annotations

from translators.mappings.match import (
    connect_matcher,
    grpc,
    headers,
    path,
    path_match_policy,
    path_separated_prefix,
    prefix,
    query_parameters,
    runtime_fraction,
    safe_regex,
    tls_context,
)
from translators.registry.row import Fidelity, Handled, Row, diagnosed, handled, ignored

_MATCH = "envoy.config.route.v3.RouteMatch"
_HEADER = "envoy.config.route.v3.HeaderMatcher"
_STRING = "envoy.type.matcher.v3.StringMatcher"
_PATH_CODES = ("RT-DECODED",)

ROWS: tuple[Row, ...] = (
    Handled(f"{_MATCH}.prefix", prefix.apply, codes=_PATH_CODES),
    Handled(f"{_MATCH}.path", path.apply, codes=_PATH_CODES),
    Handled(f"{_MATCH}.path_separated_prefix", path_separated_prefix.apply, codes=_PATH_CODES),
    Handled(f"{_MATCH}.safe_regex", safe_regex.apply, codes=("RT-REGEX",)),
    Handled(f"{_MATCH}.path_match_policy", path_match_policy.apply, codes=("RT-REGEX", "RT-MATCHER")),
    Handled(
        f"{_MATCH}.connect_matcher", connect_matcher.apply, fidelity=Fidelity.NOT_EXPRESSIBLE, codes=("RT-CONNECT",)
    ),
    Handled(f"{_MATCH}.runtime_fraction", runtime_fraction.apply),
    Handled(f"{_MATCH}.headers", headers.apply, codes=("RT-HEADER", "RT-REGEX", "RT-DECODED")),
    Handled(f"{_MATCH}.query_parameters", query_parameters.apply, codes=("RT-HEADER", "RT-REGEX")),
    Handled(f"{_MATCH}.grpc", grpc.apply),
    Handled(f"{_MATCH}.tls_context", tls_context.apply, fidelity=Fidelity.APPROXIMATED),
    *handled(_MATCH, "case_sensitive"),
    *diagnosed(_MATCH, "RT-METADATA", "dynamic_metadata", "filter_state", restricts=True),
    *handled("envoy.config.route.v3.RouteMatch.TlsContextMatchOptions", "presented", "validated"),
    *handled(
        _HEADER,
        "name",
        "exact_match",
        "safe_regex_match",
        "range_match",
        "present_match",
        "prefix_match",
        "suffix_match",
        "contains_match",
        "string_match",
        "invert_match",
        "treat_missing_header_as_empty",
    ),
    *handled("envoy.config.route.v3.QueryParameterMatcher", "name", "string_match", "present_match"),
    *handled(_STRING, "exact", "prefix", "suffix", "safe_regex", "contains", "custom", "ignore_case"),
    *handled("envoy.type.matcher.v3.RegexMatcher", "regex"),
    *ignored("envoy.type.matcher.v3.RegexMatcher", "the engine's limits are RE2's own", "google_re2"),
    *handled("envoy.config.core.v3.RuntimeFractionalPercent", "default_value"),
    *ignored("envoy.config.core.v3.RuntimeFractionalPercent", "there is no runtime layer", "runtime_key"),
    *handled("envoy.type.v3.FractionalPercent", "numerator", "denominator"),
    *handled("envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", "path_template"),
)
