"""The private descriptor pool of xDS messages: the only module that knows where message classes come from.

Every message of envoy, xds, udpa, google.rpc, … lives in one DescriptorPool of our own (docs/adr/0002). Any inside Any
and json_format need that pool passed every time, so all parsing, printing and canonical serialising goes through here.
Messages are typed `Any`: their classes exist only at run time.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, unknown_fields
from google.protobuf.message import DecodeError

from schemas.message_pool import load_pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor, FieldDescriptor

Message: TypeAlias = Any

TYPE_URL_PREFIX = "type.googleapis.com/"
LISTENER = TYPE_URL_PREFIX + "envoy.config.listener.v3.Listener"
ROUTE_CONFIGURATION = TYPE_URL_PREFIX + "envoy.config.route.v3.RouteConfiguration"
SCOPED_ROUTE_CONFIGURATION = TYPE_URL_PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration"
VIRTUAL_HOST = TYPE_URL_PREFIX + "envoy.config.route.v3.VirtualHost"
CLUSTER = TYPE_URL_PREFIX + "envoy.config.cluster.v3.Cluster"
CLUSTER_LOAD_ASSIGNMENT = TYPE_URL_PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
SECRET = TYPE_URL_PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
TYPED_EXTENSION_CONFIG = TYPE_URL_PREFIX + "envoy.config.core.v3.TypedExtensionConfig"
ROUTE_ACTION = TYPE_URL_PREFIX + "envoy.config.route.v3.RouteAction"
HTTP_CONNECTION_MANAGER = (
    TYPE_URL_PREFIX + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
TCP_PROXY = TYPE_URL_PREFIX + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
UDP_PROXY = TYPE_URL_PREFIX + "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig"
DOWNSTREAM_TLS_CONTEXT = TYPE_URL_PREFIX + "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
UPSTREAM_TLS_CONTEXT = TYPE_URL_PREFIX + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"

SENSITIVE_OPTION = 76569463  # udpa.annotations.sensitive, an extension of google.protobuf.FieldOptions

MAX_DEPTH = 100
"""How deep messages may stand in each other: protobuf's own limit, here counted through every Any too.

A limit of our own refuses the same messages wherever it is asked, and leaves room on Python's stack for those that are
put together from several."""


class UnknownTypeError(ValueError):
    """No message of that type is in the descriptor set."""


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """Load the descriptor set once.

    Raises:
        RuntimeError: the build product is missing (the package was not installed, only copied).
    """
    return load_pool("xds.binpb")


def _file_names() -> list[str]:
    files_of_set = descriptor_pb2.FileDescriptorSet.FromString((files("schemas") / "xds.binpb").read_bytes()).file
    return [file.name for file in files_of_set]


def message_class(full_name: str) -> type[Message]:
    """Give the class of a message by its full proto name or type URL.

    Args:
        full_name: `envoy.config.cluster.v3.Cluster` or the same behind `type.googleapis.com/`.

    Raises:
        UnknownTypeError: the name is not in the pool.
    """
    return _message_class(full_name.rpartition("/")[2])


@cache
def _message_class(name: str) -> type[Message]:
    """Remembered by the bare name: what stands before the slash is the sender's, and there is no end of it."""
    try:
        return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))
    except KeyError:
        raise UnknownTypeError(name) from None


def make_classes() -> None:
    """Make the classes of all messages now, some 50 ms.

    They are made on first use otherwise, and two threads that do so at once make two classes of one message, which
    cannot be copied into each other. A process that handles messages in several threads calls this first.
    """
    waiting = [
        descriptor
        for name in _file_names()
        for descriptor in pool().FindFileByName(name).message_types_by_name.values()
    ]
    while waiting:
        descriptor = waiting.pop()
        message_class(descriptor.full_name)
        waiting += descriptor.nested_types


def is_known(type_url: str) -> bool:
    """Tell whether messages of this type can be parsed."""
    try:
        message_class(type_url)
    except UnknownTypeError:
        return False
    return True


def parse(type_url: str, body: bytes) -> Message:
    """Parse a body of a known type.

    Raises:
        UnknownTypeError: the type is not in the pool.
        google.protobuf.message.DecodeError: the body is not such a message.
    """
    return message_class(type_url).FromString(body)


def unpack(any_message: Message) -> Message | None:
    """Parse what an Any carries; None when its type is unknown or its bytes are damaged."""
    try:
        return parse(any_message.type_url, any_message.value)
    except (UnknownTypeError, DecodeError):
        return None


def pack(message: Message) -> Message:
    """Wrap a message into an Any, deterministically serialised."""
    wrapped = message_class("google.protobuf.Any")()
    wrapped.type_url = type_url_of(message)
    wrapped.value = message.SerializeToString(deterministic=True)
    return wrapped


def type_url_of(message: Message) -> str:
    """Give the type URL of a message."""
    return TYPE_URL_PREFIX + str(message.DESCRIPTOR.full_name)


