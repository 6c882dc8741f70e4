"""Translate units of the kind `stream`: the L4 chains of a listener into disjoint stream routes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from schemas import xds
from schemas.records import Severity
from translators.chain_draft import ChainDraft
from translators.dispatch import diagnose
from translators.etcd_object import build_object
from translators.ids import label, object_id, object_name
from translators.mappings.listener import listener_filter
from translators.mappings.stream import udp_proxy
from translators.mappings.stream.filter_chain_match import (
    UDP,
    is_udp_listener,
    read_addresses,
    read_regions,
    read_snis,
)
from translators.mappings.stream.network_filter import apply_filters, is_http
from translators.mappings.stream.region import MAX_PIECES, Network, Region, subtract, text_of, without_servers
from translators.mappings.transport_socket import read_socket, unwrap
from translators.redirect import destined_port, redirect
from translators.registry import Diagnosed, find
from translators.scope import is_bound
from translators.translation import Translation
from translators.variant import blackhole
from translators.where import Where

if TYPE_CHECKING:
    from schemas.records import EtcdObject
    from translators.findings import Findings
    from translators.unit_view import UnitView

DEFAULT_CHAIN = "default"
_MATCH = "envoy.config.listener.v3.FilterChainMatch"
_CLOSING = ("filter_chain_matcher", "api_listener")


@dataclass(frozen=True, slots=True)
class _Chain:
    """A chain: what it matches and what happens to its connections; a closed one takes them from the others only."""

    name: str
    at: Where
    is_default: bool
    draft: ChainDraft
    snis: tuple[str | None, ...]
    match: xds.Message


@dataclass(frozen=True, slots=True)
class _Claim:
    """The connections of one chain with one SNI on one port: most specific claims are served first."""

    chain: _Chain
    port: int
    sni: str | None
    region: Region


def translate(view: UnitView, findings: Findings) -> Translation:
    """Translate a stream unit.

    Args:
        view: SUBJECT Listener with its L4 chains in full, HTTP chains without their filters; REFERENCE Clusters
            without endpoints.
        findings: receives the diagnostics.

    Returns:
        Stream routes that are pairwise disjoint: nodes may try them in any order.
    """
    listener = view.subject(xds.LISTENER)
    if listener is None:
        return Translation()
    at = Where(xds.LISTENER, listener.name)
    if is_udp_listener(listener):
        return _udp(listener, view.references(xds.CLUSTER), at, findings)
    is_served = _note_fields(listener, at, findings)
    addresses = read_addresses(listener, at, findings)
    if addresses and not listener.filter_chains and not listener.HasField("default_filter_chain"):
        findings.report(
            "CFG-INVALID", at.field("filter_chains"), effect="the listener has no chain, so it is not served"
        )
    if not is_served:
        return Translation()
    clusters = view.references(xds.CLUSTER)
    chains = _chains(listener, clusters, at, findings)
    routes: dict[str, EtcdObject] = {}
    origins: dict[str, Where] = {}
    for address, port in addresses:
        for claim in _disjoint(_claims(listener, chains, address, port, findings), findings):
            if claim.chain.draft.is_closed:
                continue  # what it takes is nobody else's
            route = _stream_route(listener.name, claim)
            routes[route.key] = route
            origins[route.key] = claim.chain.at
    objects = list(routes.values())
    if any(chain.draft.needs_blackhole and not chain.draft.is_closed for chain in chains):
        objects.append(blackhole())
    return Translation(objects, origins=origins)


def _udp(listener: xds.Message, clusters: dict[str, xds.Message], at: Where, findings: Findings) -> Translation:
    """Translate a UDP listener: it has no chains, a listener filter says where its datagrams go."""
    draft = ChainDraft(clusters)
    addresses = read_addresses(listener, at, findings, protocol=UDP)
    udp_proxy.apply(listener, draft, at, findings)
    if draft.is_closed:
        return Translation()
    chain = _Chain("udp", at, is_default=False, draft=draft, snis=(None,), match=xds.message_class(_MATCH)())
    ports = findings.policy.port_map
    claims = [_Claim(chain, ports.get(port, port), None, Region(address, None)) for address, port in addresses]
    routes = [_stream_route(listener.name, claim) for claim in claims]
    return Translation([*routes, *([blackhole()] if draft.needs_blackhole else [])])


def _note_fields(listener: xds.Message, at: Where, findings: Findings) -> bool:
    """Report the listener's untranslatable fields; False when one of them decides which chain is used."""
    for field, value in listener.ListFields():
        row = find(field.full_name)
        if isinstance(row, Diagnosed) and field.name not in _CLOSING:
            diagnose(row, value, at.field(field.name), findings)
    if listener.HasField("filter_chain_matcher"):
        findings.report("LST-MATCHER", at.field("filter_chain_matcher"))
    if listener.HasField("api_listener"):
        findings.report("LST-ADDR", at.field("api_listener"))
    if listener.HasField("fcds_config"):
        findings.report("LST-FCDS", at.field("fcds_config"))
    listener_filter.apply(listener, None, at, findings)
    return not any(listener.HasField(field) for field in _CLOSING)


