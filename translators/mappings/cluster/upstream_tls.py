"""Source: UpstreamTlsContext of the cluster's transport socket.

Target: upstream.scheme with TLS; a closed cluster where verification was asked for.
Fidelity: N for verification, client certificates and SNI.
Differs: see mappings.cluster.transport_socket.
Diagnostics: TLS-UPSTREAM-UNVERIFIED, TLS-SNI-HOST, TLS-PROVIDER.
See: mapping.md sections 1.6 and 6.1.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from translators import dispatch
from translators.mappings.cluster.transport_socket import sends_sni, verifies
from translators.mappings.transport_socket import read_socket
from translators.variant import http_protocol_options

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

_CERTIFICATES = ("tls_certificates", "tls_certificate_sds_secret_configs")


@dataclass(frozen=True, slots=True)
class UpstreamTLS:
    """What a cluster's transport socket comes to.

    Attributes:
        is_used: TLS is spoken to the endpoints.
        is_closed: the cluster must answer 503.
    """

    is_used: bool = False
    is_closed: bool = False


def read_upstream_tls(
    cluster: xds.Message,
    socket: xds.Message | None,
    at: Where,
    findings: Findings,
    *,
    uses: list[xds.Message],
    secrets: dict[str, xds.Message],
) -> UpstreamTLS:
    """Read the transport socket that was chosen for a cluster.

    Args:
        cluster: the Cluster, for its protocol options.
        socket: its TransportSocket; None = plaintext.
        at: where the socket stands.
        findings: receives the diagnostics.
        uses: the RouteActions that lead to it, for the SNI.
        secrets: the known secrets by name.
    """
    found = read_socket(socket, at, findings)
    if not found.is_supported:
        return UpstreamTLS(is_closed=True)
    if found.context is None:
        return UpstreamTLS()
    context = found.context
    dispatch.apply(context, None, at, findings)
    dispatch.apply(context.common_tls_context, None, at.field("common_tls_context"), findings)
    _note_certificates(context, at, findings)
    options = http_protocol_options(cluster)
    upstream_options = (cluster if options is None else options).upstream_http_protocol_options
    follows_host = upstream_options.auto_sni
    if not follows_host and not sends_sni(context, uses):
        findings.report("TLS-SNI-HOST", at.field("sni"), value=context.sni)
    if upstream_options.auto_san_validation or verifies(context, secrets):
        return UpstreamTLS(is_used=True, is_closed=findings.blocks("TLS-UPSTREAM-UNVERIFIED", at))
    return UpstreamTLS(is_used=True)


def _note_certificates(context: xds.Message, at: Where, findings: Findings) -> None:
    for field in _CERTIFICATES:
        if getattr(context.common_tls_context, field):
            findings.report(
                "TLS-PROVIDER",
                at.field(f"common_tls_context.{field}"),
                effect="no client certificate is presented to the endpoints",
                remedy="let the endpoints accept clients without a certificate",
            )
