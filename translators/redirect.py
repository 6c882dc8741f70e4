"""Source: Listener.bind_to_port, use_original_dst, traffic_direction; FilterChainMatch destination_port, prefix_ranges.

Target: a port of its own for TCP connections that the node redirects: a stream route cannot see where they were meant
to go, the port it is reached on says it.
Fidelity: A: the rules that redirect are the node's, `meshferry bootstrap` prints them.
Differs: the address the client connected to is the node's own afterwards.
Diagnostics: LST-PORT-CLOSED (raised by the unit), LST-STREAM-OVERLAP where two destinations fall on one port.
See: mapping.md section 7, port-map mode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from translators.mappings.stream.region import text_of
from translators.scope import has_original_dst, is_bound

if TYPE_CHECKING:
    from schemas import xds
    from translators.mappings.stream.region import Network
    from translators.policy import Policy

OUTPUT, PREROUTING = "output", "prerouting"
_INBOUND = 1


class Redirect(NamedTuple):
    """A rule of the node, in the words of nftables.

    Attributes:
        hook: `output` for what the workload sends, `prerouting` for what comes to it.
        destination: where the connections were meant to go; None is any address no other rule names.
        port: the port they were meant for.
        to: the local port they are redirected to.
    """

    hook: str
    destination: Network | None
    port: int
    to: int

    def name(self) -> str:
        """Name the destination as the policy's `redirects.ports` does."""
        return _name(self.hook, self.destination, self.port)

    def rank(self) -> tuple[str, int, str, int]:
        """Give what rules are sorted by: the first that matches counts, so longer prefixes stand first."""
        length = -1 if self.destination is None else self.destination.prefixlen
        return self.hook, -length, text_of(self.destination) or "", self.port

    def rule(self) -> str:
        """Write the rule, for a chain of the hook in the table `inet nat`."""
        address = ""
        if self.destination is not None:
            address = f"{'ip' if self.destination.version == 4 else 'ip6'} daddr {text_of(self.destination)} "  # noqa: PLR2004 - the version of the protocol
        return f"nft add rule inet nat {self.hook} {address}tcp dport {self.port} redirect to :{self.to}"


def redirect(listener: xds.Message, destination: Network | None, port: int, policy: Policy) -> Redirect:
    """Give the rule that brings the connections of a listener, or of one of its chains, to a port of their own."""
    hook = PREROUTING if listener.traffic_direction == _INBOUND else OUTPUT
    return Redirect(hook, destination, port, policy.redirects.port_of(_name(hook, destination, port)))


def destined_port(listener: xds.Message, match: xds.Message, own: int, policy: Policy) -> int | None:
    """Tell which port the TCP connections of a chain were meant for before the node redirected them.

    Args:
        listener: of the chain.
        match: FilterChainMatch of the chain.
        own: a port of the listener.
        policy: whose port_map says which ports are one.

    Returns:
        0 when they come to the port they were meant for; None when none ever reaches the chain.
    """
    ports, wanted = policy.port_map, match.destination_port.value
    if not wanted or ports.get(wanted, wanted) == ports.get(own, own):
        return 0 if is_bound(listener) else own
    return int(wanted) if is_bound(listener) and has_original_dst(listener) else None


def _name(hook: str, destination: Network | None, port: int) -> str:
    text = text_of(destination) or "*"
    return f"{hook}/{f'[{text}]' if ':' in text else text}:{port}"
