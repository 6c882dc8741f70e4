"""Rows of messages that many families share: where resources and data come from, what extensions are wrapped in."""

from __future__ import annotations

from translators.registry.row import Fidelity, Handled, Row, handled, ignored, lost

_CORE = "envoy.config.core.v3"
_MATCHER = "envoy.type.matcher.v3"
_TREE = "xds.type.matcher.v3"
_SOURCE = f"{_CORE}.ConfigSource"
_DISCOVERY = f"{_CORE}.ExtensionConfigSource"
_FORMAT = f"{_CORE}.SubstitutionFormatString"
_PENDING = "the producer asks one control plane; what it does not have is said to be pending"
_ONE_PIECE = "nodes load their configuration in one piece"
_RUNTIME = "there is no runtime layer"

_WRAPPER_ROWS: tuple[Row, ...] = (
    *handled(f"{_CORE}.TypedExtensionConfig", "name", "typed_config"),
    *handled("xds.core.v3.TypedExtensionConfig", "typed_config"),
    *ignored("xds.core.v3.TypedExtensionConfig", "the type says it", "name"),
    *handled(f"{_CORE}.TransportSocket", "name", "typed_config"),
    *handled(_DISCOVERY, "config_source", "default_config", "type_urls"),
    *ignored(_DISCOVERY, _ONE_PIECE, "apply_default_config_without_warming"),
    *handled(_SOURCE, "path", "path_config_source", "ads", "self"),
    *ignored(_SOURCE, _PENDING, "api_config_source", "authorities", "initial_fetch_timeout", "resource_api_version"),
    *handled(f"{_CORE}.PathConfigSource", "path"),
    *ignored(f"{_CORE}.PathConfigSource", "files are watched where they stand", "watched_directory"),
    *ignored(f"{_CORE}.SelfConfigSource", _PENDING, "transport_api_version"),
    *handled(f"{_CORE}.DataSource", "filename", "inline_bytes", "inline_string", "environment_variable"),
    *ignored(f"{_CORE}.DataSource", "data are read when they are given", "watched_directory"),
    *handled(f"{_CORE}.HttpUri", "uri", "cluster", "timeout"),
)

_VALUE_ROWS: tuple[Row, ...] = (
    *handled(f"{_CORE}.Locality", "region", "zone", "sub_zone"),
    *handled(f"{_CORE}.Metadata", "filter_metadata"),
    *ignored(f"{_CORE}.Metadata", "Envoy chooses endpoints by filter_metadata alone", "typed_filter_metadata"),
    *handled(f"{_CORE}.RuntimeFeatureFlag", "default_value"),
    *ignored(f"{_CORE}.RuntimeFeatureFlag", _RUNTIME, "runtime_key"),
    *handled(f"{_CORE}.RuntimeUInt32", "default_value"),
    *ignored(f"{_CORE}.RuntimeUInt32", _RUNTIME, "runtime_key"),
    *handled(_FORMAT, "text_format", "text_format_source", "content_type"),
    *lost(_FORMAT, "HDR-FORMAT", "json_format"),
    *ignored(_FORMAT, "what has no value is written as nothing", "omit_empty_values"),
    *ignored(_FORMAT, "commands of extensions are said by HDR-FORMAT", "formatters"),
    *ignored(_FORMAT, "said by HDR-FORMAT", "json_format_options"),
    *handled("envoy.type.v3.HttpStatus", "code"),
    *handled("envoy.type.v3.Percent", "value"),
    *handled("envoy.type.v3.Int32Range", "start", "end"),
    *handled("envoy.type.v3.Int64Range", "start", "end"),
)

_MATCHER_ROWS: tuple[Row, ...] = (
    *handled(f"{_MATCHER}.ListStringMatcher", "patterns"),
    *handled(f"{_MATCHER}.PathMatcher", "path"),
    *handled(f"{_MATCHER}.MetadataMatcher", "filter", "path", "value", "invert"),
    *handled(f"{_MATCHER}.MetadataMatcher.PathSegment", "key"),
    *handled(f"{_MATCHER}.ValueMatcher", "string_match", "present_match"),
    *lost(f"{_MATCHER}.ValueMatcher", "HF-META", "null_match", "double_match", "bool_match", "list_match", "or_match"),
    *handled(f"{_TREE}.Matcher", "matcher_list", "matcher_tree", "on_no_match"),
    *handled(f"{_TREE}.Matcher.OnMatch", "matcher", "action", "keep_matching"),
    *handled(f"{_TREE}.Matcher.MatcherList", "matchers"),
    *handled(f"{_TREE}.Matcher.MatcherList.FieldMatcher", "predicate", "on_match"),
    *handled(f"{_TREE}.Matcher.MatcherList.Predicate", "single_predicate", "or_matcher", "and_matcher", "not_matcher"),
    *handled(f"{_TREE}.Matcher.MatcherList.Predicate.PredicateList", "predicate"),
    *handled(f"{_TREE}.Matcher.MatcherList.Predicate.SinglePredicate", "input", "value_match"),
    Handled(f"{_TREE}.Matcher.MatcherList.Predicate.SinglePredicate.custom_match", codes=("RT-MATCHER", "HF-RESTRICT")),
    *handled(f"{_TREE}.Matcher.MatcherTree", "input", "exact_match_map", "prefix_match_map"),
    Handled(f"{_TREE}.Matcher.MatcherTree.custom_match", codes=("RT-MATCHER", "HF-RESTRICT")),
    *handled(f"{_TREE}.Matcher.MatcherTree.MatchMap", "map"),
    *handled(f"{_TREE}.StringMatcher", "exact", "prefix", "suffix", "safe_regex", "contains", "ignore_case"),
    Handled(f"{_TREE}.StringMatcher.custom", fidelity=Fidelity.NOT_EXPRESSIBLE, codes=("RT-MATCHER",), is_whole=True),
    *handled(f"{_TREE}.RegexMatcher", "regex"),
    *ignored(f"{_TREE}.RegexMatcher", "the engine's limits are RE2's own", "google_re2"),
)

ROWS: tuple[Row, ...] = (*_WRAPPER_ROWS, *_VALUE_ROWS, *_MATCHER_ROWS)
