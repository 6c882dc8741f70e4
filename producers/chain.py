"""What the cutter knows of a Listener: its filter chains one by one, each reduced to what its unit carries."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from producers.reference import References, asked_by, of_network_filters, secrets_of
from producers.route_table import TableKey, distinct
from producers.traversal import body_of, copy_only, copy_without, find, rewrite
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_CHAIN = "default"
EVERY_SNI = "*"
HCM = xds.HTTP_CONNECTION_MANAGER.rpartition("/")[2]
DOWNSTREAM_TLS_CONTEXT = xds.DOWNSTREAM_TLS_CONTEXT.rpartition("/")[2]


class TLSFacts(NamedTuple):
    """A chain's DownstreamTlsContext."""

    snis: str
    """Sorted server names joined by commas; `*` when the chain takes every name."""
    body: bytes
    secrets: frozenset[str]


class ScopedFacts(NamedTuple):
    """The scopes of a chain: what requests say decides which RouteConfiguration routes them."""

    name: str
    """Names the route configuration of the requests of no scope, which has no routes."""
    inline: dict[str, xds.Message] | None
    """ScopedRouteConfigurations in the HttpConnectionManager by name; None when SRDS delivers them."""


class HTTPFacts(NamedTuple):
    """A chain that ends in an HttpConnectionManager."""

    listener_body: bytes
    """The Listener reduced to this chain and the matches of its siblings."""
    table: TableKey | None
    """None when the route configuration is chosen per request (scoped routes)."""
    inline: xds.Message | None
    """The RouteConfiguration inside the HttpConnectionManager."""
    scoped: ScopedFacts | None = None
    """The scopes, when the route configuration is chosen per request."""
    asked: frozenset[str] = frozenset()
    """The clusters of the authorization services that its filters ask."""


class ChainFacts(NamedTuple):
    """One filter chain."""

    tls: TLSFacts | None
    http: HTTPFacts | None
    """None when the chain has no HttpConnectionManager."""


def read_chains(listener: xds.Message) -> dict[str, ChainFacts]:
    """Take the filter chains of a canonical Listener apart, by chain id."""
    frame = copy_without(listener, "filter_chains", "default_filter_chain")
    named = list(chain_ids(listener))
    return {
        chain_id: ChainFacts(_tls(chain), _http(listener, frame, chain_id, chain, index))
        for index, (chain_id, chain) in enumerate(named)
    }


def chain_ids(listener: xds.Message) -> Iterator[tuple[str, xds.Message]]:
    """Give every chain with its id, the default chain last.

    The id is the chain's name, `default` for an unnamed default chain, else a hash of its match, so that a chain keeps
    its id when others are added before it.
    """
    taken: set[str] = set()
    chains = [(chain, chain.name or _match_hash(chain)) for chain in listener.filter_chains]
    if listener.HasField("default_filter_chain"):
        chains.append((listener.default_filter_chain, listener.default_filter_chain.name or DEFAULT_CHAIN))
    for chain, wanted in chains:
        chain_id = distinct(wanted, taken)
        taken.add(chain_id)
        yield chain_id, chain


def stream_body(listener: xds.Message) -> bytes | None:
    """Reduce a Listener to its chains without HttpConnectionManager, or give None when every chain has one.

    A listener without any chain has a body too, so that something diagnoses it.
    """
    chains = [chain for _, chain in chain_ids(listener)]
    if chains and all(hcm_filter(chain) is not None for chain in chains):
        return None
    reduced = type(listener)()
    reduced.CopyFrom(listener)
    for _, chain in chain_ids(reduced):
        if hcm_filter(chain) is not None:
            chain.CopyFrom(_stub(chain))
        elif chain.HasField("transport_socket"):
            rewrite(chain.transport_socket, DOWNSTREAM_TLS_CONTEXT, _reduce_tls)
    return body_of(reduced)


def stream_references(listener: xds.Message) -> References:
    """Collect what the chains without HttpConnectionManager and the listener filters refer to."""
    filters = [f for _, chain in chain_ids(listener) if hcm_filter(chain) is None for f in chain.filters]
    return of_network_filters(iter([*filters, *listener.listener_filters]))


