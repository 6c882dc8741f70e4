"""The places of the translators, in the source's own words: what cutting has taken apart is put together again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from producers.chain import chain_ids, hcm_filter
from schemas import xds
from translators.element import elements
from translators.where import Where

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from producers.source import ResourceChange

_KINDS = {
    xds.LISTENER: "listener",
    xds.ROUTE_CONFIGURATION: "route_config",
    xds.CLUSTER: "cluster",
    xds.CLUSTER_LOAD_ASSIGNMENT: "load_assignment",
    xds.SECRET: "secret",
}
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class SourceObject(NamedTuple):
    """Something in the source that has a fate of its own: a resource, a filter chain, a virtual host, a route.

    Attributes:
        path: in the source's own words, `route_config[9080].virtual_hosts[reviews].routes[0]`.
        place: as the translators name it.
        message: it.
    """

    path: str
    place: Where
    message: xds.Message


class SourcePaths:
    """Knows where in the source the places lie that diagnostics and objects name.

    Cutting gives a filter chain an id where it has no name, calls a TLS context by listener and chain, and makes a
    resource of a RouteConfiguration or load assignment that stands inside another resource.
    """

    def __init__(self, changes: Iterable[ResourceChange]) -> None:
        self._resources = {(c.type_url, c.name): c.body for c in changes if c.body is not None}
        self._prefixes: dict[tuple[str, str], str] = {}
        self._chains: dict[str, list[tuple[str, str]]] = {}
        self._inline: list[tuple[Where, str, xds.Message]] = []
        for (type_url, name), body in self._resources.items():
            if type_url == xds.LISTENER:
                self._learn_listener(name, body)
            elif type_url == xds.CLUSTER and body.HasField("load_assignment"):
                inner = body.load_assignment.cluster_name or name
                self._learn_inline(xds.CLUSTER_LOAD_ASSIGNMENT, inner, f"{_kind_path(type_url, name)}.load_assignment")

    def text(self, at: Where) -> str:
        """Write a place in the source's own words."""
        prefix = self._prefixes.get((at.type_url, at.name), _kind_path(at.type_url, at.name))
        path = at.path
        for made, own in self._chains.get(at.name, ()) if at.type_url == xds.LISTENER else ():
            if path == made or path.startswith(f"{made}."):
                path = own + path.removeprefix(made)
                break
        return f"{prefix}.{path}" if path else prefix

    def objects(self) -> Iterator[SourceObject]:
        """Give everything in the source that has a fate of its own, outer before inner."""
        for (type_url, name), body in sorted(self._resources.items(), key=lambda item: item[0]):
            at = Where(type_url, name)
            yield SourceObject(self.text(at), at, body)
            if type_url == xds.LISTENER:
                yield from self._chains_of(body, at)
            elif type_url == xds.ROUTE_CONFIGURATION:
                yield from self._routes_of(body, at)
        for at, path, body in self._inline:
            yield SourceObject(path, at, body)
            yield from self._routes_of(body, at)

    def _learn_listener(self, name: str, listener: xds.Message) -> None:
        for (chain_id, chain), at in zip(chain_ids(listener), _chain_places(listener, Where("", name)), strict=True):
            own = f"{_kind_path(xds.LISTENER, name)}.{at.path}"
            self._learn_inline(xds.DOWNSTREAM_TLS_CONTEXT, f"{name}/{chain_id}", f"{own}.transport_socket")
            named = f"filter_chains[{chain_id}]"
            manager = hcm_filter(chain)
            hcm = None if manager is None else xds.unpack(manager.typed_config)
            if manager is not None and hcm is not None:
                place = f"{at.path}.filters[{manager.name}]"
                for made in dict.fromkeys((named, at.path)):
                    self._chains.setdefault(name, []).append((f"{made}.http_connection_manager", place))
                if hcm.WhichOneof("route_specifier") == "route_config":
                    inline = hcm.route_config
                    table = inline.name or f"{name}/{chain_id}"
                    path = f"{_kind_path(xds.LISTENER, name)}.{place}.route_config"
                    self._learn_inline(xds.ROUTE_CONFIGURATION, table, path)
                    self._inline.append((Where(xds.ROUTE_CONFIGURATION, table), path, inline))
            if named != at.path:
                self._chains.setdefault(name, []).append((named, at.path))

    def _learn_inline(self, type_url: str, name: str, path: str) -> None:
        """Keep where a resource stands inside another; with two of a name, neither can be told from the other."""
        key = (type_url, name)
        if key not in self._resources:
            self._prefixes[key] = path if key not in self._prefixes else _kind_path(type_url, name)

    def _chains_of(self, listener: xds.Message, at: Where) -> Iterator[SourceObject]:
        for (_, chain), place in zip(chain_ids(listener), _chain_places(listener, at), strict=True):
            yield SourceObject(self.text(place), place, chain)

    def _routes_of(self, route_config: xds.Message, at: Where) -> Iterator[SourceObject]:
        hosts = route_config.virtual_hosts
        for host, place in zip(hosts, elements(at, "virtual_hosts", hosts), strict=True):
            yield SourceObject(self.text(place), place, host)
            for route, inner in zip(host.routes, elements(place, "routes", host.routes), strict=True):
                yield SourceObject(self.text(inner), inner, route)


def _chain_places(listener: xds.Message, at: Where) -> list[Where]:
    places = elements(at, "filter_chains", listener.filter_chains)
    return [*places, at.field("default_filter_chain")] if listener.HasField("default_filter_chain") else places


def _kind_path(type_url: str, name: str) -> str:
    """Write a resource; what belongs to a unit as a whole has no type and is called as it is."""
    if not type_url:
        return name
    last = type_url.rpartition(".")[2]
    return f"{_KINDS.get(type_url) or _WORD.sub('_', last).lower()}[{name}]"
