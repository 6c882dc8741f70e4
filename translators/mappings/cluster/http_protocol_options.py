"""Source: Cluster.typed_extension_protocol_options (HttpProtocolOptions), http2_protocol_options, auto_sni.

Target: upstream.scheme http(s) or grpc(s).
Fidelity: E for HTTP/1.1 and for gRPC over HTTP/2; A for other HTTP/2.
Differs: nginx speaks HTTP/2 to upstreams only as gRPC, so scheme grpc serves gRPC clusters and no others; a cluster
    that takes both protocols has an upstream for each.
Diagnostics: CL-H2, CL-FEATURE, CFG-UNKNOWN-ANY.
See: mapping.md section 6.1.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds
from schemas.records import Severity
from translators import dispatch
from translators.variant import HTTP_PROTOCOL_OPTIONS, http_protocol_options

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.upstream_draft import UpstreamDraft
    from translators.where import Where

TCP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions"
_MIXED = "HTTP/2 is spoken for gRPC, other requests are sent as HTTP/1.1"


def apply_extensions(cluster: xds.Message, draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Read the map of protocol options."""
    for name in sorted(cluster.typed_extension_protocol_options):
        place = at.item("typed_extension_protocol_options", name)
        options = xds.unpack(cluster.typed_extension_protocol_options[name])
        if options is None or options.DESCRIPTOR.full_name not in (HTTP_PROTOCOL_OPTIONS, TCP_PROTOCOL_OPTIONS):
            findings.report("CFG-UNKNOWN-ANY", place, value=cluster.typed_extension_protocol_options[name].type_url)
        else:
            dispatch.apply(options, draft, place, findings)


def speaks_http2(cluster: xds.Message) -> bool:
    """Tell whether a cluster is told to speak HTTP/2 and nothing else."""
    options = http_protocol_options(cluster)
    if options is not None:
        return bool(options.explicit_http_config.HasField("http2_protocol_options"))
    return bool(cluster.HasField("http2_protocol_options"))


def apply_explicit(options: xds.Message, draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Read explicit_http_config."""
    protocol = options.explicit_http_config.WhichOneof("protocol_config")
    if protocol == "http3_protocol_options":
        findings.report(
            "CL-FEATURE", at.field("explicit_http_config"), value=protocol, effect="HTTP/1.1 is spoken, not HTTP/3"
        )
    elif protocol == "http2_protocol_options":
        _speak_http2(draft, at.field("explicit_http_config"), findings)


def apply_http2(_cluster: xds.Message, draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Read the deprecated http2_protocol_options of the Cluster."""
    _speak_http2(draft, at.field("http2_protocol_options"), findings)


def apply_mixed(options: xds.Message, _draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Read use_downstream_protocol_config and auto_config: an upstream for gRPC beside the other (`speaks_both`)."""
    field = options.WhichOneof("upstream_protocol_options")
    if field == "use_downstream_protocol_config" or options.auto_config.HasField("http2_protocol_options"):
        findings.report("CL-H2", at.field(field), effect=_MIXED, severity=Severity.INFO)


def apply_upstream_options(options: xds.Message, draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Read auto_sni: nginx sends the Host header as SNI by itself. auto_san_validation counts as verification."""
    dispatch.apply(options.upstream_http_protocol_options, None, at.field("upstream_http_protocol_options"), findings)
    draft.sets_sni = draft.sets_sni or options.upstream_http_protocol_options.auto_sni


def _speak_http2(draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    draft.is_http2 = True
    findings.report("CL-H2", at, remedy="use this cluster for gRPC only, or let it speak HTTP/1.1")
