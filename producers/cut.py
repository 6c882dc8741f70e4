"""Put a unit together from the index: which resources in which order, normative for the translators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.cut_cluster import cut_cluster, cut_secret, cut_secrets, nameable
from producers.cut_http import chosen_virtual_hosts, cut_references, cut_route_configuration, reference_clusters
from producers.cut_view import cut_view
from producers.image import ResourceKey
from producers.reference import ANY_CLUSTER
from producers.route_index import Scope
from schemas import xds
from schemas.records import Resource, Role, UnitKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from producers.index import Index
    from producers.route_source import RouteSource
    from producers.unit_key import UnitName

    Resources = tuple[Resource, ...] | None


def cut(name: UnitName, index: Index) -> Resources:
    """Give the resources of a unit, or None when there is no such unit (any more)."""
    return CUTS[name.kind](name, index)


def version_info(name: UnitName, index: Index) -> str:
    """Give the version of the resource that a unit is about; empty when it is about several."""
    if name.kind not in SUBJECT_TYPES:
        return ""
    entry = index.image.get(SUBJECT_TYPES[name.kind], name.parts[0])
    return "" if entry is None else entry.version_info


def _secret(name: UnitName, index: Index) -> Resources:
    return cut_secret(name.parts[0], index.image, is_presented=index.is_presented(name.parts[0]))


def _cluster(name: UnitName, index: Index) -> Resources:
    if name.parts[0] not in index.clusters:
        return None
    uses = set(index.cluster_use.distinct(name.parts[0]))
    if nameable(index.clusters) is not None:
        uses |= {use._replace(cluster=name.parts[0]) for use in index.cluster_use.distinct(ANY_CLUSTER)}
    return cut_cluster(name.parts[0], index.clusters, index.image, uses)


def _tls(name: UnitName, index: Index) -> Resources:
    contexts = index.contexts.get(name.parts[0])
    if contexts is None:
        return None
    named = sorted((f"{scope.listener}/{scope.chain}", facts.body) for scope, facts in contexts.items())
    secrets = {secret for facts in contexts.values() for secret in facts.secrets}
    subjects = (Resource(Role.SUBJECT, xds.DOWNSTREAM_TLS_CONTEXT, place, body) for place, body in named)
    return (*subjects, *cut_secrets(secrets, index.image))


def _http(name: UnitName, index: Index) -> Resources:
    scope = Scope(*name.scope)
    listener, (route_configuration, virtual_host) = scope.listener, name.parts[-2:]
    source = index.sources.get(scope)
    table = None if source is None else index.routes.tables.get(source.table)
    if source is None or table is None or source.table.name != route_configuration:
        return None
    chosen = chosen_virtual_hosts(table, None if name.is_any_host else virtual_host)
    if chosen is None:
        return None
    return (
        Resource(Role.SUBJECT, xds.LISTENER, listener, source.listener_body),
        cut_route_configuration(table, chosen, takes_any_host=name.is_any_host),
        *_scope(scope, source),
        *cut_references(chosen, source.asked, index.clusters, index.drops, index.image),
        *_siblings(listener, index),
    )


def _scope(scope: Scope, source: RouteSource) -> list[Resource]:
    if not source.scope_body:
        return []
    return [Resource(Role.SUBJECT, xds.SCOPED_ROUTE_CONFIGURATION, scope.name, source.scope_body)]


def _siblings(listener: str, index: Index) -> list[Resource]:
    names = index.neighbours(listener)
    return [Resource(Role.SIBLING, xds.LISTENER, name, index.listeners[name].address_stub) for name in names]


def _stream(name: UnitName, index: Index) -> Resources:
    facts = index.listeners.get(name.parts[0])
    if facts is None or facts.stream_body is None:
        return None
    subject = Resource(Role.SUBJECT, xds.LISTENER, name.parts[0], facts.stream_body)
    return (subject, *reference_clusters(facts.stream_references.clusters, index.clusters))


def _view(_: UnitName, index: Index) -> Resources:
    awaited = {ResourceKey(xds.ROUTE_CONFIGURATION, name) for name in index.awaited()}
    stubs = ((listener, facts.stub) for listener, facts in index.listeners.items())
    return cut_view(stubs, index.others | index.idle_scopes() | awaited, index.routes.idle())


CUTS: dict[UnitKind, Callable[[UnitName, Index], Resources]] = {
    UnitKind.SECRET: _secret,
    UnitKind.CLUSTER: _cluster,
    UnitKind.TLS: _tls,
    UnitKind.HTTP: _http,
    UnitKind.STREAM: _stream,
    UnitKind.VIEW: _view,
}
SUBJECT_TYPES = {
    UnitKind.SECRET: xds.SECRET,
    UnitKind.CLUSTER: xds.CLUSTER,
    UnitKind.HTTP: xds.LISTENER,
    UnitKind.STREAM: xds.LISTENER,
}
