"""Where the routes of a chain, or of one of its scopes, come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from producers.route_index import Scope
from producers.route_table import TableKey
from producers.traversal import body_of, copy_without
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from producers.chain import HTTPFacts


class RouteSource(NamedTuple):
    """The routes of a scope."""

    listener_body: bytes
    """The Listener reduced to the chain."""
    table: TableKey
    inline: xds.Message | None = None
    """The RouteConfiguration, when no resource of its own holds it."""
    scope_body: bytes = b""
    """The ScopedRouteConfiguration without routes; empty for a chain without scopes and for requests of no scope."""
    asked: frozenset[str] = frozenset()
    """The clusters of the authorization services that the chain's filters ask."""


def read_sources(
    listener: str, chain: str, facts: HTTPFacts, known: Mapping[str, xds.Message]
) -> dict[Scope, RouteSource]:
    """Give the sources of a chain.

    Args:
        listener: its name.
        chain: the id of the chain.
        facts: of the chain.
        known: the ScopedRouteConfigurations that SRDS has delivered, by name.
    """
    if facts.scoped is None:
        if facts.table is None:
            return {}
        source = RouteSource(facts.listener_body, facts.table, facts.inline, asked=facts.asked)
        return {Scope(listener, chain): source}
    scopes = known if facts.scoped.inline is None else facts.scoped.inline
    sources = {Scope(listener, chain, name): read_scope(listener, chain, facts, scopes[name]) for name in scopes}
    return {**sources, Scope(listener, chain): _no_scope(listener, chain, facts, facts.scoped.name)}


def read_scope(listener: str, chain: str, facts: HTTPFacts, scope: xds.Message) -> RouteSource:
    """Give the source of one scope of a chain."""
    body = body_of(copy_without(scope, "route_configuration"))
    if not scope.HasField("route_configuration"):
        return RouteSource(facts.listener_body, TableKey(scope.route_configuration_name), None, body, facts.asked)
    inline = copy_without(scope.route_configuration)
    inline.name = inline.name or f"{listener}/{chain}/{scope.name}"
    key = TableKey(inline.name, listener, f"{chain}/{scope.name}")
    return RouteSource(facts.listener_body, key, inline, body, facts.asked)


def _no_scope(listener: str, chain: str, facts: HTTPFacts, name: str) -> RouteSource:
    """Give the source of the requests that no scope takes: a RouteConfiguration without routes."""
    inline = xds.message_class(xds.ROUTE_CONFIGURATION)(name=name or f"{listener}/{chain}")
    return RouteSource(facts.listener_body, TableKey(inline.name, listener, chain), inline, asked=facts.asked)
