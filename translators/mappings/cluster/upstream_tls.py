"""Source: UpstreamTlsContext of the cluster's transport socket.

Target: upstream.scheme with TLS; a closed cluster where verification was asked for.
Fidelity: N for verification and SNI; of client certificates see mappings.tls.client_certificate.
Differs: see mappings.cluster.transport_socket.
Diagnostics: TLS-UPSTREAM-UNVERIFIED, TLS-SNI-HOST.
See: mapping.md sections 1.6 and 6.1.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from translators import dispatch
from translators.mappings.cluster.transport_socket import sends_sni, verifies
from translators.mappings.tls.client_certificate import NO_CERTIFICATE, read_client_certificate
from translators.mappings.transport_socket import read_socket
from translators.variant import http_protocol_options

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.mappings.tls.client_certificate import ClientCertificate
    from translators.where import Where


@dataclass(frozen=True, slots=True)
class UpstreamTLS:
    """What a cluster's transport socket comes to.

    Attributes:
        is_used: TLS is spoken to the endpoints.
        is_closed: the cluster must answer 503.
        certificate: what is presented to the endpoints.
    """

    is_used: bool = False
    is_closed: bool = False
    certificate: ClientCertificate = NO_CERTIFICATE


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
    common, place = context.common_tls_context, at.field("common_tls_context")
    dispatch.apply(common, None, place, findings)
    certificate = read_client_certificate(common, secrets, place, findings)
    options = http_protocol_options(cluster)
    upstream_options = (cluster if options is None else options).upstream_http_protocol_options
    follows_host = upstream_options.auto_sni
    if not follows_host and not sends_sni(context, uses):
        findings.report("TLS-SNI-HOST", at.field("sni"), value=context.sni)
    is_closed = certificate.is_missing
    if upstream_options.auto_san_validation or verifies(context, secrets):
        is_closed = findings.blocks("TLS-UPSTREAM-UNVERIFIED", at) or is_closed
    return UpstreamTLS(is_used=True, is_closed=is_closed, certificate=certificate)
