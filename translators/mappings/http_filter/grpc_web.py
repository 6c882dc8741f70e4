"""Source: envoy.extensions.filters.http.grpc_web.v3.GrpcWeb.

Target: grpc-web on routes to clusters, for POST requests of its content types.
Fidelity: A.
Differs: the plugin allows all origins to read its responses, and takes the path from a key `/*`, so routes of the
virtual host are tried one after the other.
Diagnostics: HF-UNTRANSLATED.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.expr import equals, one_of

if TYPE_CHECKING:
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

PLUGIN = "grpc-web"
_TYPE = "application/grpc-web"
_TYPES = (_TYPE, f"{_TYPE}+proto", f"{_TYPE}-text", f"{_TYPE}-text+proto")
"""Others are no gRPC-Web to Envoy; the plugin would answer them 400."""


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Translate gRPC-Web on the way to clusters."""
    if http_filter.route is None or not http_filter.route.HasField("route") or draft.is_closed:
        return
    condition = [equals("request_method", "POST"), one_of("http_content_type", _TYPES)]
    draft.add_plugin(PLUGIN, {"_meta": {"filter": condition}}, http_filter.index)
    findings.report(
        "HF-UNTRANSLATED",
        at,
        effect="responses to gRPC-Web requests carry access-control-allow-origin: * and expose grpc-status",
        remedy="accept this, or translate gRPC-Web in the service",
    )
