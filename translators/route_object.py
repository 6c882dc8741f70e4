"""APISIX route objects from placed entries: ids, names, labels, plugin_configs (mapping.md sections 9 and 10)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import orjson

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
_DIRECTIONS = {1: "inbound", 2: "outbound"}


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
        self._origins: dict[str, Where] = {}
        """Route id -> what the route stands for."""

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
        names = (self._context.listener.name, self._context.chain, self._context.route_config.name, virtual_host)
        slug = f"{self._context.route_config.name}-{virtual_host}"
        route_id = object_id("routes", slug, *names, entry.identity, entry.part.suffix, bucket)
        value: dict[str, Any] = {
            **entry.part.fields,
            "labels": self._labels(virtual_host),
            "name": _name(self._context.route_config.name, virtual_host, entry, route_id),
            "priority": placement.priority,
            "uris": placement.uris,
        }
        conditions = conjuncts((*self._scope, *guards, *placement.guard, *entry.conditions))
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
        if "upstream_id" not in value:
            value.setdefault("plugins", {})
        self._routes[route_id] = value
        self._origins[route_id] = entry.at or at

    def objects(self) -> list[EtcdObject]:
        """Give all objects."""
        self._factor()
        configs = [build_object("plugin_configs", key, value) for key, value in self._plugin_configs.items()]
        routes = [build_object("routes", key, value) for key, value in self._routes.items()]
        leads_nowhere = any(_BLACKHOLE in found.value for found in (*configs, *routes))
        return [*([blackhole()] if leads_nowhere else []), *configs, *routes]

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
            config_id = object_id("plugin_configs", "", content.decode())
            self._plugin_configs[config_id] = {"plugins": values[0]["plugins"]}
            for value in values:
                del value["plugins"]
                value["plugin_config_id"] = config_id

    def _labels(self, virtual_host: str) -> dict[str, str]:
        listener = self._context.listener
        labels = {"xds.listener": label(listener.name), "xds.rc": label(self._context.route_config.name)}
        if virtual_host:
            labels["xds.vh"] = label(virtual_host)
        if listener.traffic_direction in _DIRECTIONS:
            labels["xds.dir"] = _DIRECTIONS[listener.traffic_direction]
        return labels


def _name(route_config: str, virtual_host: str, entry: Entry, route_id: str) -> str:
    place = f"{route_config}/{virtual_host}" if virtual_host else route_config
    return object_name(f"{place}/{entry.title}#{route_id[-6:]}" if entry.title else f"{place}#{route_id[-6:]}")
