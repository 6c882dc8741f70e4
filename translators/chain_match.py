"""Filter chain matches as expressions that exclude each other (mapping.md section 4.2).

Envoy walks the dimensions of FilterChainMatch in a fixed order and in each one keeps the chains with the most specific
value that fits, without turning back. APISIX evaluates booleans, so a chain's expression says its own values and, in
each dimension, that no more specific value of a sibling fits.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from translators import expr

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from schemas import xds
    from translators.expr import Expr

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Value: TypeAlias = Any
"""A hashable value of a dimension; None where a chain sets none."""

ORIGINAL_DST = "connection_original_dst"
_LOOPBACK = ("127.0.0.0/8", "::1")
_NGINX_ALPN = ("h2", "http/1.1", "http/1.0")
_PLAINTEXT_VERSIONS = {"http/1.0": "HTTP/1.0", "http/1.1": "HTTP/1.1", "h2c": "HTTP/2.0"}
OFFERABLE = frozenset((*_NGINX_ALPN, "h2c"))
_OCTET_BITS = 8


class InexpressibleError(ValueError):
    """A value that no expression can test; the message names it."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One step of Envoy's search.

    Attributes:
        values: reads the values a chain sets, () for none.
        test: an expression that holds when one of the values fits.
        is_narrower: whether the first value is more specific than the second and overlaps it.
    """

    values: Callable[[xds.Message], tuple[Value, ...]]
    test: Callable[[Sequence[Value]], Expr]
    is_narrower: Callable[[Value, Value], bool]


def chain_condition(
    own: xds.Message, siblings: Sequence[xds.Message], ports: Mapping[int, int], *, has_original_dst: bool
) -> Expr:
    """Give the condition under which Envoy picks a chain.

    Args:
        own: the chain's FilterChainMatch.
        siblings: those of the listener's other chains, the default chain's not among them.
        ports: Envoy port -> APISIX port, where they differ.
        has_original_dst: destination port and address are those before redirection.

    Raises:
        InexpressibleError: a value of the chain, or one that the siblings take from it, cannot be tested.
    """
    if not siblings and not own.ListFields():
        return expr.ALWAYS
    return _from(_dimensions(ports, has_original_dst=has_original_dst), own, siblings)


def default_condition(siblings: Sequence[xds.Message], ports: Mapping[int, int], *, has_original_dst: bool) -> Expr:
    """Give the condition under which Envoy takes the default chain: it picks none of the others.

    Raises:
        InexpressibleError: as above.
    """
    picked = []
    for index, match in enumerate(siblings):
        others = [*siblings[:index], *siblings[index + 1 :]]
        picked.append(chain_condition(match, others, ports, has_original_dst=has_original_dst))
    return expr.negate(expr.any_of(picked)) if picked else expr.ALWAYS


def _from(dimensions: Sequence[Dimension], own: xds.Message, siblings: Sequence[xds.Message]) -> Expr:
    """Walk the dimensions that are left; `siblings` = those with the same value in all dimensions before."""
    if not dimensions:
        return expr.ALWAYS
    dimension = dimensions[0]
    values = dimension.values(own) or (None,)
    theirs = [dimension.values(sibling) or (None,) for sibling in siblings]
    known = {value for sibling_values in (values, *theirs) for value in sibling_values if value is not None}
    groups: dict[tuple[tuple[int, ...], tuple[Value, ...]], list[Value]] = {}
    for value in values:
        rivals = _rivals(value, theirs)
        narrower = [
            other
            for other in sorted(known, key=str)
            if (value is None or dimension.is_narrower(other, value))
            and not (other in values and _rivals(other, theirs) == rivals)
        ]
        groups.setdefault((rivals, tuple(narrower)), []).append(value)
    return expr.any_of(
        expr.all_of(
            (
                expr.ALWAYS if None in group else dimension.test(group),
                expr.negate(dimension.test(narrower)) if narrower else expr.ALWAYS,
                _from(dimensions[1:], own, [siblings[index] for index in rivals]),
            )
        )
        for (rivals, narrower), group in groups.items()
    )


def _rivals(value: Value, theirs: Sequence[tuple[Value, ...]]) -> tuple[int, ...]:
    return tuple(index for index, values in enumerate(theirs) if value in values)


def _never_narrower(_narrower: Value, _wider: Value) -> bool:
    """Values of most dimensions do not overlap."""
    return False


def _dimensions(ports: Mapping[int, int], *, has_original_dst: bool) -> tuple[Dimension, ...]:
    port, address = (
        (_original_port, _original_address) if has_original_dst else (_port(ports), _addresses("server_addr"))
    )
    return (
        Dimension(_set_port, port, _never_narrower),
        Dimension(_networks("prefix_ranges"), address, _is_within),
        Dimension(_names, _test_names, _is_narrower_name),
        Dimension(
            lambda match: (match.transport_protocol,) if match.transport_protocol else (),
            _test_transport,
            _never_narrower,
        ),
        Dimension(lambda match: tuple(match.application_protocols), _test_protocols, _never_narrower),
        Dimension(_networks("direct_source_prefix_ranges"), _addresses("realip_remote_addr"), _is_within),
        Dimension(lambda match: (match.source_type,) if match.source_type else (), _test_source_type, _never_narrower),
        Dimension(_networks("source_prefix_ranges"), _addresses("remote_addr"), _is_within),
        Dimension(lambda match: tuple(match.source_ports), _test_source_ports, _never_narrower),
    )


def _set_port(match: xds.Message) -> tuple[Value, ...]:
    return (match.destination_port.value,) if match.HasField("destination_port") else ()


def _port(ports: Mapping[int, int]) -> Callable[[Sequence[Value]], Expr]:
    def test(values: Sequence[Value]) -> Expr:
        return expr.one_of("server_port", [str(ports.get(value, value)) for value in values])

    return test


def _original_port(values: Sequence[Value]) -> Expr:
    return expr.any_of(expr.matches(ORIGINAL_DST, rf"\A[^:]+:{value}\z") for value in values)


def _networks(field: str) -> Callable[[xds.Message], tuple[Value, ...]]:
    def values(match: xds.Message) -> tuple[Value, ...]:
        return tuple(network_of(cidr) for cidr in getattr(match, field))

    return values


def network_of(cidr: xds.Message) -> Network:
    """Read an envoy.config.core.v3.CidrRange.

    Raises:
        InexpressibleError: it is no network.
    """
    text = f"{cidr.address_prefix}/{cidr.prefix_len.value}"
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InexpressibleError(text) from None


def _is_within(narrower: Value, wider: Value) -> bool:
    return bool(narrower != wider and narrower.version == wider.version and narrower.subnet_of(wider))


def _addresses(variable: str) -> Callable[[Sequence[Value]], Expr]:
    def test(values: Sequence[Value]) -> Expr:
        return expr.ip_match(variable, [str(network) for network in values])

    return test


def _original_address(values: Sequence[Value]) -> Expr:
    return expr.any_of(expr.matches(ORIGINAL_DST, rf"\A{_network_regex(network)}:") for network in values)


def _network_regex(network: Network) -> str:
    """Give a PCRE for the addresses of an IPv4 network in dotted form."""
    if not isinstance(network, ipaddress.IPv4Network):
        raise InexpressibleError(f"{network}: the original destination is known for IPv4 only")
    octets = str(network.network_address).split(".")
    whole, partial_bits = divmod(network.prefixlen, _OCTET_BITS)
    pieces = octets[:whole]
    if partial_bits:
        first = int(octets[whole])
        last = first + 2 ** (_OCTET_BITS - partial_bits) - 1
        pieces.append(f"(?:{'|'.join(str(number) for number in range(first, last + 1))})")
    pieces += [r"\d+"] * (len(octets) - len(pieces))
    return r"\.".join(pieces)


def _names(match: xds.Message) -> tuple[Value, ...]:
    return tuple(name.lower() for name in match.server_names)


def _test_names(values: Sequence[Value]) -> Expr:
    names = [rf".+{expr.escape(name[1:])}" if name.startswith("*.") else expr.escape(name) for name in values]
    return expr.matches("ssl_server_name", rf"\A(?:{'|'.join(names)})\z", ignore_case=True)


def _is_narrower_name(narrower: Value, wider: Value) -> bool:
    return bool(narrower != wider and wider.startswith("*.") and narrower.removeprefix("*").endswith(wider[1:]))


def _test_transport(values: Sequence[Value]) -> Expr:
    schemes = {"tls": "https", "raw_buffer": "http", "quic": "https"}
    if any(value not in schemes for value in values):
        raise InexpressibleError(f"transport_protocol {', '.join(values)}")
    return expr.one_of("scheme", sorted({schemes[value] for value in values}))


def _test_protocols(values: Sequence[Value]) -> Expr:
    tests = []
    for value in values:
        if value in _NGINX_ALPN:
            tests.append(expr.equals("ssl_alpn_protocol", value))
        if value in _PLAINTEXT_VERSIONS:
            version = expr.equals("server_protocol", _PLAINTEXT_VERSIONS[value])
            tests.append(expr.all_of((expr.equals("scheme", "http"), version)))
    return expr.any_of(tests)


def _test_source_type(values: Sequence[Value]) -> Expr:
    is_local = expr.ip_match("remote_addr", _LOOPBACK)
    return expr.any_of(is_local if value == 1 else expr.negate(is_local) for value in values)


def _test_source_ports(values: Sequence[Value]) -> Expr:
    return expr.one_of("remote_port", [str(value) for value in values])
