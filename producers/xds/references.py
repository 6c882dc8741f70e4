"""Which field of which message names which resource: one table, one walk over the descriptors.

Sources: control-planes.md sections 3.2 and 5.5; the protos of the rows. A name is followed only where its ConfigSource
says that it comes over this very stream (`ads` or `self`). Files and other management servers (Istio's `sds-grpc` is
the agent beside a sidecar) are not ours to ask, and an ADS server asked for them stays silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from producers.xds.interest import WILDCARD
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor, FieldDescriptor

Key = tuple[str, str]
"""Type URL and name of a resource."""

ANY = "google.protobuf.Any"
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3."
DISCOVERED_FILTERS = (
    "envoy.config.listener.v3.Filter",
    "envoy.config.listener.v3.ListenerFilter",
    "envoy.config.cluster.v3.Filter",
    _HCM + "HttpFilter",
    "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig.SessionFilter",
)
"""The messages that carry a filter's configuration or the ExtensionConfigSource to discover it by the filter's name."""
EDS = 3  # envoy.config.cluster.v3.Cluster.DiscoveryType


@dataclass(frozen=True)
class Reference:
    """One row: `message` refers to resources of type `type_url`."""

    message: str
    """Full name of the message that holds the name."""
    names: tuple[str, ...]
    """Field paths in that message, through repeated fields too; the first that is not empty holds the names."""
    config_source: str
    """Field path of the ConfigSource that says where the resource comes from; empty where there is none to say it."""
    type_url: str
    only_if: tuple[str, int] | None = None
    """A field and the number it must have for the reference to count."""
    constant: str = ""
    """The name when no field holds it."""
    is_resource: bool = False
    """Counts only where the message is the resource itself, not a part of one."""


REFERENCES = (
    Reference(
        "envoy.config.cluster.v3.Cluster",
        names=("eds_cluster_config.service_name", "name"),
        config_source="eds_cluster_config.eds_config",
        type_url=xds.CLUSTER_LOAD_ASSIGNMENT,
        only_if=("type", EDS),
    ),
    Reference(
        _HCM + "Rds",
        names=("route_config_name",),
        config_source="config_source",
        type_url=xds.ROUTE_CONFIGURATION,
    ),
    Reference(  # which scopes there are is the control plane's to say
        _HCM + "ScopedRds",
        names=(),
        config_source="scoped_rds_config_source",
        type_url=xds.SCOPED_ROUTE_CONFIGURATION,
        constant=WILDCARD,
    ),
    Reference(
        _HCM + "ScopedRoutes",
        names=("scoped_route_configurations_list.scoped_route_configurations.route_configuration_name",),
        config_source="rds_config_source",
        type_url=xds.ROUTE_CONFIGURATION,
    ),
    Reference(  # where its routes come from is said in the listener; it came over this stream itself
        "envoy.config.route.v3.ScopedRouteConfiguration",
        names=("route_configuration_name",),
        config_source="",
        type_url=xds.ROUTE_CONFIGURATION,
        is_resource=True,
    ),
    Reference(  # the prefix that its virtual hosts are named with; Envoy has none of them for one in a listener
        "envoy.config.route.v3.RouteConfiguration",
        names=("name",),
        config_source="vhds.config_source",
        type_url=xds.VIRTUAL_HOST,
        is_resource=True,
    ),
    Reference(
        "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig",
        names=("name",),
        config_source="sds_config",
        type_url=xds.SECRET,
    ),
    *(
        Reference(
            filter_name,
            names=("name",),
            config_source="config_discovery.config_source",
            type_url=xds.TYPED_EXTENSION_CONFIG,
        )
        for filter_name in DISCOVERED_FILTERS
    ),
)

_ROWS: dict[str, tuple[Reference, ...]] = {
    row.message: tuple(other for other in REFERENCES if other.message == row.message) for row in REFERENCES
}


def references_of(message: xds.Message) -> frozenset[Key]:
    """Find every resource that a message names, at any depth, Any included.

    Returns:
        Type URL and name of each resource that must be subscribed to for this one to be whole.
    """
    return frozenset(_found(message, is_resource=True))


def _found(message: xds.Message, *, is_resource: bool = False) -> Iterator[Key]:
    full_name = message.DESCRIPTOR.full_name
    if full_name == ANY:
        inner = xds.unpack(message) if may_refer(message.type_url) else None
        if inner is not None:
            yield from _found(inner)
        return
    for row in _ROWS.get(full_name, ()):
        if is_resource or not row.is_resource:
            yield from _named(row, message)
    leading = _leading_fields(full_name)
    for field, value in message.ListFields():
        if field.number in leading:
            for child in _children(field, value):
                yield from _found(child)


def _named(row: Reference, message: xds.Message) -> Iterator[Key]:
    if row.only_if is not None and getattr(message, row.only_if[0]) != row.only_if[1]:
        return
    if row.config_source and not _is_this_stream(message, row.config_source):
        return
    found = next(filter(None, (_names_at(message, path.split(".")) for path in row.names)), [])
    names = [name for name in found if name != WILDCARD] if row.names else [row.constant]
    yield from ((row.type_url, name) for name in names)


def _is_this_stream(message: xds.Message, path: str) -> bool:
    for part in path.split("."):
        message = getattr(message, part)
    return message.WhichOneof("config_source_specifier") in ("ads", "self")


def _names_at(value: Any, parts: list[str]) -> list[str]:
    if not parts:
        return [value] if value else []
    below = getattr(value, parts[0])
    if value.DESCRIPTOR.fields_by_name[parts[0]].is_repeated:
        return [name for item in below for name in _names_at(item, parts[1:])]
    return _names_at(below, parts[1:])


def _children(field: FieldDescriptor, value: Any) -> list[xds.Message]:
    if xds.is_map(field):
        return [value[key] for key in value]
    return list(value) if field.is_repeated else [value]


def may_refer(type_url: str) -> bool:
    """Tell whether a message of this type can name a resource; never true of a type that is not known."""
    return xds.is_known(type_url) and _leads_to_reference(type_url.rpartition("/")[2])


@cache
def _leads_to_reference(full_name: str) -> bool:
    seen: set[str] = set()
    waiting: list[Descriptor] = [xds.pool().FindMessageTypeByName(full_name)]
    while waiting:
        descriptor = waiting.pop()
        if descriptor.full_name == ANY or descriptor.full_name in _ROWS:
            return True
        if descriptor.full_name not in seen:
            seen.add(descriptor.full_name)
            waiting.extend(field.message_type for field in descriptor.fields if field.message_type is not None)
    return False


@cache
def _leading_fields(full_name: str) -> frozenset[int]:
    """Numbers of the fields below which a name may stand."""
    found = set()
    for field in xds.pool().FindMessageTypeByName(full_name).fields:
        inner = field.message_type
        if inner is not None and xds.is_map(field):
            inner = inner.fields_by_name["value"].message_type
        if inner is not None and _leads_to_reference(inner.full_name):
            found.add(field.number)
    return frozenset(found)