def _chains(listener: xds.Message, clusters: dict[str, xds.Message], at: Where, findings: Findings) -> list[_Chain]:
    listed = [(chain, at.item("filter_chains", chain.name or i)) for i, chain in enumerate(listener.filter_chains)]
    if listener.HasField("default_filter_chain"):
        listed.append((listener.default_filter_chain, at.field("default_filter_chain")))
    has_tls = any(unwrap(_socket(chain)).context is not None for chain, _ in listed)
    found = []
    for chain, place in listed:
        if (
            chain.filters
            and not is_http(chain)
            and (plaintext := _terminates(chain, place, findings, has_tls=has_tls)) is not None
        ):
            draft = ChainDraft(clusters)
            apply_filters(chain, draft, place, findings)
            if not draft.upstream_id and not draft.is_closed:
                findings.report("L4-FILTER", place.field("filters"), effect="the chain has no filter that proxies")
                draft.is_closed = True
            is_default = place.path == "default_filter_chain"
            match_place = place.field("filter_chain_match")
            snis = [None] if plaintext else read_snis(chain.filter_chain_match, match_place, findings)
            name = chain.name or (DEFAULT_CHAIN if is_default else _digest(chain.filter_chain_match))
            found.append(_Chain(name, place, is_default, draft, tuple(snis), chain.filter_chain_match))
    return [chain for chain in found if not _is_alpn_double(chain, found, findings)]


def _terminates(chain: xds.Message, at: Where, findings: Findings, *, has_tls: bool) -> bool | None:
    """Tell whether a chain is plaintext (True) or ends TLS (False); None when it cannot be served."""
    match = chain.filter_chain_match
    socket = read_socket(_socket(chain), at.field("transport_socket"), findings)
    if not socket.is_supported:
        return None
    if socket.context is not None:
        return None if match.transport_protocol == "raw_buffer" else False
    if match.server_names or match.transport_protocol == "tls":
        findings.report("L4-PASSTHROUGH", at.field("filter_chain_match"), value=",".join(match.server_names))
        return None
    if has_tls:
        findings.report("LST-TLS-MIX", at, effect="the plaintext chain is not served: the port speaks TLS")
        return None
    return True


def _socket(chain: xds.Message) -> xds.Message | None:
    return chain.transport_socket if chain.HasField("transport_socket") else None


def _is_alpn_double(chain: _Chain, chains: list[_Chain], findings: Findings) -> bool:
    """Report application_protocols; True when another chain matches the same without them, and is served instead."""
    if not chain.match.application_protocols:
        return False
    place = chain.at.field("filter_chain_match.application_protocols")
    bare = _without_protocols(chain.match)
    if any(other is not chain and _without_protocols(other.match) == bare for other in chains):
        findings.report("LST-ALPN", place, effect="the chain is not served: another one matches the same without ALPN")
        return True
    findings.report("LST-ALPN", place)
    return False


