"""Source: FilterChainMatch of an L4 chain, Listener.address, additional_addresses.

Target: stream_route.server_port, server_addr, remote_addr, sni.
Fidelity: E for addresses and SNI behind TLS; N for source ports, foreign source types and ALPN.
Differs: nothing that is served.
Diagnostics: LST-ADDR, LST-ALPN, LST-MATCHER, LST-PORT-CLOSED.
See: mapping.md section 4.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.mappings.stream.region import Network, Region, contains, parse_network
from translators.mappings.tls.server_name import CATCH_ALL, read_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

LOOPBACK = ("127.0.0.0/8", "::1/128")
MAX_PORT = 65535
_ANY_SOURCE, _LOCAL_SOURCE = 0, 1
_TCP, _UDP = 0, 1
UDP = _UDP
_WILDCARDS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, not bound to


def is_udp_listener(listener: xds.Message) -> bool:
    """Tell whether a listener takes datagrams; QUIC is not meant."""
    is_quic = listener.udp_listener_config.HasField("quic_options")
    return bool(listener.address.socket_address.protocol == _UDP) and not is_quic


def read_addresses(
    listener: xds.Message, at: Where, findings: Findings, *, protocol: int = _TCP
) -> list[tuple[Network | None, int]]:
    """Give (address, port) of every socket of a listener, TCP unless said otherwise; None is any address."""
    if listener.HasField("internal_listener"):
        findings.report("LST-INTERNAL", at.field("internal_listener"))
        return []
    found = []
    places = [(listener.address, at.field("address"))]
    for index, additional in enumerate(listener.additional_addresses):
        places.append((additional.address, at.item("additional_addresses", index).field("address")))
    for address, place in places:
        socket = address.socket_address
        network = None if socket.address in _WILDCARDS else parse_network(socket.address)
        is_wanted = address.WhichOneof("address") == "socket_address" and socket.protocol == protocol
        if (
            not is_wanted
            or not 1 <= socket.port_value <= MAX_PORT
            or (network is None and socket.address not in _WILDCARDS)
        ):
            findings.report("LST-ADDR", place, value=_described(address))
        else:
            found.append((network, socket.port_value))
    return found


def _described(address: xds.Message) -> str:
    kind = address.WhichOneof("address")
    if kind != "socket_address":
        return kind or "no address"
    socket = address.socket_address
    protocol = "UDP" if socket.protocol == _UDP else "TCP"
    return f"{protocol} {socket.address} port {socket.named_port or socket.port_value}"


def read_regions(match: xds.Message, server: Network | None, at: Where, findings: Findings) -> list[Region]:
    """Give the regions a chain matches on one listener address; none when a condition cannot be kept."""
    if match.source_ports or match.source_type not in (_ANY_SOURCE, _LOCAL_SOURCE):
        field = "source_ports" if match.source_ports else "source_type"
        findings.report("LST-MATCHER", at.field(field), effect="the chain is not served")
        return []
    servers = read_servers(match, server)
    sources = _networks(match.source_prefix_ranges) or _networks(match.direct_source_prefix_ranges) or [None]
    if match.source_prefix_ranges and match.direct_source_prefix_ranges:
        findings.report("LST-MATCHER", at.field("direct_source_prefix_ranges"), effect="the chain is not served")
        return []
    if match.source_type == _LOCAL_SOURCE:
        local = [parse_network(text) for text in LOOPBACK]
        sources = local if sources == [None] else [s for s in sources if s is not None and s.is_loopback]
    return [Region(one, remote) for one in servers for remote in sources]


def read_snis(match: xds.Message, at: Where, findings: Findings) -> list[str | None]:
    """Give the SNIs of a chain that terminates TLS; [None] when it takes any."""
    if not match.server_names:
        return [None]
    names, refused = read_names(",".join(match.server_names))
    for name in refused:
        findings.report("LST-MATCHER", at.field("server_names"), value=name, effect="the name is not served")
    return [None if name == CATCH_ALL else name for name in names]


def read_servers(match: xds.Message, server: Network | None) -> list[Network | None]:
    """Give the destinations a chain matches on one listener address; none when the two have nothing in common."""
    ranges = _networks(match.prefix_ranges)
    if not ranges:
        return [server]
    if server is None:
        return ranges
    return [server] if any(outer is not None and contains(outer, server) for outer in ranges) else []


def _networks(ranges: Iterable[xds.Message]) -> list[Network | None]:
    found = [parse_network(r.address_prefix, r.prefix_len.value if r.HasField("prefix_len") else 0) for r in ranges]
    return [network for network in found if network is not None]
