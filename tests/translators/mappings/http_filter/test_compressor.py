"""Responses are compressed by the plugin of the library, with Envoy's choice of types and lengths."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import Outcome, forwarded, http_filter, packed, route_outcome

LIBRARY = "envoy.extensions.compression"
OFF = {"common_config": {"enabled": {"default_value": False, "runtime_key": "k"}}}


def library(name: str, **settings: Any) -> dict[str, Any]:
    settings = packed(f"{LIBRARY}.{name.lower()}.compressor.v3.{name}", settings)
    return {"compressor_library": {"name": name, "typed_config": settings}}


def compressed(config: dict[str, Any], override: dict[str, Any] | None = None) -> Outcome:
    extra = {"typed_per_filter_config": {"guard": packed(".compressor.v3.CompressorPerRoute", override)}}
    filters = [http_filter(".compressor.v3.Compressor", {**library("Gzip"), **config})]
    return route_outcome(forwarded(extra if override is not None else {}), filters=filters)


def test_gzip_has_envoys_defaults():
    outcome = compressed({})
    gzip = outcome.plugins["gzip"]
    assert (gzip["comp_level"], gzip["min_length"], gzip["vary"], gzip["_meta"]) == (6, 30, True, {"priority": 20000})
    assert "application/json" in gzip["types"]
    assert len(gzip["types"]) == 18
    assert outcome.codes == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"response_direction_config": {"common_config": {"min_content_length": 7}}}, {"min_length": 7}),
        ({"response_direction_config": {"common_config": {"content_type": ["a/b"]}}}, {"types": ["a/b"]}),
        ({"content_length": 8, "content_type": ["c/d", "a/b"]}, {"min_length": 8, "types": ["a/b", "c/d"]}),
        ({"content_length": 8, "response_direction_config": {}}, {"min_length": 30}),
        (library("Gzip", compression_level="BEST_SPEED"), {"comp_level": 1}),
        (library("Gzip", compression_level="COMPRESSION_LEVEL_9"), {"comp_level": 9}),
    ],
)
def test_what_is_said_counts(config, expected):
    gzip = compressed(config).plugins["gzip"]
    assert {name: gzip[name] for name in expected} == expected


def test_brotli_is_said_to_be_off_by_default():
    outcome = compressed(library("Brotli", quality=5, window_bits=12, encoder_mode="TEXT"))
    brotli = outcome.plugins["brotli"]
    assert (brotli["comp_level"], brotli["lgwin"], brotli["mode"]) == (5, 12, 1)
    assert outcome.codes == ["HF-PLUGIN-DISABLED"]
    plain = compressed(library("Brotli")).plugins["brotli"]
    assert (plain["comp_level"], plain["lgwin"], "mode" in plain) == (3, 18, False)


@pytest.mark.parametrize(
    ("config", "override"),
    [
        ({"response_direction_config": OFF}, None),
        ({"runtime_enabled": {"default_value": False, "runtime_key": "k"}}, None),
        ({}, {"disabled": True}),
    ],
)
def test_it_can_be_off(config, override):
    assert compressed(config, override).plugins == {}


def test_a_route_switches_it_on_and_chooses_the_library():
    off = {"response_direction_config": OFF}
    assert "gzip" in compressed(off, {"overrides": {"response_direction_config": {}}}).plugins
    other = {"overrides": library("Brotli")}
    assert "brotli" in compressed({}, other).plugins


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (library("Zstd"), "compressor_library"),
        ({"request_direction_config": {}}, "request_direction_config"),
        ({"remove_accept_encoding_header": True}, "remove_accept_encoding_header"),
        ({"response_direction_config": {"disable_on_etag_header": True}}, "disable_on_etag_header"),
        ({"response_direction_config": {"uncompressible_response_codes": [206]}}, "uncompressible_response_codes"),
    ],
)
def test_what_is_not_done_is_said(config, field):
    outcome = compressed(config)
    assert outcome.codes == ["HF-UNTRANSLATED"]
    assert outcome.diagnostics[0].path.endswith(field)


def test_requests_that_are_not_compressed_in_envoy_either_are_not_worth_a_word():
    assert compressed({"request_direction_config": OFF}).codes == []


def test_a_second_filter_of_a_kind_and_an_unreadable_override_are_said():
    config = library("Gzip")
    filters = [http_filter(".compressor.v3.Compressor", config)] * 2
    assert route_outcome(forwarded(), filters=filters).codes == ["HF-UNTRANSLATED"]
    extra = {"typed_per_filter_config": {"guard": packed("xds.type.v3.TypedStruct", {"type_url": "x/example.Y"})}}
    outcome = route_outcome(forwarded(extra), filters=filters[:1])
    assert (outcome.codes, outcome.plugins) == (["HF-UNTRANSLATED"], {})


def test_what_a_route_says_beyond_switching_on_is_said():
    override = {"overrides": {"response_direction_config": {"remove_accept_encoding_header": True}}}
    assert compressed({"response_direction_config": OFF}, override).codes == ["HF-UNTRANSLATED"]
