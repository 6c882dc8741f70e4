"""Cut the unit `view`: stubs of all listeners, and the names of resources that are in no other unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.chain import DOWNSTREAM_TLS_CONTEXT, HCM
from producers.traversal import body_of, copy_only, find
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
    "use_original_dst",
)
MANAGER_FIELDS = (
    "common_http_protocol_options",
    "forward_client_cert_details",
    "forward_client_cert_matcher",
    "generate_request_id",
    "max_request_headers_kb",
    "original_ip_detection_extensions",
    "request_timeout",
)
"""What an HttpConnectionManager wants of the node, or of all requests together."""
CONTEXT_FIELDS = ("require_client_certificate", "session_ticket_keys_sds_secret_config")
COMMON_CONTEXT_FIELDS = ("tls_params", "alpn_protocols")
"""What a DownstreamTlsContext wants of the node; nothing of it is secret."""


def listener_stub(listener: xds.Message) -> bytes:
    """Reduce a Listener to what all its requests, and the node's static configuration, have to do with."""
    stub = copy_only(listener, *STUB_FIELDS)
    for listener_filter in listener.listener_filters:
        kept = stub.listener_filters.add(name=listener_filter.name)
        kept.typed_config.type_url = listener_filter.typed_config.type_url
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
    if chain.use_proxy_proto.value:
        stub.use_proxy_proto.value = True
    if chain.HasField("filter_chain_match"):
        stub.filter_chain_match.CopyFrom(chain.filter_chain_match)
    if chain.HasField("transport_socket"):
        stub.transport_socket.name = chain.transport_socket.name
        for context in find(chain.transport_socket, DOWNSTREAM_TLS_CONTEXT):
            stub.transport_socket.typed_config.CopyFrom(xds.pack(_reduced_context(context)))
    for network_filter in chain.filters:
        reduced = stub.filters.add(name=network_filter.name)
        if network_filter.typed_config.type_url.rpartition("/")[2] == HCM:
            hcm = xds.unpack(network_filter.typed_config)
            if hcm is not None:
                reduced.typed_config.CopyFrom(xds.pack(_reduced_manager(hcm)))


def _reduced_manager(hcm: xds.Message) -> xds.Message:
    reduced = copy_only(hcm, *MANAGER_FIELDS)
    if hcm.WhichOneof("route_specifier") == "scoped_routes":
        reduced.scoped_routes.name = hcm.scoped_routes.name
        reduced.scoped_routes.SetInParent()
    if hcm.tracing.HasField("provider"):
        reduced.tracing.provider.CopyFrom(hcm.tracing.provider)
    return reduced


def _reduced_context(context: xds.Message) -> xds.Message:
    reduced = copy_only(context, *CONTEXT_FIELDS)
    reduced.common_tls_context.CopyFrom(copy_only(context.common_tls_context, *COMMON_CONTEXT_FIELDS))
    if context.HasField("session_ticket_keys"):
        reduced.session_ticket_keys.SetInParent()
    return reduced
