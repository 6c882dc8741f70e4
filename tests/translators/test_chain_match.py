"""Filter chain conditions against a plain model of Envoy's search (filter_chain_manager_impl.cc)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.router import Request, holds
from tests.translators.unit_builder import message
from translators.chain_match import InexpressibleError, chain_condition, default_condition

if TYPE_CHECKING:
    from schemas import xds

MATCH = "envoy.config.listener.v3.FilterChainMatch"
ADDRESSES = ["10.1.2.3", "10.1.9.9", "10.9.9.9", "192.168.0.1"]
RANGES = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "192.168.0.0/16", "0.0.0.0/0"]
NAMES = ["a.example.com", "*.example.com", "*.a.example.com", "other.org"]


def cidr(text: str) -> dict[str, Any]:
    address, _, length = text.partition("/")
    return {"address_prefix": address, "prefix_len": int(length)}


def match_of(**fields: Any) -> xds.Message:
    return message(MATCH, fields)


subset = lambda values: st.lists(st.sampled_from(values), max_size=2, unique=True)  # noqa: E731 - a strategy by name
matches = st.builds(
    lambda port, ranges, names, transport, protocols, source, sources, source_ports: {
        **({"destination_port": port} if port else {}),
        "prefix_ranges": [cidr(text) for text in ranges],
        "server_names": names,
        "transport_protocol": transport,
        "application_protocols": protocols,
        "source_type": source,
        "source_prefix_ranges": [cidr(text) for text in sources],
        "source_ports": source_ports,
    },
    st.sampled_from([0, 0, 80, 81]),
    subset(RANGES),
    subset(NAMES),
    st.sampled_from(["", "", "tls", "raw_buffer"]),
    subset(["h2", "http/1.1", "istio"]),
    st.sampled_from([0, 0, 0, 1, 2]),
    subset(["127.0.0.0/8", "10.0.0.0/8"]),
    subset([1000, 2000]),
)
connections = st.fixed_dictionaries(
    {
        "port": st.sampled_from([80, 81, 82]),
        "address": st.sampled_from(ADDRESSES),
        "name": st.sampled_from(["", "a.example.com", "b.a.example.com", "x.example.com", "other.org"]),
        "is_tls": st.booleans(),
        "protocol": st.sampled_from(["", "h2", "http/1.1"]),
        "source": st.sampled_from(["127.0.0.1", "10.1.1.1", "8.8.8.8"]),
        "source_port": st.sampled_from([1000, 3000]),
    }
)


def networks(ranges: list[dict[str, Any]]) -> list[Any]:
    return [ipaddress.ip_network(f"{r['address_prefix']}/{r['prefix_len']}") for r in ranges]


def best(candidates: list[tuple[int, Any]], keys_of, rank) -> list[tuple[int, Any]]:
    """Keep the candidates that have the most specific value that fits; `rank` None = does not fit, 0 = unset."""
    ranked = [(rank(key), key, chain) for chain in candidates for key in (keys_of(chain[1]) or [None])]
    fitting = [entry for entry in ranked if entry[0] is not None]
    if not fitting:
        return []
    top = max(fitting, key=lambda entry: entry[0])
    return [chain for _, key, chain in fitting if key == top[1]]


def picked(chains: list[dict[str, Any]], c: dict[str, Any]) -> int | None:
    """Walk the dimensions as Envoy does, without turning back."""

    def by_network(field: str, address: str):
        def rank(network: Any) -> int | None:
            if network is None:
                return 0
            return 1 + network.prefixlen if ipaddress.ip_address(address) in network else None

        return lambda chain: networks(chain[field]), rank

    def by_name(name: str | None) -> int | None:
        if name is None:
            return 0
        if name == c["name"]:
            return 1000
        return len(name) if name.startswith("*.") and c["name"].endswith(name[1:]) else None

    def by_value(value: Any):
        return lambda wanted: 0 if wanted is None else (1 if wanted == value else None)

    is_local = ipaddress.ip_address(c["source"]).is_loopback
    steps = [
        (lambda chain: [chain["destination_port"]] if "destination_port" in chain else [], by_value(c["port"])),
        by_network("prefix_ranges", c["address"]),
        (lambda chain: chain["server_names"], by_name),
        (lambda chain: [chain["transport_protocol"]] if chain["transport_protocol"] else [],
         by_value("tls" if c["is_tls"] else "raw_buffer")),
        (lambda chain: chain["application_protocols"], by_value(c["protocol"])),
        (lambda chain: [chain["source_type"]] if chain["source_type"] else [], by_value(1 if is_local else 2)),
        by_network("source_prefix_ranges", c["source"]),
        (lambda chain: chain["source_ports"], by_value(c["source_port"])),
    ]  # fmt: skip
    candidates = list(enumerate(chains))
    for keys_of, rank in steps:
        candidates = best(candidates, keys_of, rank)
    assert len({index for index, _ in candidates}) <= 1, "Envoy refuses chains that match alike"
    return candidates[0][0] if candidates else None


def request_of(c: dict[str, Any], *, redirected: bool) -> Request:
    variables = {
        "server_port": "15006" if redirected else str(c["port"]),
        "server_addr": "10.0.0.9" if redirected else c["address"],
        "connection_original_dst": f"{c['address']}:{c['port']}" if redirected else None,
        "ssl_server_name": (c["name"] or None) if c["is_tls"] else None,
        "scheme": "https" if c["is_tls"] else "http",
        "ssl_alpn_protocol": (c["protocol"] or None) if c["is_tls"] else None,
        "server_protocol": {"h2": "HTTP/2.0", "http/1.1": "HTTP/1.1"}.get(c["protocol"], "HTTP/1.0"),
        "remote_addr": c["source"],
        "remote_port": str(c["source_port"]),
    }
    return Request("a.com", "/", variables=variables)


def is_unambiguous(chains: list[dict[str, Any]]) -> bool:
    """Envoy refuses listeners in which two chains have one combination of values in common."""
    fields = ("destination_port", "prefix_ranges", "server_names", "transport_protocol", "application_protocols",
              "source_type", "source_prefix_ranges", "source_ports")  # fmt: skip

    def values(chain: dict[str, Any], field: str) -> set[str]:
        value = chain.get(field) or [None]
        return {str(item) for item in (value if isinstance(value, list) else [value])}

    return not any(
        all(values(one, field) & values(other, field) for field in fields)
        for index, one in enumerate(chains)
        for other in chains[:index]
    )


@given(st.lists(matches, min_size=1, max_size=4).filter(is_unambiguous), connections, st.booleans())
def test_exactly_the_chain_that_envoy_picks_holds(chains: list[dict[str, Any]], c: dict[str, Any], redirected):
    if not c["is_tls"]:
        c = {**c, "name": "", "protocol": "http/1.1"}
    built = [match_of(**chain) for chain in chains]
    request = request_of(c, redirected=redirected)
    wanted = picked(chains, c)
    for index, own in enumerate(built):
        siblings = built[:index] + built[index + 1 :]
        condition = chain_condition(own, siblings, {}, has_original_dst=redirected)
        assert holds(condition, request) == (index == wanted)
    assert holds(default_condition(built, {}, has_original_dst=redirected), request) == (wanted is None)


@pytest.mark.parametrize(
    ("fields", "redirected"),
    [
        ({"transport_protocol": "smoke"}, False),
        ({"prefix_ranges": [cidr("fd00::/8")]}, True),
        ({"prefix_ranges": [{"address_prefix": "nonsense", "prefix_len": 8}]}, False),
    ],
)
def test_what_cannot_be_tested_is_said(fields: dict[str, Any], redirected):
    with pytest.raises(InexpressibleError):
        chain_condition(match_of(**fields), [], {}, has_original_dst=redirected)
    with pytest.raises(InexpressibleError):
        chain_condition(match_of(), [match_of(**fields)], {}, has_original_dst=redirected)


@pytest.mark.parametrize("length", range(33))
def test_ipv4_ranges_of_the_original_destination(length: int):
    network = ipaddress.ip_network(f"10.203.77.145/{length}", strict=False)
    condition = chain_condition(match_of(prefix_ranges=[cidr(str(network))]), [], {}, has_original_dst=True)
    first, last = int(network[0]), int(network[-1])
    for number in {max(first - 1, 0), first, (first + last) // 2, last, min(last + 1, 2**32 - 1)}:
        address = ipaddress.ip_address(number)
        request = Request("a", "/", variables={"connection_original_dst": f"{address}:80"})
        assert holds(condition, request) == (address in network)
