"""Source: TransportSocket of a Cluster or a FilterChain.

Target: whether TLS is spoken, and with which context.
Fidelity: E for raw_buffer and tls; E through the wrappers tap, tcp_stats and internal_upstream; N for the rest.
Differs: what the wrappers record is lost.
Diagnostics: TLS-SOCKET.
See: mapping.md sections 4.2 and 6.1.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas import xds

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.where import Where

_PACKAGE = "envoy.extensions.transport_sockets."
_RAW = frozenset({"raw_buffer.v3.RawBuffer"})
_TLS = frozenset({"tls.v3.UpstreamTlsContext", "tls.v3.DownstreamTlsContext"})
_WRAPPERS = frozenset({"tap.v3.Tap", "tcp_stats.v3.Config", "internal_upstream.v3.InternalUpstreamTransport"})
_RAW_NAMES = frozenset({"envoy.transport_sockets.raw_buffer", "raw_buffer"})


@dataclass(frozen=True, slots=True)
class Socket:
    """What a transport socket comes to.

    Attributes:
        context: UpstreamTlsContext or DownstreamTlsContext; None = plaintext.
        is_supported: False when nginx cannot speak it at all.
    """

    context: xds.Message | None = None
    is_supported: bool = True


def is_raw(socket: xds.Message) -> bool:
    """Tell whether a transport socket that is only named is plaintext."""
    return socket.name in {"", *_RAW_NAMES}


def unwrap(socket: xds.Message | None) -> Socket:
    """Look through the wrappers of a transport socket; None or an empty one is plaintext."""
    if socket is None or (not socket.HasField("typed_config") and is_raw(socket)):
        return Socket()
    inner = xds.unpack(socket.typed_config) if socket.HasField("typed_config") else None
    short = inner.DESCRIPTOR.full_name.removeprefix(_PACKAGE) if inner is not None else ""
    if inner is not None and short in _TLS:
        return Socket(context=inner)
    if inner is not None and short in _WRAPPERS:
        return unwrap(inner.transport_socket)
    return Socket(is_supported=short in _RAW)


def read_socket(socket: xds.Message | None, at: Where, findings: Findings) -> Socket:
    """Look through the wrappers of a transport socket and report one that nginx cannot speak."""
    found = unwrap(socket)
    if socket is not None and not found.is_supported:
        findings.report("TLS-SOCKET", at, value=socket.name)
    return found
