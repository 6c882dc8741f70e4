"""Rows of the family `http_filter`: the HTTP filters, each by the message that configures it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translators.mappings.http_filter import (
    api_key_auth,
    composite,
    ext_authz,
    jwt_authn,
    local_ratelimit,
    lua,
    ratelimit,
    rbac,
    wasm,
)
from translators.mappings.http_filter.switch import is_switched_off
from translators.registry import decoration, untranslated
from translators.registry.row import Diagnosed, Fidelity, Handled, Ignored, Row

if TYPE_CHECKING:
    from collections.abc import Callable

_FILTER = "envoy.extensions.filters.http"
_METADATA = "metadata inside Envoy; what depends on it is diagnosed where it stands"
_OBSERVER = "observes only"


def _restricting(code: str, *filters: str, unless: Callable[[Any], bool] = is_switched_off) -> tuple[Row, ...]:
    return tuple(Diagnosed(f"{_FILTER}.{name}", code, restricts=True, unless=unless) for name in filters)


def _harmless(reason: str, *types: str) -> tuple[Row, ...]:
    return tuple(Ignored(name, reason) for name in types)


ROWS: tuple[Row, ...] = (
    *_harmless("routing is what routes are for", f"{_FILTER}.router.v3.Router"),
    *_harmless(_OBSERVER, f"{_FILTER}.grpc_stats.v3.FilterConfig", "stats.PluginConfig"),
    *_harmless(_METADATA, f"{_FILTER}.set_metadata.v3.Config"),
    *_harmless(_METADATA, f"{_FILTER}.json_to_metadata.v3.JsonToMetadata", f"{_FILTER}.set_filter_state.v3.Config"),
    *_harmless(_METADATA, f"{_FILTER}.thrift_to_metadata.v3.ThriftToMetadata"),
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
    *decoration.ROWS,
    *untranslated.ROWS,
    Handled(
        f"{_FILTER}.rbac.v3.RBAC",
        rbac.apply,
        Fidelity.EXACT,
        codes=("HF-RESTRICT", "HF-META", "TLS-SAN", "RT-HEADER", "RT-REGEX", "HCM-XFF"),
    ),
    Handled(
        f"{_FILTER}.ext_authz.v3.ExtAuthz",
        ext_authz.apply,
        Fidelity.APPROXIMATED,
        codes=("HF-RESTRICT", "HF-DUP", "HF-META", "HF-ORDER", "HF-UNTRANSLATED", "HDR-FORMAT", "HDR-VALUE"),
    ),
    Handled(
        f"{_FILTER}.local_ratelimit.v3.LocalRateLimit",
        local_ratelimit.apply,
        Fidelity.APPROXIMATED,
        codes=("HF-RESTRICT", "HF-DUP", "HF-ORDER", "HF-UNTRANSLATED"),
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
            "HF-ORDER",
            "HF-RESTRICT",
            "HF-UNTRANSLATED",
            "RT-HEADER",
            "RT-REGEX",
        ),
    ),
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
    Handled(
        f"{_FILTER}.ratelimit.v3.RateLimit",
        ratelimit.apply,
        Fidelity.NOT_EXPRESSIBLE,
        codes=("HF-RLS", "HF-RESTRICT", "HF-DUP", "HF-ORDER"),
    ),
    *_restricting("HF-CODE", "ext_proc.v3.ExternalProcessor", "dynamic_modules.v3.DynamicModuleFilter"),
    *_restricting("HF-CODE", "golang.v3alpha.Config", "composite.v3.Composite"),
    *_restricting("HF-CODE", "wasm.v3.Wasm", unless=wasm.is_telemetry),
    *_restricting("HF-CODE", "lua.v3.Lua", unless=lua.runs_nothing),
    Handled(
        "envoy.extensions.common.matching.v3.ExtensionWithMatcher",
        composite.apply,
        Fidelity.NOT_EXPRESSIBLE,
        codes=("HF-CODE", "HF-UNTRANSLATED"),
        is_whole=True,
    ),
)