def from_json(data: Any, into: Message, *, ignore_unknown: bool = False) -> Message:
    """Fill a message from proto3 JSON data (already decoded, e.g. from YAML).

    Raises:
        google.protobuf.json_format.ParseError: with the path of the field that does not fit.
    """
    try:
        json_format.ParseDict(data, into, ignore_unknown_fields=ignore_unknown, descriptor_pool=pool())
    except KeyError as error:  # what protobuf raises for an Any of a well-known type without its `value`
        raise json_format.ParseError(f"an Any of a well-known type lacks its {error}") from error
    return into


def to_dict(message: Message) -> dict[str, Any]:
    """Give proto3 JSON data with proto field names. Slow: for people, never on a hot path."""
    printed: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, descriptor_pool=pool()
    )
    return printed


def canonical_bytes(message: Message) -> bytes:
    """Serialise so that equal content gives equal bytes (control-planes.md section 6, first bullet).

    Map entries are ordered and every Any whose type is known is parsed and serialised again the same way, at any
    depth. The message itself is not changed.

    Raises:
        RecursionError: more than MAX_DEPTH messages stand in each other.
    """
    return _canonical_bytes(message, MAX_DEPTH)


def _canonical_bytes(message: Message, levels: int) -> bytes:
    if not _may_hold_any(message.DESCRIPTOR.full_name):
        return bytes(message.SerializeToString(deterministic=True))
    copy = type(message)()
    copy.CopyFrom(message)
    _canonicalise(copy, levels)
    return bytes(copy.SerializeToString(deterministic=True))


def _canonicalise(message: Message, levels: int) -> None:
    if not levels:
        raise RecursionError(f"more than {MAX_DEPTH} messages in each other")
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        inner = unpack(message)
        if inner is not None:
            message.value = _canonical_bytes(inner, levels - 1)
        return
    holders = _fields_holding_any(message.DESCRIPTOR.full_name)
    for field, value in message.ListFields():
        if field.number not in holders:
            continue
        for child in _children(field, value):
            _canonicalise(child, levels - 1)


def _children(field: FieldDescriptor, value: Any) -> list[Message]:
    if is_map(field):
        return [value[key] for key in value]
    if field.is_repeated:
        return list(value)
    return [value]


def is_map(field: FieldDescriptor) -> bool:
    """Tell whether a field is a map."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


@cache
def _fields_holding_any(full_name: str) -> frozenset[int]:
    found = set()
    for field in pool().FindMessageTypeByName(full_name).fields:
        inner = field.message_type
        if inner is not None and is_map(field):
            inner = inner.fields_by_name["value"].message_type
        if inner is not None and _may_hold_any(inner.full_name):
            found.add(field.number)
    return frozenset(found)


@cache
def _may_hold_any(full_name: str) -> bool:
    seen: set[str] = set()
    waiting: list[Descriptor] = [pool().FindMessageTypeByName(full_name)]
    while waiting:
        descriptor = waiting.pop()
        if descriptor.full_name == "google.protobuf.Any":
            return True
        if descriptor.full_name not in seen:
            seen.add(descriptor.full_name)
            waiting.extend(field.message_type for field in descriptor.fields if field.message_type is not None)
    return False


def unknown_field_paths(message: Message, path: str = "") -> Iterator[str]:
    """Give the path of every field this build's descriptors do not know, Any contents included.

    Yields:
        Paths such as `filter_chains[0].filters[1].typed_config.#1234` (`#` and the field number).
    """
    for unknown in unknown_fields.UnknownFieldSet(message):  # type: ignore[attr-defined]  # missing in the stubs
        yield f"{path}#{unknown.field_number}"
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        inner = unpack(message)
        if inner is not None:
            yield from unknown_field_paths(inner, path)
        return
    for field, value in message.ListFields():
        for place, child in _placed_children(field, value):
            yield from unknown_field_paths(child, f"{path}{place}.")


def _placed_children(field: FieldDescriptor, value: Any) -> Iterator[tuple[str, Message]]:
    """Give the messages in a field, each with its path element."""
    if field.message_type is None:
        return
    if is_map(field):
        if field.message_type.fields_by_name["value"].message_type is not None:
            yield from ((f"{field.name}[{key}]", value[key]) for key in sorted(value))
    elif field.is_repeated:
        yield from ((f"{field.name}[{index}]", item) for index, item in enumerate(value))
    else:
        yield field.name, value


@cache
def sensitive_fields(full_name: str) -> frozenset[str]:
    """Names of the message's own fields that the protos mark as sensitive (`udpa.annotations.sensitive`)."""
    found = set()
    for field in pool().FindMessageTypeByName(full_name).fields:
        options = field.GetOptions()
        if any(u.field_number == SENSITIVE_OPTION for u in unknown_fields.UnknownFieldSet(options)):  # type: ignore[attr-defined]  # missing in the stubs
            found.add(field.name)
    return frozenset(found)