def hcm_filter(chain: xds.Message) -> xds.Message | None:
    """Give the network filter that is an HttpConnectionManager, or None."""
    for network_filter in reversed(chain.filters):
        config = network_filter.typed_config
        if config.type_url.rpartition("/")[2] == HCM and xds.unpack(config) is not None:
            return network_filter
    return None


def _match_hash(chain: xds.Message) -> str:
    return "sha" + blake2b(body_of(chain.filter_chain_match), digest_size=5).hexdigest()


def _tls(chain: xds.Message) -> TLSFacts | None:
    context = next(find(chain.transport_socket, DOWNSTREAM_TLS_CONTEXT), None)
    if context is None:
        return None
    names = sorted({name.lower() for name in chain.filter_chain_match.server_names})
    return TLSFacts(",".join(names) or EVERY_SNI, body_of(context), secrets_of(context))


def _http(listener: xds.Message, frame: xds.Message, chain_id: str, chain: xds.Message, index: int) -> HTTPFacts | None:
    manager = hcm_filter(chain)
    hcm = None if manager is None else xds.unpack(manager.typed_config)
    if hcm is None:
        return None
    table, inline = _table(listener.name, chain_id, hcm)
    scoped = _scoped(hcm.scoped_routes) if hcm.WhichOneof("route_specifier") == "scoped_routes" else None
    asked = frozenset().union(*map(asked_by, hcm.http_filters))
    return HTTPFacts(body_of(_reduced_listener(listener, frame, index)), table, inline, scoped, asked)


def _scoped(routes: xds.Message) -> ScopedFacts:
    if routes.WhichOneof("config_specifier") != "scoped_route_configurations_list":
        return ScopedFacts(routes.name, None)
    listed = routes.scoped_route_configurations_list.scoped_route_configurations
    return ScopedFacts(routes.name, {one.name: one for one in listed})


def _table(listener: str, chain_id: str, hcm: xds.Message) -> tuple[TableKey | None, xds.Message | None]:
    specifier = hcm.WhichOneof("route_specifier")
    if specifier == "rds":
        return TableKey(hcm.rds.route_config_name), None
    if specifier != "route_config":
        return None, None
    inline = hcm.route_config
    inline.name = inline.name or f"{listener}/{chain_id}"
    return TableKey(inline.name, listener, chain_id), inline


def _reduced_listener(listener: xds.Message, frame: xds.Message, index: int) -> xds.Message:
    reduced = type(frame)()
    reduced.CopyFrom(frame)
    for place, chain in enumerate(listener.filter_chains):
        reduced.filter_chains.append(_full(chain) if place == index else _stub(chain))
    if listener.HasField("default_filter_chain"):
        is_chosen = index == len(listener.filter_chains)
        chosen = _full(listener.default_filter_chain) if is_chosen else type(listener.default_filter_chain)()
        reduced.default_filter_chain.CopyFrom(chosen)
    return reduced


def _full(chain: xds.Message) -> xds.Message:
    """Copy a chain without its routes and certificates, which are in other resources and units."""
    copy = type(chain)()
    copy.CopyFrom(chain)
    rewrite(copy.transport_socket, DOWNSTREAM_TLS_CONTEXT, _reduce_tls)
    manager = hcm_filter(copy)
    if manager is not None:
        rewrite(manager.typed_config, HCM, _clear_routes)
    return copy


def _stub(chain: xds.Message) -> xds.Message:
    return copy_only(chain, "name", "filter_chain_match")


def _clear_routes(hcm: xds.Message) -> None:
    hcm.ClearField("route_config")
    hcm.scoped_routes.ClearField("scoped_route_configurations_list")
    if not hcm.scoped_routes.ListFields():
        hcm.ClearField("scoped_routes")


def _reduce_tls(context: xds.Message) -> None:
    context.CopyFrom(copy_only(context, "require_client_certificate"))