def _without_protocols(match: xds.Message) -> bytes:
    copy = type(match)()
    copy.CopyFrom(match)
    copy.ClearField("application_protocols")
    return bytes(copy.SerializeToString(deterministic=True))


def _claims(
    listener: xds.Message, chains: list[_Chain], address: Network | None, port: int, findings: Findings
) -> list[_Claim]:
    claims = []
    for chain in chains:
        place = chain.at.field("filter_chain_match")
        destined = destined_port(listener, chain.match, port, findings.policy)
        if destined is None:
            wanted = chain.match.destination_port.value
            findings.report("LST-PORT-CLOSED", place.field("destination_port"), value=str(wanted))
            continue
        for region in read_regions(chain.match, address, place, findings):
            mapped, where = findings.policy.port_map.get(port, port), region
            if destined:
                mapped = redirect(listener, region.server, destined, findings.policy).to
                where = Region(None, region.remote)
                _note_redirect(listener, chain, mapped, findings)
            claims += [_Claim(chain, mapped, sni, where) for sni in chain.snis]
    return claims


def _note_redirect(listener: xds.Message, chain: _Chain, to: int, findings: Findings) -> None:
    is_chain = is_bound(listener)
    findings.report(
        "LST-PORT-CLOSED",
        chain.at.field("filter_chain_match.destination_port") if is_chain else chain.at,
        value=str(to),
        severity=Severity.WARN,
        effect=f"its connections are served on port {to}, where the node has to redirect them",
        remedy="set the rules that `meshferry bootstrap` prints",
    )


def _disjoint(claims: list[_Claim], findings: Findings) -> list[_Claim]:
    """Cut the claims so that no two overlap; what Envoy would prefer keeps its own."""
    by_port: dict[int, list[_Claim]] = {}
    for claim in claims:
        by_port.setdefault(claim.port, []).append(claim)
    return [kept for same in by_port.values() for kept in _disjoint_on_port(same, findings)]


def _disjoint_on_port(claims: list[_Claim], findings: Findings) -> list[_Claim]:
    ranked = sorted(
        enumerate(claims),
        key=lambda item: (item[1].chain.is_default, [-length for length in item[1].region.specificity()], item[0]),
    )
    seen: list[_Claim] = []
    kept: list[_Claim] = []
    for _, claim in ranked:
        pieces = [claim.region]
        for winner in kept if claim.chain.is_default else seen:
            pieces = [piece for region in pieces for piece in _rest(region, claim, winner)]
        if not pieces or len(pieces) > MAX_PIECES:
            findings.report("LST-STREAM-OVERLAP", claim.chain.at, value=claim.sni or "")
        else:
            kept += [replace(claim, region=piece) for piece in pieces]
        seen.append(claim)
    return kept


def _rest(region: Region, claim: _Claim, winner: _Claim) -> list[Region]:
    """Give what a winner leaves of a part of a claim: the default chain gets what no other chain matches."""
    is_bucket = winner.region.specificity()[0] > claim.region.specificity()[0]
    if is_bucket and not claim.chain.is_default:
        return without_servers(region, winner.region)
    return subtract(region, winner.region) if winner.sni == claim.sni else [region]


def _stream_route(listener: str, claim: _Claim) -> EtcdObject:
    address = {
        "remote_addr": text_of(claim.region.remote),
        "server_addr": text_of(claim.region.server),
        "server_port": claim.port,
        "sni": claim.sni,
    }
    value: dict[str, Any] = {name: part for name, part in address.items() if part is not None}
    identity = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    value |= {
        "labels": {"xds.chain": label(claim.chain.name), "xds.listener": label(listener)},
        "name": object_name(f"{listener}/{claim.chain.name}"),
        "upstream_id": claim.chain.draft.upstream_id,
    }
    if claim.chain.draft.plugins:
        value["plugins"] = claim.chain.draft.plugins
    return build_object(
        "stream_routes", object_id("stream_routes", listener, listener, claim.chain.name, identity), value
    )


def _digest(match: xds.Message) -> str:
    return blake2b(xds.canonical_bytes(match), digest_size=6).hexdigest()
