"""Source: envoy.extensions.filters.http.compressor.v3.Compressor, CompressorPerRoute.

Target: gzip or brotli.
Fidelity: A; requests are not compressed, and zstd is not known.
Differs: nginx compresses gzip for the statuses 200, 403 and 404 only, nothing without a Content-Type, and weighs no
q-values; where a client takes both, brotli comes first.
Diagnostics: HF-UNTRANSLATED, HF-PLUGIN-DISABLED.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas import xds
from schemas.records import Severity
from translators import dispatch
from translators.mappings.http_filter.switch import is_switched_off

if TYPE_CHECKING:
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_LIBRARIES = "envoy.extensions.compression."
_GZIP, _BROTLI = f"{_LIBRARIES}gzip.compressor.v3.Gzip", f"{_LIBRARIES}brotli.compressor.v3.Brotli"
_TYPES = (
    "application/ecmascript",
    "application/javascript",
    "application/json",
    "application/x-javascript",
    "application/x-json",
    "application/xhtml+xml",
    "application/xml",
    "image/svg+xml",
    "text/css",
    "text/ecmascript",
    "text/html",
    "text/javascript",
    "text/jscript",
    "text/js",
    "text/plain",
    "text/x-javascript",
    "text/x-js",
    "text/xml",
)
"""What Envoy compresses when nothing is said."""
_MIN_LENGTH = 30
_GZIP_LEVEL, _BROTLI_QUALITY, _BROTLI_WINDOW = 6, 3, 18
_BROTLI_WINDOWS = range(10, 25)
_MAX_GZIP_LEVEL = 9
_BROTLI_MODES = {2: 1, 3: 2}
"""EncoderMode TEXT and FONT; all others are generic."""


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Compress responses."""
    config = http_filter.config
    if is_switched_off(http_filter):
        return
    if config is None or http_filter.has_unreadable_override:
        findings.report("HF-UNTRANSLATED", at, effect="responses are not compressed", remedy="use CompressorPerRoute")
        return
    if config.HasField("request_direction_config") and _is_enabled(config.request_direction_config.common_config):
        findings.report(
            "HF-UNTRANSLATED",
            at.field("request_direction_config"),
            effect="requests are not compressed",
            remedy="compress requests in the client",
        )
    # An override that has anything to say about responses enables them on its route.
    override = http_filter.override
    is_enabled = override is not None and override.overrides.HasField("response_direction_config")
    common = config.response_direction_config.common_config
    if not is_enabled and not (_is_enabled(common) and _is_on(config, "runtime_enabled")):
        return
    dispatch.apply(config, None, at, findings)
    dispatch.apply(config.response_direction_config, None, at.field("response_direction_config"), findings)
    if override is not None and is_enabled:
        place = http_filter.overrides[-1].at.field("overrides").field("response_direction_config")
        dispatch.apply(override.overrides.response_direction_config, None, place, findings)
    plugin = _plugin(_library(config, override), at, findings)
    if plugin is not None:
        name, conf = plugin
        conf |= {"min_length": _min_length(config), "types": _types(config), "vary": True}
        if not draft.add_plugin(name, conf, http_filter.index):
            findings.report("HF-UNTRANSLATED", at, effect=f"the first {name} filter decides alone")


def _is_on(message: xds.Message, field: str) -> bool:
    return not message.HasField(field) or bool(getattr(message, field).default_value.value)


def _is_enabled(common: xds.Message) -> bool:
    return _is_on(common, "enabled")


def _min_length(config: xds.Message) -> int:
    """Give the least Content-Length; the direction's settings replace the deprecated ones of the filter."""
    common = config.response_direction_config.common_config
    said = common.min_content_length if config.HasField("response_direction_config") else config.content_length
    return max(int(said.value), 1) if said.ByteSize() else _MIN_LENGTH


def _types(config: xds.Message) -> list[str]:
    common = config.response_direction_config.common_config
    said = common.content_type if config.HasField("response_direction_config") else config.content_type
    return sorted(set(said or _TYPES))


def _library(config: xds.Message, override: xds.Message | None) -> xds.Message:
    if override is not None and override.overrides.HasField("compressor_library"):
        return override.overrides.compressor_library.typed_config
    return config.compressor_library.typed_config


def _plugin(library: xds.Message, at: Where, findings: Findings) -> tuple[str, dict[str, Any]] | None:
    settings = xds.unpack(library)
    if settings is not None and settings.DESCRIPTOR.full_name in (_GZIP, _BROTLI):
        dispatch.apply(settings, None, at.field("compressor_library"), findings)
    kind = settings.DESCRIPTOR.full_name if settings is not None else ""
    if settings is not None and kind == _GZIP:
        level = int(settings.compression_level)
        return "gzip", {"comp_level": level if 1 <= level <= _MAX_GZIP_LEVEL else _GZIP_LEVEL}
    if settings is None or kind != _BROTLI:
        findings.report(
            "HF-UNTRANSLATED",
            at.field("compressor_library"),
            value=library.type_url.rpartition("/")[2],
            effect="responses are not compressed by this library",
            remedy="use gzip or brotli",
        )
        return None
    findings.report(
        "HF-PLUGIN-DISABLED",
        at,
        severity=Severity.WARN,
        effect="responses are compressed only where the node has brotli, which is off by default",
        remedy="enable the plugin brotli in config.yaml, with its library",
    )
    window = settings.window_bits.value if settings.HasField("window_bits") else _BROTLI_WINDOW
    conf: dict[str, Any] = {
        "comp_level": settings.quality.value if settings.HasField("quality") else _BROTLI_QUALITY,
        "lgwin": window if window in _BROTLI_WINDOWS else _BROTLI_WINDOW,
    }
    if settings.encoder_mode in _BROTLI_MODES:
        conf["mode"] = _BROTLI_MODES[settings.encoder_mode]
    return "brotli", conf
