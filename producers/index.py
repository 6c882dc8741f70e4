"""The index behind the cutter: facts about every resource, and which units a changed resource touches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.cluster_use import NOTHING, ClusterUse, User
from producers.cut_cluster import drops_of, read_cluster
from producers.cut_view import CUT_TYPES
from producers.image import ResourceKey
from producers.listener import read_listener
from producers.reference import ANY_CLUSTER
from producers.relation import Relation
from producers.route_index import RouteIndex, Scope
from producers.route_source import read_scope, read_sources
from producers.route_table import TableKey, read_table
from producers.unit_key import UnitName
from schemas import xds
from schemas.records import UnitKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from producers.chain import ChainFacts, HTTPFacts, TLSFacts
    from producers.cut_cluster import ClusterFacts
    from producers.image import Delta, Image
    from producers.listener import ListenerFacts
    from producers.route_source import RouteSource


class Index:
    """Facts and relations. `replay` is the only writer; the rest is read by producers/cut.py."""

    def __init__(self, view: str, image: Image) -> None:
        self.image = image
        self.view = UnitName(UnitKind.VIEW, (view,))
        self.clusters: dict[str, ClusterFacts] = {}
        self.listeners: dict[str, ListenerFacts] = {}
        self.contexts: dict[str, dict[Scope, TLSFacts]] = {}
        self.others: set[ResourceKey] = set()
        self.sources: dict[Scope, RouteSource] = {}
        self._scoped_routes: dict[str, xds.Message] = {}
        self._scoped_chains: dict[Scope, HTTPFacts] = {}
        self.cluster_use = ClusterUse()
        self.routes = RouteIndex(self.cluster_use)
        self._assignments: Relation[str, str] = Relation()
        self._cluster_secrets: Relation[str, str] = Relation()
        self._certificates: Relation[str, str] = Relation()
        self._members: Relation[str, str] = Relation()
        self._mirrors: Relation[str, str] = Relation()
        self.drops: dict[str, bytes] = {}
        self._context_secrets: Relation[Scope, str] = Relation()
        self._ports: Relation[str, int] = Relation()
        self._asked: Relation[Scope, str] = Relation()
        self._replays: dict[str, Callable[[str], set[UnitName]]] = {
            xds.SECRET: self._replay_secret,
            xds.CLUSTER: self._replay_cluster,
            xds.CLUSTER_LOAD_ASSIGNMENT: self._replay_assignment,
            xds.ROUTE_CONFIGURATION: self._replay_route_configuration,
            xds.LISTENER: self._replay_listener,
            xds.SCOPED_ROUTE_CONFIGURATION: self._replay_scoped_routes,
        }

    def replay(self, delta: Delta) -> set[UnitName]:
        """Follow a delta of the image and give the units that it may change."""
        dirty: set[UnitName] = set()
        for key in delta.changed:
            if key.type_url in CUT_TYPES:
                dirty |= self._replays[key.type_url](key.name)
            else:
                dirty |= self._replay_other(key)
        if UnitName(UnitKind.CLUSTER, (ANY_CLUSTER,)) in dirty:
            dirty |= {UnitName(UnitKind.CLUSTER, (cluster,)) for cluster in self.clusters}
        return dirty

    def neighbours(self, listener: str) -> list[str]:
        """Give the listeners on the same port but another address that a listener has to be told apart from.

        A wildcard address takes what no specific one does, so it must know them all. A specific one names itself: that
        it shares its port at all is all it needs, and nothing where the original destination is matched in full.
        Listeners that open their port contend for it only with each other.
        """
        facts = self.listeners[listener]
        others = sorted(name for name in self._ports.owners(facts.port) - {listener} if self._contends(name, facts))
        if facts.is_wildcard:
            return others
        return others[:1] if facts.is_bound else []

    def _contends(self, name: str, facts: ListenerFacts) -> bool:
        other = self.listeners[name]
        return other.address != facts.address and (other.is_bound or not facts.is_bound)

    def is_warming(self, name: UnitName) -> bool:
        """Tell whether a unit's chain waits for a RouteConfiguration: what is published for it stays."""
        source = self.sources.get(Scope(*name.scope)) if name.kind is UnitKind.HTTP else None
        return source is not None and source.table not in self.routes.tables

    def awaited(self) -> set[str]:
        """Give the RouteConfigurations that chains name and that are not known."""
        tables = {source.table for source in self.sources.values()}
        return {table.name for table in tables if table not in self.routes.tables}

    def is_presented(self, secret: str) -> bool:
        """Tell whether a cluster presents the certificate of a secret to its endpoints."""
        return bool(self._certificates.owners(secret))

    def idle_scopes(self) -> set[ResourceKey]:
        """Give the ScopedRouteConfigurations that no chain takes routes from; one without a name for any awaited."""
        if self._scoped_chains:
            awaited = ResourceKey(xds.SCOPED_ROUTE_CONFIGURATION, "")
            return set() if self._scoped_routes else {awaited}
        return {ResourceKey(xds.SCOPED_ROUTE_CONFIGURATION, name) for name in self._scoped_routes}

    def _replay_secret(self, name: str) -> set[UnitName]:
        dirty = {UnitName(UnitKind.SECRET, (name,))}
        dirty |= self._cluster_units(self._cluster_secrets.owners(name))
        for scope in self._context_secrets.owners(name):
            tls = self.listeners[scope.listener].chains[scope.chain].tls
            if tls is not None:
                dirty.add(UnitName(UnitKind.TLS, (tls.snis,)))
        return dirty

    def _replay_assignment(self, name: str) -> set[UnitName]:
        owners = self._assignments.owners(name)
        dirty = self._cluster_units(owners).union(*map(self._mirroring_units, owners))
        return dirty.union(*map(self._note_drops, owners))

    def _note_drops(self, cluster: str) -> set[UnitName]:
        """Follow what a cluster drops of the requests to it, and give the units that carry it if it is new."""
        facts = self.clusters.get(cluster)
        before, after = self.drops.pop(cluster, b""), drops_of(facts, self.image) if facts is not None else b""
        if after:
            self.drops[cluster] = after
        if before == after:
            return set()
        users = self.cluster_use.users(cluster) | self.cluster_use.users(ANY_CLUSTER)
        return {unit for user in users if user.table is not None for unit in self.routes.units_of_user(user)}

    def _cluster_units(self, names: Iterable[str]) -> set[UnitName]:
        """Give the units of clusters and of the aggregates that they belong to."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            cluster = waiting.pop()
            if cluster not in found:
                found.add(cluster)
                waiting += self._members.owners(cluster)
        return {UnitName(UnitKind.CLUSTER, (cluster,)) for cluster in found}

    def _mirroring_units(self, cluster: str) -> set[UnitName]:
        """Give the units that carry an endpoint of a cluster, because they send copies of requests to it."""
        users = set(self.cluster_use.mirroring(cluster))
        for owner in self._mirrors.owners(cluster):
            users |= self.cluster_use.users(owner)
        return {unit for user in users for unit in self.routes.units_of_user(user)}

    def _replay_cluster(self, name: str) -> set[UnitName]:
        before = self.clusters.pop(name, None)
        entry = self.image.get(xds.CLUSTER, name)
        after = None if entry is None else read_cluster(entry.message)
        if after is not None:
            self.clusters[name] = after
        self._assignments.replace(name, {after.assignment} - {""} if after else set())
        self._cluster_secrets.replace(name, after.secrets if after else set())
        presented = self._certificates.replace(name, after.certificates if after else set())
        self._members.replace(name, set(after.members) if after else set())
        self._mirrors.replace(name, after.mirrors if after else set())
        dirty = self._cluster_units((name,)) | self._mirroring_units(name) | self._note_drops(name)
        dirty |= {UnitName(UnitKind.SECRET, (secret,)) for secret in presented}
        if (before.reference_body if before else None) != (after.reference_body if after else None):
            for user in self.cluster_use.users(name) | self.cluster_use.users(ANY_CLUSTER):
                dirty |= self.routes.units_of_user(user)
            dirty = dirty.union(*map(self.routes.units_of, self._asked.owners(name)))
        if (before is None) != (after is None) and self.cluster_use.distinct(ANY_CLUSTER):
            # One more or less decides whether the clusters are few enough for a route each.
            dirty.add(UnitName(UnitKind.CLUSTER, (ANY_CLUSTER,)))
        return dirty

    def _replay_route_configuration(self, name: str) -> set[UnitName]:
        key = TableKey(name)
        entry = self.image.get(xds.ROUTE_CONFIGURATION, name)
        before = self.routes.tables.get(key)
        dirty = self.routes.replace_table(key, None if entry is None else read_table(entry.message, before))
        return dirty | {self.view} if (before is None) != (entry is None) else dirty

    def _replay_other(self, key: ResourceKey) -> set[UnitName]:
        if self.image.get(*key) is None:
            self.others.discard(key)
        else:
            self.others.add(key)
        return {self.view}

    def _replay_listener(self, name: str) -> set[UnitName]:
        before = self.listeners.pop(name, None)
        entry = self.image.get(xds.LISTENER, name)
        after = None if entry is None else read_listener(entry.message)
        if after is not None:
            self.listeners[name] = after
        dirty = {self.view, UnitName(UnitKind.STREAM, (name,))}
        clusters = self.cluster_use.replace(User(None, name), after.stream_references if after else NOTHING)
        dirty |= {UnitName(UnitKind.CLUSTER, (cluster,)) for cluster in clusters}
        old, new = before.chains if before else {}, after.chains if after else {}
        for chain in old.keys() | new.keys():
            dirty |= self._replay_chain(Scope(name, chain), old.get(chain), new.get(chain))
            dirty |= self._replay_tls(Scope(name, chain), old.get(chain), new.get(chain))
        return dirty | self._replay_port(name, before, after)

    def _replay_chain(self, chain: Scope, before: ChainFacts | None, after: ChainFacts | None) -> set[UnitName]:
        old = self._sources_of(chain, before)
        new = self._sources_of(chain, after)
        self._scoped_chains.pop(chain, None)
        if after is not None and after.http is not None and after.http.scoped and after.http.scoped.inline is None:
            self._scoped_chains[chain] = after.http
        return {unit for scope in old.keys() | new.keys() for unit in self._replay_routes(scope, new.get(scope))}

    def _sources_of(self, chain: Scope, facts: ChainFacts | None) -> dict[Scope, RouteSource]:
        if facts is None or facts.http is None:
            return {}
        return read_sources(chain.listener, chain.chain, facts.http, self._scoped_routes)

    def _replay_scoped_routes(self, name: str) -> set[UnitName]:
        entry = self.image.get(xds.SCOPED_ROUTE_CONFIGURATION, name)
        dirty = {self.view}
        if entry is None:
            self._scoped_routes.pop(name, None)
        else:
            self._scoped_routes[name] = entry.message
        for chain, facts in self._scoped_chains.items():
            new = None if entry is None else read_scope(chain.listener, chain.chain, facts, entry.message)
            dirty |= self._replay_routes(Scope(chain.listener, chain.chain, name), new)
        return dirty

    def _replay_routes(self, scope: Scope, new: RouteSource | None) -> set[UnitName]:
        old = self.sources.pop(scope, None)
        if new is not None:
            self.sources[scope] = new
        self._asked.replace(scope, new.asked if new else set())
        dirty: set[UnitName] = set()
        if old is not None and old.inline is not None and (not new or new.table != old.table):
            dirty |= self.routes.replace_table(old.table, None)
        if new is not None and new.inline is not None:
            table = read_table(new.inline, self.routes.tables.get(new.table))
            dirty |= self.routes.replace_table(new.table, table)
        is_same = old and new and _identity(old) == _identity(new)
        if not is_same:
            dirty |= self.routes.units_of(scope)
        dirty |= self.routes.replace_scope(scope, new.table if new else None)
        return dirty if is_same else dirty | self.routes.units_of(scope)

    def _replay_tls(self, scope: Scope, before: ChainFacts | None, after: ChainFacts | None) -> set[UnitName]:
        old, new = before.tls if before else None, after.tls if after else None
        if old == new:
            return set()
        if old is not None:
            contexts = self.contexts[old.snis]
            del contexts[scope]
            if not contexts:
                del self.contexts[old.snis]
        if new is not None:
            self.contexts.setdefault(new.snis, {})[scope] = new
        self._context_secrets.replace(scope, new.secrets if new else set())
        return {UnitName(UnitKind.TLS, (facts.snis,)) for facts in (old, new) if facts is not None}

    def _replay_port(self, name: str, before: ListenerFacts | None, after: ListenerFacts | None) -> set[UnitName]:
        """Listeners carry stubs of those on the same port that they have to be told apart from."""
        self._ports.replace(name, {after.port} - {0} if after else set())
        if before and after and _contention(before) == _contention(after):
            return set()
        ports = {facts.port for facts in (before, after) if facts is not None} - {0}
        neighbours = {other for port in ports for other in self._ports.owners(port)} - {name}
        dirty: set[UnitName] = set()
        for scope in self.sources if neighbours else ():
            if scope.listener in neighbours:
                dirty |= self.routes.units_of(scope)
        return dirty


def _identity(source: RouteSource) -> tuple[bytes, TableKey, bytes]:
    return source.listener_body, source.table, source.scope_body


def _contention(facts: ListenerFacts) -> tuple[int, bytes, bool]:
    return facts.port, facts.address_stub, facts.is_bound
