"""The scope of a unit: which requests its filter chain takes, as AND-ed expressions (mapping.md sections 4.1, 4.2, 7).

APISIX has one router for all ports. Every route of a scope carries the scope's expressions, and the scopes of different
listeners and chains exclude each other.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas import xds
from translators import expr
from translators.chain_match import (
    OFFERABLE,
    ORIGINAL_DST,
    InexpressibleError,
    chain_condition,
    default_condition,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from translators.expr import Expr
    from translators.findings import Findings
    from translators.where import Where

_NEVER_PICKED = "no connection ever reaches the chain"
_ORIGINAL_DST_FILTER = "envoy.filters.listener.original_dst"
_ORIGINAL_DST_TYPE = "envoy.extensions.filters.listener.original_dst.v3.OriginalDst"


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain of a reduced listener that the unit is about.

    Attributes:
        message: envoy.config.listener.v3.FilterChain.
        siblings: the FilterChainMatch of every other chain, the default one's not among them.
        is_default: it is the default chain.
    """

    message: xds.Message
    siblings: tuple[xds.Message, ...]
    is_default: bool


def own_chain(listener: xds.Message) -> Chain | None:
    """Find the chain the unit is about: the only one that kept its filters."""
    matches = [chain.filter_chain_match for chain in listener.filter_chains]
    for index, chain in enumerate(listener.filter_chains):
        if chain.filters:
            return Chain(chain, (*matches[:index], *matches[index + 1 :]), is_default=False)
    default = listener.default_filter_chain
    return Chain(default, tuple(matches), is_default=True) if default.filters else None


def listener_port(listener: xds.Message) -> int:
    """Give the port of the listener's own address; 0 when it has none."""
    return int(listener.address.socket_address.port_value)


def scope_conditions(
    listener: xds.Message, chain: Chain, neighbours: Sequence[xds.Message], at: Where, findings: Findings
) -> list[Expr] | None:
    """Compute the conditions of a scope.

    Args:
        listener: reduced to one full chain and stubs of its siblings.
        chain: the full one.
        neighbours: stubs of listeners on the same port with other addresses.
        at: the listener.
        findings: receives the diagnostics.

    Returns:
        The conditions, cheapest first; None when the scope cannot be expressed (fail closed) or takes no request.
    """
    if _mixes_tls(chain, at, findings):
        return None
    address = _address_condition(listener, neighbours, at, findings)
    if address is None:
        return None
    try:
        picked = _chain_condition(listener, chain, at, findings)
    except InexpressibleError as error:
        findings.report(
            "LST-MATCHER",
            at.field("filter_chains"),
            value=str(error),
            effect="the chain is not served",
            remedy="match by port, IPv4 range, server name or TLS",
        )
        return None
    conditions = expr.conjuncts((address, picked))
    if conditions == [expr.NEVER]:
        findings.report("RT-SHADOWED", at.field("filter_chains"), value=chain.message.name, effect=_NEVER_PICKED)
        return None
    return conditions


def _mixes_tls(chain: Chain, at: Where, findings: Findings) -> bool:
    """Report a plaintext chain on a port where others speak TLS: nginx cannot do both on one port."""
    if chain.message.HasField("transport_socket") or chain.message.filter_chain_match.transport_protocol == "tls":
        return False
    if all(sibling.transport_protocol != "tls" for sibling in chain.siblings):
        return False
    return findings.blocks("LST-TLS-MIX", at.field("filter_chains"), value=chain.message.name)


# ---- addresses


def _address_condition(
    listener: xds.Message, neighbours: Sequence[xds.Message], at: Where, findings: Findings
) -> Expr | None:
    if listener.HasField("internal_listener") or listener.address.HasField("envoy_internal_address"):
        findings.report("LST-INTERNAL", at)
        return None
    addresses = [listener.address, *(additional.address for additional in listener.additional_addresses)]
    usable = [_socket_address(address) for address in addresses]
    if None in usable:
        findings.report("LST-ADDR", at.field("address"))
    sockets = [found for found in usable if found is not None]
    if not sockets:
        return None
    others = _socket_addresses(neighbours)
    if is_bound(listener):
        return _bound_condition(sockets, others, findings.policy.port_map)
    try:
        return expr.any_of(_redirected_condition(host, port, others) for host, port in sockets)
    except InexpressibleError as error:
        findings.report("LST-ADDR", at.field("address"), value=str(error), remedy="give the service an IPv4 address")
        return None


