"""Which chains route by which RouteConfiguration, and which units a change of either touches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from producers.cluster_use import NOTHING, User
from producers.relation import Relation
from producers.route_table import changed_virtual_hosts
from producers.unit_key import ANY_HOST, UnitName
from schemas.records import UnitKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from producers.cluster_use import ClusterUse
    from producers.route_table import RouteTable, TableKey


class Scope(NamedTuple):
    """A filter chain with an HttpConnectionManager, or one of the scopes that it chooses from by the request."""

    listener: str
    chain: str
    name: str = ""
    """Of the ScopedRouteConfiguration; empty for a chain without scopes, and for requests of no scope."""


class RouteIndex:
    """Route tables, the scopes that use them, and the units written for each scope."""

    def __init__(self, cluster_use: ClusterUse) -> None:
        self.tables: dict[TableKey, RouteTable] = {}
        self._users: Relation[Scope, TableKey] = Relation()
        self._units: dict[Scope, set[UnitName]] = {}
        self._cluster_use = cluster_use

    def replace_table(self, key: TableKey, table: RouteTable | None) -> set[UnitName]:
        """Set or remove a table and give the units that this may change."""
        before = self.tables.get(key)
        changed = changed_virtual_hosts(before, table)
        if table is None:
            self.tables.pop(key, None)
        else:
            self.tables[key] = table
        dirty = self._refer(key, changed)
        for scope in self._users.owners(key):
            if before is None or table is None or before.frame != table.frame:
                dirty |= self.units_of(scope)
            dirty.update(self._name(scope, key, virtual_host) for virtual_host in changed)
            if any(_has_any_host(name, before, table) for name in changed):
                dirty.add(self._name(scope, key, None))
        return dirty

    def replace_scope(self, scope: Scope, key: TableKey | None) -> set[UnitName]:
        """Set the table of a scope, or None when it has none, and give the clusters that this may change."""
        dirty: set[UnitName] = set()
        for flipped in self._users.replace(scope, set() if key is None else {key}):
            table = self.tables.get(flipped)
            dirty |= self._refer(flipped, () if table is None else table.virtual_hosts)
        return dirty

    def idle(self) -> set[str]:
        """Give the RouteConfigurations that no chain names."""
        return {key.name for key in self.tables if not self._users.owners(key)}

    def units_of(self, scope: Scope) -> set[UnitName]:
        """Give every unit that a scope has or may now have."""
        units = set(self._units.get(scope, ()))
        for key in self._users.values(scope):
            if key in self.tables:
                units.add(self._name(scope, key, None))
                units.update(self._name(scope, key, virtual_host) for virtual_host in self.tables[key].virtual_hosts)
        return units

    def units_of_user(self, user: User) -> set[UnitName]:
        """Give the units that carry a virtual host."""
        if user.table is None:
            return {UnitName(UnitKind.STREAM, (user.name,))}
        names: set[UnitName] = set()
        for scope in self._users.owners(user.table):
            names.add(self._name(scope, user.table, user.name))
            if _has_any_host(user.name, self.tables.get(user.table)):
                names.add(self._name(scope, user.table, None))
        return names

    def remember(self, name: UnitName) -> None:
        """Note that a unit of a scope is written."""
        self._units.setdefault(Scope(*name.scope), set()).add(name)

    def forget(self, name: UnitName) -> None:
        """Note that a unit of a scope is removed."""
        units = self._units[Scope(*name.scope)]
        units.discard(name)
        if not units:
            del self._units[Scope(*name.scope)]

    def _refer(self, key: TableKey, virtual_hosts: Iterable[str]) -> set[UnitName]:
        table = self.tables.get(key) if self._users.owners(key) else None
        hosts = {} if table is None else table.virtual_hosts
        clusters: set[str] = set()
        for name in virtual_hosts:
            references = hosts[name].references if name in hosts else NOTHING
            clusters |= self._cluster_use.replace(User(key, name), references)
        return {UnitName(UnitKind.CLUSTER, (cluster,)) for cluster in clusters}

    def _name(self, scope: Scope, key: TableKey, virtual_host: str | None) -> UnitName:
        host = ANY_HOST if virtual_host is None else virtual_host
        scoped = (scope.name,) if scope.name else ()
        parts = (scope.listener, scope.chain, *scoped, key.name, host)
        return UnitName(UnitKind.HTTP, parts, is_any_host=virtual_host is None)


def _has_any_host(name: str, *tables: RouteTable | None) -> bool:
    found = (table.virtual_hosts.get(name) for table in tables if table is not None)
    return any(facts.has_any_host for facts in found if facts is not None)
