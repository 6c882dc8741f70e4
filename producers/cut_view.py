"""Cut the unit `view`: stubs of all listeners, and the names of resources that are in no other unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.traversal import body_of, copy_only
from schemas import xds
from schemas.records import Resource, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from producers.image import ResourceKey

CUT_TYPES = frozenset(
    {
        xds.LISTENER,
        xds.ROUTE_CONFIGURATION,
        xds.SCOPED_ROUTE_CONFIGURATION,
        xds.CLUSTER,
        xds.CLUSTER_LOAD_ASSIGNMENT,
        xds.SECRET,
    },
)
"""Types whose resources are in units of other kinds."""
STUB_FIELDS = (
    "name",
    "address",
    "additional_addresses",
    "udp_listener_config",
    "bind_to_port",
    "deprecated_v1",
    "traffic_direction",
)


def listener_stub(listener: xds.Message) -> bytes:
    """Reduce a Listener to where it listens and to what kind of filters and sockets its chains have."""
    stub = copy_only(listener, *STUB_FIELDS)
    for listener_filter in listener.listener_filters:
        reduced = stub.listener_filters.add(name=listener_filter.name)
        if listener_filter.typed_config.type_url == xds.UDP_PROXY:
            reduced.typed_config.type_url = xds.UDP_PROXY
    for chain in listener.filter_chains:
        _reduce_chain(chain, stub.filter_chains.add())
    if listener.HasField("default_filter_chain"):
        stub.default_filter_chain.SetInParent()
        _reduce_chain(listener.default_filter_chain, stub.default_filter_chain)
    return body_of(stub)


def address_stub(listener: xds.Message) -> bytes:
    """Reduce a Listener to its name and address."""
    return body_of(copy_only(listener, "name", "address"))


def cut_view(
    stubs: Iterable[tuple[str, bytes]], others: Iterable[ResourceKey], idle: Iterable[str]
) -> tuple[Resource, ...]:
    """Give the resources of the view's unit.

    Args:
        stubs: name and stub of every listener.
        others: resources of types that no other unit holds, and RouteConfigurations that are awaited.
        idle: names of RouteConfigurations that are known and that no listener names.
    """
    listeners = [Resource(Role.SUBJECT, xds.LISTENER, name, stub) for name, stub in sorted(stubs)]
    bare = [Resource(Role.SIBLING, key.type_url, key.name, b"") for key in sorted(others)]
    return (*listeners, *bare, *(_idle_stub(name) for name in sorted(idle)))


def _idle_stub(name: str) -> Resource:
    """Reduce a RouteConfiguration to its name; that it has a body tells it from one that is awaited."""
    body = body_of(xds.message_class(xds.ROUTE_CONFIGURATION)(name=name))
    return Resource(Role.SIBLING, xds.ROUTE_CONFIGURATION, name, body)


def _reduce_chain(chain: xds.Message, stub: xds.Message) -> None:
    stub.name = chain.name
    if chain.HasField("transport_socket"):
        stub.transport_socket.name = chain.transport_socket.name
    for network_filter in chain.filters:
        stub.filters.add(name=network_filter.name)
