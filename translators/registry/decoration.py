"""Rows of HTTP filters that decorate requests and responses, answer some of them, or check where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translators.mappings.http_filter import (
    buffer,
    compressor,
    cors,
    csrf,
    fault,
    grpc_web,
    header_mutation,
    header_to_metadata,
    health_check,
)
from translators.registry.row import Diagnosed, Fidelity, Handled, Row, handled, ignored

if TYPE_CHECKING:
    from collections.abc import Callable

_FILTER = "envoy.extensions.filters.http"
_COMPRESSION = "envoy.extensions.compression"
_FAULT = f"{_FILTER}.fault.v3"
_FAULT_PARTS = "envoy.extensions.filters.common.fault.v3"
_COMPRESSOR = f"{_FILTER}.compressor.v3"
_COMMON = f"{_COMPRESSOR}.Compressor.CommonDirectionConfig"
_MUTATIONS = f"{_FILTER}.header_mutation.v3.Mutations"
_MUTATION = "envoy.config.common.mutation_rules.v3.HeaderMutation"
_METADATA = f"{_FILTER}.header_to_metadata.v3.Config"
_RUNTIME = "there is no runtime to override the values"
_COUNTS = "how Envoy counts and logs"
_TUNING = "tuning of Envoy's library"
_OF_METADATA = "metadata inside Envoy; what depends on it is diagnosed where it stands"
_FAULT_REMEDY = "inject faults by a fixed delay or abort"
_TRAILER_REMEDY = "send headers instead of trailers"
_CORS_FIELDS = (
    "allow_origin_string_match",
    "allow_methods",
    "allow_headers",
    "expose_headers",
    "max_age",
    "allow_credentials",
    "filter_enabled",
    "allow_private_network_access",
    "forward_not_matching_preflights",
)


def _is_zero(value: Any) -> bool:
    return not value.value


def _lost(
    message: str, field: str, effect: str, remedy: str = "", unless: Callable[[Any], bool] | None = None
) -> Diagnosed:
    return Diagnosed(f"{message}.{field}", "HF-UNTRANSLATED", effect=effect, remedy=remedy, unless=unless)


_FILTERS: tuple[Row, ...] = (
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
    Handled(f"{_FILTER}.cors.v3.Cors", cors.apply, Fidelity.EXACT, codes=("HF-UNTRANSLATED", "HF-ORDER")),
    Handled(f"{_FILTER}.cors.v3.CorsPolicy", cors.apply, Fidelity.EXACT, codes=("HF-UNTRANSLATED", "HF-ORDER")),
    Handled(f"{_FILTER}.csrf.v3.CsrfPolicy", csrf.apply, Fidelity.EXACT, codes=("HF-RESTRICT",)),
    Handled(f"{_FILTER}.health_check.v3.HealthCheck", health_check.apply, Fidelity.EXACT, codes=("HF-UNTRANSLATED",)),
    Handled(f"{_FILTER}.fault.v3.HTTPFault", fault.apply, Fidelity.EXACT, codes=("HF-UNTRANSLATED", "HF-ORDER")),
    Handled(f"{_FILTER}.buffer.v3.Buffer", buffer.apply, Fidelity.APPROXIMATED, codes=("HF-UNTRANSLATED",)),
    Handled(f"{_FILTER}.grpc_web.v3.GrpcWeb", grpc_web.apply, Fidelity.APPROXIMATED, codes=("HF-UNTRANSLATED",)),
    Handled(f"{_FILTER}.header_to_metadata.v3.Config", header_to_metadata.apply, codes=("HF-UNTRANSLATED",)),
    Handled(
        f"{_FILTER}.compressor.v3.Compressor",
        compressor.apply,
        Fidelity.APPROXIMATED,
        codes=("HF-UNTRANSLATED", "HF-PLUGIN-DISABLED"),
    ),
)

_FAULT_FIELDS: tuple[Row, ...] = (
    *handled(f"{_FAULT}.HTTPFault", "delay", "abort", "upstream_cluster", "headers", "downstream_nodes"),
    *ignored(f"{_FAULT}.HTTPFault", _RUNTIME, "delay_percent_runtime", "abort_percent_runtime"),
    *ignored(f"{_FAULT}.HTTPFault", _RUNTIME, "delay_duration_runtime", "abort_http_status_runtime"),
    *ignored(f"{_FAULT}.HTTPFault", _RUNTIME, "max_active_faults_runtime", "response_rate_limit_percent_runtime"),
    *ignored(f"{_FAULT}.HTTPFault", _RUNTIME, "abort_grpc_status_runtime"),
    *ignored(f"{_FAULT}.HTTPFault", _COUNTS, "disable_downstream_cluster_stats", "filter_metadata"),
    _lost(f"{_FAULT}.HTTPFault", "max_active_faults", "any number of faults is active at a time", "", _is_zero),
    _lost(f"{_FAULT}.HTTPFault", "response_rate_limit", "responses are not slowed down", _FAULT_REMEDY),
    *handled(f"{_FAULT}.FaultAbort", "http_status", "grpc_status", "percentage"),
    _lost(f"{_FAULT}.FaultAbort", "header_abort", "no request is aborted because it asks for it", _FAULT_REMEDY),
    *handled(f"{_FAULT_PARTS}.FaultDelay", "fixed_delay", "percentage"),
    _lost(f"{_FAULT_PARTS}.FaultDelay", "header_delay", "no request is delayed because it asks for it", _FAULT_REMEDY),
)
_ORIGIN_FIELDS: tuple[Row, ...] = (
    *handled(f"{_FILTER}.cors.v3.CorsPolicy", *_CORS_FIELDS),
    *ignored(f"{_FILTER}.cors.v3.CorsPolicy", _COUNTS, "shadow_enabled"),
    *handled("envoy.config.route.v3.CorsPolicy", *_CORS_FIELDS),
    *ignored("envoy.config.route.v3.CorsPolicy", _COUNTS, "shadow_enabled"),
    *handled(f"{_FILTER}.csrf.v3.CsrfPolicy", "filter_enabled", "additional_origins"),
    *ignored(f"{_FILTER}.csrf.v3.CsrfPolicy", _COUNTS, "shadow_enabled"),
)
_COMPRESSOR_FIELDS: tuple[Row, ...] = (
    *handled(f"{_COMPRESSOR}.Compressor", "content_length", "content_type", "runtime_enabled", "compressor_library"),
    *handled(f"{_COMPRESSOR}.Compressor", "request_direction_config", "response_direction_config"),
    *ignored(f"{_COMPRESSOR}.Compressor", "where a client takes both, brotli comes first", "choose_first"),
    *handled(_COMMON, "enabled", "min_content_length", "content_type"),
    *handled(f"{_COMPRESSOR}.Compressor.RequestDirectionConfig", "common_config"),
    *handled(f"{_COMPRESSOR}.Compressor.ResponseDirectionConfig", "common_config"),
    *(
        _lost(message, field, effect, "accept the difference, or compress in the service")
        for message in (f"{_COMPRESSOR}.Compressor", f"{_COMPRESSOR}.Compressor.ResponseDirectionConfig")
        for field, effect in (
            ("remove_accept_encoding_header", "the upstream sees Accept-Encoding and may compress itself"),
            ("disable_on_etag_header", "responses with an ETag are compressed too"),
        )
    ),
    _lost(
        f"{_COMPRESSOR}.Compressor.ResponseDirectionConfig",
        "uncompressible_response_codes",
        "responses of these statuses are compressed too",
    ),
    _lost(
        f"{_COMPRESSOR}.Compressor.ResponseDirectionConfig",
        "status_header_enabled",
        "no header tells what was compressed",
    ),
    *handled(f"{_COMPRESSOR}.CompressorPerRoute", "disabled", "overrides"),
    *handled(f"{_COMPRESSOR}.CompressorOverrides", "response_direction_config", "compressor_library"),
    _lost(
        f"{_COMPRESSOR}.ResponseDirectionOverrides",
        "remove_accept_encoding_header",
        "the upstream sees Accept-Encoding and may compress itself",
    ),
    *handled(f"{_COMPRESSION}.gzip.compressor.v3.Gzip", "compression_level"),
    *ignored(f"{_COMPRESSION}.gzip.compressor.v3.Gzip", _TUNING, "memory_level", "compression_strategy"),
    *ignored(f"{_COMPRESSION}.gzip.compressor.v3.Gzip", _TUNING, "window_bits", "chunk_size"),
    *handled(f"{_COMPRESSION}.brotli.compressor.v3.Brotli", "quality", "encoder_mode", "window_bits"),
    *ignored(f"{_COMPRESSION}.brotli.compressor.v3.Brotli", _TUNING, "input_block_bits", "chunk_size"),
    *ignored(f"{_COMPRESSION}.brotli.compressor.v3.Brotli", _TUNING, "disable_literal_context_modeling"),
)
_OTHER_FIELDS: tuple[Row, ...] = (
    *handled(f"{_FILTER}.buffer.v3.Buffer", "max_request_bytes"),
    *handled(f"{_FILTER}.buffer.v3.BufferPerRoute", "disabled", "buffer"),
    *handled(f"{_FILTER}.health_check.v3.HealthCheck", "pass_through_mode", "headers", "cache_time"),
    *handled(f"{_FILTER}.health_check.v3.HealthCheck", "cluster_min_healthy_percentages"),
    *handled(f"{_FILTER}.header_mutation.v3.HeaderMutation", "mutations", "most_specific_header_mutations_wins"),
    *handled(f"{_FILTER}.header_mutation.v3.HeaderMutationPerRoute", "mutations"),
    *handled(_MUTATION, "remove", "append", "remove_on_match"),
    *handled(f"{_MUTATION}.RemoveOnMatch", "key_matcher"),
    *handled(_MUTATIONS, "request_mutations", "response_mutations"),
    _lost(
        _MUTATIONS,
        "query_parameter_mutations",
        "the query is not mutated",
        "write the query in the client, or by a regex_rewrite of the route",
    ),
    _lost(_MUTATIONS, "request_trailers_mutations", "trailers are not mutated", _TRAILER_REMEDY),
    _lost(_MUTATIONS, "response_trailers_mutations", "trailers are not mutated", _TRAILER_REMEDY),
    *handled(_METADATA, "request_rules", "response_rules"),
    *ignored(_METADATA, _COUNTS, "stat_prefix"),
    *handled(f"{_METADATA}.Rule", "header", "remove"),
    *ignored(f"{_METADATA}.Rule", _OF_METADATA, "cookie", "on_header_present", "on_header_missing"),
)

ROWS: tuple[Row, ...] = (*_FILTERS, *_FAULT_FIELDS, *_ORIGIN_FIELDS, *_COMPRESSOR_FIELDS, *_OTHER_FIELDS)