def is_bound(listener: xds.Message) -> bool:
    """Tell whether a listener has a port; one without gets only connections that were redirected to another one."""
    if listener.HasField("bind_to_port"):
        return bool(listener.bind_to_port.value)
    old = listener.deprecated_v1
    return not old.HasField("bind_to_port") or bool(old.bind_to_port.value)


def _socket_address(address: xds.Message) -> tuple[str, int] | None:
    """Give IP and port of an address that nginx can listen on."""
    socket = address.socket_address
    if not address.HasField("socket_address") or not socket.port_value or socket.resolver_name:
        return None
    try:
        return str(ipaddress.ip_address(socket.address)), socket.port_value
    except ValueError:
        return None


def _socket_addresses(listeners: Sequence[xds.Message]) -> list[tuple[str, int]]:
    found = []
    for listener in listeners:
        addresses = [listener.address, *(additional.address for additional in listener.additional_addresses)]
        found += [socket for socket in map(_socket_address, addresses) if socket is not None]
    return sorted(set(found))


def _is_wildcard(host: str) -> bool:
    return host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def _bound_condition(
    sockets: Sequence[tuple[str, int]], others: Sequence[tuple[str, int]], ports: Mapping[int, int]
) -> Expr:
    """Conditions on the port; on the address too where listeners share a port."""
    contested = {port for _, port in others}
    free = sorted({str(ports.get(port, port)) for _, port in sockets if port not in contested}, key=int)
    alternatives = [expr.one_of("server_port", free)] if free else []
    for host, port in sockets:
        if port in contested:
            is_port = expr.equals("server_port", str(ports.get(port, port)))
            alternatives.append(expr.all_of((is_port, _own_address(host, port, others))))
    return expr.any_of(alternatives)


def _own_address(host: str, port: int, others: Sequence[tuple[str, int]]) -> Expr:
    if not _is_wildcard(host):
        return expr.equals("server_addr", host)
    taken = [other for other, other_port in others if other_port == port and not _is_wildcard(other)]
    return expr.negate(expr.one_of("server_addr", taken)) if taken else expr.ALWAYS


def _redirected_condition(host: str, port: int, others: Sequence[tuple[str, int]]) -> Expr:
    """Conditions of a listener that is reached through one that uses the original destination."""
    if ":" in host and host != "::":
        raise InexpressibleError(f"{host}: the original destination is known for IPv4 only")
    if not _is_wildcard(host):
        return expr.equals(ORIGINAL_DST, f"{host}:{port}")
    taken = [
        f"{other}:{port}"
        for other, other_port in others
        if other_port == port and not _is_wildcard(other) and ":" not in other
    ]
    is_port = expr.matches(ORIGINAL_DST, rf"\A[^:]+:{port}\z")
    return expr.all_of((is_port, expr.negate(expr.one_of(ORIGINAL_DST, taken)) if taken else expr.ALWAYS))


# ---- chains


def _chain_condition(listener: xds.Message, chain: Chain, at: Where, findings: Findings) -> Expr:
    is_redirected, ports = has_original_dst(listener), findings.policy.port_map
    if chain.is_default:
        return default_condition(chain.siblings, ports, has_original_dst=is_redirected)
    match = _with_offerable_protocols(chain.message.filter_chain_match, chain.siblings, at, findings)
    return chain_condition(match, chain.siblings, ports, has_original_dst=is_redirected)


def has_original_dst(listener: xds.Message) -> bool:
    """Tell whether destination_port and prefix_ranges mean the destination before redirection."""
    if listener.use_original_dst.value:
        return True
    return any(
        listed.name == _ORIGINAL_DST_FILTER or listed.typed_config.type_url.endswith("/" + _ORIGINAL_DST_TYPE)
        for listed in listener.listener_filters
    )


def _with_offerable_protocols(
    own: xds.Message, siblings: Sequence[xds.Message], at: Where, findings: Findings
) -> xds.Message:
    """Drop protocols that nginx cannot negotiate, unless a sibling takes the same connections without them."""
    if not own.application_protocols or OFFERABLE.intersection(own.application_protocols):
        return own
    findings.report("LST-ALPN", at.field("filter_chains"), value=", ".join(own.application_protocols))
    bare = _without_protocols(own)
    for sibling in siblings:
        is_open = not sibling.application_protocols or OFFERABLE.intersection(sibling.application_protocols)
        if is_open and _without_protocols(sibling) == bare:
            return own
    return bare


def _without_protocols(match: xds.Message) -> xds.Message:
    copy = xds.message_class(match.DESCRIPTOR.full_name)()
    copy.CopyFrom(match)
    copy.ClearField("application_protocols")
    return copy
