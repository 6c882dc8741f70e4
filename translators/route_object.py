"""APISIX route objects from placed entries: ids, names, labels, what routes share (mapping.md sections 9 and 10)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from translators.consumer import consumer_objects
from translators.etcd_object import build_object
from translators.expr import conjuncts
from translators.ids import label, object_id, object_name
from translators.variant import BLACKHOLE_ID, blackhole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.records import EtcdObject
    from translators.closure import Placement
    from translators.expr import Expr
    from translators.route_context import RouteContext
    from translators.route_entry import Entry
    from translators.where import Where

_BLACKHOLE = BLACKHOLE_ID.encode()
MIN_SAVED_BYTES = 200
_REFERENCE_BYTES = 80
"""What a reference to a plugin_config costs in a route."""
_OBJECT_BYTES = 150
"""What a plugin_config costs besides its plugins."""
_COUNTING = frozenset({"limit-conn", "limit-req", "workflow"})
"""Plugins that count under the object they stand in: in a service they count for all its routes."""
_MAY_COUNT = _COUNTING | {"limit-count"}
_DIRECTIONS = {1: "inbound", 2: "outbound"}


class _Named(NamedTuple):
    """What all routes of a virtual host have in common: the key parts and the slug of their ids, their labels."""

    names: tuple[str, ...]
    slug: str
    labels: dict[str, str]


class RouteObjects:
    """Collects the routes of a unit and what they refer to."""

    def __init__(self, context: RouteContext, scope: Sequence[Expr]) -> None:
        """Start with none.

        Args:
            context: names of listener, chain and route configuration.
            scope: the conditions that every route carries.
        """
        self._context = context
        self._scope = tuple(scope)
        self._routes: dict[str, dict[str, Any]] = {}
        self._plugin_configs: dict[str, dict[str, Any]] = {}
        self._services: dict[str, dict[str, Any]] = {}
        self._origins: dict[str, Where] = {}
        """Route id -> what the route stands for."""
        self._virtual_hosts: dict[str, _Named] = {}
        self._joined: dict[tuple[Expr, ...], list[Expr]] = {}

    def add(
        self,
        entry: Entry,
        placement: Placement,
        virtual_host: str,
        bucket: str,
        at: Where,
        *,
        hosts: Sequence[str] = (),
        guards: Sequence[Expr] = (),
    ) -> None:
        """Add the route of an entry.

        Args:
            entry: what it does under which conditions.
            placement: where it stands in the router.
            virtual_host: name of the entry's virtual host; empty for the terminal of the scope.
            bucket: tells the buckets apart in which one entry stands.
            at: the virtual host or scope of an entry that stands for no route.
            hosts: as in route.hosts; empty in the host-less bucket.
            guards: what the bucket leaves open about the host.
        """
        names, slug, labels = self._named(virtual_host)
        route_id = object_id("routes", slug, *names, entry.identity, entry.part.suffix, bucket)
        value: dict[str, Any] = {
            **entry.part.fields,
            "labels": labels,
            "name": _name(self._context.route_config.name, virtual_host, entry, route_id),
            "priority": placement.priority,
            "uris": placement.uris,
        }
        conditions = self._conjuncts((*self._scope, *guards, *placement.guard, *entry.conditions))
        if conditions:
            value["vars"] = conditions
        if entry.methods:
            value["methods"] = entry.methods
        if hosts:
            value["hosts"] = hosts
        if entry.part.volatile:
            config_id = f"{route_id}.v"
            value["plugin_config_id"] = config_id
            self._plugin_configs[config_id] = {
                "desc": f"volatile plugins of {route_id}",
                "plugins": entry.part.volatile,
            }
        self._share_counters(value)
        if "upstream_id" not in value:
            value.setdefault("plugins", {})
        self._routes[route_id] = value
        self._origins[route_id] = entry.at or at

    def _share_counters(self, value: dict[str, Any]) -> None:
        """Move plugins that count into a service; its id is its content, so whatever means the same limit shares it."""
        plugins = value.get("plugins", {})
        if _MAY_COUNT.isdisjoint(plugins):
            return
        counting = {name: conf for name, conf in plugins.items() if _counts_in_place(name, conf)}
        if not counting:
            return
        service_id = object_id("services", "", orjson.dumps(counting, option=orjson.OPT_SORT_KEYS).decode())
        self._services[service_id] = {"plugins": counting}
        value["service_id"] = service_id
        value["plugins"] = {name: conf for name, conf in plugins.items() if name not in counting}
        if not value["plugins"]:
            del value["plugins"]

    def objects(self) -> list[EtcdObject]:
        """Give all objects."""
        self._factor()
        self._observe()
        configs = [build_object("plugin_configs", key, value) for key, value in self._plugin_configs.items()]
        services = [build_object("services", key, value) for key, value in self._services.items()]
        routes = [build_object("routes", key, value) for key, value in self._routes.items()]
        leads_nowhere = any(_BLACKHOLE in found.value for found in (*configs, *routes))
        consumers = consumer_objects(self._context.consumers)
        return [*([blackhole()] if leads_nowhere else []), *consumers, *configs, *services, *routes]

    def origins(self) -> dict[str, Where]:
        """Give what each object stands for, by key; what routes share stands for the first of them."""
        found = {f"/routes/{route_id}": at for route_id, at in self._origins.items()}
        for route_id, value in self._routes.items():
            if "plugin_config_id" in value:
                found.setdefault(f"/plugin_configs/{value['plugin_config_id']}", self._origins[route_id])
        return found

    def _factor(self) -> None:
        """Move plugins that several routes share into one plugin_config, where that saves enough."""
        users: dict[bytes, list[dict[str, Any]]] = defaultdict(list)
        for value in self._routes.values():
            if value.get("plugins") and "upstream_id" in value and "plugin_config_id" not in value:
                users[orjson.dumps(value["plugins"], option=orjson.OPT_SORT_KEYS)].append(value)
        for content, values in users.items():
            saved_bytes = (len(values) - 1) * len(content) - len(values) * _REFERENCE_BYTES - _OBJECT_BYTES
            if saved_bytes <= MIN_SAVED_BYTES:
                continue
            observers = orjson.dumps(self._context.connection.observers, option=orjson.OPT_SORT_KEYS)
            parts = (content.decode(), *((observers.decode(),) if self._context.connection.observers else ()))
            config_id = object_id("plugin_configs", "", *parts)
            self._plugin_configs[config_id] = {"plugins": values[0]["plugins"]}
            for value in values:
                del value["plugins"]
                value["plugin_config_id"] = config_id

    def _observe(self) -> None:
        """Give every route the plugins that only watch: in a plugin_config, as a route has one of these only."""
        observers = self._context.connection.observers
        if not observers or not self._routes:
            return
        for config in self._plugin_configs.values():
            config["plugins"] = {**observers, **config["plugins"]}
        content = orjson.dumps(observers, option=orjson.OPT_SORT_KEYS).decode()
        shared = object_id("plugin_configs", self._context.listener.name, content)
        for value in self._routes.values():
            if value.setdefault("plugin_config_id", shared) == shared:
                self._plugin_configs[shared] = {"plugins": observers}

    def _named(self, virtual_host: str) -> _Named:
        """Give what all routes of a virtual host are named by: worked out once, they are many."""
        if virtual_host not in self._virtual_hosts:
            context = self._context
            config = context.route_config.name
            scope = (context.scope,) if context.scope else ()
            names = (context.listener.name, context.chain, config, virtual_host, *scope)
            self._virtual_hosts[virtual_host] = _Named(names, f"{config}-{virtual_host}", self._labels(virtual_host))
        return self._virtual_hosts[virtual_host]

    def _conjuncts(self, exprs: tuple[Expr, ...]) -> list[Expr]:
        """Give `vars`; most routes of a unit have only the scope's conditions, so each set is joined once."""
        if exprs not in self._joined:
            self._joined[exprs] = conjuncts(exprs)
        return self._joined[exprs]

    def _labels(self, virtual_host: str) -> dict[str, str]:
        listener = self._context.listener
        labels = {"xds.listener": label(listener.name), "xds.rc": label(self._context.route_config.name)}
        if self._context.scope:
            labels["xds.scope"] = label(self._context.scope)
        if virtual_host:
            labels["xds.vh"] = label(virtual_host)
        if listener.traffic_direction in _DIRECTIONS:
            labels["xds.dir"] = _DIRECTIONS[listener.traffic_direction]
        return labels


def _counts_in_place(name: str, conf: dict[str, Any]) -> bool:
    return name in _MAY_COUNT and (name in _COUNTING or "group" not in conf)


def _name(route_config: str, virtual_host: str, entry: Entry, route_id: str) -> str:
    place = f"{route_config}/{virtual_host}" if virtual_host else route_config
    return object_name(f"{place}/{entry.title}#{route_id[-6:]}" if entry.title else f"{place}#{route_id[-6:]}")
