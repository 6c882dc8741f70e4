"""A small stock of resources that refer to each other, for a model control plane: by type, name and edition.

Editions of one name differ in what they refer to, so that a control plane that goes from one to another makes a session
subscribe and unsubscribe. `image_of` a state is what a follower must hold of it in the end.
"""

from __future__ import annotations

from functools import cache

from producers.xds import extension, virtual_host
from producers.xds.interest import WILDCARD
from producers.xds.references import references_of
from producers.xds.warming import INNER
from schemas import xds
from tests.producers.scene import pair_secret
from tests.producers.xds.dialogue import (
    CORS,
    cluster,
    discovered_filter,
    discovering_listener,
    endpoints,
    listener,
    routes,
    scope,
    scoped_listener,
)
from tests.producers.xds.dialogue import virtual_host as virtual_host_named
from tests.translators.certificate_factory import make_pair

BUFFER = {"@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer"}
"""Of a type that the listener does not allow for its filter."""
SETS = frozenset({xds.CLUSTER, xds.LISTENER})
"""The types of which everything is asked for."""
EDITIONS = 5
NAMES = {
    xds.CLUSTER: ("a", "b", "c"),
    xds.CLUSTER_LOAD_ASSIGNMENT: ("a", "b", "c", "shared"),
    xds.LISTENER: ("l", "m"),
    xds.SCOPED_ROUTE_CONFIGURATION: ("x", "y"),
    xds.ROUTE_CONFIGURATION: ("r", "s"),
    xds.SECRET: ("t", "u"),
    xds.TYPED_EXTENSION_CONFIG: ("e",),
    xds.VIRTUAL_HOST: ("r/v", "r/w"),
}
TYPE_URLS = tuple(NAMES)
KEYS = tuple((type_url, name) for type_url, names in NAMES.items() for name in names)


def _cluster(name, edition):
    match edition:
        case 0:
            return cluster(name)
        case 1:
            return cluster(name, "shared", secret="t")
        case 2:
            return cluster(name, is_eds=False, secret="u")
        case _:
            return cluster(name, timeout="2s")


def _listener(name, edition):
    port = 80 + (name == "m")
    match edition:
        case 0:
            return listener(name, "r", port=port)
        case 1:
            return listener(name, "s", secret="t", port=port)
        case 2:
            return listener(name, "r", default_routes="s", port=port)
        case 3:
            return discovering_listener(name, "e")
        case _:
            return scoped_listener(name)


def _routes(name, edition):
    return routes(name, "abc"[edition % 3], has_vhds=edition == EDITIONS - 1)


_MAKERS = {
    xds.CLUSTER: _cluster,
    xds.CLUSTER_LOAD_ASSIGNMENT: lambda name, edition: endpoints(name, 80 + edition),
    xds.LISTENER: _listener,
    xds.SCOPED_ROUTE_CONFIGURATION: lambda name, edition: scope(name, "rs"[edition % 2]),
    xds.ROUTE_CONFIGURATION: _routes,
    xds.SECRET: lambda name, edition: pair_secret(name, make_pair(f"{name} {edition}")).body,
    xds.TYPED_EXTENSION_CONFIG: lambda name, edition: discovered_filter(name, CORS if edition % 2 else BUFFER),
    xds.VIRTUAL_HOST: lambda name, edition: virtual_host_named(name.rpartition("/")[2], f"{name[-1]}{edition}"),
}


@cache
def resource(type_url, name, edition):
    """Give a resource of the stock."""
    return _MAKERS[type_url](name, edition)


@cache
def packed(type_url, name, edition):
    """Give a resource of the stock as an Any."""
    return xds.pack(resource(type_url, name, edition))


@cache
def _references(type_url, name, edition):
    return references_of(resource(type_url, name, edition))


def missing_in(state):
    """Give the keys that a state refers to and does not have; virtual hosts there may be or not."""
    named = frozenset().union(*(_references(*key, edition) for key, edition in state.items()))
    return {key for key in named - state.keys() if key[0] != xds.VIRTUAL_HOST and key[1] != WILDCARD}


def image_of(state, variant):
    """Give what a follower holds of a control plane's state: sets whole, all else as far as something refers to it.

    Args:
        state: the edition by type and name.
        variant: virtual hosts are discovered in delta only.

    Returns:
        Canonical bytes by type and name.
    """
    reached = {key for key in state if key[0] in SETS}
    waiting = list(reached)
    while waiting:
        key = waiting.pop()
        named = set(_references(*key, state[key]))
        if (xds.SCOPED_ROUTE_CONFIGURATION, WILDCARD) in named:
            named |= {other for other in state if other[0] == xds.SCOPED_ROUTE_CONFIGURATION}
        if (xds.VIRTUAL_HOST, key[1]) in named:
            named |= {other for other in state if other[0] == xds.VIRTUAL_HOST and other[1].startswith(f"{key[1]}/")}
        fresh = {other for other in named if other in state and other not in reached}
        reached |= fresh if variant == "delta" else {other for other in fresh if other[0] != xds.VIRTUAL_HOST}
        waiting += fresh
    return {key: xds.canonical_bytes(_whole(key, state, reached)) for key in reached if key[0] not in INNER}


def _whole(key, state, reached):
    """Give a resource with what is discovered for it put in."""
    message = resource(*key, state[key])
    if key[0] == xds.ROUTE_CONFIGURATION:
        hosts = sorted(k for k in reached if k[0] == xds.VIRTUAL_HOST and k[1].startswith(f"{key[1]}/"))
        return virtual_host.merge(message, [resource(*k, state[k]) for k in hosts])
    filters = {k[1]: resource(*k, state[k]) for k in reached if k[0] == xds.TYPED_EXTENSION_CONFIG}
    return extension.fill(message, filters)
