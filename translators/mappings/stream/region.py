"""Source: FilterChainMatch prefix_ranges and source prefixes, Listener.address.

Target: stream_route.server_addr and remote_addr, pairwise disjoint.
Fidelity: E.
Differs: nothing; stream routes have no priority, so the addresses themselves must say which chain wins.
Diagnostics: LST-STREAM-OVERLAP (raised by the unit).
See: mapping.md section 4.2, last paragraphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network
EVERYWHERE: tuple[Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
MAX_PIECES = 1024
"""More pieces than this are not worth a chain; real matches need a few, a /16 cut out of everything twice some 300."""


@dataclass(frozen=True, slots=True)
class Region:
    """Connections by where they arrive and where they come from.

    Attributes:
        server: the address the client connected to; None = any.
        remote: the client's address; None = any.
    """

    server: Network | None = None
    remote: Network | None = None

    def specificity(self) -> tuple[int, int]:
        """Give the lengths of the destination prefix and of the source prefix; -1 for any. Longer ones win."""
        return (_length(self.server), _length(self.remote))


def without_servers(region: Region, winner: Region) -> list[Region]:
    """Take a whole destination prefix away: Envoy never goes back from a longer prefix when the source differs."""
    if not _overlap(region.server, winner.server):
        return [region]
    return [Region(server, region.remote) for server in _difference(region.server, winner.server)]


def subtract(region: Region, winner: Region) -> list[Region]:
    """Take the connections of another region away."""
    if not _overlap(region.server, winner.server) or not _overlap(region.remote, winner.remote):
        return [region]
    shared = winner.server if _length(winner.server) > _length(region.server) else region.server
    return without_servers(region, winner) + [
        Region(shared, remote) for remote in _difference(region.remote, winner.remote)
    ]


def contains(outer: Network, inner: Network) -> bool:
    """Tell whether a network lies inside another one."""
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # the versions are equal


def _length(network: Network | None) -> int:
    return -1 if network is None else network.prefixlen


def _overlap(one: Network | None, other: Network | None) -> bool:
    if one is None or other is None:
        return True
    return one.version == other.version and one.overlaps(other)


def _difference(minuend: Network | None, subtrahend: Network | None) -> list[Network]:
    if subtrahend is None:
        return []
    pieces: list[Network] = []
    for network in EVERYWHERE if minuend is None else (minuend,):
        if network.version != subtrahend.version:
            pieces.append(network)
        elif not contains(subtrahend, network):
            pieces.extend(network.address_exclude(subtrahend))  # type: ignore[arg-type]  # the versions are equal
    return sorted(pieces, key=lambda network: (network.version, network))


def parse_network(address: str, prefix_len: int | None = None) -> Network | None:
    """Parse an address or CIDR range; None when it is not one."""
    try:
        whole = ip_network(address)
        return whole if prefix_len is None else ip_network(f"{address}/{prefix_len}", strict=False)
    except ValueError:
        return None


def text_of(network: Network | None) -> str | None:
    """Give server_addr or remote_addr: a single address without its prefix length, None for any."""
    if network is None or network in EVERYWHERE:
        return None if network is None else str(network)
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
